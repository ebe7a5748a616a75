"""How bright the pixels of a movie are, next to those of another movie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.figures.style import (
    COLOURS,
    FONT_PT,
    LINE_PT,
    ONE_COLUMN_MM,
    legend_above,
    literal,
    new_figure,
    style_plot,
    wrap,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_BINS = 150

# of a movie's name in the legend, beside that of another movie
_NAME_MM = 28.0


def draw_histogram(
    frames: NDArray[Any],
    *,
    label: str = "movie",
    against: NDArray[Any] | None = None,
    against_label: str = "other movie",
) -> Figure:
    """Draw which share of the pixels has which intensity.

    Lines mark the median, which is the background where emitters are sparse, and the 99.9th
    percentile, which is that of bright spots; ``Normalization`` compares movies by the same two.

    Parameters
    ----------
    frames
        Camera counts of any shape: some frames, or one image.
    against
        Frames of a second movie, for example the one a network was trained on.
    label, against_label
        Names for the legend.

    Returns
    -------
    Figure
        Single bright pixels far above all others are told as a number beside the axis.

    Raises
    ------
    InputError
        There are no pixels, or some are NaN or infinite.
    """
    movies = {label: _pixels(frames, label)}
    if against is not None:
        if label == against_label:
            raise InputError(f"Both movies are called {label!r}. Give them different labels.")
        movies[against_label] = _pixels(against, against_label)
    figure = new_figure(ONE_COLUMN_MM, 75)
    ax = figure.subplots()
    edges = _edges(list(movies.values()))
    for (name, pixels), colour in zip(movies.items(), COLOURS, strict=False):
        _draw_movie(ax, pixels, edges, name, colour)
    ax.set_yscale("log")
    ax.set_xlim(edges[0], edges[-1])
    above = sum(np.count_nonzero(pixels > edges[-1]) for pixels in movies.values())
    if above:
        ax.text(
            0.99,
            0.98,
            f"{above:,} pixel{'s' if above > 1 else ''} brighter →",
            transform=ax.transAxes,
            ha="right",
            va="top",
            fontsize=FONT_PT,
        )
    style_plot(ax, xlabel="camera counts", ylabel="share of pixels per bin")
    legend_above(ax, columns=len(movies))
    return figure


def _pixels(frames: NDArray[Any], label: str) -> NDArray[Any]:
    pixels = np.asarray(frames).ravel()
    if pixels.size == 0 or not np.isfinite(pixels).all():
        raise InputError(
            f"The intensities of {label} cannot be drawn: it has no pixels, or some are NaN or "
            "infinite. Give frames in camera counts."
        )
    return pixels


def _edges(movies: list[NDArray[Any]]) -> NDArray[np.float64]:
    """Edges of bins for all movies, without the far end of a few hot pixels.

    They reach up to twice as far from the median as the brightest pixel in ten thousand: emitters
    may cover less than the thousandth of a movie that the mark leaves out.
    """
    lowest = min(float(pixels.min()) for pixels in movies)
    highest = lowest
    for pixels in movies:
        background, bright = np.percentile(pixels, [50, 99.99])
        highest = max(highest, min(float(pixels.max()), 2 * bright - background))
    if any(pixels.dtype.kind == "f" for pixels in movies):
        return np.linspace(lowest, highest if highest > lowest else lowest + 1, _BINS + 1)
    # whole numbers of counts in each bin: otherwise bins differ by chance, and the curve is ragged
    width = max(1, int(np.ceil((highest - lowest + 1) / _BINS)))
    return np.arange(lowest - 0.5, highest + width, width)


def _draw_movie(
    ax: Axes, pixels: NDArray[Any], edges: NDArray[np.float64], name: str, colour: str
) -> None:
    counts, _ = np.histogram(pixels, edges)
    background, bright = (float(v) for v in np.percentile(pixels, [50, 99.9]))
    share = counts / pixels.size
    ax.stairs(share, edges, fill=True, color=colour, alpha=0.25)
    ax.stairs(share, edges, color=colour, linewidth=LINE_PT, label=literal(wrap(name, _NAME_MM)))
    lines = (("median", background, "--"), ("99.9th percentile", bright, ":"))
    for mark, position, dashes in lines:
        ax.axvline(
            position,
            color=colour,
            linewidth=LINE_PT,
            linestyle=dashes,
            label=f"{mark} {position:.4g}",
        )
