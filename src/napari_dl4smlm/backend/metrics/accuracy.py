"""How accuracy depends on the photons of an emitter and on how crowded it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.metrics.detection import match_localizations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_dl4smlm.backend.localizations.table import Localizations
    from napari_dl4smlm.backend.metrics.detection import Matches

_BINS = 8


@dataclass(frozen=True, eq=False)
class AccuracyByPhotons:
    """Accuracy in bins of the emitters' true photons, one row per bin.

    What cannot be told is NaN: everything but the count in an empty bin, the errors where nothing
    was found, and their standard error with less than two pairs.

    Parameters
    ----------
    edges
        Shape (bins + 1,), in photons. A bin holds its lower edge, the last one also its upper edge.
    photons
        Mean of the bin's emitters.
    emitters
        How many true emitters are in the bin.
    recall
        Share of them that was found, from 0 to 1.
    rmse_nm
        Lateral root-mean-square error √(mean(Δy² + Δx²)) of those found.
    rmse_error_nm
        Its standard error, s / (2·rmse·√n) with s the standard deviation of the n squared errors.
    """

    edges: NDArray[np.float64]
    photons: NDArray[np.float64]
    emitters: NDArray[np.intp]
    recall: NDArray[np.float64]
    rmse_nm: NDArray[np.float64]
    rmse_error_nm: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AccuracyByDensity:
    """Accuracy in bins of the local density of true emitters, one row per bin.

    What cannot be told is NaN, as in :class:`AccuracyByPhotons`.

    Parameters
    ----------
    edges
        Shape (bins + 1,), in emitters per µm². A bin holds its lower edge, the last one also its
        upper edge.
    density_per_um2
        Mean of the bin's emitters.
    true_positives, false_negatives
        Emitters of the bin that were found and that were missed.
    false_positives
        Detections without an emitter, in the bin of the density at their position.
    jaccard, precision, recall
        As in ``DetectionScores``, from 0 to 1.
    rmse_nm, rmse_error_nm
        Lateral root-mean-square error of the emitters found, and its standard error.
    """

    edges: NDArray[np.float64]
    density_per_um2: NDArray[np.float64]
    true_positives: NDArray[np.intp]
    false_positives: NDArray[np.intp]
    false_negatives: NDArray[np.intp]
    jaccard: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    rmse_nm: NDArray[np.float64]
    rmse_error_nm: NDArray[np.float64]


def accuracy_by_photons(
    predicted: Localizations,
    truth: Localizations,
    *,
    tolerance_nm: float = 250.0,
    edges: Sequence[float] | NDArray[np.floating] | int = _BINS,
) -> AccuracyByPhotons:
    """Score localizations in bins of the true photons.

    Parameters
    ----------
    predicted, truth
        Tables in the same frame numbers and coordinates. Emitters of unknown photons take part in
        the matching, but are in no bin.
    tolerance_nm
        Largest distance of a pair, as for ``match_localizations``.
    edges
        Edges of the bins in photons, ascending; emitters outside are in no bin. Or a number of
        bins, each of about as many emitters; there are fewer where many emitters are equal.

    Raises
    ------
    InputError
        The truth has no photons, or the tolerance or the edges cannot be used.
    """
    photons = truth.photons
    if photons is None or not np.isfinite(photons).any():
        raise InputError(
            "The photons of the true emitters are not known. Give a table of true positions with "
            "a column for photons, called intensity in ThunderSTORM tables."
        )
    if isinstance(edges, int):
        edges = _quantile_edges(photons[np.isfinite(photons)], _checked_count(edges))
    edges = _checked_edges(edges)
    matches = match_localizations(predicted, truth, tolerance_nm=tolerance_nm)
    bins = _bin_numbers(photons, edges)
    emitters, found = _count(bins, edges), _count(bins[matches.truth], edges)
    rmse_nm, rmse_error_nm = _rmse(matches, bins, edges)
    return AccuracyByPhotons(
        edges=edges,
        photons=_ratio(_sum(bins, edges, photons), emitters),
        emitters=emitters,
        recall=_ratio(found, emitters),
        rmse_nm=rmse_nm,
        rmse_error_nm=rmse_error_nm,
    )


def accuracy_by_density(
    predicted: Localizations,
    truth: Localizations,
    *,
    tolerance_nm: float = 250.0,
    radius_nm: float = 500.0,
    edges: Sequence[float] | NDArray[np.floating] | int = _BINS,
) -> AccuracyByDensity:
    """Score localizations in bins of the local density of true emitters.

    The density at an emitter is the number of true emitters of its frame within the radius, itself
    among them, over the area of that circle. An isolated emitter thus has 1/(πr²), 1.3 per µm²
    within 500 nm, and nobody has less. Beyond the edge of the field no emitters are known, so that
    close to it the density is underestimated.

    A detection without an emitter has the density of true emitters around its own position. Where
    there are none it counts with the isolated emitters, since a bin of its own would hold nothing
    that could be found. Summed over all bins, the counts are those of ``detection_scores``.

    Parameters
    ----------
    predicted, truth
        Tables in the same frame numbers and coordinates.
    tolerance_nm
        Largest distance of a pair, as for ``match_localizations``.
    radius_nm
        Of the circle in which emitters count as neighbours. Spots of a standard deviation of
        130 nm touch at about 500 nm.
    edges
        Edges of the bins in emitters per µm², ascending; what lies outside is in no bin. Or a
        number of bins, each of about as many emitters as whole numbers of neighbours allow.

    Raises
    ------
    InputError
        There are no true emitters, or the tolerance, the radius or the edges cannot be used.
    """
    if not 0 < radius_nm < math.inf:
        raise InputError(f"The radius is {radius_nm} nm. Give a positive number, such as 500.")
    if len(truth) == 0:
        raise InputError("There are no true emitters. Give the table of their positions.")
    matches = match_localizations(predicted, truth, tolerance_nm=tolerance_nm)
    is_spurious = np.ones(len(predicted), dtype=bool)
    is_spurious[matches.predicted] = False
    around = _emitters_around(truth, truth, radius_nm)
    around_spurious = _emitters_around(predicted[is_spurious], truth, radius_nm).clip(min=1)
    area_um2 = math.pi * (radius_nm / 1000) ** 2
    if isinstance(edges, int):
        edges = _count_edges(around, around_spurious, _checked_count(edges)) / area_um2
    edges = _checked_edges(edges)
    bins = _bin_numbers(around / area_um2, edges)
    emitters, found = _count(bins, edges), _count(bins[matches.truth], edges)
    spurious = _count(_bin_numbers(around_spurious / area_um2, edges), edges)
    rmse_nm, rmse_error_nm = _rmse(matches, bins, edges)
    return AccuracyByDensity(
        edges=edges,
        density_per_um2=_ratio(_sum(bins, edges, around / area_um2), emitters),
        true_positives=found,
        false_positives=spurious,
        false_negatives=emitters - found,
        jaccard=_ratio(found, emitters + spurious),
        precision=_ratio(found, found + spurious),
        recall=_ratio(found, emitters),
        rmse_nm=rmse_nm,
        rmse_error_nm=rmse_error_nm,
    )


def _emitters_around(
    places: Localizations, emitters: Localizations, radius_nm: float
) -> NDArray[np.intp]:
    """Count the emitters of the same frame within a radius of each place."""
    frames = np.concatenate([places.frame, emitters.frame])
    _, frame_rank = np.unique(frames, return_inverse=True)
    # with frames further apart than the radius along a third axis, one tree serves them all
    z_nm = 2 * radius_nm * frame_rank
    tree = scipy.spatial.KDTree(np.column_stack([z_nm[len(places) :], emitters.positions_nm()]))
    centres = np.column_stack([z_nm[: len(places)], places.positions_nm()])
    return np.asarray(tree.query_ball_point(centres, radius_nm, return_length=True), np.intp)


def _checked_count(bins: int) -> int:
    if bins < 1:
        raise InputError(f"{bins} bins cannot be made. Give at least 1.")
    return bins


def _checked_edges(edges: Sequence[float] | NDArray[np.floating]) -> NDArray[np.float64]:
    checked = np.asarray(edges, dtype=np.float64)
    if checked.ndim != 1 or len(checked) < 2 or not (np.diff(checked) > 0).all():
        raise InputError(
            f"The edges of the bins are {checked.tolist()}. Give at least two numbers in "
            "ascending order."
        )
    return checked


def _quantile_edges(values: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)))
    # equal values are one bin, which has to have a width
    return edges if len(edges) > 1 else np.append(edges, np.nextafter(edges, np.inf))


def _count_edges(
    around: NDArray[np.intp], around_spurious: NDArray[np.intp], bins: int
) -> NDArray[np.float64]:
    """Edges half-way between whole numbers, such that all counts are inside."""
    first = np.unique(np.quantile(around, np.arange(bins) / bins, method="inverted_cdf"))
    first[0] = around_spurious.min(initial=first[0])
    beyond = around_spurious.max(initial=around.max()) + 1
    return np.append(first, beyond) - 0.5


def _bin_numbers(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the bin of each value, and -1 for one outside, such as NaN."""
    bins = np.searchsorted(edges, values, side="right") - 1
    bins[bins == len(edges) - 1] = -1
    bins[values == edges[-1]] = len(edges) - 2
    return bins


def _count(bins: NDArray[np.intp], edges: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.bincount(bins[bins >= 0], minlength=len(edges) - 1)


def _sum(
    bins: NDArray[np.intp], edges: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    inside = bins >= 0
    sums = np.bincount(bins[inside], weights=values[inside], minlength=len(edges) - 1)
    return sums.astype(np.float64, copy=False)


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    """Divide, with NaN where the denominator is not positive."""
    ratio = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=ratio, where=denominator > 0)
    return ratio


def _rmse(
    matches: Matches, bins: NDArray[np.intp], edges: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Root-mean-square distance of the pairs in each bin, and its standard error."""
    pair_bins = bins[matches.truth]
    squared_nm2 = matches.distance_nm**2
    pairs = _count(pair_bins, edges)
    mean_nm2 = _ratio(_sum(pair_bins, edges, squared_nm2), pairs)
    deviation_nm2 = squared_nm2 - mean_nm2[pair_bins]
    variance_nm4 = _ratio(_sum(pair_bins, edges, deviation_nm2**2), pairs - 1)
    rmse_nm = np.sqrt(mean_nm2)
    # by d√m = dm / (2√m)
    return rmse_nm, _ratio(np.sqrt(_ratio(variance_nm4, pairs)), 2 * rmse_nm)
