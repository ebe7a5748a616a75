"""Measured numbers in figures: above a plot, and the reason why there is none inside of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dl4smlm.backend.figures.style import FONT_PT, GREY, MM_PER_INCH, TITLE_PT, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from napari_dl4smlm.backend.metrics.measured import Measured

# beside a plot, for the numbers and the label of its axis
_LABELS_MM = 14.0


def tell_measured(ax: Axes, measured: Measured, *, height: float = 0.5) -> None:
    """Write the number above a plot, or write into the plot why there is none.

    Parameters
    ----------
    ax
        One of a grid of plots.
    measured
        The number.
    height
        Of the middle of the reason, from 0 at the bottom of the plot to 1 at its top.
    """
    ax.set_title(f"{measured.label}\n{measured.text}", fontsize=TITLE_PT, loc="left")
    if measured.value is None:
        ax.text(
            0.5,
            height,
            wrap(measured.problem, _width_mm(ax)),
            transform=ax.transAxes,
            ha="center",
            va="center",
            fontsize=FONT_PT,
            color=GREY,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85},
        )


def _width_mm(ax: Axes) -> float:
    place = ax.get_subplotspec()
    columns = 1 if place is None else place.get_gridspec().ncols
    return MM_PER_INCH * ax.figure.bbox.width / ax.figure.dpi / columns - _LABELS_MM
