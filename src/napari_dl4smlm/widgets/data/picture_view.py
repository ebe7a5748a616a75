"""Shows pictures side by side, as large as the column allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QPaintEvent, QResizeEvent

    from napari_dl4smlm.widgets.data.pictures import Picture

_GAP_PX = 6
# as that of points layers that show true positions
_MARK_COLOUR = "cyan"
# in camera pixels: wider than a spot, whose pixels stay visible inside
_MARK_RADIUS = 2.0


class PictureView(QWidget):
    """Two pictures side by side, with captions below; hidden while there is none."""

    def __init__(self) -> None:
        super().__init__()
        self._pictures: tuple[Picture, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setVisible(False)

    def pictures(self) -> tuple[Picture, ...]:
        """Return what is shown."""
        return self._pictures

    def show_pictures(self, pictures: Sequence[Picture]) -> None:
        """Show at most two pictures; none hides the view."""
        self._pictures = tuple(pictures)
        self.setVisible(bool(pictures))
        self.update()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Keep the pictures square, with room for their captions."""
        super().resizeEvent(event)
        self.setFixedHeight(self._side() + self.fontMetrics().lineSpacing())

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the pictures."""
        del event
        side = self._side()
        painter = QPainter(self)
        for number, picture in enumerate(self._pictures):
            self._paint(painter, picture, QRectF(number * (side + _GAP_PX), 0, side, side))
        painter.end()

    def _side(self) -> int:
        return (self.width() - _GAP_PX) // 2

    def _paint(self, painter: QPainter, picture: Picture, square: QRectF) -> None:
        height, width = picture.pixels.shape
        scale = square.width() / max(height, width)
        place = QRectF(0, 0, scale * width, scale * height)
        place.moveCenter(square.center())
        painter.drawImage(place, _gray(picture))
        if picture.positions_px is not None:
            painter.save()
            painter.setClipRect(place)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(_MARK_COLOUR), 1))
            for y, x in picture.positions_px.tolist():
                centre = place.topLeft() + QPointF(scale * x, scale * y)
                painter.drawEllipse(centre, _MARK_RADIUS * scale, _MARK_RADIUS * scale)
            painter.restore()
        below = QRectF(
            square.left(), square.bottom(), square.width(), self.fontMetrics().lineSpacing()
        )
        caption = self.fontMetrics().elidedText(
            picture.caption, Qt.TextElideMode.ElideRight, int(square.width())
        )
        painter.drawText(below, Qt.AlignmentFlag.AlignCenter, caption)


def _gray(picture: Picture) -> QImage:
    black, white = picture.limits
    shades = (picture.pixels.astype(np.float64) - black) / (white - black)
    levels = np.ascontiguousarray(255 * shades.clip(0, 1), np.uint8)
    height, width = levels.shape
    image = QImage(levels.tobytes(), width, height, width, QImage.Format.Format_Grayscale8)
    # the bytes are only lent to it
    return image.copy()
