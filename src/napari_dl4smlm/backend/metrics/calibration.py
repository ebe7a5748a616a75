"""Whether predicted probabilities and uncertainties come true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PROBABILITY_BINS = 10
_MOST_ERROR_BINS = 10

PAIRS_PER_BIN = 50
"""With two axes each, their root-mean-square error is known to 1 / √(4 · 50) = 7 %."""


@dataclass(frozen=True, eq=False)
class CalibrationCurve:
    """What was predicted against what happened, bin by bin.

    Parameters
    ----------
    predicted, actual
        One number for each bin that is not empty, by rising prediction.
    count
        How many cases are in it.
    """

    predicted: NDArray[np.float64]
    actual: NDArray[np.float64]
    count: NDArray[np.int64]


def reliability_curve(
    probability: NDArray[np.float64], happened: NDArray[np.bool_]
) -> CalibrationCurve:
    """Compare predicted probabilities with frequencies, in ten bins of equal width.

    Parameters
    ----------
    probability
        Shape (N,), from 0 to 1.
    happened
        Shape (N,).

    Returns
    -------
    CalibrationCurve
        Mean probability and relative frequency of each bin.
    """
    place = np.minimum((probability * _PROBABILITY_BINS).astype(int), _PROBABILITY_BINS - 1)
    bins = [np.flatnonzero(place == each) for each in np.unique(place)]
    return CalibrationCurve(
        np.array([probability[rows].mean() for rows in bins]),
        np.array([happened[rows].mean() for rows in bins]),
        np.array([len(rows) for rows in bins], dtype=np.int64),
    )


def error_curve(
    uncertainty_nm: NDArray[np.float64], error_nm: NDArray[np.float64]
) -> CalibrationCurve:
    """Compare predicted uncertainties with errors, in bins of equally many cases.

    Parameters
    ----------
    uncertainty_nm
        Shape (N,), the predicted standard deviation along each axis, above 0.
    error_nm
        Shape (N, axes), predicted minus true position.

    Returns
    -------
    CalibrationCurve
        The root mean squares, along one axis, of uncertainty and error of each bin: ten bins, or
        fewer of `PAIRS_PER_BIN` cases.
    """
    order = np.argsort(uncertainty_nm, kind="stable")
    n_bins = min(_MOST_ERROR_BINS, len(order) // PAIRS_PER_BIN)
    bins = np.array_split(order, max(1, n_bins)) if len(order) else []
    return CalibrationCurve(
        np.array([_root_mean_square(uncertainty_nm[rows]) for rows in bins]),
        np.array([_root_mean_square(error_nm[rows]) for rows in bins]),
        np.array([len(rows) for rows in bins], dtype=np.int64),
    )


def expected_calibration_error(reliability: CalibrationCurve) -> float:
    """Return by how much a probability is off, on average.

    It is ECE = Σ_b (n_b / n) · abs(o_b - p_b), with the mean probability p_b, the frequency o_b and
    the number of cases n_b of bin b, and n = Σ_b n_b. NaN without cases.

    References
    ----------
    C. Guo et al., ICML 2017, arXiv:1706.04599
    """
    if not len(reliability.count):
        return float("nan")
    off = np.abs(reliability.actual - reliability.predicted)
    return float(np.average(off, weights=reliability.count))


def expected_normalized_calibration_error(errors: CalibrationCurve) -> float:
    """Return by which share an uncertainty is off, on average.

    It is ENCE = (1 / B) · Σ_b abs(u_b - e_b) / u_b, with the root mean squares u_b of the predicted
    uncertainties and e_b of the errors in bin b, of B. Chance alone makes it 0.06 in bins of 50
    cases on two axes, for perfect uncertainties and normally distributed errors. NaN without cases.

    References
    ----------
    D. Levi et al., Sensors 22, 5540 (2022), doi:10.3390/s22155540
    """
    if not len(errors.count):
        return float("nan")
    return float(np.mean(np.abs(errors.predicted - errors.actual) / errors.predicted))


def _root_mean_square(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))
