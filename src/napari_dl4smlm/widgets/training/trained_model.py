"""What becomes of a trained model: it was handed on, and can be saved elsewhere."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_dl4smlm.backend.atomic_file import atomic_file, set_aside
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.widgets.forms.titled_rows import Message
from napari_dl4smlm.widgets.training.file import ask_for_model_file

if TYPE_CHECKING:
    from pathlib import Path


class TrainedModel(QWidget):
    """Names the model that was handed on, with a button to save it under another name.

    Attributes
    ----------
    use_pressed
        The user wants to predict with it.
    """

    use_pressed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._model: Path | None = None
        self._save, self._use = QPushButton("Save as…"), QPushButton("Use in Predict")
        self._save.setToolTip("Copy the best model; an older file of that name is kept aside")
        self._handed_on, self._saved = Message(), Message()
        buttons = QHBoxLayout()
        buttons.addWidget(self._save)
        buttons.addWidget(self._use)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._handed_on)
        layout.addLayout(buttons)
        layout.addWidget(self._saved)
        self._save.clicked.connect(self._on_save)
        self._use.clicked.connect(self.use_pressed)
        self.show_model(None)

    def show_model(self, model: Path | None, why_not_used: str | None = None) -> None:
        """Show the model of the last training; nothing where there is none yet.

        Parameters
        ----------
        model
            The best model.
        why_not_used
            Why nothing can be predicted with it, so that it was not handed on.
        """
        if model != self._model:
            self._saved.show_text("")
        self._model = model
        about = "Predict has the best model now:" if why_not_used is None else why_not_used
        self._handed_on.show_text("" if model is None else f"{about}\n{model}")
        self._use.setEnabled(why_not_used is None)
        self._use.setToolTip(why_not_used or "Predict with this model, in the widget Predict")
        self.setVisible(model is not None)

    def _on_save(self) -> None:
        assert self._model is not None
        target = ask_for_model_file(self, "Save the best model", self._model)
        if target is None:
            return
        try:
            older = copy_model(self._model, target)
        except InputError as error:
            self._saved.show_fault(str(error))
            return
        aside = "" if older is None else f"\nThe older file is now {older.name}."
        self._saved.show_text(f"Saved as {target}{aside}")


def copy_model(model: Path, target: Path) -> Path | None:
    """Copy a model file; the copy appears when it is complete.

    Returns
    -------
    Path or None
        Where an older file of that name is now; ``None`` if there was none.

    Raises
    ------
    InputError
        The model is gone, or the target is the model itself or cannot be written.
    """
    if not model.is_file():
        raise InputError(f"There is no {model} any more. Train again, or look for its new place.")
    if target.resolve() == model.resolve():
        raise InputError(f"{target.name} is this model itself. Choose another name or folder.")
    try:
        with atomic_file(target) as temporary:
            shutil.copyfile(model, temporary)
            older = set_aside(target)
    except OSError as error:
        raise InputError(
            f"{target} cannot be written ({error.strerror or error}). Choose another folder, or "
            "free space."
        ) from error
    return older
