"""Detection scores of one model, with their bootstrap over the frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dl4smlm.backend.evaluation.comparison.scores import RESAMPLES, Score, resampled_sums
from napari_dl4smlm.backend.metrics.detection import match_localizations

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.localizations.table import Localizations


def bootstrap_detection(
    found: Localizations,
    emitters: Localizations,
    *,
    n_frames: int,
    tolerance_nm: float,
    seed: int,
    resamples: int = RESAMPLES,
) -> dict[str, Score]:
    """Score localizations, over all frames together and over frames drawn again and again.

    Parameters
    ----------
    found, emitters
        Tables in the same coordinates, with frames from 0 to ``n_frames``.
    n_frames
        Frames that were predicted, empty ones included.
    tolerance_nm
        Largest distance of a pair.
    seed, resamples
        As for `resampled_sums`.

    Returns
    -------
    dict
        By the names of ``DetectionScores``, and ``bias_nm``, the length of the mean error.

    Raises
    ------
    InputError
        The tolerance cannot be used.
    """
    per_frame = count_by_frame(found, emitters, n_frames=n_frames, tolerance_nm=tolerance_nm)
    values = _scores_of(per_frame.sum(axis=0))
    # one frame drawn again is the same frame: it tells nothing about another one
    if n_frames < 2:
        return {name: Score(float(value)) for name, value in values.items()}
    replicates = _scores_of(resampled_sums(per_frame, seed=seed, resamples=resamples))
    return {
        name: Score(float(value), "bootstrap", replicates[name]) for name, value in values.items()
    }


def count_by_frame(
    found: Localizations, emitters: Localizations, *, n_frames: int, tolerance_nm: float
) -> NDArray[np.float64]:
    """Count, frame by frame, what all detection scores are made of.

    Returns
    -------
    NDArray
        Shape (n_frames, 6): found, spurious and missed emitters; then, over the pairs, the sums of
        the squared distance in nm² and of the errors in y and x in nm.
    """
    matches = match_localizations(found, emitters, tolerance_nm=tolerance_nm)
    frame = emitters.frame[matches.truth]
    y_nm, x_nm = (
        found.positions_nm()[matches.predicted] - emitters.positions_nm()[matches.truth]
    ).T
    pairs, of_found, of_emitters = (
        np.bincount(numbers, minlength=n_frames) for numbers in (frame, found.frame, emitters.frame)
    )
    sums = (
        np.bincount(frame, weights=values, minlength=n_frames)
        for values in (y_nm**2 + x_nm**2, y_nm, x_nm)
    )
    return np.column_stack([pairs, of_found - pairs, of_emitters - pairs, *sums])


def _scores_of(sums: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Turn counts (..., 6) into scores (...); the definitions are those of `DetectionScores`."""
    pairs, spurious, missed, squares, y_nm, x_nm = np.moveaxis(sums, -1, 0)
    # what cannot be told, such as the error where nothing was found, is NaN
    with np.errstate(invalid="ignore"):
        jaccard = pairs / (pairs + spurious + missed)
        rmse_nm = np.sqrt(squares / pairs)
        bias_y_nm, bias_x_nm = y_nm / pairs, x_nm / pairs
        return {
            "jaccard": jaccard,
            "precision": pairs / (pairs + spurious),
            "recall": pairs / (pairs + missed),
            "rmse_nm": rmse_nm,
            "bias_y_nm": bias_y_nm,
            "bias_x_nm": bias_x_nm,
            "efficiency": 100 - np.hypot(100 - 100 * jaccard, rmse_nm),
        }
