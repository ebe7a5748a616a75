"""The figures of a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from napari_dl4smlm.backend.evaluation.comparison.common_grid import refined_images
from napari_dl4smlm.backend.evaluation.comparison.pareto import pareto_frontier
from napari_dl4smlm.backend.figures.accuracy import draw_accuracy
from napari_dl4smlm.backend.figures.comparison import (
    Trade,
    draw_differences,
    draw_images,
    draw_pareto,
)
from napari_dl4smlm.backend.figures.quality import draw_quality
from napari_dl4smlm.backend.figures.style import COLOURS
from napari_dl4smlm.backend.metrics.image import scaled

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.evaluation.comparison.columns import Column
    from napari_dl4smlm.backend.evaluation.comparison.result import Comparison
    from napari_dl4smlm.backend.evaluation.comparison.table import ComparisonTable

# what stands for accuracy beside speed: the first that all models have
_WORTH = ("jaccard", "frc_resolution", "rsp")


@dataclass(frozen=True)
class Pareto:
    """Accuracy against speed.

    Attributes
    ----------
    cost, worth
        The columns of the table.
    trades
        By the label of the model.
    frontier
        Models that no other one beats in both, by rising cost.
    """

    cost: Column
    worth: Column
    trades: dict[str, Trade]
    frontier: list[str]


@dataclass(frozen=True, eq=False)
class DrawnFigure:
    """A figure with its caption.

    Attributes
    ----------
    name
        For a file, without suffix.
    title
        In a few words.
    caption
        What is to be seen, and how to read it.
    figure
        The figure.
    kind
        The format for a page: ``"svg"`` for curves, ``"png"`` for images of many pixels.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    kind: Literal["png", "svg"]


def draw_comparison(comparison: Comparison, table: ComparisonTable) -> Iterator[DrawnFigure]:
    """Draw accuracy against speed, the images, where they are wrong, and what else there is.

    Parameters
    ----------
    comparison
        The result.
    table
        Of the same comparison.

    Yields
    ------
    DrawnFigure
        One after the other, since each takes a while.
    """
    for device in comparison.devices:
        yield from _pareto(table, device)
    yield _images(comparison)
    if comparison.data.true_image is not None:
        yield _differences(comparison)
        # more curves cannot be told apart
        if len(comparison.models) <= len(COLOURS):
            yield _accuracy(comparison)
    yield from _quality(comparison)


def find_pareto(table: ComparisonTable, device: str) -> Pareto | None:
    """Put accuracy against the time on a device; ``None`` if no accuracy is known of all models."""
    columns = {column.name: column for column in table.columns}
    cost = columns[f"ms_per_frame_{device}"]
    for name in _WORTH:
        if name in columns and all(cell.value is not None for cell in table.cells(name).values()):
            worth = columns[name]
            break
    else:
        return None
    times = table.cells(cost.name)
    trades: dict[str, Trade] = {}
    for label, cell in table.cells(worth.name).items():
        ends = () if cell.interval is None else (cell.interval.low, cell.interval.high)
        time_ms = times[label].value
        assert time_ms is not None
        assert cell.value is not None
        trades[label] = Trade(time_ms, cell.value, *ends)
    sign = 1 if worth.better == "higher" else -1
    frontier = pareto_frontier(
        {label: (trade.cost, sign * trade.worth) for label, trade in trades.items()}
    )
    return Pareto(cost, worth, trades, frontier)


def draw_accuracies(
    comparison: Comparison, *, against: Literal["density", "photons"] | None = None
) -> Figure:
    """Draw accuracy against density, photons or, by default, both, as far as they are known.

    Raises
    ------
    InputError
        Nothing is known, or there are more models than can be told apart.
    """
    models = comparison.models
    by_density = {m.label: m.by_density for m in models if m.by_density is not None}
    by_photons = {m.label: m.by_photons for m in models if m.by_photons is not None}
    return draw_accuracy(
        None if against == "photons" else by_density, None if against == "density" else by_photons
    )


def _pareto(table: ComparisonTable, device: str) -> Iterator[DrawnFigure]:
    found = find_pareto(table, device)
    if found is None:
        return
    cost, worth = found.cost, found.worth
    yield DrawnFigure(
        name=f"pareto_{device.replace(':', '_')}",
        title=f"Accuracy against speed on {device}",
        caption=(
            f"{worth.label}, of which {worth.better} is better, against the time for a frame on "
            f"{device}. The line joins the models that no other one beats in both; bars are 95 % "
            "intervals. Whether a model is better than its neighbour on the line, the table tells."
        ),
        figure=draw_pareto(
            found.trades, frontier=found.frontier, xlabel=cost.title, ylabel=worth.title
        ),
        kind="svg",
    )


def _images(comparison: Comparison) -> DrawnFigure:
    data = comparison.data
    images: dict[str, NDArray[np.floating]] = {}
    if data.true_image is not None:
        images["ground truth"] = data.true_image
    for name, image in refined_images(comparison).items():
        # a model may be called as the truth is
        images[name if name not in images else f"{name} (model)"] = image
    return DrawnFigure(
        name="images",
        title="Images",
        caption=(
            f"Sum of the density maps of {len(data.frames):,} frames, with the square enlarged in "
            "the second row. Equal colours are equal densities; nothing is scaled."
        ),
        figure=draw_images(images, pixel_size_nm=data.pixel_size_nm / data.upsampling_factor),
        kind="png",
    )


def _differences(comparison: Comparison) -> DrawnFigure:
    data = comparison.data
    assert data.true_image is not None
    images = {
        label: scaled(image, data.true_image, "sum")
        for label, image in refined_images(comparison).items()
    }
    return DrawnFigure(
        name="differences",
        title="Where the images are wrong",
        caption=(
            "Prediction minus truth, each prediction scaled to the sum of the truth as for the "
            "image scores: red is too much, blue too little. A red and a blue spot side by side "
            "are one structure out of place."
        ),
        figure=draw_differences(
            images, data.true_image, pixel_size_nm=data.pixel_size_nm / data.upsampling_factor
        ),
        kind="png",
    )


def _accuracy(comparison: Comparison) -> DrawnFigure:
    return DrawnFigure(
        name="accuracy",
        title="Accuracy against density and photons",
        caption=(
            "In bins of the local density of emitters, within 500 nm, and of their photons where "
            "the table of true positions has them. Bars are standard errors; the rim of the field "
            "is not left out here."
        ),
        figure=draw_accuracies(comparison),
        kind="svg",
    )


def _quality(comparison: Comparison) -> Iterator[DrawnFigure]:
    for number, model in enumerate(comparison.models, start=1):
        if model.quality is not None:
            yield DrawnFigure(
                name=f"quality_{number}",
                title=f"Without ground truth: {model.label}",
                caption="Curves and maps behind the numbers of this model.",
                figure=draw_quality(**vars(model.quality)),
                kind="png",
            )
