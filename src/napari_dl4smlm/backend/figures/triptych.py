"""Raw, true and predicted image of the same field, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_SCALE_BARS_NM = (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000)


def draw_triptych(
    raw: NDArray[np.floating],
    prediction: NDArray[np.floating],
    *,
    pixel_size_nm: float,
    truth: NDArray[np.floating] | None = None,
    zoom_nm: float | None = None,
) -> Figure:
    """Draw the diffraction-limited image, the truth where there is one, and the prediction.

    Parameters
    ----------
    raw
        Shape (Y, X), such as the mean of the frames.
    prediction, truth
        Shape (f Y, f X), density maps of the same field.
    pixel_size_nm
        Camera pixel.
    zoom_nm
        Side of the square enlarged in a second row, which is the one with most of the prediction
        in it; by default a quarter of the field's shorter side.

    Returns
    -------
    Figure
        Not tied to any window: save it with ``savefig`` or put it into a canvas.
    """
    panels = {"mean of the raw frames": raw, "ground truth": truth, "prediction": prediction}
    shown = {title: image for title, image in panels.items() if image is not None}
    height_nm, width_nm = (side * pixel_size_nm for side in raw.shape)
    zoom = zoom_nm or min(height_nm, width_nm) / 4
    left, top = _fullest_square(prediction, zoom, width_nm / prediction.shape[1])
    figure = Figure(figsize=(3.2 * len(shown), 6.6), layout="constrained")
    axes = figure.subplots(2, len(shown), squeeze=False)
    for (title, image), (whole, part) in zip(shown.items(), axes.T, strict=True):
        for ax in (whole, part):
            _show(ax, image, height_nm, width_nm)
        whole.set_title(title)
        whole.add_patch(
            Rectangle((left, top), zoom, zoom, fill=False, edgecolor="white", linewidth=0.8)
        )
        part.set_xlim(left, left + zoom)
        part.set_ylim(top + zoom, top)
    _add_scale_bar(axes[0, 0], width_nm, (0, height_nm))
    _add_scale_bar(axes[1, 0], zoom, (left, top + zoom))
    return figure


def _fullest_square(
    image: NDArray[np.floating], side_nm: float, pixel_nm: float
) -> tuple[float, float]:
    """Left and upper edge, in nm, of the square with the largest sum."""
    side = max(1, round(side_nm / pixel_nm))
    # summed-area table: the sum of every square from four of its entries
    table = np.pad(image, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    sums = table[side:, side:] - table[:-side, side:] - table[side:, :-side] + table[:-side, :-side]
    top, left = np.unravel_index(int(sums.argmax()), sums.shape)
    return float(left) * pixel_nm, float(top) * pixel_nm


def _show(ax: Axes, image: NDArray[np.floating], height_nm: float, width_nm: float) -> None:
    positive = image[image > 0]
    # a few pixels where many emitters were summed would leave the rest of the image dark
    brightest = float(np.percentile(positive, 99.5)) if positive.size else 1.0
    ax.imshow(
        image,
        cmap="inferno",
        vmin=float(min(image.min(), brightest)),
        vmax=brightest,
        extent=(0, width_nm, height_nm, 0),
        interpolation="nearest",
    )
    ax.set_xticks([])
    ax.set_yticks([])


def _add_scale_bar(ax: Axes, field_nm: float, lower_left: tuple[float, float]) -> None:
    length = max((bar for bar in _SCALE_BARS_NM if bar <= field_nm / 3), default=field_nm / 4)
    x, y = lower_left[0] + 0.05 * field_nm, lower_left[1] - 0.06 * field_nm
    ax.plot([x, x + length], [y, y], color="white", linewidth=3, solid_capstyle="butt")
    label = f"{length / 1000:g} µm" if length >= 1000 else f"{length:g} nm"
    ax.text(x + length / 2, y - 0.02 * field_nm, label, color="white", ha="center", va="bottom")
