"""How the sample drifted during a movie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dl4smlm.backend.figures.style import (
    COLOURS,
    LINE_PT,
    ONE_COLUMN_MM,
    legend_above,
    new_figure,
    style_plot,
    whole_numbers_along_x,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike


def draw_drift(first_frame: int, y_nm: ArrayLike, x_nm: ArrayLike) -> Figure:
    """Draw the shift of the sample along both axes, frame by frame.

    Parameters
    ----------
    first_frame
        Number of the first frame, from 0.
    y_nm, x_nm
        Shape (frames,): shift in successive frames.
    """
    figure = new_figure(ONE_COLUMN_MM, 60.0)
    ax = figure.subplots()
    for name, shift_nm, colour in zip("xy", (x_nm, y_nm), COLOURS, strict=False):
        values = np.asarray(shift_nm)
        frame = first_frame + np.arange(len(values))
        ax.plot(frame, values, label=name, color=colour, linewidth=LINE_PT)
    style_plot(ax, xlabel="frame", ylabel="drift (nm)")
    whole_numbers_along_x(ax)
    legend_above(ax, columns=2)
    return figure
