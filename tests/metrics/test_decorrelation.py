import numpy as np
import pytest
from scipy.ndimage import fourier_gaussian, gaussian_filter
from scipy.signal.windows import tukey

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.metrics.decorrelation import _Curves, decorrelation_resolution

SIDE = 256


def band_limited(cutoff, *, noise, seed=0):
    """White noise up to a cutoff, in periods per pixel, of standard deviation 1, plus noise."""
    generator = np.random.default_rng(seed)
    q = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE))
    spectrum = np.fft.rfft2(generator.normal(size=(SIDE, SIDE))) * (q < cutoff)
    image = np.fft.irfft2(spectrum)
    return image / image.std() + generator.normal(0, noise, image.shape)


@pytest.mark.parametrize("cutoff", [0.05, 0.1, 0.2, 0.27])
@pytest.mark.parametrize("noise", [0.02, 0.3])
def test_the_cutoff_of_a_band_limited_image_is_found(cutoff, noise):
    result = decorrelation_resolution(band_limited(cutoff, noise=noise), pixel_size_nm=10)
    # to a ring and a half, since the window widens every wave
    assert 10 / result.resolution.value == pytest.approx(cutoff, abs=1.5 / SIDE)
    assert result.resolution.unit == "nm"


def test_strong_noise_hides_nothing_that_stands_out_of_it():
    # with the power of the signal, but spread over eight times as many waves
    result = decorrelation_resolution(band_limited(0.2, noise=1), pixel_size_nm=10)
    assert result.resolution.value == pytest.approx(50, rel=0.05)


def test_the_curve_is_that_of_its_definition():
    image = band_limited(0.2, noise=0.5)[:, :190]
    result = decorrelation_resolution(image, pixel_size_nm=1)
    window = np.outer(tukey(SIDE, 0.25), tukey(190, 0.25))
    spectrum = np.fft.fft2((image - (image * window).sum() / window.sum()) * window)
    phases = spectrum / np.abs(spectrum)
    radius = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(190))
    spectrum[radius * SIDE > SIDE // 2 + 0.5] = 0
    for ring in (3, 20, 60, 128):
        masked = phases * (radius * SIDE < ring + 0.5)
        expected = np.vdot(spectrum, masked).real
        expected /= np.linalg.norm(spectrum) * np.linalg.norm(masked)
        assert result.curve[ring] == pytest.approx(expected, rel=1e-6)
        assert result.frequency_per_nm[ring] == pytest.approx(ring / SIDE)


def test_a_high_pass_filter_takes_away_what_a_gaussian_blur_keeps():
    image = band_limited(0.2, noise=0.5)
    curves = _Curves(image)
    window = np.outer(tukey(SIDE, 0.25), tukey(SIDE, 0.25))
    spectrum = np.fft.fft2((image - (image * window).sum() / window.sum()) * window)
    high_passed = spectrum - fourier_gaussian(spectrum, 2.5)
    radius = SIDE * np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE))
    inside = radius < 40.5
    expected = np.abs(high_passed[inside]).sum()
    expected /= np.linalg.norm(high_passed[radius < 128.5]) * np.sqrt(inside.sum())
    # the same for all waves of a ring
    assert curves.filtered(2.5)[40] == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("sigma_px", [2, 4])
def test_a_wider_blur_is_a_coarser_resolution_in_proportion(sigma_px):
    generator = np.random.default_rng(0)
    places = np.zeros((SIDE, SIDE))
    places[tuple(generator.integers(0, SIDE, (2, 200)))] = 3000
    image = generator.poisson(gaussian_filter(places, sigma_px) + 1).astype(float)
    result = decorrelation_resolution(image, pixel_size_nm=1).resolution
    # the cutoff above noise: somewhat more than the full width at half maximum
    assert result.value == pytest.approx(2.5 * sigma_px, rel=0.1)


def test_units_do_not_matter():
    image = band_limited(0.1, noise=0.3)
    result = decorrelation_resolution(image, pixel_size_nm=10).resolution
    other = decorrelation_resolution(1000 * image + 7, pixel_size_nm=10).resolution
    assert other.value == pytest.approx(result.value)
    finer = decorrelation_resolution(image, pixel_size_nm=5).resolution
    assert finer.value == pytest.approx(result.value / 2)


def test_single_spots_as_localizations_are_drawn_are_not_taken_for_resolution():
    generator = np.random.default_rng(0)
    places = np.zeros((SIDE, SIDE))
    places[tuple(generator.integers(0, SIDE, (2, 40)))] = 1
    result = decorrelation_resolution(gaussian_filter(places, 1), pixel_size_nm=12.5)
    assert result.resolution.value is None
    assert "below 43.8 nm, or 3.5 pixels" in result.resolution.problem
    assert result.filtered.size


@pytest.mark.parametrize("seed", range(5))
def test_noise_alone_has_no_resolution(seed):
    noise = np.random.default_rng(seed).normal(size=(SIDE, SIDE))
    result = decorrelation_resolution(noise, pixel_size_nm=10)
    assert result.resolution.value is None
    assert "No detail stands out" in result.resolution.problem
    # white noise has a mean magnitude of √(π/4): the curve only rises, to 0.89
    assert result.curve[-1] == pytest.approx(np.sqrt(np.pi / 4), abs=0.01)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.full((64, 64), 0.1), "no contrast"),
        (np.random.default_rng(0).random((64, 20)), "64 x 20 pixels is too small"),
    ],
)
def test_what_has_no_resolution_says_why_instead_of_a_number(image, reason):
    result = decorrelation_resolution(image, pixel_size_nm=10)
    assert result.resolution.value is None
    assert reason in result.resolution.problem
    assert result.curve.size == 0


def test_what_is_no_image_is_refused():
    with pytest.raises(InputError, match=r"image of shape \(2, 64, 64\)"):
        decorrelation_resolution(np.zeros((2, 64, 64)), pixel_size_nm=10)
    with pytest.raises(InputError, match="holds NaN"):
        decorrelation_resolution(np.full((64, 64), np.nan), pixel_size_nm=10)
    with pytest.raises(InputError, match="pixel size is 0 nm"):
        decorrelation_resolution(np.zeros((64, 64)), pixel_size_nm=0)
