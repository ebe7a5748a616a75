"""The curves behind a resolution: Fourier ring correlation and decorrelation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from napari_dl4smlm.backend.figures.measured_text import tell_measured
from napari_dl4smlm.backend.figures.style import (
    COLOURS,
    FONT_PT,
    GREY,
    LINE_PT,
    THIN_PT,
    style_plot,
)
from napari_dl4smlm.backend.metrics.fourier_ring import THRESHOLD

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from napari_dl4smlm.backend.metrics.decorrelation import DecorrelationResolution
    from napari_dl4smlm.backend.metrics.fourier_ring import FourierRingResolution
    from napari_dl4smlm.backend.metrics.measured import Measured

_FREQUENCY = "spatial frequency (1/µm)"
_PER_UM = 1000

# of the height of the plot
_BELOW_LEGEND = 0.68


def plot_fourier_ring(ax: Axes, result: FourierRingResolution) -> None:
    """Plot the correlation of two halves of a movie, the threshold and where it is crossed."""
    tell_measured(ax, result.resolution)
    if result.frequency_per_nm.size == 0:
        ax.set_axis_off()
        return
    frequency = _PER_UM * result.frequency_per_nm
    ax.plot(frequency, result.correlation, color=COLOURS[5], linewidth=THIN_PT, alpha=0.6)
    ax.plot(frequency, result.smoothed, color=COLOURS[0], linewidth=LINE_PT, label="FRC, smoothed")
    ax.axhline(THRESHOLD, color=GREY, linewidth=THIN_PT, linestyle="--", label="1/7")
    _mark(ax, result.resolution)
    style_plot(ax, xlabel=_FREQUENCY, ylabel="correlation of two halves")
    ax.set_xlim(0, frequency[-1])
    ax.set_ylim(-0.2, 1.03)
    _add_legend(ax, "best")


def plot_decorrelation(ax: Axes, result: DecorrelationResolution) -> None:
    """Plot the decorrelation of an image, as it is and filtered, and the peak that counts."""
    tell_measured(ax, result.resolution)
    if result.frequency_per_nm.size == 0:
        ax.set_axis_off()
        return
    frequency = _PER_UM * result.frequency_per_nm
    ax.plot(frequency, result.curve, color=COLOURS[0], linewidth=LINE_PT, label="image")
    if result.filtered.size:
        ax.plot(
            frequency,
            result.filtered,
            color=COLOURS[1],
            linewidth=LINE_PT,
            label="after the best filter",
        )
    _mark(ax, result.resolution)
    style_plot(ax, xlabel=_FREQUENCY, ylabel="correlation with its phases")
    ax.set_xlim(0, frequency[-1])
    # the curves fill the plot, so that the legend needs a place of its own
    ax.set_ylim(0, max(result.curve.max(), result.filtered.max(initial=0)) / _BELOW_LEGEND)
    _add_legend(ax, "upper right")


def _mark(ax: Axes, resolution: Measured) -> None:
    if resolution.value is not None:
        ax.axvline(
            _PER_UM / resolution.value,
            color=COLOURS[1],
            linewidth=LINE_PT,
            linestyle=":",
            label=resolution.text,
        )


def _add_legend(ax: Axes, place: Literal["best", "upper right"]) -> None:
    ax.legend(fontsize=FONT_PT, frameon=False, loc=place, handlelength=1.8)
