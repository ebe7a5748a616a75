import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import uniform_filter1d
from scipy.signal.windows import tukey

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.metrics import fourier_ring
from napari_dl4smlm.backend.metrics.fourier_ring import (
    _local_regression,
    fourier_ring_correlation,
    fourier_ring_resolution,
    second_half,
)
from napari_dl4smlm.backend.metrics.spectrum import Rings

IMAGES = arrays(np.float64, (24, 17), elements=st.floats(-100, 100, width=32))


def blurred_noise(generator, side, sigma_px):
    """White noise times a Gaussian in the Fourier domain."""
    q = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    transfer = np.exp(-2 * (np.pi * sigma_px * q) ** 2)
    return np.fft.irfft2(np.fft.rfft2(generator.normal(size=(side, side))) * transfer)


def molecules(count, *, seed=0, field_nm=(6400, 6400)):
    return np.random.default_rng(seed).uniform(0, field_nm, (count, 2))


def localized(places, *, error_nm, times=1, frames=(0, 1), seed=1):
    """Localize every molecule some times in each of some frames, with independent errors."""
    generator = np.random.default_rng(seed)
    everything = np.concatenate([places] * (times * len(frames)))
    y_nm, x_nm = (everything + generator.normal(0, error_nm, everything.shape)).T
    return Localizations(np.repeat(frames, times * len(places)), y_nm, x_nm)


def test_signal_with_independent_noise_has_the_correlation_of_its_spectral_ratio():
    generator = np.random.default_rng(0)
    side, sigma_px, noise = 512, 1.5, 0.4
    signal = blurred_noise(generator, side, sigma_px)
    first, second = (signal + generator.normal(0, noise, signal.shape) for _ in range(2))
    correlation = fourier_ring_correlation(first, second)
    power = np.exp(-4 * (np.pi * sigma_px * Rings(signal.shape).frequency) ** 2)
    expected = power / (power + noise**2)
    # sixteen rings together hold thousands of waves, but the innermost only some hundred
    assert uniform_filter1d(correlation - expected, 16)[16:-8] == pytest.approx(0, abs=0.02)


def test_the_correlation_is_that_of_its_definition_ring_by_ring():
    generator = np.random.default_rng(0)
    common = generator.random((40, 61))
    first, second = (common + generator.random(common.shape) for _ in range(2))
    window = np.outer(tukey(40, 0.25), tukey(61, 0.25))
    f1, f2 = (
        np.fft.fft2((image - (image * window).sum() / window.sum()) * window)
        for image in (first, second)
    )
    radius = 61 * np.hypot(np.fft.fftfreq(40)[:, None], np.fft.fftfreq(61))
    correlation = fourier_ring_correlation(first, second)
    assert correlation.shape == (31,)
    for ring in range(1, 31):
        inside = np.rint(radius) == ring
        a, b = f1[inside], f2[inside]
        expected = np.vdot(a, b).real / np.sqrt(np.vdot(a, a).real * np.vdot(b, b).real)
        assert correlation[ring] == pytest.approx(expected, abs=1e-9)


@given(IMAGES, IMAGES)
@settings(max_examples=50, deadline=None)
def test_correlations_are_within_one_and_the_same_for_both_orders(first, second):
    correlation = fourier_ring_correlation(first, second)
    assert (np.abs(correlation) <= 1).all()
    assert correlation == pytest.approx(fourier_ring_correlation(second, first))


