"""Chooses the model: the one just trained, one used lately, or any file."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QFileDialog, QToolButton

from napari_dl4smlm.widgets.forms.field_editors import ChoiceEditor, Editor
from napari_dl4smlm.widgets.sources.about import AboutChoice
from napari_dl4smlm.widgets.sources.dropped_file import dropped_file
from napari_dl4smlm.widgets.sources.latest_run import LatestRun
from napari_dl4smlm.widgets.sources.model_text import describe_model
from napari_dl4smlm.widgets.sources.recent_models import recent_models, remember_model
from napari_dl4smlm.widgets.torch_loading import load_torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qtpy.QtGui import QDragEnterEvent, QDropEvent

    from napari_dl4smlm.backend.models.model_file import ModelCard

_NONE = {None: "model file"}


class ModelPicker(Editor):
    """A model file, dropped, picked or remembered, and below it what is known of the model.

    Parameters
    ----------
    noun
        What the model is to the user.
    describe
        Tells what is known.

    Attributes
    ----------
    card
        What the file says about its model; ``None`` until it was read, which takes a moment.
    problem
        Why the chosen model cannot be used; ``None`` if it can.
    """

    def __init__(
        self, noun: str = "model", describe: Callable[[ModelCard], str] = describe_model
    ) -> None:
        self._choice = ChoiceEditor(_NONE)
        browse = QToolButton()
        browse.setText("…")
        browse.setToolTip("Choose a model file (.safetensors)")
        super().__init__(self._choice, browse)
        self.card: ModelCard | None = None
        self._none_chosen = f"Choose a {noun} first."
        self.problem: str | None = self._none_chosen
        self._describe = describe
        self._just_trained: Path | None = None
        self._reading = LatestRun(self)
        self.about = self.below = AboutChoice()
        self._reading.event_arrived.connect(self._on_card)
        self._reading.failed.connect(self._on_failure)
        self._choice.changed.connect(self._read)
        browse.clicked.connect(self._browse)
        self.setAcceptDrops(True)
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

    def offer_trained(self, path: Path | None) -> None:
        """Offer the model that was just trained; choose it only if the user has not chosen."""
        was_followed = self.value() in (None, self._just_trained)
        self._just_trained = path
        if path is not None and (was_followed or path == self.value()):
            self.set_value(path)
        else:
            self._offer()

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Welcome one file."""
        if event is not None and dropped_file(event) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Choose the file that was dropped."""
        path = None if event is None else dropped_file(event)
        if event is not None and path is not None:
            event.acceptProposedAction()
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
            self.problem = self._none_chosen
            self._reading.cancel()
        else:
            self.problem = "The model file is being read."
            self._reading.start(lambda: _cards(path))
        self.changed.emit()

    def _on_card(self, card: ModelCard) -> None:
        self.card = card
        self.problem = None
        self.about.tell(self._describe(card))
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
    load_torch()
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
