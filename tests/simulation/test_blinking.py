import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from napari_dl4smlm.backend.simulation.blinking import Blinking, steady_activations


def activate(n_on, n_frames, seed=0, **parameters):
    return Blinking(**parameters).activate(n_on, n_frames, np.random.default_rng(seed))


def per_fluorophore(activations):
    """First and last frame, number of frames, and total on time of every fluorophore."""
    n = activations.fluorophores
    first, last = np.full(n, np.iinfo(int).max), np.full(n, -1)
    np.minimum.at(first, activations.fluorophore, activations.frame)
    np.maximum.at(last, activations.fluorophore, activations.frame)
    frames = np.bincount(activations.fluorophore, minlength=n)
    return first, last, frames, np.bincount(activations.fluorophore, activations.share, n)


def dark_gaps(activations):
    """Whole frames without light between frames with light, of all fluorophores one by one."""
    order = np.lexsort((activations.frame, activations.fluorophore))
    gaps = np.diff(activations.frame[order]) - 1
    gaps = gaps[np.diff(activations.fluorophore[order]) == 0]
    return gaps[gaps > 0]


def test_on_times_are_exponential():
    activations = activate(20, 3000, on_frames=2.5)
    first, _, _, on_time = per_fluorophore(activations)
    # chosen by where they begin alone, and none lasts as long as the rest of the movie
    whole = on_time[(first > 0) & (first < 2900)]
    assert len(whole) > 20_000
    assert whole.mean() == pytest.approx(2.5, abs=4 * 2.5 / np.sqrt(len(whole)))
    assert stats.kstest(whole, stats.expon(scale=2.5).cdf).pvalue > 0.01


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"on_frames": 0.3},
        {"on_frames": 3, "off_frames": 20, "blinks": 4},
        {"on_frames": 2, "off_frames": 1000, "blinks": 50},
    ],
    ids=["default", "short", "blinking", "dark for longer than the movie"],
)
def test_as_many_emitters_are_on_in_the_first_frame_as_in_the_last(parameters):
    n_on, n_frames, n_movies = 30, 60, 300
    light = np.array(
        [
            np.bincount(activations.frame, activations.share, n_frames)
            for seed in range(n_movies)
            for activations in [activate(n_on, n_frames, seed, **parameters)]
        ]
    )
    # numbers that are on at moments are Poisson: their mean over a frame varies less
    error = np.sqrt(n_on / n_movies)
    for frame in (0, 1, n_frames // 2, n_frames - 1):
        assert light[:, frame].mean() == pytest.approx(n_on, abs=3 * error)
    halves = light[:, : n_frames // 2].mean(1) - light[:, n_frames // 2 :].mean(1)
    assert abs(halves.mean()) < 3 * halves.std() / np.sqrt(n_movies)
    assert light.mean() == pytest.approx(n_on, abs=3 * light.mean(1).std() / np.sqrt(n_movies))


def test_a_blink_touches_one_frame_more_than_it_lasts_on_average():
    activations = activate(20, 3000, on_frames=2.5)
    first, _, frames, _ = per_fluorophore(activations)
    assert frames[(first > 0) & (first < 2900)].mean() == pytest.approx(3.5, rel=0.02)
    touching = len(activations.frame) / 3000
    assert touching == pytest.approx(20 * (1 + 1 / 2.5), rel=0.02)


def test_the_number_of_blinks_is_geometric():
    # blinks are long and dark times longer: hardly a dark time hides within frames
    n_frames, blinks = 60_000, 3
    activations = activate(2, n_frames, on_frames=5, off_frames=500, blinks=blinks)
    first, *_ = per_fluorophore(activations)
    order = np.lexsort((activations.frame, activations.fluorophore))
    new_blink = np.diff(activations.frame[order], prepend=-9) > 1
    new_blink |= np.diff(activations.fluorophore[order], prepend=-1) > 0
    count = np.bincount(activations.fluorophore[order], new_blink, activations.fluorophores)
    # those dark at the start have been seen in part only: they come back in 5000 frames or never
    whole = count[(first > 5000) & (first < n_frames - 10_000)].astype(int)
    assert len(whole) > 5000
    observed = np.bincount(np.minimum(whole, 10), minlength=11)[1:]
    expected = stats.geom(1 / blinks).pmf(np.arange(1, 11))
    expected[-1] = stats.geom(1 / blinks).sf(9)
    assert stats.chisquare(observed, expected * len(whole)).pvalue > 0.01
    assert whole.mean() == pytest.approx(blinks, rel=0.05)


def test_dark_times_are_exponential():
    activations = activate(5, 20_000, on_frames=2, off_frames=100, blinks=10)
    gaps = dark_gaps(activations)
    assert len(gaps) > 5000
    # without memory, what is left of a dark time beyond any whole frame is geometric
    theory = stats.geom(-np.expm1(-1 / 100))
    observed, edges = np.histogram(gaps, [1, 20, 40, 80, 120, 200, 300, 10**6])
    expected = np.diff(theory.cdf(edges - 1))
    assert stats.chisquare(observed, expected / expected.sum() * len(gaps)).pvalue > 0.01


def test_one_blink_leaves_no_dark_frame():
    assert len(dark_gaps(activate(30, 500, off_frames=3, blinks=1))) == 0


def test_two_blinks_in_one_frame_make_one_row():
    activations = activate(20, 200, on_frames=0.1, off_frames=0.1, blinks=1000)
    rows = np.column_stack([activations.fluorophore, activations.frame])
    assert len(np.unique(rows, axis=0)) == len(rows)
    # on for half of the time, in about five blinks per frame
    assert activations.share.mean() == pytest.approx(0.5, rel=0.02)


def test_emitters_that_are_on_for_one_frame_are_poisson_in_number():
    activations = steady_activations(7.5, 20_000, np.random.default_rng(0))
    number = np.bincount(activations.frame, minlength=20_000)
    assert number.mean() == pytest.approx(7.5, abs=4 * np.sqrt(7.5 / 20_000))
    assert number.var() == pytest.approx(7.5, rel=0.04)
    assert (activations.share == 1).all()
    assert activations.fluorophores == len(activations.frame)


def test_a_range_is_drawn_once_per_acquisition():
    blinking = Blinking(on_frames=(1, 9))
    generator = np.random.default_rng(0)
    means = []
    for _ in range(100):
        first, _, _, on_time = per_fluorophore(blinking.activate(20, 400, generator))
        means.append(on_time[(first > 0) & (first < 300)].mean())
    assert stats.kstest(means, stats.uniform(1, 8).cdf).pvalue > 0.01


PARAMETERS = {
    "n_on": st.just(0.0) | st.floats(0.01, 30),
    "n_frames": st.integers(1, 40),
    "on_frames": st.floats(0.05, 100),
    "off_frames": st.floats(0.05, 1e9),
    "blinks": st.floats(1, 100),
    "seed": st.integers(0, 2**32),
}


def check(activations, n_frames):
    assert (activations.share > 0).all()
    assert (activations.share <= 1).all()
    assert ((activations.frame >= 0) & (activations.frame < n_frames)).all()
    assert (np.diff(activations.frame) >= 0).all()
    numbers = np.unique(activations.fluorophore)
    np.testing.assert_array_equal(numbers, np.arange(activations.fluorophores))
    lengths = {len(activations.frame), len(activations.fluorophore), len(activations.share)}
    assert len(lengths) == 1
    assert activations.share.dtype == float


@given(**PARAMETERS)
@settings(max_examples=60, deadline=None)
def test_shares_frames_and_numbers_are_in_range_and_the_same_for_a_seed(
    n_on, n_frames, on_frames, off_frames, blinks, seed
):
    blinking = Blinking(on_frames=on_frames, off_frames=off_frames, blinks=blinks)
    for kind in (blinking.activate, steady_activations):
        first, again = (kind(n_on, n_frames, np.random.default_rng(seed)) for _ in range(2))
        check(first, n_frames)
        np.testing.assert_array_equal(first.share, again.share)
        np.testing.assert_array_equal(first.fluorophore, again.fluorophore)


def test_blinks_shorter_than_the_resolution_of_time_leave_no_row():
    activations = activate(1e-11, 2000, on_frames=1e-13)
    check(activations, 2000)
    assert 0 < activations.fluorophores < 1e-11 * 2000 / 1e-13


def test_many_blinks_that_fill_a_frame_do_not_exceed_it():
    activations = activate(1000, 1, on_frames=0.1, off_frames=1e-20, blinks=1e6)
    check(activations, 1)
    assert activations.share.mean() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("nonsense", [{"on_frames": 0}, {"off_frames": -1}, {"blinks": 0.5}])
def test_blinking_that_cannot_be_is_refused_by_name(nonsense):
    with pytest.raises(ValidationError, match=next(iter(nonsense))):
        Blinking(**nonsense)
