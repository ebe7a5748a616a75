import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.metrics.detection import detection_scores, match_localizations

NONE = Localizations.empty()


def at(*positions_nm, frame=0):
    y_nm, x_nm = np.reshape(positions_nm, (-1, 2)).T.astype(float)
    return Localizations(np.full(len(y_nm), frame), y_nm, x_nm)


def grid(side=10, pitch_nm=1000.0):
    y_nm, x_nm = (np.indices((side, side)).reshape(2, -1) + 0.5) * pitch_nm
    return Localizations(np.arange(side**2) % 7, y_nm, x_nm)


def shifted(localizations, dy_nm, dx_nm):
    return Localizations(
        localizations.frame, localizations.y_nm + dy_nm, localizations.x_nm + dx_nm
    )


def tables(max_size):
    coordinate = st.floats(0, 1000, allow_subnormal=False)
    row = st.tuples(st.integers(0, 2), coordinate, coordinate)
    return st.lists(row, max_size=max_size).map(
        lambda rows: Localizations(*np.reshape(rows, (-1, 3)).T)
    )


def dense_table(seed, size=2500, frames=3, side_nm=8000.0):
    random = np.random.default_rng(seed)
    y_nm, x_nm = random.uniform(0, side_nm, (2, size))
    return Localizations(random.integers(0, frames, size), y_nm, x_nm)


def best_by_brute_force(predicted, truth, tolerance_nm):
    """Most pairs and their smallest total distance, over all ways to pair up a frame."""
    count, total_nm = 0, 0.0
    for frame in np.unique(truth.frame):
        distance_nm = cdist(
            predicted[predicted.frame == frame].positions_nm(),
            truth[truth.frame == frame].positions_nm(),
        )
        if len(distance_nm) > distance_nm.shape[1]:
            distance_nm = distance_nm.T
        best = (0, 0.0)
        for partners in itertools.permutations(range(distance_nm.shape[1]), len(distance_nm)):
            pairs = distance_nm[np.arange(len(partners)), list(partners)]
            pairs = pairs[pairs <= tolerance_nm]
            best = min(best, (-len(pairs), pairs.sum()))
        count, total_nm = count - best[0], total_nm + best[1]
    return count, total_nm


@settings(max_examples=150, deadline=None)
@given(tables(max_size=7), tables(max_size=7), st.floats(1, 1500))
def test_the_optimal_matching_is_the_best_of_all_permutations(predicted, truth, tolerance_nm):
    matches = match_localizations(predicted, truth, tolerance_nm=tolerance_nm)
    count, total_nm = best_by_brute_force(predicted, truth, tolerance_nm)
    assert len(matches) == count
    assert matches.distance_nm.sum() == pytest.approx(total_nm, abs=1e-6)


def test_thousands_of_overlapping_candidates_are_matched_as_well_as_frame_by_frame():
    predicted, truth, tolerance_nm = dense_table(0), dense_table(1), 250.0
    count, total_nm = 0, 0.0
    for frame in range(3):
        distance_nm = cdist(
            predicted[predicted.frame == frame].positions_nm(),
            truth[truth.frame == frame].positions_nm(),
        )
        cost = np.where(distance_nm <= tolerance_nm, distance_nm, 1e6)
        pairs = cost[linear_sum_assignment(cost)]
        count += np.count_nonzero(pairs < 1e6)
        total_nm += pairs[pairs < 1e6].sum()
    matches = match_localizations(predicted, truth, tolerance_nm=tolerance_nm)
    assert len(matches) == count > 1500
    assert matches.distance_nm.sum() == pytest.approx(total_nm, rel=1e-9)


@pytest.mark.parametrize("method", ["hungarian", "greedy"])
def test_a_match_joins_each_localization_at_most_once_in_its_own_frame(method):
    predicted, truth = dense_table(2), dense_table(3)
    matches = match_localizations(predicted, truth, tolerance_nm=200.0, method=method)
    assert np.all(np.diff(matches.predicted) > 0)
    assert len(np.unique(matches.truth)) == len(matches)
    one, other = predicted[matches.predicted], truth[matches.truth]
    np.testing.assert_array_equal(one.frame, other.frame)
    difference_nm = one.positions_nm() - other.positions_nm()
    np.testing.assert_allclose(np.hypot(*difference_nm.T), matches.distance_nm)
    assert matches.distance_nm.max() <= 200.0


def test_more_pairs_come_before_shorter_ones_unless_the_closest_pair_is_taken_first():
    # the middle emitter is closest to both; taking it first leaves the outer two 400 nm apart
    predicted, truth = at((0, 0), (0, 210)), at((0, 200), (0, 400))
    optimal = match_localizations(predicted, truth, tolerance_nm=250.0)
    assert optimal.truth.tolist() == [0, 1]
    greedy = match_localizations(predicted, truth, tolerance_nm=250.0, method="greedy")
    assert (greedy.predicted.tolist(), greedy.truth.tolist()) == ([1], [0])


def test_the_tolerance_itself_still_counts():
    predicted, truth = at((0, 0)), at((150, 200))
    assert len(match_localizations(predicted, truth, tolerance_nm=250.0)) == 1
    assert len(match_localizations(predicted, truth, tolerance_nm=249.999)) == 0


@given(st.integers(0, 100), st.floats(0, 100), st.floats(0, 2 * math.pi))
def test_both_methods_pair_well_separated_emitters_with_themselves(seed, shift_nm, angle):
    truth = grid()
    order = np.random.default_rng(seed).permutation(len(truth))
    predicted = shifted(truth, shift_nm * math.sin(angle), shift_nm * math.cos(angle))[order]
    for method in ("hungarian", "greedy"):
        matches = match_localizations(predicted, truth, tolerance_nm=250.0, method=method)
        np.testing.assert_array_equal(matches.truth, order)


