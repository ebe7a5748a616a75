"""Measured numbers in figures: above a plot, and the reason why there is none inside of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dl4smlm.backend.figures.style import FONT_PT, GREY, TITLE_PT, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from napari_dl4smlm.backend.metrics.measured import Measured

# of a plot, three of which share the width of a page
_PLOT_MM = 42.0


def tell_measured(ax: Axes, measured: Measured) -> None:
    """Write the number above a plot, or write into the plot why there is none."""
    ax.set_title(f"{measured.label}\n{measured.text}", fontsize=TITLE_PT, loc="left")
    if measured.value is None:
        ax.text(
            0.5,
            0.5,
            wrap(measured.problem, _PLOT_MM),
            transform=ax.transAxes,
            ha="center",
            va="center",
            fontsize=FONT_PT,
            color=GREY,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85},
        )
