"""Accuracy by density and by photons equals tables worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.metrics.accuracy import accuracy_by_density, accuracy_by_photons
from napari_dl4smlm.backend.metrics.detection import detection_scores


def table(*rows, photons=None):
    """Localizations from rows of frame, y and x."""
    columns = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return Localizations(frame=columns[0], y_nm=columns[1], x_nm=columns[2], photons=photons)


# a pair 300 nm apart and an isolated emitter in frame 0, two isolated ones in frame 1
CROWD = table((0, 1000, 1000), (0, 1000, 1300), (0, 5000, 5000), (1, 1000, 1000), (1, 5000, 1000))
FOUND = table(
    (0, 1000, 970),  # of the pair
    (0, 1300, 1150),  # nothing there, but the pair within 500 nm
    (0, 5040, 5000),  # isolated
    (1, 5000, 1030),  # isolated
    (1, 9000, 9000),  # nothing there and nothing around
)


def test_emitters_and_spurious_detections_count_where_their_own_density_is():
    result = accuracy_by_density(FOUND, CROWD, tolerance_nm=100, radius_nm=500, edges=[1, 2, 3])
    # one and two emitters on π/4 µm²
    assert_allclose(result.density_per_um2, [4 / math.pi, 8 / math.pi])
    assert_array_equal(result.true_positives, [2, 1])
    assert_array_equal(result.false_positives, [1, 1])
    assert_array_equal(result.false_negatives, [1, 1])
    assert_allclose(result.jaccard, [1 / 2, 1 / 3])
    assert_allclose(result.precision, [2 / 3, 1 / 2])
    assert_allclose(result.recall, [2 / 3, 1 / 2])
    # squared errors 1600 and 900 nm² in the first bin: √1250, and 350 / (2 √1250)
    assert_allclose(result.rmse_nm, [35.3553, 30], rtol=1e-5)
    assert_allclose(result.rmse_error_nm, [4.94975, np.nan], rtol=1e-5)


def test_the_bins_of_few_neighbours_are_one_for_each_number_of_them():
    result = accuracy_by_density(FOUND, CROWD, tolerance_nm=100, radius_nm=500)
    assert_allclose(result.edges * math.pi / 4, [0.5, 1.5, 2.5])


def test_an_empty_bin_is_unknown_and_not_zero():
    result = accuracy_by_density(FOUND, CROWD, tolerance_nm=100, edges=[1, 3, 4])
    for name in ("density_per_um2", "jaccard", "precision", "recall", "rmse_nm", "rmse_error_nm"):
        assert_array_equal(np.isnan(getattr(result, name)), [False, True], err_msg=name)
    assert result.true_positives[1] == result.false_positives[1] == 0


def test_a_neighbour_at_the_radius_counts_and_one_in_another_frame_does_not():
    truth = table((0, 0, 0), (0, 0, 500), (1, 0, 0))
    result = accuracy_by_density(truth, truth, tolerance_nm=1, radius_nm=500)
    assert_array_equal(result.true_positives, [1, 2])


def test_emitters_outside_of_given_edges_are_in_no_bin():
    result = accuracy_by_density(FOUND, CROWD, tolerance_nm=100, edges=[2, 3])
    assert_array_equal(result.true_positives + result.false_negatives, [2])


positions = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2000), st.integers(0, 2000)), max_size=25
)


@settings(deadline=None, max_examples=40)
@given(predicted=positions, truth=positions.filter(len), bins=st.integers(1, 6))
def test_over_all_bins_the_counts_are_those_of_the_whole(predicted, truth, bins):
    predicted, truth = table(*predicted), table(*truth)
    whole = detection_scores(predicted, truth, tolerance_nm=150)
    result = accuracy_by_density(predicted, truth, tolerance_nm=150, radius_nm=400, edges=bins)
    assert 1 <= len(result.edges) - 1 <= bins
    assert result.true_positives.sum() == whole.true_positives
    assert result.false_positives.sum() == whole.false_positives
    assert result.false_negatives.sum() == whole.false_negatives


def test_a_hundred_thousand_emitters_have_the_density_that_they_were_drawn_with():
    generator = np.random.default_rng(0)
    # 2 per µm² on 10 x 10 µm, and the emitter itself
    rows = np.column_stack(
        [generator.integers(0, 500, 100_000), generator.uniform(0, 10_000, (100_000, 2))]
    )
    truth = table(*rows)
    result = accuracy_by_density(truth, truth, tolerance_nm=1, radius_nm=100, edges=[0, np.inf])
    # a rim of 100 nm lies partly outside: 4 / (3 π) · r · circumference / area is missing
    inside = 1 - 4 / (3 * math.pi) * 0.1 * 40 / 100 / 2
    expected = 2 * inside + 1 / (math.pi * 0.01)
    assert_allclose(result.density_per_um2, [expected], rtol=2e-3)
    assert_array_equal(result.recall, [1])


PHOTONS = [100.0, 200, 300, 400, math.nan]
BRIGHT = table(*((frame, 1000, 1000) for frame in range(5)), photons=PHOTONS)
SEEN = table((0, 1000, 1030), (2, 1010, 1000), (3, 1000, 980), (4, 1000, 1000))


def test_recall_and_error_are_told_for_each_range_of_photons():
    result = accuracy_by_photons(SEEN, BRIGHT, tolerance_nm=100, edges=[100, 250, 400])
    assert_array_equal(result.emitters, [2, 2])
    assert_allclose(result.photons, [150, 350])
    assert_allclose(result.recall, [1 / 2, 1])
    # squared errors 100 and 400 nm² in the second bin: √250, and 150 / (2 √250)
    assert_allclose(result.rmse_nm, [30, 15.8114], rtol=1e-5)
    assert_allclose(result.rmse_error_nm, [np.nan, 4.74342], rtol=1e-5)


def test_a_number_of_bins_shares_the_emitters_equally():
    generator = np.random.default_rng(0)
    truth = table(
        *((frame, 0, 0) for frame in range(1000)), photons=generator.lognormal(7, 1, 1000)
    )
    result = accuracy_by_photons(truth, truth, tolerance_nm=1, edges=4)
    assert_array_equal(result.emitters, [250, 250, 250, 250])
    assert result.edges[0] == truth.photons.min()
    assert result.edges[-1] == truth.photons.max()


def test_emitters_of_one_brightness_are_one_bin():
    truth = table((0, 0, 0), (1, 0, 0), photons=[500.0, 500])
    result = accuracy_by_photons(truth, truth, tolerance_nm=1)
    assert_array_equal(result.emitters, [2])


def test_the_standard_error_is_that_of_gaussian_errors():
    generator = np.random.default_rng(0)
    n = 20_000
    truth = table(*((frame, 0, 0) for frame in range(n)), photons=np.full(n, 500.0))
    shift = generator.normal(0, 10, (2, n))
    predicted = Localizations(frame=truth.frame, y_nm=shift[0], x_nm=shift[1])
    result = accuracy_by_photons(predicted, truth, tolerance_nm=1000)
    # squared distances are exponentially distributed then, whose deviation equals their mean
    assert_allclose(result.rmse_nm, [10 * math.sqrt(2)], rtol=0.02)
    assert_allclose(result.rmse_error_nm, result.rmse_nm / (2 * math.sqrt(n)), rtol=0.05)


@pytest.mark.parametrize("photons", [None, [math.nan] * 5])
def test_without_photons_there_is_nothing_to_sort_by(photons):
    truth = table(*((frame, 0, 0) for frame in range(5)), photons=photons)
    with pytest.raises(InputError, match="photons of the true emitters are not known"):
        accuracy_by_photons(SEEN, truth)


@pytest.mark.parametrize("accuracy", [accuracy_by_density, accuracy_by_photons])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"edges": [1]}, r"edges of the bins are \[1.0\]"),
        ({"edges": [1, 3, 2]}, "ascending order"),
        ({"edges": [1, math.nan]}, "ascending order"),
        ({"edges": 0}, "0 bins cannot be made"),
        ({"tolerance_nm": 0}, "tolerance is 0 nm"),
    ],
)
def test_options_that_cannot_be_used_are_refused(accuracy, options, message):
    with pytest.raises(InputError, match=message):
        accuracy(SEEN, BRIGHT, **options)


def test_a_density_needs_emitters_and_a_radius():
    with pytest.raises(InputError, match="no true emitters"):
        accuracy_by_density(SEEN, table())
    with pytest.raises(InputError, match="radius is -1 nm"):
        accuracy_by_density(SEEN, BRIGHT, radius_nm=-1)
