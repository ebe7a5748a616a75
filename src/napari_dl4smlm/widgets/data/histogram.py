"""How bright the pixels of a movie are, in the colours of the viewer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari_dl4smlm.widgets.figure_view import FigureView

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from napari_dl4smlm.widgets.figure_view import FigureLook

_HEIGHT_IN_LINES = 13
# of the colours of figures, the lighter blue and orange
_ON_DARK = {0: 5, 1: 4}


class HistogramPlot(FigureView):
    """The intensities of one movie or two; hidden while there is none."""

    def __init__(self) -> None:
        super().__init__(_HEIGHT_IN_LINES)
        self._movies: dict[str, NDArray[Any]] = {}
        self.setToolTip(
            "Share of the pixels that have an intensity, in some of the frames. The median is\n"
            "the background where emitters are sparse, the 99.9th percentile that of bright spots."
        )
        self.setVisible(False)

    def show_movies(self, movies: Mapping[str, NDArray[Any]]) -> None:
        """Draw the pixels of at most two movies, by short names for the legend; none is hidden."""
        unchanged = self._movies.keys() == movies.keys() and all(
            pixels is self._movies[name] for name, pixels in movies.items()
        )
        if not unchanged:
            self._movies = dict(movies)
            self.setVisible(bool(self._movies))
            self.show_figure(partial(_figure, self._movies) if self._movies else None)


def _figure(movies: Mapping[str, NDArray[Any]], look: FigureLook) -> Figure:
    from napari_dl4smlm.backend.figures.histogram import draw_histogram

    (name, pixels), *others = movies.items()
    against_label, against = others[0] if others else ("", None)
    figure = draw_histogram(pixels, label=name, against=against, against_label=against_label)
    if look.is_dark:
        _lighten(figure)
    _tell_numbers(figure.axes[0], movies)
    look.colour(figure)
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
