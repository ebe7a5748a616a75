"""Histograms of photons and of the widths of spots, and localizations over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.ticker import MaxNLocator

from napari_dl4smlm.backend.figures.measured_text import tell_measured
from napari_dl4smlm.backend.figures.style import COLOURS, LINE_PT, style_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from napari_dl4smlm.backend.metrics.localization_statistics import (
        Distribution,
        LocalizationsPerFrame,
    )


def plot_distribution(ax: Axes, result: Distribution, *, xlabel: str) -> None:
    """Plot a histogram with its median."""
    tell_measured(ax, result.median)
    if result.median.value is None:
        ax.set_axis_off()
        return
    ax.stairs(result.counts, result.edges, fill=True, color=COLOURS[0], alpha=0.3)
    ax.stairs(result.counts, result.edges, color=COLOURS[0], linewidth=LINE_PT)
    ax.axvline(result.median.value, color=COLOURS[1], linewidth=LINE_PT, linestyle=":")
    style_plot(ax, xlabel=xlabel, ylabel="localizations")
    ax.set_ylim(bottom=0)


def plot_localizations_per_frame(ax: Axes, result: LocalizationsPerFrame) -> None:
    """Plot how many localizations the frames have, over time."""
    ax.stairs(result.per_frame, result.edges, baseline=None, color=COLOURS[0], linewidth=LINE_PT)
    style_plot(ax, xlabel="frame", ylabel="localizations per frame")
    ax.set_xlim(result.edges[0], result.edges[-1])
    ax.set_ylim(0, 1.1 * float(result.per_frame.max()) or 1.0)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    tell_measured(ax, result.mean)
