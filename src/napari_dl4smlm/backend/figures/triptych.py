"""Raw, true and predicted image of the same field, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.figures.style import (
    FONT_PT,
    THIN_PT,
    TITLE_PT,
    literal,
    new_figure,
    wrap,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

_SCALE_BARS_NM = (
    *(10, 20, 50, 100, 200, 500),
    *(1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000),
)

# with the gap a third of two columns: three panels fill the page's width
_PANEL_MM = 57.0
# narrower ones leave no room for the labels of scale bars; three fit into one column
_SMALLEST_PANEL_MM = 25.0
_GAP_MM = 4.0
_LINE_MM = 3.5
_COLOUR_BAR_MM = 2.0
# height per width; of taller fields, the enlarged part stands beside the field and not below
_TALL = 1.4
# of a field, for the label of its scale bar to stand above the bar
_LOW_MM = 8.0

_OUTLINE = [withStroke(linewidth=1.2, foreground="black")]


def draw_triptych(
    raw: NDArray[np.floating],
    prediction: NDArray[np.floating],
    *,
    pixel_size_nm: float,
    truth: NDArray[np.floating] | None = None,
    zoom_nm: float | None = None,
    raw_title: str = "mean of the raw frames",
    raw_label: str = "camera counts",
    prediction_title: str = "prediction",
    width_mm: float | None = None,
) -> Figure:
    """Draw the diffraction-limited image, the truth where there is one, and the prediction.

    The truth and the prediction share one range of colours, so that equal colours are equal
    densities. The brightest pixels of each image are beyond the end of its range.

    Parameters
    ----------
    raw
        Shape (Y, X), such as the mean of the frames.
    prediction, truth
        Shape (f Y, f X), density maps of the same field in emitters per fine pixel.
    pixel_size_nm
        Camera pixel.
    zoom_nm
        Side of the square that is enlarged below, or beside a tall field: the one with most of
        the prediction in it; by default a quarter of the field's shorter side.
    raw_title, prediction_title
        What stands above the images, for example which frame or which network.
    raw_label
        What the values of the raw image are.
    width_mm
        Of the figure in print, by default 61 mm for each image: 183 mm, the two columns of many
        journals, for all three. One column is 89 mm.

    Returns
    -------
    Figure
        Not tied to any window: save it with ``save_figure`` or put it into a canvas.

    Raises
    ------
    InputError
        The images do not show the same field, or the pixel, the enlarged square or the width is
        not of a size that can be drawn.
    """
    densities = [prediction] if truth is None else [truth, prediction]
    _check_images(raw, densities, pixel_size_nm)
    height_nm, width_nm = (side * pixel_size_nm for side in raw.shape)
    zoom = _checked_zoom(zoom_nm, min(height_nm, width_nm))
    fine_nm = width_nm / prediction.shape[1]
    left, top = _fullest_square(prediction, zoom, fine_nm)
    panel_mm = _panel_width(len(densities) + 1, width_mm)
    titles = [raw_title, *["ground truth"] * (len(densities) - 1), prediction_title]
    titles = [literal(wrap(title, panel_mm)) for title in titles]
    # spaces that do not break, between a number and its unit
    labels = [raw_label, *[f"emitters per {fine_nm:.3g}\u00a0nm\u00a0pixel"] * len(densities)]
    labels = [literal(wrap(label, panel_mm)) for label in labels]
    figure, axes = _panels(panel_mm, height_nm / width_nm, titles, labels)
    limits = [_raw_limits(raw), *[(0.0, _brightest(densities))] * len(densities)]
    for column, image in enumerate([raw, *densities]):
        whole, part, bar = axes[column]
        for ax in (whole, part):
            shown = _show(ax, image, height_nm, width_nm, limits[column])
        # over the field alone where the enlarged part is beside it
        beside = height_nm > _TALL * width_nm
        whole.set_title(titles[column], fontsize=TITLE_PT, loc="left" if beside else "center")
        whole.add_patch(
            Rectangle((left, top), zoom, zoom, fill=False, edgecolor="white", linewidth=0.8)
        )
        part.set_xlim(left, left + zoom)
        part.set_ylim(top + zoom, top)
        _draw_colour_bar(bar, shown, labels[column], panel_mm)
    whole, part, _ = axes[0]
    _add_scale_bar(whole, width_nm, is_low=panel_mm * height_nm < _LOW_MM * width_nm)
    _add_scale_bar(part, zoom, is_low=False)
    return figure


def _check_images(
    raw: NDArray[np.floating], densities: Sequence[NDArray[np.floating]], pixel_size_nm: float
) -> None:
    if not 0 < pixel_size_nm < np.inf:
        raise InputError(f"The pixel size is {pixel_size_nm} nm. Give a positive number.")
    if raw.ndim != 2 or raw.size == 0:
        raise InputError(
            f"The raw image has shape {raw.shape}. Give one image (y, x), such as the mean of the "
            "frames."
        )
    for density in densities:
        factor = density.shape[0] // raw.shape[0]
        if factor < 1 or density.shape != (factor * raw.shape[0], factor * raw.shape[1]):
            raise InputError(
                f"A density map of shape {density.shape} is not of the same field as a raw image "
                f"of shape {raw.shape}: both sides must be the same whole number of times as "
                "long. Give images of one movie."
            )


def _checked_zoom(zoom_nm: float | None, shorter_side_nm: float) -> float:
    if zoom_nm is None:
        return shorter_side_nm / 4
    if not 0 < zoom_nm <= shorter_side_nm:
        raise InputError(
            f"A square of {zoom_nm:g} nm cannot be enlarged: the shorter side of the field is "
            f"{shorter_side_nm:g} nm. Give a positive number up to that."
        )
    return zoom_nm


def _fullest_square(
    image: NDArray[np.floating], side_nm: float, pixel_nm: float
) -> tuple[float, float]:
    """Left and upper edge, in nm, of the square with the largest sum."""
    side = max(1, round(side_nm / pixel_nm))
    # summed-area table: the sum of every square from four of its entries
    table = np.pad(image, ((1, 0), (1, 0))).cumsum(0, dtype=np.float64).cumsum(1)
    sums = table[side:, side:] - table[:-side, side:] - table[side:, :-side] + table[:-side, :-side]
    top, left = np.unravel_index(int(sums.argmax()), sums.shape)
    return float(left) * pixel_nm, float(top) * pixel_nm


def _panel_width(columns: int, width_mm: float | None) -> float:
    """Return the width in mm that each image may take."""
    if width_mm is None:
        return _PANEL_MM
    panel_mm = width_mm / columns - _GAP_MM
    if not _SMALLEST_PANEL_MM <= panel_mm < np.inf:
        raise InputError(
            f"{columns} images cannot be drawn {width_mm:g} mm wide. Give at least "
            f"{columns * (_SMALLEST_PANEL_MM + _GAP_MM):g} mm."
        )
    return panel_mm


def _panels(
    panel_mm: float, height_per_width: float, titles: Sequence[str], labels: Sequence[str]
) -> tuple[Figure, list[tuple[Axes, Axes, Axes]]]:
    """Make a figure with axes for each field, its enlarged part and its colour bar.

    They are placed by hand: automatic layouts leave gaps around images, which keep their shape.
    """
    # room for the colour bar, its numbers and its label
    bottom = _COLOUR_BAR_MM + (3.3 + max(label.count("\n") for label in labels)) * _LINE_MM
    top = (2 + max(title.count("\n") for title in titles)) * _LINE_MM
    if height_per_width > _TALL:
        field_mm = min(0.4 * panel_mm, max(2 * panel_mm / height_per_width, 12))
        zoom_mm = panel_mm - field_mm - _GAP_MM
        field_above, zoom_beyond = 0.0, field_mm + _GAP_MM
    else:
        field_mm = zoom_mm = panel_mm
        field_above, zoom_beyond = panel_mm + _GAP_MM / 2, 0.0
    field_height = field_mm * height_per_width
    height_mm = bottom + field_above + field_height + top
    width_mm = len(titles) * (panel_mm + _GAP_MM)
    figure = new_figure(width_mm, height_mm, layout=None)

    def place(left: float, above: float, width: float, height: float) -> list[Axes]:
        lefts = [left + _GAP_MM / 2 + k * (panel_mm + _GAP_MM) for k in range(len(titles))]
        lower, width, height = (bottom + above) / height_mm, width / width_mm, height / height_mm
        return [figure.add_axes((x / width_mm, lower, width, height)) for x in lefts]

    fields = place(0, field_above, field_mm, field_height)
    parts = place(zoom_beyond, 0, zoom_mm, zoom_mm)
    bars = place(0, -_COLOUR_BAR_MM - _GAP_MM / 2, panel_mm, _COLOUR_BAR_MM)
    return figure, list(zip(fields, parts, bars, strict=True))


def _raw_limits(raw: NDArray[np.floating]) -> tuple[float, float]:
    # a hot or a dead pixel would leave the rest of the image without contrast
    darkest, brightest = np.percentile(raw, [0.5, 99.8])
    return float(darkest), float(brightest if brightest > darkest else darkest + 1)


def _brightest(densities: Sequence[NDArray[np.floating]]) -> float:
    """Return the density at the end of the range of colours.

    A few pixels where many emitters were summed would leave the rest of the image dark; and the
    empty part of a field, however large, should not count, nor the faint haze of some networks.
    """
    structures = [density[density > max(0.0, density.mean())] for density in densities]
    limits = [float(np.percentile(pixels, 99)) for pixels in structures if pixels.size]
    return max(limits, default=1.0)


def _show(
    ax: Axes,
    image: NDArray[np.floating],
    height_nm: float,
    width_nm: float,
    limits: tuple[float, float],
) -> AxesImage:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_linewidth(THIN_PT)
    return ax.imshow(
        image,
        cmap="inferno",
        vmin=limits[0],
        vmax=limits[1],
        extent=(0, width_nm, height_nm, 0),
        interpolation="nearest",
    )


def _draw_colour_bar(ax: Axes, image: AxesImage, label: str, panel_mm: float) -> None:
    ticks = MaxNLocator(nbins=4 if panel_mm > 35 else 3, steps=[1, 2, 5, 10])
    figure = image.figure
    bar = figure.colorbar(image, cax=ax, orientation="horizontal", extend="max", ticks=ticks)
    bar.set_label(label, fontsize=FONT_PT)
    ax.tick_params(labelsize=FONT_PT, width=THIN_PT, length=2)
    bar.outline.set_linewidth(THIN_PT)


def _add_scale_bar(ax: Axes, field_nm: float, *, is_low: bool) -> None:
    """Draw a bar, as long as it says, at the lower left."""
    length = max((bar for bar in _SCALE_BARS_NM if bar <= field_nm / 3), default=field_nm / 4)
    left = ax.get_xlim()[0] + 0.05 * field_nm
    # a distance from the lower edge in points, since panels differ in height
    rise = ScaledTranslation(0, 5 / 72, ax.figure.dpi_scale_trans)
    above_edge = ax.get_xaxis_transform() + rise
    (bar,) = ax.plot(
        [left, left + length], [0, 0], color="white", linewidth=2.5, transform=above_edge
    )
    bar.set_solid_capstyle("butt")
    bar.set_path_effects([withStroke(linewidth=3.5, foreground="black")])
    ax.annotate(
        f"{length / 1000:g} µm" if length >= 1000 else f"{length:g} nm",
        (left + length if is_low else left, 0),
        xycoords=above_edge,
        xytext=(3, 0) if is_low else (0, 3),
        textcoords="offset points",
        va="center_baseline" if is_low else "baseline",
        color="white",
        fontsize=FONT_PT,
        path_effects=_OUTLINE,
    )
