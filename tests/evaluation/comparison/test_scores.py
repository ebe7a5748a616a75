import math

import numpy as np
import pytest
from scipy import stats

from napari_dl4smlm.backend.evaluation.comparison.scores import (
    Interval,
    Score,
    difference,
    resampled_sums,
)

SEED = 7


def ratio(sums):
    return sums[..., 0] / sums[..., 1]


@pytest.fixture(scope="module")
def two_models():
    """Found and all emitters of 80 frames, as two models see them that fail on the same frames."""
    generator = np.random.default_rng(0)
    emitters = generator.integers(1, 20, 80)
    easiness = generator.uniform(0.3, 0.9, 80)
    found = [generator.binomial(emitters, easiness * skill) for skill in (1.0, 0.95)]
    return [np.column_stack([one, emitters]).astype(float) for one in found]


def bootstrapped(per_frame):
    return Score(ratio(per_frame.sum(0)), "bootstrap", ratio(resampled_sums(per_frame, seed=SEED)))


def test_a_bootstrap_interval_is_that_of_scipy(two_models):
    expected = stats.bootstrap(
        tuple(two_models[0].T),
        lambda found, emitters: found.sum() / emitters.sum(),
        paired=True,
        vectorized=False,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    interval = bootstrapped(two_models[0]).interval()
    assert (interval.low, interval.high) == pytest.approx(tuple(expected), abs=1e-12)


def test_a_difference_is_paired_as_that_of_scipy(two_models):
    first, second = two_models
    expected = stats.bootstrap(
        (first[:, 0], second[:, 0], first[:, 1]),
        lambda a, b, emitters: (a.sum() - b.sum()) / emitters.sum(),
        paired=True,
        vectorized=False,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    a, b = map(bootstrapped, two_models)
    apart = difference(a, b)
    assert apart.value == pytest.approx(a.value - b.value)
    assert (apart.interval.low, apart.interval.high) == pytest.approx(tuple(expected), abs=1e-12)
    # what makes a frame hard for both cancels
    alone = math.hypot(*(np.std(score.replicates) for score in (a, b)))
    assert np.std(a.replicates - b.replicates) < 0.8 * alone


def test_overlapping_intervals_can_still_be_a_difference():
    generator = np.random.default_rng(0)
    common = generator.normal(0, 1, 2000)
    worse = Score(0.0, "bootstrap", common)
    better = Score(0.5, "bootstrap", common + 0.5 + generator.normal(0, 0.1, 2000))
    assert worse.interval().high > better.interval().low
    assert difference(better, worse).is_significant
    assert not difference(worse, worse).is_significant


def test_the_jackknife_of_a_mean_gives_the_interval_of_the_mean():
    values = np.random.default_rng(0).normal(3, 2, 10)
    without_one = np.array([np.delete(values, k).mean() for k in range(10)])
    interval = Score(values.mean(), "jackknife", without_one).interval()
    expected = stats.t.interval(0.95, 9, loc=values.mean(), scale=stats.sem(values))
    assert (interval.low, interval.high) == pytest.approx(expected)


def test_times_differ_only_if_their_ranges_do_not_overlap():
    def times(*ms):
        return Score(float(np.median(ms)), "repeats", np.array(ms))

    fast, middle, slow = times(1.0, 1.1, 1.4), times(1.3, 1.5, 1.6), times(1.7, 2.0, 9.0)
    assert fast.interval() == Interval(1.0, 1.4)
    assert not difference(middle, fast).is_significant
    assert difference(slow, fast).is_significant
    assert difference(slow, middle).interval.low == pytest.approx(0.1)


def test_exact_numbers_differ_whenever_they_are_not_equal():
    a, b = Score(100, "none"), Score(101, "none")
    assert a.interval() is None
    assert difference(b, a).is_significant
    assert not difference(a, a).is_significant


def test_what_was_measured_once_is_never_a_significant_difference():
    apart = difference(Score(5.0), Score(1.0))
    assert (apart.value, apart.interval, apart.is_significant) == (4.0, None, False)


@pytest.mark.parametrize("spread", ["bootstrap", "jackknife"])
def test_a_score_that_often_has_no_value_has_no_interval(spread):
    replicates = np.linspace(0, 1, 10)
    replicates[3] = np.nan
    assert Score(0.5, spread, replicates).interval() is None
    assert Score(math.nan, spread, np.linspace(0, 1, 10)).interval() is None


def test_rare_resamples_without_a_value_are_left_out():
    replicates = np.append(np.linspace(0, 1, 99), np.nan)
    interval = Score(0.5, "bootstrap", replicates).interval()
    assert (interval.low, interval.high) == pytest.approx((0.025, 0.975))


def test_two_perfect_images_are_not_told_apart():
    perfect = Score(math.inf, "jackknife", np.full(5, math.inf))
    assert not difference(perfect, perfect).is_significant