@given(IMAGES, st.floats(0.1, 100), st.floats(-100, 100))
@settings(max_examples=50, deadline=None)
def test_an_image_agrees_with_itself_in_any_unit(image, scale, offset):
    # a hash of the places, so that there is detail of every frequency
    image = image + np.sin(1e4 * np.arange(image.size) ** 2).reshape(image.shape)
    correlation = fourier_ring_correlation(image, scale * image + offset)
    assert correlation[1:] == pytest.approx(1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_images_of_counts_are_correlated_as_numbers(dtype):
    first, second = np.random.default_rng(0).poisson(30, (2, 32, 32)).astype(dtype)
    correlation = fourier_ring_correlation(first, second)
    assert correlation == pytest.approx(
        fourier_ring_correlation(first.astype(np.float64), second.astype(np.float64))
    )


def test_an_image_without_detail_is_not_correlated_with_anything():
    image = np.random.default_rng(0).random((32, 32))
    assert (fourier_ring_correlation(image, np.full((32, 32), 0.1)) == 0).all()


@pytest.mark.parametrize("error_nm", [8, 12, 30])
def test_molecules_localized_once_in_each_half_have_the_resolution_of_the_closed_form(error_nm):
    results = [
        fourier_ring_resolution(
            localized(molecules(3000, seed=seed), error_nm=error_nm, seed=100 + seed),
            block_frames=1,
        )
        for seed in range(4)
    ]
    # the signal falls as exp(-4 π² σ² q²), and reaches 1/7 there
    expected = 2 * np.pi * error_nm / np.sqrt(np.log(7))
    # each is within some 3 %
    mean = np.mean([result.resolution.value for result in results])
    assert mean == pytest.approx(expected, rel=0.04)
    assert results[0].resolution.unit == "nm"
    q = results[0].frequency_per_nm
    closed_form = np.exp(-((2 * np.pi * error_nm * q) ** 2))
    assert results[0].smoothed == pytest.approx(closed_form, abs=0.12)


def test_the_shape_of_the_field_does_not_matter():
    table = localized(molecules(5000, field_nm=(2500, 15_000)), error_nm=12)
    result = fourier_ring_resolution(table, block_frames=1)
    assert result.resolution.value == pytest.approx(4.504 * 12, rel=0.05)


def test_molecules_that_shine_many_times_in_both_halves_make_the_resolution_too_good():
    places, times = molecules(2000), 8
    result = fourier_ring_resolution(
        localized(places, error_nm=15, times=times), block_frames=1
    ).resolution
    # with n localizations in each half, FRC = n e / (1 + (n - 1) e) with e = exp(-4 π² σ² q²)
    expected = 2 * np.pi * 15 / np.sqrt(np.log(6 * times + 1))
    assert result.value == pytest.approx(expected, rel=0.05)
    assert expected < 0.75 * 4.504 * 15
    assert "too good" in result.assumption


def test_long_blocks_keep_a_blink_out_of_the_other_half():
    # each molecule in two frames in a row, and at random places: no structure but the blinks
    blinks = localized(molecules(3000), error_nm=10)
    start = np.tile(10 * np.random.default_rng(2).integers(0, 100, 3000), 2)
    table = Localizations(blinks.frame + start, blinks.y_nm, blinks.x_nm)
    assert fourier_ring_resolution(table, block_frames=1).resolution.value is not None
    result = fourier_ring_resolution(table, block_frames=10)
    assert result.resolution.value is None
    assert "no structure in common" in result.resolution.problem
    assert result.frequency_per_nm.size


def test_locan_finds_the_same_curve():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the many libraries that locan imports
        frc = pytest.importorskip("locan.analysis.fourier_ring_correlation")
    table = localized(molecules(5000), error_nm=15)
    halves = [table.positions_nm()[table.frame == half] for half in (0, 1)]
    edges = np.arange(0, 6401, 12.5)
    images = [np.histogram2d(*half.T, bins=(edges, edges))[0] for half in halves]
    windowed = frc.preprocess_images(*images, window=("tukey", 0.25))
    theirs = frc.compute_fourier_ring_correlation(*windowed, bin_size=12.5)
    ours = fourier_ring_correlation(*images)
    # their ring k reaches from k to k + 1, ours half a ring to each side
    between = (ours[1:-1] + ours[2:]) / 2
    difference = uniform_filter1d(between - theirs.correlation, 16)
    assert difference[16:-8] == pytest.approx(0, abs=0.01)


def test_blocks_of_frames_alternate_between_the_halves():
    table = Localizations(np.arange(5, 17), np.zeros(12), np.zeros(12))
    halves = second_half(table, block_frames=3)
    assert halves.tolist() == [False] * 3 + [True] * 3 + [False] * 3 + [True] * 3


def test_blocks_drawn_at_random_stay_whole_and_fill_both_halves_alike():
    table = Localizations(np.arange(200), np.zeros(200), np.zeros(200))
    halves = second_half(table, 10, np.random.default_rng(0)).reshape(20, 10)
    assert (halves == halves[:, :1]).all()
    assert halves.sum() == 100
    assert (halves[::2, 0] != halves[0, 0]).any()
    other = second_half(table, 10, np.random.default_rng(1)).reshape(20, 10)
    assert (other != halves).any()


def test_random_blocks_find_the_same_resolution():
    table = localized(molecules(3000), error_nm=12, frames=tuple(range(20)))
    generator = np.random.default_rng(0)
    alternating = fourier_ring_resolution(table, block_frames=2)
    drawn = fourier_ring_resolution(table, block_frames=2, generator=generator)
    assert drawn.resolution.value == pytest.approx(alternating.resolution.value, rel=0.1)
    assert drawn.resolution.value != alternating.resolution.value


def test_a_block_is_a_twentieth_of_the_movie_unless_told():
    frames = np.arange(1000)
    table = Localizations(frames, frames, frames)
    assert fourier_ring_resolution(table).block_frames == 50
    assert "blocks of 50 frames" in fourier_ring_resolution(table).resolution.assumption
    assert fourier_ring_resolution(table[:7]).block_frames == 1


def test_smoothing_keeps_every_parabola_and_calms_noise():
    x = np.linspace(-1, 1, 101)
    parabola = 3 - x + 2 * x**2
    assert _local_regression(parabola, 21) == pytest.approx(parabola)
    noise = np.random.default_rng(0).normal(size=1001)
    assert _local_regression(noise, 101).std() < 0.2


@pytest.mark.parametrize("place", [0, 4, 50, 100])
def test_smoothing_is_a_weighted_fit_of_a_parabola_to_the_nearest_values(place):
    values = np.random.default_rng(0).normal(size=101)
    first = min(max(place - 10, 0), 80)
    offset = np.arange(first, first + 21) - place
    tricube = (1 - np.abs(offset / (np.abs(offset).max() + 1)) ** 3) ** 3
    parabola = np.polyfit(offset, values[first : first + 21], 2, w=np.sqrt(tricube))
    assert _local_regression(values, 21)[place] == pytest.approx(parabola[-1])


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (Localizations.empty(), "0 localizations are too few"),
        (localized(molecules(1), error_nm=5, frames=(4,)), "1 localization is too few"),
        (localized(molecules(20), error_nm=5), "40 localizations are too few"),
        (localized(molecules(200), error_nm=5, frames=(4,)), "within one block of 1 frame:"),
        (localized(np.full((200, 2), 500.0), error_nm=0), "the same position"),
    ],
)
def test_what_has_no_resolution_says_why_instead_of_a_number(table, reason):
    result = fourier_ring_resolution(table).resolution
    assert result.value is None
    assert reason in result.problem


