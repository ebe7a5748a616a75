"""Chooses the model: the one just trained, one used lately, or any file."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QFileDialog, QToolButton

from napari_dl4smlm.widgets.forms.field_editors import ChoiceEditor, Editor
from napari_dl4smlm.widgets.predict.about import AboutChoice
from napari_dl4smlm.widgets.predict.recent import recent_models, remember_model
from napari_dl4smlm.widgets.predict.terms import describe_model
from napari_dl4smlm.widgets.sources.latest_run import LatestRun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dl4smlm.backend.models.model_file import ModelCard

_NONE = {None: "model file"}


class ModelPicker(Editor):
    """A model file and, below it, what the model was trained for.

    Attributes
    ----------
    card
        What the file says about its model; ``None`` until it was read, which takes a moment.
    problem
        Why the chosen model cannot predict; ``None`` if it can.
    """

    def __init__(self) -> None:
        self._choice = ChoiceEditor(_NONE)
        browse = QToolButton()
        browse.setText("…")
        browse.setToolTip("Choose a model file (.safetensors)")
        super().__init__(self._choice, browse)
        self.card: ModelCard | None = None
        self.problem: str | None = "Choose a model first."
        self._just_trained: Path | None = None
        self._reading = LatestRun(self)
        self.about = self.below = AboutChoice()
        self._reading.event_arrived.connect(self._on_card)
        self._reading.failed.connect(self._on_failure)
        self._choice.changed.connect(self._read)
        browse.clicked.connect(self._browse)
        self._offer()

    def value(self) -> Path | None:
        """Return the file."""
        path: Path | None = self._choice.value()
        return path

    def set_value(self, value: Path | None) -> None:
        """Choose a file, and read what it says even if it was chosen already."""
        blocked = self._choice.blockSignals(True)
        self._choice.set_value(value)
        self._offer()
        self._choice.blockSignals(blocked)
        self._read()

    def set_trained(self, path: Path | None) -> None:
        """Choose the model that was just trained, even if an older one had its name."""
        self._just_trained = path
        if path is not None:
            self.set_value(path)

    def close_all(self) -> None:
        """Read no longer."""
        self._reading.cancel()

    def _offer(self) -> None:
        paths = [path for path in (self._just_trained, self.value()) if path is not None]
        choices = _labels([*paths, *recent_models()])
        if self._just_trained is not None:
            choices[self._just_trained] = f"{self._just_trained.name} (just trained)"
        self._choice.set_choices(_NONE | choices)
        for path in choices:
            self._choice.describe(path, str(path))

    def _read(self) -> None:
        path = self.value()
        self.card = None
        self.about.tell()
        if path is None:
            self.problem = "Choose a model first."
            self._reading.cancel()
        else:
            self.problem = "The model file is being read."
            self._reading.start(lambda: _cards(path))
        self.changed.emit()

    def _on_card(self, card: ModelCard) -> None:
        self.card = card
        self.problem = None
        self.about.tell(describe_model(card))
        path = self.value()
        if path is not None:
            remember_model(path)
        self.changed.emit()

    def _on_failure(self, message: str, details: str) -> None:
        del details
        self.problem = message
        self.about.tell(fault=message)
        show_error(message)
        self.changed.emit()

    def _browse(self) -> None:
        folder = "" if self.value() is None else str(self.value())
        chosen, _ = QFileDialog.getOpenFileName(
            self, "Choose a model", folder, "Models (*.safetensors);;All files (*)"
        )
        if chosen:
            self.set_value(Path(chosen))


def _cards(path: Path) -> Iterator[ModelCard]:
    # imports torch
    from napari_dl4smlm.backend.models.model_file import read_card

    # what needs a model next, and would hold the viewer for a second
    importlib.import_module("napari_dl4smlm.widgets.command_line")
    yield read_card(path)


def _labels(paths: list[Path]) -> dict[Path | None, str]:
    """Name files, with their folders where names alone do not tell them apart."""
    names = [path.name for path in dict.fromkeys(paths)]
    return {
        path: path.name if names.count(path.name) == 1 else f"{path.parent.name}/{path.name}"
        for path in paths
    }
