"""What of a comparison is seen in the viewer: images of all models, and where they are wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from napari_dl4smlm.widgets.layers.compared_layers import (
    hide_compared,
    model_layer_name,
    show_compared,
)
from napari_dl4smlm.widgets.sources.latest_run import LatestRun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_dl4smlm.backend.evaluation.comparison.common_grid import CommonGrid, Content
    from napari_dl4smlm.backend.evaluation.comparison.result import Comparison

_NO_TRUTH = "Without true positions there are no differences to show."
_CONTENTS: dict[Content, str] = {
    "density maps": "Sums of the density maps, as the image scores compare them.",
    "localizations": "The localizations of each model, drawn as the truth is, with the same blur.",
}


class LayerChoice(QWidget):
    """Which layers are wanted.

    Attributes
    ----------
    changed
        The user wants others.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.images, self.differences = QCheckBox("images"), QCheckBox("differences")
        self.content = QComboBox()
        self.content.addItems([f"of {content}" for content in _CONTENTS])
        self.content.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.content.setToolTip("\n".join(_CONTENTS.values()))
        self.images.setChecked(True)
        self.images.setToolTip("Show all models and the truth side by side, in the same colours")
        self.set_has_truth(True)
        boxes = QHBoxLayout()
        boxes.addWidget(self.images)
        boxes.addWidget(self.differences)
        boxes.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(boxes)
        layout.addWidget(self.content)
        for box in (self.images, self.differences):
            box.toggled.connect(lambda _: self.changed.emit())
        self.content.currentIndexChanged.connect(lambda _: self.changed.emit())

    def chosen_content(self) -> Content:
        """Return what the images are made of."""
        return list(_CONTENTS)[self.content.currentIndex()]

    def set_has_truth(self, has_truth: bool) -> None:
        """Say why there are no differences, or allow them."""
        self.differences.setEnabled(has_truth)
        self.differences.setToolTip(
            "Show prediction minus truth: red is too much, blue too little"
            if has_truth
            else _NO_TRUTH
        )


class ShownComparison(QObject):
    """The layers of the last comparison.

    The user may rename and remove them at any time; those that are removed come back when others
    are wanted.

    Parameters
    ----------
    viewer
        Where they are shown.
    choice
        Which of them are wanted.
    parent
        Whoever owns this.
    """

    def __init__(self, viewer: ViewerModel, choice: LayerChoice, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._choice = choice
        self._comparison: Comparison | None = None
        self._movie_layer: Image | None = None
        self._steps: Iterator[Image] = iter(())
        # one layer in each turn of the event loop: napari takes a tenth of a second for it
        self._next = QTimer(self)
        self._next.setSingleShot(True)
        self._next.timeout.connect(self._show_next)
        self._drawing = LatestRun(self)
        self._drawing.event_arrived.connect(self._on_grid)
        self._drawing.failed.connect(lambda message, _details: show_error(message))
        choice.changed.connect(self.draw)

    @property
    def is_busy(self) -> bool:
        """Whether images are being made, or shown."""
        return self._drawing.is_running or self._next.isActive()

    def show_comparison(self, comparison: Comparison, movie_layer: Image) -> None:
        """Show a comparison on the layer of its movie, which may be gone by now."""
        self._comparison, self._movie_layer = comparison, movie_layer
        self._choice.set_has_truth(comparison.data.true_image is not None)
        self.draw()

    def draw(self) -> None:
        """Show the layers that are wanted, and hide the others."""
        self._next.stop()
        comparison, movie_layer = self._comparison, self._movie_layer
        if comparison is None or movie_layer is None:
            return
        if self._choice.images.isChecked() or self._choice.differences.isChecked():
            content = self._choice.chosen_content()
            self._drawing.start(lambda: _grids(comparison, content))
        else:
            self._drawing.cancel()
            hide_compared(self._viewer, movie_layer)

    def select_label(self, label: str) -> None:
        """Make the image of a model the active layer."""
        for layer in self._viewer.layers:
            if layer.name == model_layer_name(label):
                self._viewer.layers.selection.active = layer

    def close(self) -> None:
        """Make no more images."""
        self._next.stop()
        self._drawing.cancel()

    def _on_grid(self, grid: CommonGrid) -> None:
        comparison, movie_layer = self._comparison, self._movie_layer
        assert comparison is not None
        assert movie_layer is not None
        self._steps = show_compared(
            self._viewer,
            movie_layer,
            grid,
            comparison.data.mean_frame,
            factor=comparison.data.upsampling_factor,
            differences=self._choice.differences.isChecked(),
            metadata={"content": self._choice.chosen_content()},
        )
        self._next.start()

    def _show_next(self) -> None:
        if next(self._steps, None) is not None:
            self._next.start()


def _grids(comparison: Comparison, content: Content) -> Iterator[CommonGrid]:
    from napari_dl4smlm.backend.evaluation.comparison.common_grid import on_common_grid

    yield on_common_grid(comparison, content)
