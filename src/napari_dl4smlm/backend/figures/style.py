"""One look for all figures: sizes as printed, and colours that everybody can tell apart.

Sizes are set on each figure and not through ``rcParams``, which all threads share and which ticks
would read only when they are drawn.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Literal

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend

# what most journals call one and two columns
ONE_COLUMN_MM = 89.0
TWO_COLUMNS_MM = 183.0

# the smallest that journals print is between 5 and 7 points
FONT_PT = 7.0
TITLE_PT = 8.0
LINE_PT = 1.2
MARKER_PT = 3.5
THIN_PT = 0.6

# M. Okabe and K. Ito, Color Universal Design (2008), https://jfly.uni-koeln.de/color/
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# so that curves can be told apart in grey, too
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
GREY = "0.45"

# of a letter in type of 7 to 8 points, on average
_LETTER_MM = 1.4
MM_PER_INCH = 25.4


def new_figure(
    width_mm: float, height_mm: float, *, layout: Literal["constrained"] | None = "constrained"
) -> Figure:
    """Make an empty figure of the size that it has in print."""
    return Figure(figsize=(width_mm / MM_PER_INCH, height_mm / MM_PER_INCH), layout=layout)


def wrap(text: str, width_mm: float) -> str:
    """Break a text into lines that fit into a width."""
    return textwrap.fill(text, max(1, int(width_mm / _LETTER_MM)))


def literal(label: str) -> str:
    """Write a label, such as the name of a file, so that matplotlib shows it as it is.

    Two dollar signs would enclose a formula, and a leading underscore hides a curve in the legend.
    """
    text = label.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def style_plot(ax: Axes, *, xlabel: str = "", ylabel: str = "") -> None:
    """Label the axes of a plot and give it thin lines and small type."""
    ax.set_xlabel(xlabel, fontsize=FONT_PT)
    ax.set_ylabel(ylabel, fontsize=FONT_PT)
    ax.tick_params(which="both", labelsize=FONT_PT, width=THIN_PT)
    for axis in (ax.xaxis, ax.yaxis):
        axis.get_offset_text().set_fontsize(FONT_PT)
    ax.spines[:].set_linewidth(THIN_PT)
    ax.spines[["top", "right"]].set_visible(False)


def whole_numbers_along_x(ax: Axes) -> None:
    """Put ticks on whole numbers only, such as epochs."""
    locator = MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
    ax.xaxis.set_major_locator(locator)


def legend_above(ax: Axes, *, columns: int) -> Legend:
    """Put the legend on top of the axes, where it can hide no data."""
    return ax.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.01),
        ncols=columns,
        fontsize=FONT_PT,
        frameon=False,
        borderaxespad=0,
        borderpad=0.2,
        handlelength=2.2,
        columnspacing=1.0,
    )
