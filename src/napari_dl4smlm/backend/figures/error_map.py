"""The raw mean, the reconstruction as the camera would see it, and their difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dl4smlm.backend.figures.style import FONT_PT, GREY, THIN_PT, TITLE_PT, wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.metrics.error_map import ErrorMap

# of each of three images, which share the width of a page
_PANEL_MM = 44.0


def plot_error_map(axes: Sequence[Axes], result: ErrorMap) -> None:
    """Show raw mean, imaged reconstruction and difference, in counts.

    Parameters
    ----------
    axes
        Three. The first two share one range of colours; the difference is red where the
        reconstruction lacks light, and blue where it has too much.
    """
    raw, imaged, difference = axes
    low, high = (float(level) for level in np.percentile(result.reference, [0.5, 99.8]))
    _show(raw, result.reference, result, limits=(low, high), title="mean of the raw frames\n")
    if result.imaged.size == 0:
        for ax in (imaged, difference):
            ax.set_axis_off()
        imaged.text(
            0,
            0.5,
            wrap(result.rsp.problem, _PANEL_MM),
            transform=imaged.transAxes,
            va="center",
            fontsize=FONT_PT,
            color=GREY,
        )
        return
    rsf = "" if result.rsf.value is None else f"blurred by {result.rsf.text}"
    _show(imaged, result.imaged, result, limits=(low, high), title=f"reconstruction\n{rsf}")
    # far out of place, a single hot pixel would leave the rest without colour
    largest = float(np.percentile(np.abs(result.difference), 99.8)) or 1.0
    _show(
        difference,
        result.difference,
        result,
        limits=(-largest, largest),
        title=f"raw minus reconstruction\nRSP {result.rsp.text}, RSE {result.rse.text}",
        colours="RdBu_r",
    )


def _show(
    ax: Axes,
    image: NDArray[np.float64],
    result: ErrorMap,
    *,
    limits: tuple[float, float],
    title: str,
    colours: str = "inferno",
) -> None:
    height_um, width_um = (side * result.pixel_size_nm / 1000 for side in image.shape)
    shown = ax.imshow(
        image,
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
        extent=(0, width_um, height_um, 0),
        interpolation="nearest",
    )
    ax.set_title(title, fontsize=TITLE_PT, loc="left")
    ax.set_xlabel("µm", fontsize=FONT_PT)
    ax.tick_params(labelsize=FONT_PT, width=THIN_PT)
    ax.spines[:].set_linewidth(THIN_PT)
    bar = ax.figure.colorbar(shown, ax=ax, extend="both", fraction=0.046, pad=0.03)
    bar.set_label("counts", fontsize=FONT_PT)
    bar.ax.tick_params(labelsize=FONT_PT, width=THIN_PT)
    bar.outline.set_linewidth(THIN_PT)
