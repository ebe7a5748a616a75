"""Accuracy against the density of emitters and against their photons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.figures.style import (
    COLOURS,
    FONT_PT,
    LINE_PT,
    MARKER_PT,
    MARKERS,
    TWO_COLUMNS_MM,
    legend_above,
    literal,
    new_figure,
    style_plot,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.metrics.accuracy import AccuracyByDensity, AccuracyByPhotons

Result = TypeVar("Result")

_DENSITY = "local density (emitters / µm²)"
_PHOTONS = "photons per emitter"

# ratio of the largest to the smallest mean of a bin
_LOGARITHMIC_FROM = 20


def draw_accuracy(
    by_density: AccuracyByDensity | Mapping[str, AccuracyByDensity] | None = None,
    by_photons: AccuracyByPhotons | Mapping[str, AccuracyByPhotons] | None = None,
    *,
    bound_nm: NDArray[np.floating] | None = None,
) -> Figure:
    """Draw how many emitters are found and how precisely, against density, photons or both.

    Parameters
    ----------
    by_density, by_photons
        One result or, to compare networks, several with their labels; at least one of the two.
        Against density a single result is drawn with its precision and recall beside the Jaccard
        index, several with the Jaccard index alone.
    bound_nm
        Lateral Cramér-Rao bound at the ``photons`` of each bin of the first result, as
        ``localization_bound_nm`` tells it for y and x: the root of the sum of both squares.

    Returns
    -------
    Figure
        A row for each of the two: detection on the left, root-mean-square error with its standard
        error on the right.

    Raises
    ------
    InputError
        There is no result, there are more than can be told apart, or the bound does not belong to
        the bins.
    """
    density, photons = _labelled(by_density), _labelled(by_photons)
    rows = bool(density) + bool(photons)
    if rows == 0:
        raise InputError(
            "There is no result to draw. Give accuracy by density, by photons or both."
        )
    _check_bound(bound_nm, photons)
    figure = new_figure(TWO_COLUMNS_MM, 58 * rows + 8)
    axes = figure.subplots(rows, 2, squeeze=False)
    if density:
        _draw_by_density(axes[0], density)
    if photons:
        _draw_by_photons(axes[-1], photons, bound_nm)
    if max(len(density), len(photons)) > 1:
        _add_legend(figure, axes)
    return figure


def _labelled(results: Result | Mapping[str, Result] | None) -> Mapping[str, Result]:
    if results is None:
        return {}
    labelled = results if isinstance(results, Mapping) else {"": results}
    if len(labelled) > len(COLOURS):
        raise InputError(
            f"{len(labelled)} results cannot be told apart in one figure. Give up to "
            f"{len(COLOURS)}."
        )
    return {literal(label): result for label, result in labelled.items()}


def _check_bound(
    bound_nm: NDArray[np.floating] | None, photons: Mapping[str, AccuracyByPhotons]
) -> None:
    if bound_nm is None:
        return
    bins = {np.shape(result.photons) for result in list(photons.values())[:1]}
    if np.shape(bound_nm) not in bins:
        raise InputError(
            f"The bound has shape {np.shape(bound_nm)}. Give one number in nm for each bin of "
            "photons, and the result by photons."
        )


def _draw_by_density(axes: NDArray[np.object_], results: Mapping[str, AccuracyByDensity]) -> None:
    detection, error = axes
    if len(results) == 1:
        (result,) = results.values()
        for index, name in enumerate(("jaccard", "precision", "recall")):
            label = "Jaccard index" if name == "jaccard" else name
            _draw_curve(detection, result.density_per_um2, getattr(result, name), index, label)
        legend_above(detection, columns=3)
    else:
        for index, (label, result) in enumerate(results.items()):
            _draw_curve(detection, result.density_per_um2, result.jaccard, index, label)
    for index, result in enumerate(results.values()):
        _draw_error(error, result.density_per_um2, result, index)
    _finish(axes, _DENSITY, "share" if len(results) == 1 else "Jaccard index")


def _draw_by_photons(
    axes: NDArray[np.object_],
    results: Mapping[str, AccuracyByPhotons],
    bound_nm: NDArray[np.floating] | None,
) -> None:
    detection, error = axes
    for index, (label, result) in enumerate(results.items()):
        _draw_curve(detection, result.photons, result.recall, index, label)
        _draw_error(error, result.photons, result, index)
    if bound_nm is not None:
        x = next(iter(results.values())).photons
        error.plot(x, bound_nm, "k--", linewidth=LINE_PT, label="Cramér–Rao bound")
        legend_above(error, columns=1)
    photons = np.concatenate([result.photons for result in results.values()])
    # bright and faint emitters may differ by orders of magnitude
    if np.nanmax(photons) > _LOGARITHMIC_FROM * np.nanmin(photons) > 0:
        detection.set_xscale("log")
        error.set_xscale("log")
    _finish(axes, _PHOTONS, "recall")


def _add_legend(figure: Figure, axes: NDArray[np.object_]) -> None:
    """Name the results above all panels, which share their colours."""
    named: dict[str, Artist] = {}
    for detection in axes[:, 0]:
        for handle, label in zip(*detection.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    # a line of the page's width has some 140 letters, of which the marker and the gap take ten
    columns = max(1, 140 // (10 + max(len(label) for label in named)))
    figure.legend(
        handles=list(named.values()),
        labels=list(named),
        loc="outside upper left",
        ncols=min(columns, len(named)),
        fontsize=FONT_PT,
        frameon=False,
    )


def _draw_curve(
    ax: Axes, x: NDArray[np.float64], y: NDArray[np.float64], index: int, label: str
) -> None:
    ax.plot(
        x,
        y,
        color=COLOURS[index],
        marker=MARKERS[index],
        markersize=MARKER_PT,
        linewidth=LINE_PT,
        label=label,
    )


def _draw_error(
    ax: Axes, x: NDArray[np.float64], result: AccuracyByDensity | AccuracyByPhotons, index: int
) -> None:
    ax.errorbar(
        x,
        result.rmse_nm,
        yerr=result.rmse_error_nm,
        color=COLOURS[index],
        marker=MARKERS[index],
        markersize=MARKER_PT,
        linewidth=LINE_PT,
        capsize=2,
    )


def _finish(axes: NDArray[np.object_], xlabel: str, share: str) -> None:
    detection, error = axes
    style_plot(detection, xlabel=xlabel, ylabel=share)
    # a little more than 0 to 1, so that no marker is cut
    detection.set_ylim(-0.03, 1.03)
    style_plot(error, xlabel=xlabel, ylabel="lateral RMSE (nm)")
    error.set_ylim(bottom=0)
