"""Compare localizations with the truth: which emitters were found, and how precisely.

The definitions are those of the SMLM software challenges: D. Sage et al., Nat. Methods 12, 717
(2015), doi:10.1038/nmeth.3442, and Nat. Methods 16, 387 (2019), doi:10.1038/s41592-019-0364-4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import scipy

from napari_dl4smlm.backend.errors import InputError, unknown_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.localizations.table import Localizations

# How many candidate pairs are assigned at once. The solver's time grows with the square of its
# rows, that of the call itself does not: thousands are far from both costs.
_CANDIDATES_AT_A_TIME = 2_000

# Weight of an nm of error against a percent of Jaccard index, for lateral positions (Sage 2019).
_EFFICIENCY_PER_NM = 1.0


@dataclass(frozen=True, eq=False)
class Matches:
    """Pairs of a predicted and a true localization, each in at most one pair.

    Parameters
    ----------
    predicted, truth
        Rows of the two tables; the k-th entries belong together, in ascending order of the
        predicted rows.
    distance_nm
        Distance between the two positions.
    """

    predicted: NDArray[np.intp]
    truth: NDArray[np.intp]
    distance_nm: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.predicted)


@dataclass(frozen=True)
class DetectionScores:
    """How well predicted localizations agree with the truth.

    A ratio whose denominator is zero is NaN: ``precision`` without predictions, ``recall`` without
    emitters, ``f1`` and ``jaccard`` without either. Without a matched pair there are no position
    errors, so the last five are NaN too. If only one of the two tables has rows, ``f1`` and
    ``jaccard`` are 0.

    Parameters
    ----------
    true_positives
        Predictions matched to an emitter (TP).
    false_positives, false_negatives
        Predictions (FP) and emitters (FN) without a partner.
    precision, recall, f1, jaccard
        TP / (TP + FP), TP / (TP + FN), their harmonic mean, and TP / (TP + FP + FN); from 0 to 1.
    rmse_nm
        Lateral root-mean-square error √(mean(Δy² + Δx²)) over the matched pairs.
    mad_nm
        Mean absolute difference, mean(|Δy| + |Δx|).
    bias_y_nm, bias_x_nm
        Mean of predicted minus true coordinate.
    efficiency
        100 - √((100 - 100·jaccard)² + (α·rmse)²) with α = 1 nm⁻¹, the lateral efficiency of the
        2016 challenge: 100 is perfect, and it may be negative.
    """

    true_positives: int
    false_positives: int
    false_negatives: int
    precision: float
    recall: float
    f1: float
    jaccard: float
    rmse_nm: float
    mad_nm: float
    bias_y_nm: float
    bias_x_nm: float
    efficiency: float


def match_localizations(
    predicted: Localizations,
    truth: Localizations,
    *,
    tolerance_nm: float = 250.0,
    method: Literal["hungarian", "greedy"] = "hungarian",
) -> Matches:
    """Pair predicted with true localizations of the same frame.

    Parameters
    ----------
    predicted, truth
        Tables in the same frame numbers and coordinates.
    tolerance_nm
        Largest distance of a pair; the distance itself still counts. 250 nm in the challenges.
    method
        ``"hungarian"`` finds as many pairs as possible and, among all ways to do so, the one of
        smallest total distance. ``"greedy"`` takes the closest pair, then the closest of what is
        left, and so on, like the assessment of the 2016 challenge; it may miss pairs.

    Raises
    ------
    InputError
        The tolerance is not a positive number, or there is no such method.
    """
    if not 0 < tolerance_nm < math.inf:
        raise InputError(
            f"The tolerance is {tolerance_nm} nm. Give a positive number, such as 250."
        )
    pairs = _candidate_pairs(predicted, truth, tolerance_nm)
    if method == "hungarian":
        chosen = _assign_optimally(pairs, tolerance_nm)
    elif method == "greedy":
        chosen = _assign_greedily(pairs)
    else:
        raise unknown_name("matching method", method, ("hungarian", "greedy"))
    matched = pairs[chosen]
    matched = matched[np.argsort(matched["i"])]
    return Matches(matched["i"], matched["j"], matched["v"])


def detection_scores(
    predicted: Localizations,
    truth: Localizations,
    *,
    tolerance_nm: float = 250.0,
    border_nm: float = 0.0,
    field_of_view_nm: tuple[float, float] | None = None,
    method: Literal["hungarian", "greedy"] = "hungarian",
) -> DetectionScores:
    """Score predicted localizations against the truth.

    Parameters
    ----------
    predicted, truth
        Tables in the same frame numbers and coordinates.
    tolerance_nm, method
        As for :func:`match_localizations`.
    border_nm
        Width of the rim to leave out, because emitters there are cut off by the edge of the image;
        450 nm in the 2016 challenge. Its rule holds here: before matching, both tables lose every
        position that is not inside the rim, border < y < height - border and likewise for x. A
        pair that straddles the border thus counts as one false positive or negative. 0 leaves
        out nothing.
    field_of_view_nm
        Height and width of the image; needed for a border.

    Raises
    ------
    InputError
        An option of the matching is refused, or the border is negative, has no field of view, or
        leaves nothing of it.
    """
    if border_nm != 0:
        predicted = _inside(predicted, border_nm, field_of_view_nm)
        truth = _inside(truth, border_nm, field_of_view_nm)
    matches = match_localizations(predicted, truth, tolerance_nm=tolerance_nm, method=method)
    found = len(matches)
    spurious, missed = len(predicted) - found, len(truth) - found
    error_nm = predicted.positions_nm()[matches.predicted] - truth.positions_nm()[matches.truth]
    bias_y_nm, bias_x_nm = error_nm.mean(axis=0) if found else (math.nan, math.nan)
    rmse_nm = math.sqrt(_ratio(float(np.sum(error_nm**2)), found))
    jaccard = _ratio(found, found + spurious + missed)
    return DetectionScores(
        true_positives=found,
        false_positives=spurious,
        false_negatives=missed,
        precision=_ratio(found, found + spurious),
        recall=_ratio(found, found + missed),
        f1=_ratio(2 * found, 2 * found + spurious + missed),
        jaccard=jaccard,
        rmse_nm=rmse_nm,
        mad_nm=_ratio(float(np.sum(np.abs(error_nm))), found),
        bias_y_nm=float(bias_y_nm),
        bias_x_nm=float(bias_x_nm),
        efficiency=100 - math.hypot(100 - 100 * jaccard, _EFFICIENCY_PER_NM * rmse_nm),
    )


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan


def _inside(
    localizations: Localizations, border_nm: float, field_of_view_nm: tuple[float, float] | None
) -> Localizations:
    """Leave out the rim of the field of view."""
    if field_of_view_nm is None:
        raise InputError(
            f"A border of {border_nm} nm is to be left out, but of which image? "
            "Give its height and width as field_of_view_nm."
        )
    if not 0 < 2 * border_nm < min(field_of_view_nm):
        raise InputError(
            f"A border of {border_nm} nm cannot be left out of a field of view of "
            f"{field_of_view_nm[0]} x {field_of_view_nm[1]} nm. Give a positive border of less "
            "than half the field of view."
        )
    low, high = border_nm, np.subtract(field_of_view_nm, border_nm)
    positions_nm = localizations.positions_nm()
    return localizations[np.all((positions_nm > low) & (positions_nm < high), axis=1)]


def _candidate_pairs(
    predicted: Localizations, truth: Localizations, tolerance_nm: float
) -> NDArray[np.void]:
    """Return all pairs within the tolerance: rows ``i`` and ``j``, distance ``v`` in nm."""
    frames = np.concatenate([predicted.frame, truth.frame])
    _, frame_rank = np.unique(frames, return_inverse=True)
    # with frames further apart than the tolerance along a third axis, one tree serves them all
    z_nm = 2 * tolerance_nm * frame_rank
    predicted_tree = scipy.spatial.KDTree(
        np.column_stack([z_nm[: len(predicted)], predicted.positions_nm()])
    )
    truth_tree = scipy.spatial.KDTree(
        np.column_stack([z_nm[len(predicted) :], truth.positions_nm()])
    )
    return predicted_tree.sparse_distance_matrix(truth_tree, tolerance_nm, output_type="ndarray")


def _assign_optimally(pairs: NDArray[np.void], tolerance_nm: float) -> NDArray[np.intp]:
    """Choose the best pairs in batches, between which no localization is shared."""
    component = _components(pairs)
    order = np.argsort(component, kind="stable")
    starts = np.flatnonzero(np.diff(component[order], prepend=-1))
    batch_starts = starts[np.diff(starts // _CANDIDATES_AT_A_TIME, prepend=-1) > 0]
    chosen = [
        batch[_assign_batch(pairs[batch], tolerance_nm)]
        for batch in np.split(order, batch_starts)
        if len(batch)
    ]
    return np.concatenate([np.empty(0, np.intp), *chosen])


def _components(pairs: NDArray[np.void]) -> NDArray[np.intp]:
    """Give each pair the number of its group; groups share no localization."""
    predicted = pairs["i"]
    truth = pairs["j"] + predicted.max(initial=0) + 1
    size = truth.max(initial=0) + 1
    graph = scipy.sparse.coo_array((np.ones(len(pairs)), (predicted, truth)), shape=(size, size))
    _, label = scipy.sparse.csgraph.connected_components(graph, directed=False)
    component: NDArray[np.intp] = label[predicted]
    return component


def _assign_batch(pairs: NDArray[np.void], tolerance_nm: float) -> NDArray[np.intp]:
    """Choose the most pairs, then the smallest total distance."""
    _, row = np.unique(pairs["i"], return_inverse=True)
    _, column = np.unique(pairs["j"], return_inverse=True)
    own_row = np.arange(row.max() + 1)
    own_column = column.max() + 1 + own_row
    # The solver pairs every row, so each may take a column of its own instead: at a weight that
    # outbids any sum of distances, so that no pair is given up for shorter ones. Adding the
    # tolerance to all weights changes no choice, but a weight of zero would be no pair at all.
    alone = np.full(len(own_row), (len(own_row) + 2) * tolerance_nm)
    weights = np.concatenate([pairs["v"] + tolerance_nm, alone])
    # 32 bits, since the solver of older SciPy takes no others
    edges = np.block([[row, own_row], [column, own_column]]).astype(np.int32)
    rows, columns = scipy.sparse.csgraph.min_weight_full_bipartite_matching(
        scipy.sparse.coo_array((weights, tuple(edges)))
    )
    partner = np.empty_like(own_row)
    partner[rows] = columns
    return np.flatnonzero(partner[row] == column)


def _assign_greedily(pairs: NDArray[np.void]) -> NDArray[np.intp]:
    """Choose the closest pair, then the closest among the rest, and so on."""
    order = np.lexsort((pairs["j"], pairs["i"], pairs["v"]))
    taken_predicted: set[int] = set()
    taken_truth: set[int] = set()
    chosen = []
    for k, i, j in zip(order, pairs["i"][order].tolist(), pairs["j"][order].tolist(), strict=True):
        if i not in taken_predicted and j not in taken_truth:
            taken_predicted.add(i)
            taken_truth.add(j)
            chosen.append(k)
    return np.array(chosen, dtype=np.intp)