def test_a_known_shift_is_the_bias_and_the_error():
    scores = detection_scores(shifted(grid(), 30.0, -40.0), grid())
    assert (scores.true_positives, scores.false_positives, scores.false_negatives) == (100, 0, 0)
    assert scores.precision == scores.recall == scores.f1 == scores.jaccard == 1
    assert scores.bias_y_nm == pytest.approx(30)
    assert scores.bias_x_nm == pytest.approx(-40)
    assert scores.rmse_nm == pytest.approx(50)
    assert scores.mad_nm == pytest.approx(70)
    assert scores.efficiency == pytest.approx(50)


def test_a_perfect_prediction_has_an_efficiency_of_100():
    assert detection_scores(grid(), grid()).efficiency == 100


def test_counts_give_the_ratios_of_the_challenge():
    truth = grid()  # 60 of 100 emitters found, 20 false detections half a pitch away
    predicted = Localizations.concatenate([truth[:60], shifted(truth[:20], 500.0, 500.0)])
    scores = detection_scores(predicted, truth)
    assert (scores.true_positives, scores.false_positives, scores.false_negatives) == (60, 20, 40)
    assert scores.precision == 60 / 80
    assert scores.recall == 60 / 100
    assert scores.f1 == pytest.approx(2 * 0.75 * 0.6 / (0.75 + 0.6))
    assert scores.jaccard == 60 / 120
    assert scores.efficiency == pytest.approx(50)


def test_the_error_of_gaussian_noise_is_that_of_two_dimensions():
    noise = np.random.default_rng(5).normal(0, 20, (2, 10_000))
    truth = Localizations(np.arange(10_000), np.zeros(10_000), np.zeros(10_000))
    scores = detection_scores(shifted(truth, *noise), truth)
    assert scores.rmse_nm == pytest.approx(20 * math.sqrt(2), rel=0.03)
    assert scores.mad_nm == pytest.approx(2 * 20 * math.sqrt(2 / math.pi), rel=0.03)


@pytest.mark.parametrize("method", ["hungarian", "greedy"])
def test_what_cannot_be_known_is_nan_and_what_failed_is_zero(method):
    nothing = detection_scores(NONE, NONE, method=method)
    assert math.isnan(nothing.jaccard)
    assert math.isnan(nothing.f1)
    blind = detection_scores(NONE, grid(), method=method)
    assert math.isnan(blind.precision)
    assert blind.recall == blind.f1 == blind.jaccard == 0
    assert blind.false_negatives == 100
    invented = detection_scores(grid(), NONE, method=method)
    assert math.isnan(invented.recall)
    assert invented.precision == invented.f1 == invented.jaccard == 0
    assert invented.false_positives == 100
    for scores in (nothing, blind, invented):
        errors = (scores.rmse_nm, scores.mad_nm, scores.bias_y_nm, scores.bias_x_nm)
        assert all(math.isnan(value) for value in (*errors, scores.efficiency))


@settings(deadline=None)
@given(tables(max_size=25), tables(max_size=25))
def test_exchanging_prediction_and_truth_exchanges_their_roles(one, other):
    there, back = detection_scores(one, other), detection_scores(other, one)
    assert there.true_positives == back.true_positives
    assert there.false_positives == back.false_negatives
    np.testing.assert_equal(there.precision, back.recall)
    np.testing.assert_equal(there.jaccard, back.jaccard)
    assert there.true_positives + there.false_negatives == len(other)


@settings(deadline=None)
@given(tables(max_size=25), tables(max_size=25), st.integers(0, 1000))
def test_the_order_of_the_rows_does_not_matter(predicted, truth, seed):
    order = np.random.default_rng(seed).permutation(len(predicted))
    for method in ("hungarian", "greedy"):
        straight = match_localizations(predicted, truth, method=method)
        shuffled = match_localizations(predicted[order], truth, method=method)
        assert len(straight) == len(shuffled) or method == "greedy"
        if method == "hungarian":
            assert shuffled.distance_nm.sum() == pytest.approx(straight.distance_nm.sum())


def test_both_tables_lose_their_rim_before_they_are_matched():
    truth = at((500, 500), (500, 450), (440, 500), (5951, 500), (500, 9549))
    predicted = at((500, 500), (500, 440), (460, 500), (5940, 500), (500, 9551))
    scores = detection_scores(
        predicted, truth, border_nm=450, field_of_view_nm=(6400.0, 10_000.0), tolerance_nm=20
    )
    # of each table the second position is on or over the left rim; (5951, 500) is over the lower
    # one, (440, 500) over the upper one and (500, 9551) over the right one
    assert (scores.true_positives, scores.false_positives, scores.false_negatives) == (1, 2, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance_nm": 0}, "tolerance is 0 nm. Give a positive number"),
        ({"tolerance_nm": math.nan}, "tolerance is nan nm"),
        ({"method": "hungary"}, "Unknown matching method 'hungary'. Did you mean 'hungarian'"),
        ({"border_nm": 450}, "border of 450 nm .* but of which image"),
        ({"border_nm": -1, "field_of_view_nm": (64, 64)}, "border of -1 nm cannot"),
        ({"border_nm": 32, "field_of_view_nm": (64, 64)}, "less than half the field of view"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        detection_scores(grid(), grid(), **options)
