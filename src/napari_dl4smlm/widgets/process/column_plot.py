"""The histogram of a column, on which the limits of a filter are dragged."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPalette, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

if TYPE_CHECKING:
    from qtpy.QtGui import QMouseEvent, QPaintEvent

    from napari_dl4smlm.backend.processing.column_histogram import ColumnHistogram

_HEIGHT_IN_LINES = 5
_LIMIT_PX = 2.0
_NEAR_PX = 10.0
"""Within which a limit is taken hold of, although the other one might be meant."""
_FADED = 70
"""Of 255, the opacity of bars that are filtered out."""


class ColumnPlot(QWidget):
    """Bars from the lowest to the highest value; those outside of the limits are faded.

    Attributes
    ----------
    dragged
        Carries both limits, ``None`` for one that there is not, while the user drags one of them:
        the nearer one. Where one is missing, it is made at a press far from the other one, the
        lower limit in the left half of the plot.
    """

    dragged = Signal(object, object)

    def __init__(self) -> None:
        super().__init__()
        self._histogram: ColumnHistogram | None = None
        self._limits: list[float | None] = [None, None]
        self._dragged_limit: int | None = None
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(_HEIGHT_IN_LINES * self.fontMetrics().lineSpacing())
        self.setToolTip("Values of this column before this step. Drag a limit to move it.")
        self.setVisible(False)

    def show_histogram(self, histogram: ColumnHistogram | None) -> None:
        """Show a histogram; none, or one without values, hides the plot."""
        self._histogram = histogram
        self.setVisible(histogram is not None and bool(histogram.counts.size))
        self.update()

    def show_limits(self, minimum: float | None, maximum: float | None) -> None:
        """Show which values are kept."""
        self._limits = [minimum, maximum]
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw bars, limits and the ends of the axis."""
        del event
        if self._histogram is None or not self._histogram.counts.size:
            return
        painter = QPainter(self)
        self._paint_bars(painter)
        text = self.palette().color(QPalette.ColorRole.WindowText)
        painter.setPen(QPen(text, _LIMIT_PX))
        for limit in self._limits:
            if limit is not None:
                x = self._x_of(limit)
                painter.drawLine(QPointF(x, 0), QPointF(x, self._base()))
        painter.setPen(text)
        low, high = self._ends()
        below = QRectF(0, self._base(), self.width(), self.height() - self._base())
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, f"{low:.4g}")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"{high:.4g}")
        painter.end()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Take hold of the nearest limit."""
        if event is None or event.button() != Qt.MouseButton.LeftButton or not self.isEnabled():
            return
        x = event.position().x()
        distance = {
            number: abs(x - self._x_of(limit))
            for number, limit in enumerate(self._limits)
            if limit is not None
        }
        nearest = min(distance, key=distance.__getitem__, default=0)
        if len(distance) == 2 or distance.get(nearest, _NEAR_PX) < _NEAR_PX:
            self._dragged_limit = nearest
        else:
            self._dragged_limit = 0 if x < self.width() / 2 else 1
        self._drag_to(x)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Move the limit."""
        if event is not None and self._dragged_limit is not None:
            self._drag_to(event.position().x())

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Let go of the limit."""
        del event
        self._dragged_limit = None

    def _drag_to(self, x: float) -> None:
        assert self._dragged_limit is not None
        low, high = self._ends()
        per_px = (high - low) / max(1, self.width())
        # no finer than a pixel can tell
        digits = -math.floor(math.log10(per_px))
        value = round(min(max(low + per_px * x, low), high), digits)
        other = self._limits[1 - self._dragged_limit]
        if other is not None:
            value = min(value, other) if self._dragged_limit == 0 else max(value, other)
        self._limits[self._dragged_limit] = value
        self.update()
        self.dragged.emit(*self._limits)

    def _paint_bars(self, painter: QPainter) -> None:
        assert self._histogram is not None
        edges, counts = self._histogram.edges, self._histogram.counts
        lower, upper = self._limits
        kept = self.palette().color(QPalette.ColorRole.Highlight)
        faded = QColor(kept)
        faded.setAlpha(_FADED)
        highest = max(1, int(counts.max()))
        for left, right, count in zip(edges[:-1], edges[1:], counts.tolist(), strict=True):
            middle = (left + right) / 2
            is_kept = (lower is None or middle >= lower) and (upper is None or middle <= upper)
            height = self._base() * count / highest
            x = self._x_of(left)
            bar = QRectF(x, self._base() - height, self._x_of(right) - x, height)
            painter.fillRect(bar, kept if is_kept else faded)

    def _ends(self) -> tuple[float, float]:
        assert self._histogram is not None
        return float(self._histogram.edges[0]), float(self._histogram.edges[-1])

    def _x_of(self, value: float) -> float:
        low, high = self._ends()
        return min(max((value - low) / (high - low), 0.0), 1.0) * self.width()

    def _base(self) -> float:
        return self.height() - self.fontMetrics().lineSpacing()
