"""Where the trained model goes: a file that the user names, or a new one for each training."""

from __future__ import annotations

import os
from datetime import date
from itertools import count
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLineEdit, QToolButton, QWidget

from napari_dl4smlm.backend.training.model_paths import last_model_of
from napari_dl4smlm.widgets.saving import ask_for_file

_SUFFIX = ".safetensors"
_DEFAULT_FOLDER = "dl4smlm-models"


class ModelFile(QWidget):
    """A line for the file of the best model; an empty one means a new file with the model's name.

    Attributes
    ----------
    changed
        Emitted when another file was named.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._line = QLineEdit()
        self._browse = QToolButton()
        self._browse.setText("…")
        self._browse.setToolTip("Choose a folder and a name")
        self._model = ""
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._line, 1)
        layout.addWidget(self._browse)
        self._line.textChanged.connect(lambda _: self.changed.emit())
        self._browse.clicked.connect(self._ask)

    def path(self) -> Path:
        """Return the file; a default one does not exist yet."""
        return self.chosen() or _unused_file(self._model)

    def chosen(self) -> Path | None:
        """Return the file that the user named, if any."""
        text = self._line.text().strip()
        return model_path(text) if text else None

    def set_chosen(self, path: Path | None) -> None:
        """Name a file; none for the default."""
        self._line.setText("" if path is None else str(path))

    def refresh(self, model: str, why_disabled: str | None) -> None:
        """Show the default file for a model, and whether the line may be edited."""
        self._model = model
        self._line.setPlaceholderText(str(_unused_file(model)))
        for control in (self._line, self._browse):
            control.setEnabled(why_disabled is None)
        self._line.setToolTip(why_disabled or f"The best model goes to\n{self.path().absolute()}")

    def _ask(self) -> None:
        chosen = ask_for_model_file(self, "File for the best model", self.path())
        if chosen is not None:
            self.set_chosen(chosen)


def model_path(text: str) -> Path:
    """Return the model file that a text names, with or without its suffix."""
    path = Path(text).expanduser()
    return path if path.suffix == _SUFFIX else path.with_name(path.name + _SUFFIX)


def ask_for_model_file(parent: QWidget, title: str, suggested: Path) -> Path | None:
    """Let the user name a file for a model; whoever writes it keeps an older one aside."""
    folder = suggested.parent if suggested.parent.is_dir() else Path.cwd()
    return ask_for_file(parent, title, folder / suggested.name, f"Models (*{_SUFFIX})")


def _unused_file(model: str) -> Path:
    # started from a menu, a viewer may run where only the system may write
    folder = (Path() if os.access(Path.cwd(), os.W_OK) else Path.home()) / _DEFAULT_FOLDER
    for number in count(1):
        again = "" if number == 1 else f"-{number}"
        path = folder / f"{model}-{date.today().isoformat()}{again}{_SUFFIX}"
        if not path.exists() and not last_model_of(path).exists():
            return path
    raise AssertionError("unreachable")
