"""How bright the pixels of a movie are, in the colours of the viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QVBoxLayout, QWidget

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_HEIGHT_IN_LINES = 13
# 8 bits; the lightness of a background on which white text is easier to read than black
_DARK_BELOW = 128
# of the colours of figures, the lighter blue and orange
_ON_DARK = {0: 5, 1: 4}


class HistogramPlot(QWidget):
    """The intensities of one movie or two; hidden while there is none."""

    def __init__(self) -> None:
        super().__init__()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._movies: dict[str, NDArray[Any]] = {}
        self.setToolTip(
            "Share of the pixels that have an intensity, in some of the frames. The median is\n"
            "the background where emitters are sparse, the 99.9th percentile that of bright spots."
        )
        self.setVisible(False)

    def show_movies(self, movies: Mapping[str, NDArray[Any]]) -> None:
        """Draw the pixels of at most two movies, by short names for the legend; none is hidden.

        Raises
        ------
        InputError
            Some pixels are not finite.
        """
        unchanged = self._movies.keys() == movies.keys() and all(
            pixels is self._movies[name] for name, pixels in movies.items()
        )
        if not unchanged:
            self._movies = dict(movies)
            self._draw()

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme of the viewer."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.StyleChange and self._movies:
            self._draw()

    def _draw(self) -> None:
        while (item := self._layout.takeAt(0)) is not None:
            canvas = item.widget()
            assert canvas is not None
            canvas.deleteLater()
        self.setVisible(bool(self._movies))
        if self._movies:
            self.setFixedHeight(_HEIGHT_IN_LINES * self.fontMetrics().height())
            self._layout.addWidget(_canvas(self._figure()))

    def _figure(self) -> Figure:
        from napari_dl4smlm.backend.figures.histogram import draw_histogram

        (name, pixels), *others = self._movies.items()
        against_label, against = others[0] if others else ("", None)
        figure = draw_histogram(pixels, label=name, against=against, against_label=against_label)
        background = self.palette().color(QPalette.ColorRole.Window)
        figure.set_facecolor(background.name())
        if background.lightness() < _DARK_BELOW:
            _lighten(figure)
        _tell_numbers(figure.axes[0], self._movies)
        _colour_text(figure, self.palette().color(QPalette.ColorRole.WindowText).name())
        return figure


def _lighten(figure: Figure) -> None:
    """Give the curves colours that stand out on a dark background."""
    from matplotlib.colors import to_hex
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    from napari_dl4smlm.backend.figures.style import COLOURS

    lighter = {to_hex(COLOURS[old]): COLOURS[new] for old, new in _ON_DARK.items()}
    for artist in figure.findobj():
        if isinstance(artist, Line2D) and to_hex(artist.get_color()) in lighter:
            artist.set_color(lighter[to_hex(artist.get_color())])
        if isinstance(artist, Patch) and to_hex(artist.get_edgecolor()) in lighter:
            artist.set_color(lighter[to_hex(artist.get_edgecolor())])


def _tell_numbers(axes: Axes, movies: Mapping[str, NDArray[Any]]) -> None:
    """Replace the legend, which is as wide as a printed column, by a line for each movie."""
    import numpy as np

    from napari_dl4smlm.backend.figures.style import FONT_PT

    handles, labels = axes.get_legend_handles_labels()
    curves = [handles[labels.index(name)] for name in movies]
    for curve, (name, pixels) in zip(curves, movies.items(), strict=True):
        median, bright = np.percentile(pixels, [50, 99.9])
        curve.set_label(f"{name}: median {median:.4g}, 99.9 % below {bright:.4g}")
    axes.legend(
        handles=curves,
        loc="lower right",
        bbox_to_anchor=(1, 1.01),
        fontsize=FONT_PT,
        frameon=False,
        borderaxespad=0,
        handlelength=1.2,
    )


def _colour_text(figure: Figure, colour: str) -> None:
    from matplotlib.text import Text

    axes = figure.axes[0]
    axes.set_facecolor("none")
    axes.spines[:].set_color(colour)
    axes.tick_params(which="both", colors=colour)
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_color(colour)


def _canvas(figure: Figure) -> QWidget:
    # imported when it is needed: a widget has to open at once
    from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg

    # its module declares no types
    canvas: QWidget = FigureCanvasQTAgg(figure)  # type: ignore[no-untyped-call]
    # or the wheel would not scroll the widget when the mouse is over the plot
    canvas.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    return canvas
