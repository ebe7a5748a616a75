"""Shows a matplotlib figure that is drawn off the GUI thread, in the colours of the viewer.

The first figure takes a second or two, for matplotlib is imported and looks for fonts; the others
take a tenth of a second.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QImage, QPalette, QPixmap
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

from napari_dl4smlm.widgets.sources.latest_run import LatestRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matplotlib.figure import Figure
    from qtpy.QtGui import QResizeEvent

    DrawFigure = Callable[["FigureLook"], Figure]

# 8 bits; the lightness of a background on which white text is easier to read than black
_DARK_BELOW = 128
# with it, type of 7 points is as high as that of the labels around
_DPI = 100.0
# what matplotlib knows of fonts is shared by all figures
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class FigureLook:
    """How a figure looks in the theme of the viewer.

    Attributes
    ----------
    background, text
        As ``#rrggbb``.
    """

    background: str
    text: str

    @classmethod
    def of(cls, widget: QWidget) -> FigureLook:
        """Return the look of what lies around a widget."""
        palette = widget.palette()
        return cls(
            palette.color(QPalette.ColorRole.Window).name(),
            palette.color(QPalette.ColorRole.WindowText).name(),
        )

    @property
    def is_dark(self) -> bool:
        """Whether light curves stand out better than dark ones."""
        parts = bytes.fromhex(self.background[1:])
        return (max(parts) + min(parts)) / 2 < _DARK_BELOW

    def colour(self, figure: Figure) -> None:
        """Give the background, all text, and the frames of axes the colours of the theme."""
        from matplotlib.text import Text

        figure.set_facecolor(self.background)
        for axes in figure.axes:
            axes.set_facecolor("none")
            axes.spines[:].set_color(self.text)
            axes.tick_params(which="both", colors=self.text)
        for text in figure.findobj(Text):
            assert isinstance(text, Text)
            text.set_color(self.text)


class FigureView(QLabel):
    """One figure as wide as there is room; the mouse wheel scrolls what is around it.

    Parameters
    ----------
    height_in_lines
        Height in lines of text.
    """

    def __init__(self, height_in_lines: int) -> None:
        super().__init__()
        self.setFixedHeight(height_in_lines * self.fontMetrics().height())
        # a picture must not keep the dock from getting narrower
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setWordWrap(True)
        self._draw: DrawFigure | None = None
        self._run = LatestRun(self)
        self._run.event_arrived.connect(self._on_drawn)
        self._run.failed.connect(self._on_failed)

    @property
    def is_busy(self) -> bool:
        """Whether a figure is being drawn."""
        return self._run.is_running

    def show_figure(self, draw: DrawFigure | None) -> None:
        """Draw a figure in place of any other, which stays in sight until then.

        Parameters
        ----------
        draw
            Makes the figure, in another thread; it gets the look that the figure must have, and
            may be called again, for another width or theme. ``None`` for no figure.
        """
        self._draw = draw
        if draw is None:
            self._run.cancel()
            self.clear()
        self._redraw()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Draw the figure as wide as it is now."""
        super().resizeEvent(event)
        self._redraw()

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme of the viewer."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.StyleChange:
            self._redraw()

    def _redraw(self) -> None:
        if self._draw is None or self.width() < 1:
            return
        draw, look, ratio = self._draw, FigureLook.of(self), self.devicePixelRatioF()
        size_px = (self.width(), self.height())
        self._run.start(lambda: _render(draw, look, size_px, ratio))

    def _on_drawn(self, image: QImage) -> None:
        self.setPixmap(QPixmap.fromImage(image))

    def _on_failed(self, message: str, details: str) -> None:
        del details
        self.setText(message)


def _render(
    draw: DrawFigure, look: FigureLook, size_px: tuple[int, int], ratio: float
) -> Iterator[QImage]:
    """Yield the picture of a figure, with ``ratio`` dots for each pixel of the widget."""
    with _ONE_AT_A_TIME:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        figure = draw(look)
        figure.set_size_inches(size_px[0] / _DPI, size_px[1] / _DPI)
        figure.set_dpi(_DPI * ratio)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # type: ignore[no-untyped-call]
        pixels = np.array(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    height, width = pixels.shape[:2]
    # a copy, since Qt would go on reading from the array
    image = QImage(bytes(pixels), width, height, QImage.Format.Format_RGBA8888).copy()
    image.setDevicePixelRatio(ratio)
    yield image
