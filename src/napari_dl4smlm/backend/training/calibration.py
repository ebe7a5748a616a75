"""Find out, on the validation frames, which peaks to trust and how far."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy

from napari_dl4smlm.backend.metrics.calibration import (
    error_curve,
    expected_calibration_error,
    expected_normalized_calibration_error,
    reliability_curve,
)
from napari_dl4smlm.backend.metrics.detection import match_localizations
from napari_dl4smlm.backend.models.calibration import (
    Calibration,
    ConfidenceCalibration,
    UncertaintyCalibration,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.localizations.table import Localizations

TOLERANCE_NM = 100.0
"""Within about one camera pixel: further off, a network has not resolved the emitter."""

THRESHOLDS = np.arange(2, 49) / 50
"""From 0.04 to 0.96 of the density of one emitter."""

FEWEST = 100
"""Peaks, or pairs, that either half of the validation frames must have to tell something."""

# of peaks or pairs: a standard deviation is then known to 7 %, a probability to 0.07 or better
_PER_ENTRY = 50
_MOST_ENTRIES = 20

# far below what any camera allows; keeps an error in units of it finite
_LEAST_UNCERTAINTY_NM = 0.1


def calibrate(found: Localizations, truth: Localizations, *, second_half: int) -> Calibration:
    """Measure precision and recall at every threshold, choose the best, and judge single peaks.

    Found and true positions are paired once, at the lowest threshold, and a pair counts wherever
    its density does. Pairing anew at each threshold could only find more pairs; it matters where
    two peaks compete for one emitter.

    Parameters
    ----------
    found
        All peaks at the lowest of ``THRESHOLDS``; their ``confidence`` is the density.
    truth
        All emitters of the same frames, at least one.
    second_half
        First frame of the second half. Probabilities and uncertainties fitted to the first half are
        tried on the second one; those in the result are fitted to both.
    """
    density = found.column("confidence")
    matches = match_localizations(found, truth, tolerance_nm=TOLERANCE_NM)
    paired = density[matches.predicted]
    # rounding in the sum over a window must not push a peak below the lowest threshold
    n_found, n_paired = (
        (values[:, None] >= THRESHOLDS - 1e-6).sum(axis=0) for values in (density, paired)
    )
    jaccard = n_paired / (n_found + len(truth) - n_paired)
    best = _middle_of_best(jaccard)
    threshold = float(THRESHOLDS[best])
    errors = matches.distance_nm[paired >= threshold - 1e-6]
    peaks = _judge(found, truth, threshold - 1e-6)
    in_second = found.frame >= second_half
    return Calibration(
        tolerance_nm=TOLERANCE_NM,
        threshold=threshold,
        thresholds=tuple(THRESHOLDS.tolist()),
        precision=tuple((n_paired / np.maximum(n_found, 1)).tolist()),
        recall=tuple((n_paired / len(truth)).tolist()),
        jaccard=float(jaccard[best]),
        rmse_nm=math.sqrt(float(np.mean(errors**2))) if len(errors) else None,
        confidence=_calibrate_confidence(peaks, in_second),
        uncertainty=_calibrate_uncertainty(peaks, in_second),
    )


@dataclass(frozen=True, eq=False)
class _Peaks:
    """Peaks with what is true of them.

    Attributes
    ----------
    density
        Shape (N,).
    is_kept
        Whether it reaches the threshold.
    is_emitter
        Whether it has an emitter of its own.
    error_nm
        Shape (N, 2), predicted minus true position; NaN without emitter.
    """

    density: NDArray[np.float64]
    is_kept: NDArray[np.bool_]
    is_emitter: NDArray[np.bool_]
    error_nm: NDArray[np.float64]


def _judge(found: Localizations, truth: Localizations, threshold: float) -> _Peaks:
    """Pair the peaks that are kept, as for the user, and then the weaker ones with what is left.

    In one go, a weak peak could take the emitter of a strong one that lies a little further off.
    """
    density = found.column("confidence")
    is_kept = density >= threshold
    error_nm = np.full((len(found), 2), np.nan)
    is_free = np.ones(len(truth), bool)
    for chosen in (is_kept, ~is_kept):
        rows, emitters = np.flatnonzero(chosen), np.flatnonzero(is_free)
        matches = match_localizations(found[rows], truth[emitters], tolerance_nm=TOLERANCE_NM)
        rows, emitters = rows[matches.predicted], emitters[matches.truth]
        error_nm[rows] = found.positions_nm()[rows] - truth.positions_nm()[emitters]
        is_free[emitters] = False
    return _Peaks(density, is_kept, np.isfinite(error_nm[:, 0]), error_nm)


def _calibrate_confidence(
    peaks: _Peaks, in_second: NDArray[np.bool_]
) -> ConfidenceCalibration | None:
    tried = in_second & peaks.is_kept
    if min(np.count_nonzero(~in_second), np.count_nonzero(tried)) < FEWEST:
        return None
    happened = peaks.is_emitter.astype(np.float64)
    trial = _monotone_table(peaks.density[~in_second], happened[~in_second], rising=True)
    curve = reliability_curve(np.interp(peaks.density[tried], *trial), peaks.is_emitter[tried])
    densities, probabilities = _monotone_table(peaks.density, happened, rising=True)
    return ConfidenceCalibration(
        densities=tuple(densities.tolist()),
        probabilities=tuple(probabilities.tolist()),
        expected_calibration_error=expected_calibration_error(curve),
        predicted=tuple(curve.predicted.tolist()),
        actual=tuple(curve.actual.tolist()),
        counts=tuple(curve.count.tolist()),
    )


def _calibrate_uncertainty(
    peaks: _Peaks, in_second: NDArray[np.bool_]
) -> UncertaintyCalibration | None:
    fitted = peaks.is_emitter & ~in_second
    tried = peaks.is_emitter & in_second & peaks.is_kept
    if min(np.count_nonzero(fitted), np.count_nonzero(tried)) < FEWEST:
        return None
    trial = _uncertainty_table(peaks.density[fitted], peaks.error_nm[fitted])
    curve = error_curve(np.interp(peaks.density[tried], *trial), peaks.error_nm[tried])
    both = peaks.is_emitter
    densities, uncertainties_nm = _uncertainty_table(peaks.density[both], peaks.error_nm[both])
    return UncertaintyCalibration(
        densities=tuple(densities.tolist()),
        uncertainties_nm=tuple(uncertainties_nm.tolist()),
        expected_normalized_calibration_error=expected_normalized_calibration_error(curve),
        predicted_nm=tuple(curve.predicted.tolist()),
        actual_nm=tuple(curve.actual.tolist()),
        counts=tuple(curve.count.tolist()),
    )


def _uncertainty_table(
    density: NDArray[np.float64], error_nm: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit the standard deviation along one axis; a bias counts as error."""
    densities, variances = _monotone_table(density, np.mean(error_nm**2, axis=1), rising=False)
    return densities, np.sqrt(variances).clip(_LEAST_UNCERTAINTY_NM)


def _monotone_table(
    density: NDArray[np.float64], values: NDArray[np.float64], *, rising: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean density and mean value of bins of equally many peaks, the means made monotone.

    Isotonic regression of means is the monotone fit of maximum likelihood, both for the probability
    of events and for the variance of normal errors: R. E. Barlow et al., Statistical Inference
    under Order Restrictions (1972).
    """
    order = np.argsort(density, kind="stable")
    n_bins = min(_MOST_ENTRIES, max(1, len(order) // _PER_ENTRY))
    bins = np.array_split(order, n_bins)
    means = np.array([values[rows].mean() for rows in bins])
    weights = np.array([len(rows) for rows in bins])
    monotone = scipy.optimize.isotonic_regression(means, weights=weights, increasing=rising).x
    return np.array([density[rows].mean() for rows in bins]), monotone


def _middle_of_best(jaccard: np.ndarray[tuple[int], np.dtype[np.float64]]) -> int:
    """Return the middle of the thresholds that are as good as the best, to a thousandth.

    The maximum is broad, and where exactly noise puts its top says nothing.
    """
    good = np.flatnonzero(jaccard >= jaccard.max() - 1e-3)
    return int(good[len(good) // 2])
