"""What is seen of a prediction: the image while it grows, and all that was found at the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QWidget

if TYPE_CHECKING:
    from napari_dl4smlm.widgets.predict.overlays import PredictionOverlays
    from napari_dl4smlm.widgets.predict.run import ImageGrown, MoviePrediction, PredictedMovie

_SHORTEST_PAUSE_MS = 500
# showing a large image takes long: the viewer must be free for most of the time
_PAUSE_PER_TIME_SHOWN = 10


class LayerBoxes(QWidget):
    """Which layers are wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.localizations = QCheckBox("image"), QCheckBox("localizations")
        self.image.setToolTip("Show the sum of all density maps, growing frame by frame")
        self.localizations.setToolTip("Show the localizations as points, at the end")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for box in (self.image, self.localizations):
            box.setChecked(True)
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
            if self.overlays.has_image:
                # also one that is hidden: it is half-grown
                self.overlays.show_image(self._result.reconstruction.image)
            self.want_image(self._boxes.image.isChecked())
            self.want_localizations(self._boxes.localizations.isChecked())
        return self._result

    def want_image(self, is_wanted: bool) -> None:
        """Show the image, or hide it."""
        if is_wanted and self._result is not None and not self.overlays.has_image:
            self.overlays.show_image(self._result.reconstruction.image)
        self.overlays.set_image_visible(is_wanted)

    def want_localizations(self, is_wanted: bool) -> None:
        """Show the localizations, which come back if they were removed, or hide them."""
        result = self._result
        if is_wanted and result is not None:
            self.overlays.show_localizations(result.localizations, result.pixel_size_nm)
        self.overlays.set_localizations_visible(is_wanted)

    def close(self) -> None:
        """Ask for no more images, and forget what was found."""
        self._pause.stop()
        self.overlays.close()
        self.deleteLater()
