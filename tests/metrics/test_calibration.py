import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_dl4smlm.backend.metrics.calibration import (
    error_curve,
    expected_calibration_error,
    expected_normalized_calibration_error,
    reliability_curve,
)


def test_reliability_and_its_error_are_those_computed_by_hand():
    probability = np.array([0.02, 0.06, 0.55, 0.91, 0.93, 0.95, 1.0])
    happened = np.array([0, 1, 1, 1, 1, 0, 1], bool)
    curve = reliability_curve(probability, happened)
    # bins 0-0.1, 0.5-0.6 and 0.9-1, to which 1 belongs
    assert curve.count.tolist() == [2, 1, 4]
    assert curve.predicted == pytest.approx([0.04, 0.55, 0.9475])
    assert curve.actual == pytest.approx([0.5, 1, 0.75])
    expected = 2 / 7 * 0.46 + 1 / 7 * 0.45 + 4 / 7 * 0.1975
    assert expected_calibration_error(curve) == pytest.approx(expected)


def test_the_normalized_error_is_that_computed_by_hand():
    # two bins: rms of 3 and 5 is √17, of the errors (1, 7 nm along y, 0 along x) √12.5
    uncertainty = np.repeat([3.0, 5.0, 20.0], [25, 25, 50])
    error = np.zeros((100, 2))
    error[:50, 0] = np.tile([1, 7], 25)
    error[50:] = [-24, 24]
    shuffled = np.random.default_rng(0).permutation(100)
    curve = error_curve(uncertainty[shuffled], error[shuffled])
    assert curve.count.tolist() == [50, 50]
    assert curve.predicted == pytest.approx([math.sqrt(17), 20])
    assert curve.actual == pytest.approx([math.sqrt(12.5), 24])
    expected = ((math.sqrt(17) - math.sqrt(12.5)) / math.sqrt(17) + 0.2) / 2
    assert expected_normalized_calibration_error(curve) == pytest.approx(expected)


def test_chance_alone_makes_the_normalized_error_of_perfect_uncertainties_6_percent():
    # the mean of abs(normal) is √(2/π) standard deviations, and one is 1/√(4·50)
    generator = np.random.default_rng(1)
    errors = []
    for _ in range(200):
        uncertainty = generator.uniform(5, 30, 500)
        error = uncertainty[:, None] * generator.normal(size=(500, 2))
        errors.append(expected_normalized_calibration_error(error_curve(uncertainty, error)))
    assert np.mean(errors) == pytest.approx(math.sqrt(2 / math.pi / 200), rel=0.06)


def test_errors_of_few_cases_share_fewer_bins():
    one = np.ones(1000)
    counts = [error_curve(one[:n], np.ones((n, 2))).count.tolist() for n in (30, 99, 110, 1000)]
    assert counts == [[30], [99], [55, 55], [100] * 10]


def test_without_cases_there_is_no_error():
    nothing = np.empty(0)
    curve = reliability_curve(nothing, nothing.astype(bool))
    assert math.isnan(expected_calibration_error(curve))
    curve = error_curve(nothing, np.empty((0, 2)))
    assert math.isnan(expected_normalized_calibration_error(curve))


@settings(deadline=None)
@given(arrays(float, st.integers(1, 40), elements=st.floats(0, 1)), st.randoms())
def test_the_calibration_error_is_bounded_and_no_case_is_lost(probability, random):
    happened = np.array([random.random() < 0.5 for _ in probability])
    curve = reliability_curve(probability, happened)
    assert curve.count.sum() == len(probability)
    assert np.average(curve.actual, weights=curve.count) == pytest.approx(happened.mean())
    # bins can only hide that all together are off
    off = abs(happened.mean() - probability.mean())
    assert off - 1e-9 <= expected_calibration_error(curve) <= 1
