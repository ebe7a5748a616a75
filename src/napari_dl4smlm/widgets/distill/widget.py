"""The Distill widget: a small network learns from a large one that is trained already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dl4smlm.widgets.distill.form import DistillationForm
from napari_dl4smlm.widgets.training.dock import TrainingDock

if TYPE_CHECKING:
    from pathlib import Path

    from napari.components import ViewerModel


class DistillWidget(TrainingDock):
    """Trains a student on the data of the session, with the help of a teacher.

    Parameters
    ----------
    napari_viewer
        Gets the previews.

    Attributes
    ----------
    form
        What the next distillation is asked for.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        self.form = DistillationForm()
        super().__init__(
            napari_viewer,
            self.form,
            start="Distill",
            about_start="Train a new student with the help of the teacher",
        )
        self._session.model_changed.connect(self._on_model)
        if self._session.model_path is not None:
            self._on_model(self._session.model_path)

    def _on_model(self, path: Path | None) -> None:
        """Offer the model that was just trained as a teacher, unless it is a student from here."""
        if path != self.model_path:
            self.form.teacher.offer_trained(path)
