"""A window at work: napari with the sample movie, and a network that learns from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import napari

from napari_dl4smlm.widgets.session import Session

if TYPE_CHECKING:
    from napari import Viewer

    from napari_dl4smlm.widgets.data.widget import DataWidget
    from napari_dl4smlm.widgets.predict.widget import PredictWidget
    from napari_dl4smlm.widgets.train.widget import TrainWidget

_PLUGIN = "napari-dl4smlm"


class Demo(NamedTuple):
    """The window of the demo and what is docked in it."""

    viewer: Viewer
    data: DataWidget
    train: TrainWidget
    predict: PredictWidget


def open_demo(viewer: Viewer) -> Demo:
    """Open the sample movie and the widgets, and begin to train once the data were looked at."""
    viewer.open_sample(_PLUGIN, "filaments")
    docks, widgets = zip(
        *(
            viewer.window.add_plugin_dock_widget(_PLUGIN, name, tabify=True)
            for name in ("Data", "Train", "Predict")
        ),
        strict=True,
    )
    demo = Demo(viewer, *widgets)
    _train_once(demo)
    docks[1].raise_()
    return demo


def _train_once(demo: Demo) -> None:
    """Do what the user would: hand on the data of the sample, and press Train."""
    session = Session.of(demo.viewer)

    def use() -> None:
        demo.data.checked.disconnect(use)
        demo.data.use_for_training()

    def train() -> None:
        session.data_changed.disconnect(train)
        demo.train.start()

    demo.data.checked.connect(use)
    session.data_changed.connect(train)


if __name__ == "__main__":
    open_demo(napari.Viewer(title="napari-dl4smlm"))
    napari.run()
