"""The Train widget: a network learns from frames whose emitters are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dl4smlm.widgets.train.form import TrainingForm
from napari_dl4smlm.widgets.training.dock import TrainingDock

if TYPE_CHECKING:
    from napari.components import ViewerModel


class TrainWidget(TrainingDock):
    """Trains a network on the data of the session, and hands the model to the Predict widget.

    Parameters
    ----------
    napari_viewer
        Gets the previews.

    Attributes
    ----------
    form
        What the next training is asked for.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        self.form = TrainingForm()
        super().__init__(napari_viewer, self.form, start="Train", about_start="Train a new model")
