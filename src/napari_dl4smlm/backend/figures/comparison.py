"""Several models side by side: accuracy against speed, their images, and where they are wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import scipy
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.figures.style import (
    COLOURS,
    FONT_PT,
    GREY,
    LINE_PT,
    MARKERS,
    ONE_COLUMN_MM,
    THIN_PT,
    TITLE_PT,
    TWO_COLUMNS_MM,
    literal,
    new_figure,
    style_plot,
    wrap,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

# of images, in the width of a page
_COLUMNS = 4
# for the axis of an image, for each line of its title, and for the colour bar
_AXIS_MM = 8.0
_LINE_MM = 3.6
_COLOUR_BAR_MM = 14.0
# for the names of models, beside a plot that keeps most of the page's width
_NAME_MM = 56.0
# side of the enlarged square, as a share of the shorter side of the field
_ZOOM = 0.25


@dataclass(frozen=True)
class Trade:
    """What a model costs and what it gives for that.

    Attributes
    ----------
    cost
        Position along x.
    worth
        Position along y.
    low, high
        Ends of the interval of the worth; ``None`` where nothing tells.
    """

    cost: float
    worth: float
    low: float | None = None
    high: float | None = None


def draw_pareto(
    models: Mapping[str, Trade],
    *,
    frontier: Sequence[str],
    xlabel: str,
    ylabel: str,
    legend: Literal["right", "above"] = "right",
) -> Figure:
    """Draw accuracy against cost, with the frontier that no model is beyond.

    Parameters
    ----------
    models
        By label.
    frontier
        Labels of the models that no other one beats in both, by rising cost; a line joins them.
    xlabel, ylabel
        With units. Cost is on a logarithmic axis.
    legend
        ``"above"`` for a narrow figure.

    Raises
    ------
    InputError
        There is nothing to draw, or a cost is not above 0.
    """
    if not models:
        raise InputError("There is no model to draw. Give at least one.")
    if not all(trade.cost > 0 for trade in models.values()):
        raise InputError("A cost is not above 0, so that it has no place on a logarithmic axis.")
    names = {label: literal(wrap(label, _NAME_MM)) for label in models}
    figure = new_figure(TWO_COLUMNS_MM, max(80.0, _legend_mm(names.values())))
    ax = figure.subplots()
    on_line = [models[label] for label in frontier]
    ax.plot(
        [trade.cost for trade in on_line],
        [trade.worth for trade in on_line],
        color=GREY,
        linewidth=LINE_PT,
        linestyle="--",
        label="no model is better in both",
    )
    for number, (label, trade) in enumerate(models.items()):
        _draw_trade(ax, number, names[label], trade)
    ax.set_xscale("log")
    _write_plain_numbers(ax)
    ax.grid(visible=True, which="major", linewidth=THIN_PT, alpha=0.3)
    style_plot(ax, xlabel=xlabel, ylabel=ylabel)
    figure.legend(
        loc="outside right upper" if legend == "right" else "outside upper left",
        fontsize=FONT_PT,
        frameon=False,
    )
    return figure


def draw_images(images: Mapping[str, NDArray[np.floating]], *, pixel_size_nm: float) -> Figure:
    """Draw images of one field on one grid, each with the same part enlarged below it.

    All share one range of colours, so that equal colours are equal densities; the brightest pixels
    are beyond its end. The part is the one with most of the first image in it.

    Parameters
    ----------
    images
        Shape (Y, X) each, by title; the truth first, where there is one.
    pixel_size_nm
        Of their grid.

    Raises
    ------
    InputError
        There is no image, or they are of different sizes.
    """
    _check_images(images)
    first = next(iter(images.values()))
    rows, columns = _fullest_part(first)
    limits = (0.0, brightest(images.values()))
    chunks = _in_rows(list(images))
    figure, axes = _grid(chunks, first.shape, has_parts=True)
    for number, titles in enumerate(chunks):
        for column, title in enumerate(titles):
            whole, part = axes[2 * number, column], axes[2 * number + 1, column]
            _show(whole, images[title], pixel_size_nm, limits, "inferno", title=title)
            _show(part, images[title], pixel_size_nm, limits, "inferno")
            _mark_part(whole, part, rows, columns, pixel_size_nm)
    _add_colour_bar(figure, axes, f"emitters per {pixel_size_nm:.3g} nm pixel")
    return figure


def draw_differences(
    images: Mapping[str, NDArray[np.floating]],
    truth: NDArray[np.floating],
    *,
    pixel_size_nm: float,
) -> Figure:
    """Draw where each image has too much, in red, and too little, in blue.

    Parameters
    ----------
    images
        Shape (Y, X) each, by title; brought to the sum of the truth, as for the image scores.
    truth
        On the same grid.
    pixel_size_nm
        Of the grid.

    Raises
    ------
    InputError
        As for :func:`draw_images`.
    """
    _check_images({"truth": truth, **images})
    differences = {title: image - truth for title, image in images.items()}
    largest = largest_difference(differences.values())
    chunks = _in_rows(list(images))
    figure, axes = _grid(chunks, truth.shape, has_parts=False)
    for row, titles in enumerate(chunks):
        for column, title in enumerate(titles):
            limits = (-largest, largest)
            _show(axes[row, column], differences[title], pixel_size_nm, limits, "RdBu_r", title)
    _add_colour_bar(
        figure, axes, f"prediction minus truth (emitters per {pixel_size_nm:.3g} nm pixel)"
    )
    return figure


def brightest(images: Iterable[NDArray[np.floating]]) -> float:
    """Return the density at the end of a range of colours that images share, from 0 on.

    A few pixels where many emitters were summed would leave the rest of an image dark; and the
    empty part of a field, however large, should not count.
    """
    return max(map(_bright, images))


def largest_difference(differences: Iterable[NDArray[np.floating]]) -> float:
    """Return the difference at both ends of a range of colours that maps of differences share."""
    # a single bright pixel that is misplaced would leave the rest without colour
    return max(float(np.percentile(np.abs(one), 99.8)) for one in differences) or 1.0


def _legend_mm(names: Iterable[str]) -> float:
    """Height of a legend with these names and the line of the frontier."""
    return sum(2.0 + 3.0 * (name.count("\n") + 1) for name in ("", *names)) + 4.0


def _draw_trade(ax: Axes, number: int, label: str, trade: Trade) -> None:
    ends = None
    if trade.low is not None and trade.high is not None:
        # a median or a jackknife need not lie inside of its interval to the last digit
        ends = [[max(trade.worth - trade.low, 0)], [max(trade.high - trade.worth, 0)]]
    ax.errorbar(
        [trade.cost],
        [trade.worth],
        yerr=ends,
        # seven colours and seven markers go together in 49 ways
        color=COLOURS[number % len(COLOURS)],
        marker=MARKERS[(number + number // len(COLOURS)) % len(MARKERS)],
        markersize=6,
        linestyle="none",
        linewidth=LINE_PT,
        capsize=2,
        label=label,
    )


def _write_plain_numbers(ax: Axes) -> None:
    """Write 0.5, 2 and 20 along x, and not powers of ten; only some of many."""
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _check_images(images: Mapping[str, NDArray[np.floating]]) -> None:
    shapes = {image.shape for image in images.values()}
    if len(shapes) != 1:
        raise InputError(
            f"The images have the shapes {sorted(shapes)}. Give at least one, and all on one grid."
        )


def _in_rows(titles: list[str]) -> list[list[str]]:
    return [titles[first : first + _COLUMNS] for first in range(0, len(titles), _COLUMNS)]


def _grid(
    chunks: Sequence[Sequence[str]], shape: tuple[int, ...], *, has_parts: bool
) -> tuple[Figure, NDArray[np.object_]]:
    """Make axes for rows of images of a shape, each with a row of enlarged squares below it.

    Axes that stay empty are not seen.
    """
    columns = len(chunks[0])
    panel_mm = TWO_COLUMNS_MM / max(columns, 2)
    heights_mm: list[float] = []
    for titles in chunks:
        lines = max(_wrapped(title).count("\n") + 1 for title in titles)
        whole_mm = min(panel_mm * shape[0] / shape[1], 2 * panel_mm)
        heights_mm.append(whole_mm + _AXIS_MM + lines * _LINE_MM)
        if has_parts:
            heights_mm.append(panel_mm)
    figure = new_figure(max(columns * panel_mm, ONE_COLUMN_MM), sum(heights_mm) + _COLOUR_BAR_MM)
    axes: NDArray[np.object_] = figure.subplots(
        len(heights_mm), columns, squeeze=False, height_ratios=heights_mm
    )
    for ax in axes.ravel().tolist():
        ax.set_axis_off()
    return figure, axes


def _show(
    ax: Axes,
    image: NDArray[np.floating],
    pixel_size_nm: float,
    limits: tuple[float, float],
    colours: str,
    title: str = "",
) -> None:
    height_um, width_um = (side * pixel_size_nm / 1000 for side in image.shape)
    ax.set_axis_on()
    ax.imshow(
        image,
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
        extent=(0, width_um, height_um, 0),
        interpolation="nearest",
    )
    ax.set_title(_wrapped(title), fontsize=TITLE_PT)
    ax.set_xlabel("µm", fontsize=FONT_PT)
    ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    ax.tick_params(labelsize=FONT_PT, width=THIN_PT)
    ax.spines[:].set_linewidth(THIN_PT)


def _wrapped(title: str) -> str:
    return literal(wrap(title, TWO_COLUMNS_MM / _COLUMNS))


def _mark_part(whole: Axes, part: Axes, rows: slice, columns: slice, pixel_size_nm: float) -> None:
    top, bottom = (edge * pixel_size_nm / 1000 for edge in (rows.start, rows.stop))
    left, right = (edge * pixel_size_nm / 1000 for edge in (columns.start, columns.stop))
    whole.add_patch(
        Rectangle(
            (left, top), right - left, bottom - top, fill=False, edgecolor="white", linewidth=0.8
        )
    )
    part.set_xlim(left, right)
    part.set_ylim(bottom, top)


def _fullest_part(image: NDArray[np.floating]) -> tuple[slice, slice]:
    """Return rows and columns of the square with the largest sum."""
    side = max(1, int(_ZOOM * min(image.shape)))
    # means of windows that lie inside, by their first row and column
    means = scipy.ndimage.uniform_filter(
        image.astype(np.float64), side, origin=-(side // 2), mode="constant"
    )
    inside = means[: image.shape[0] - side + 1, : image.shape[1] - side + 1]
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    return slice(int(top), int(top) + side), slice(int(left), int(left) + side)


def _bright(image: NDArray[np.floating]) -> float:
    structure = image[image > max(0.0, float(image.mean()))]
    return float(np.percentile(structure, 99)) if structure.size else 1.0


def _add_colour_bar(figure: Figure, axes: NDArray[np.object_], label: str) -> None:
    image = axes[0, 0].images[0]
    bar = figure.colorbar(
        image, ax=axes, extend="both", location="bottom", shrink=0.5, aspect=40, pad=0.02
    )
    bar.set_label(label, fontsize=FONT_PT)
    bar.ax.tick_params(labelsize=FONT_PT, width=THIN_PT)
    bar.outline.set_linewidth(THIN_PT)
