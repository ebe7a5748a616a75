"""Distances between neighbours in consecutive frames, and the precision fitted to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dl4smlm.backend.figures.measured_text import tell_measured
from napari_dl4smlm.backend.figures.style import COLOURS, FONT_PT, GREY, LINE_PT, style_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.metrics.nearest_neighbour import NearestNeighbourPrecision

# of the edges of the bins that are drawn: narrower ones are for the fit
_EVERY = 3

# where the axis ends: hardly any pair is farther than four, and then chance begins
_SIGMAS = 12

# of the height of the plot, below the legend, and below the reason why nothing was measured
_BELOW_LEGEND = 0.66
_BELOW_REASON = 0.4
_MIDDLE_OF_REASON = 0.64


def plot_nearest_neighbours(ax: Axes, result: NearestNeighbourPrecision) -> None:
    """Plot how far the nearest neighbour in the next frame is, and in a later one."""
    tell_measured(ax, result.precision, height=_MIDDLE_OF_REASON)
    if not result.counts.any():
        ax.set_axis_off()
        return
    edges = result.edges_nm[::_EVERY]
    counts, by_chance = _joined(result.counts), _joined(result.by_chance)
    ax.stairs(counts, edges, fill=True, color=COLOURS[0], alpha=0.3, label="next frame")
    ax.stairs(
        by_chance,
        edges,
        color=GREY,
        linewidth=LINE_PT,
        label=f"{result.later_frames} frames later",
    )
    if result.expected.size:
        centres = (edges[:-1] + edges[1:]) / 2
        expected = _joined(result.expected)
        ax.plot(centres, expected, color=COLOURS[1], linewidth=LINE_PT, label="fit")
    style_plot(ax, xlabel="distance to the nearest neighbour (nm)", ylabel="localizations")
    sigma_nm = result.precision.value
    end_nm = edges[-1] if sigma_nm is None else min(edges[-1], _SIGMAS * sigma_nm)
    ax.set_xlim(0, end_nm)
    highest = np.maximum(counts, by_chance)[edges[:-1] < end_nm].max()
    ax.set_ylim(0, highest / (_BELOW_REASON if sigma_nm is None else _BELOW_LEGEND))
    ax.legend(
        fontsize=FONT_PT,
        frameon=False,
        loc="upper right",
        ncols=2,
        handlelength=1.0,
        handletextpad=0.4,
        columnspacing=0.8,
        borderaxespad=0,
        borderpad=0.1,
    )


def _joined(counts: NDArray[np.intp] | NDArray[np.float64]) -> NDArray[np.float64]:
    joined: NDArray[np.float64] = counts.reshape(-1, _EVERY).sum(axis=1, dtype=np.float64)
    return joined