def test_the_same_localizations_in_both_halves_are_not_taken_for_resolution(monkeypatch):
    monkeypatch.setattr(fourier_ring, "_SIDES", (256, 512))
    result = fourier_ring_resolution(localized(molecules(2000), error_nm=0), block_frames=1)
    assert result.resolution.value is None
    assert "down to 37 nm" in result.resolution.problem
    assert "are the same localizations in both" in result.resolution.problem


def test_a_field_too_large_for_its_resolution_says_so(monkeypatch):
    monkeypatch.setattr(fourier_ring, "_SIDES", (256,))
    result = fourier_ring_resolution(localized(molecules(2000), error_nm=14), block_frames=1)
    # 63 nm are less than three pixels of 25 nm, although the curve crosses the threshold
    assert result.smoothed[-1] < 1 / 7
    assert result.resolution.value is None
    assert "down to 75 nm" in result.resolution.problem


@pytest.mark.parametrize("seed", range(8))
def test_places_at_random_have_no_resolution(seed):
    table = localized(molecules(200 + 400 * seed, seed=seed), error_nm=5, frames=(0,))
    frame = np.random.default_rng(seed).integers(0, 100, len(table))
    result = fourier_ring_resolution(Localizations(frame, table.y_nm, table.x_nm)).resolution
    assert result.value is None
    assert "no structure in common" in result.problem


def test_what_cannot_be_correlated_is_refused():
    with pytest.raises(InputError, match=r"shape \(8, 8\) and \(8, 9\) cannot be correlated"):
        fourier_ring_correlation(np.zeros((8, 8)), np.zeros((8, 9)))
    with pytest.raises(InputError, match="holds NaN"):
        fourier_ring_correlation(np.zeros((8, 8)), np.full((8, 8), np.nan))
    with pytest.raises(InputError, match="block of 0 frames"):
        fourier_ring_resolution(Localizations.empty(), block_frames=0)
