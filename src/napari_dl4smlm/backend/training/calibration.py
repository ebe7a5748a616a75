"""Find the threshold at which peaks agree best with the truth of the validation frames."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_dl4smlm.backend.metrics.detection import match_localizations
from napari_dl4smlm.backend.models.model_file import Calibration

if TYPE_CHECKING:
    from napari_dl4smlm.backend.localizations.table import Localizations

TOLERANCE_NM = 100.0
"""Within about one camera pixel: further off, a network has not resolved the emitter."""

THRESHOLDS = np.arange(2, 49) / 50
"""From 0.04 to 0.96 of the density of one emitter."""


def calibrate(found: Localizations, truth: Localizations) -> Calibration:
    """Measure precision and recall at every threshold, and choose the best Jaccard index.

    Found and true positions are paired once, at the lowest threshold, and a pair counts wherever
    its confidence does. Pairing anew at each threshold could only find more pairs; it matters where
    two peaks compete for one emitter.

    Parameters
    ----------
    found
        All peaks at the lowest of ``THRESHOLDS``, with confidence.
    truth
        All emitters of the same frames, at least one.
    """
    assert found.confidence is not None
    matches = match_localizations(found, truth, tolerance_nm=TOLERANCE_NM)
    paired = found.confidence[matches.predicted]
    # rounding in the sum over a window must not push a peak below the lowest threshold
    n_found, n_paired = (
        (values[:, None] >= THRESHOLDS - 1e-6).sum(axis=0) for values in (found.confidence, paired)
    )
    jaccard = n_paired / (n_found + len(truth) - n_paired)
    best = _middle_of_best(jaccard)
    errors = matches.distance_nm[paired >= THRESHOLDS[best] - 1e-6]
    return Calibration(
        tolerance_nm=TOLERANCE_NM,
        threshold=float(THRESHOLDS[best]),
        thresholds=tuple(THRESHOLDS.tolist()),
        precision=tuple((n_paired / np.maximum(n_found, 1)).tolist()),
        recall=tuple((n_paired / len(truth)).tolist()),
        jaccard=float(jaccard[best]),
        rmse_nm=math.sqrt(float(np.mean(errors**2))) if len(errors) else None,
    )


def _middle_of_best(jaccard: np.ndarray[tuple[int], np.dtype[np.float64]]) -> int:
    """Return the middle of the thresholds that are as good as the best, to a thousandth.

    The maximum is broad, and where exactly noise puts its top says nothing.
    """
    good = np.flatnonzero(jaccard >= jaccard.max() - 1e-3)
    return int(good[len(good) // 2])
