"""A window at work: napari with the sample movie, and a network that learns from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import napari
from qtpy.QtCore import QTimer

from napari_dl4smlm.widgets.session import Session

if TYPE_CHECKING:
    from napari import Viewer
    from qtpy.QtWidgets import QDockWidget

    from napari_dl4smlm.widgets.data.widget import DataWidget
    from napari_dl4smlm.widgets.predict.widget import PredictWidget
    from napari_dl4smlm.widgets.train.widget import TrainWidget

PLUGIN = "napari-dl4smlm"


class Docked(NamedTuple):
    """The widgets of a viewer, in tabs."""

    data: DataWidget
    train: TrainWidget
    predict: PredictWidget
    tabs: dict[str, QDockWidget]


def dock_widgets(viewer: Viewer) -> Docked:
    """Open the widgets that a whole session needs, the first in front."""
    docks = {
        name: viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
        for name in ("Data", "Train", "Predict")
    }
    data, train, predict = (widget for _, widget in docks.values())
    tabs = {name: tab for name, (tab, _) in docks.items()}
    # the tabs come into being with the next event, and the last one in front
    QTimer.singleShot(0, tabs["Data"].raise_)
    return Docked(data, train, predict, tabs)


def open_demo(viewer: Viewer) -> Docked:
    """Open the sample movie and the widgets, and begin to train once the data were looked at."""
    viewer.open_sample(PLUGIN, "filaments")
    docked = dock_widgets(viewer)
    session = Session.of(viewer)

    def use() -> None:
        docked.data.checked.disconnect(use)
        docked.data.use_for_training()

    def train() -> None:
        session.data_changed.disconnect(train)
        docked.train.start()
        docked.tabs["Train"].raise_()

    docked.data.checked.connect(use)
    session.data_changed.connect(train)
    return docked


if __name__ == "__main__":
    open_demo(napari.Viewer(title="napari-dl4smlm"))
    napari.run()
