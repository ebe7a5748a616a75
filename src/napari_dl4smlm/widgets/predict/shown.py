"""What is seen of a prediction: the image while it grows, and all that was found at the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QWidget

if TYPE_CHECKING:
    from napari_dl4smlm.widgets.predict.overlays import PredictionOverlays
    from napari_dl4smlm.widgets.predict.run import ImageGrown, MoviePrediction, PredictedMovie

_SHORTEST_PAUSE_MS = 500
# showing a large image takes long: the viewer must be free for most of the time
_PAUSE_PER_TIME_SHOWN = 10


class LayerBoxes(QWidget):
    """Which layers are wanted.

    Attributes
    ----------
    toggled
        Emitted when the user wants others.
    """

    toggled = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.image, self.localizations = QCheckBox("image"), QCheckBox("localizations")
        self.image.setToolTip("Show the sum of all density maps, growing frame by frame")
        self.localizations.setToolTip("Show the localizations as points, at the end")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for box in (self.image, self.localizations):
            box.setChecked(True)
            box.toggled.connect(lambda _: self.toggled.emit())
            layout.addWidget(box)
        layout.addStretch(1)


class ShownPrediction(QObject):
    """A prediction of a movie in memory, with its layers.

    Parameters
    ----------
    prediction
        What runs, or has run.
    overlays
        Its layers.
    boxes
        Which of them are wanted.
    parent
        Whoever owns this.
    """

    def __init__(
        self,
        prediction: MoviePrediction,
        overlays: PredictionOverlays,
        boxes: LayerBoxes,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self.overlays = overlays
        self._prediction = prediction
        self._boxes = boxes
        self._result: PredictedMovie | None = None
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.timeout.connect(prediction.image_wanted.set)
        prediction.image_wanted.set()

    def show_grown(self, event: ImageGrown) -> None:
        """Show the image, and ask for the next one after a pause."""
        began = time.perf_counter()
        if self._boxes.image.isChecked():
            self.overlays.show_image(event.image)
        shown_ms = 1000 * (time.perf_counter() - began)
        self._pause.start(round(max(_SHORTEST_PAUSE_MS, _PAUSE_PER_TIME_SHOWN * shown_ms)))

    def end(self) -> PredictedMovie | None:
        """Show, once the run is over, what was found; ``None`` if no frame was done."""
        self._pause.stop()
        self._result = self._prediction.result()
        if self._result is not None:
            self.overlays.describe(self._result.origin)
            self.show_layers()
        return self._result

    def show_layers(self) -> None:
        """Show the layers that are wanted, and hide the others."""
        wants_image = self._boxes.image.isChecked()
        wants_points = self._boxes.localizations.isChecked()
        result = self._result
        if result is not None and wants_image:
            self.overlays.show_image(result.reconstruction.image)
        if result is not None and wants_points:
            self.overlays.show_localizations(result.localizations, result.pixel_size_nm)
        self.overlays.set_visible(image=wants_image, localizations=wants_points)

    def close(self) -> None:
        """Ask for no more images, and forget what was found."""
        self._pause.stop()
        self.overlays.close()
        self.deleteLater()
