import numpy as np
import pytest
from pydantic import ValidationError

from napari_dl4smlm.backend.acquisition.camera import Camera, PixelMaps

SCMOS = Camera(quantum_efficiency=0.8, read_noise=1.6, electrons_per_count=0.46, baseline=100)
# the camera measured from the movie published with Deep-STORM: 2 counts per photon, twice Poisson
EMCCD = Camera(em_gain=100, electrons_per_count=50, read_noise=40, baseline=100)


def expose(camera, photons, size=200_000, seed=0):
    frame = np.full((size,), float(photons))
    return camera.expose(frame, np.random.default_rng(seed)).astype(float)


@pytest.mark.parametrize("camera", [SCMOS, EMCCD], ids=["sCMOS", "EMCCD"])
@pytest.mark.parametrize("photons", [0, 5, 20, 500])
def test_counts_have_the_mean_and_variance_of_theory(camera, photons):
    counts = expose(camera, photons)
    mean = camera.baseline + camera.counts_per_photon * photons
    variance = camera.count_variance(np.array(photons))
    assert counts.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / counts.size))
    # the variance of gamma distributed counts of few electrons is itself noisy
    assert counts.var() == pytest.approx(variance, rel=0.03)


def test_an_emccd_doubles_the_variance_of_the_signal():
    quiet = {"read_noise": 0.0, "baseline": 0.0}
    multiplied = Camera(em_gain=200, electrons_per_count=200, **quiet)
    plain = Camera(electrons_per_count=1, **quiet)
    ratio = expose(multiplied, 100).var() / expose(plain, 100).var()
    assert ratio == pytest.approx(2, rel=0.02)
    assert multiplied.excess_noise == 2
    assert plain.excess_noise == 1


def test_photons_come_back_from_counts_without_bias():
    for camera in (SCMOS, EMCCD):
        photons = camera.to_photons(expose(camera, 30))
        error = np.sqrt(camera.count_variance(np.array(30.0))) / camera.counts_per_photon
        assert photons.mean() == pytest.approx(30, abs=4 * error / np.sqrt(photons.size))


def test_the_same_generator_state_films_the_same_frame_and_seed_0_is_a_seed():
    np.testing.assert_array_equal(expose(EMCCD, 20, 100), expose(EMCCD, 20, 100))
    assert not np.array_equal(expose(EMCCD, 20, 100), expose(EMCCD, 20, 100, seed=1))


def test_no_light_gives_the_baseline():
    camera = Camera(read_noise=0, em_gain=50, baseline=123)
    assert (expose(camera, 0, 100) == 123).all()


def test_bright_pixels_saturate_and_do_not_wrap():
    camera = Camera(saturation=4095)
    assert expose(camera, 1e6, 10).max() == 4095
    assert expose(Camera(), 1e6, 10).max() == 65535


def test_dark_pixels_do_not_wrap_below_zero():
    assert expose(Camera(baseline=0, read_noise=50), 0, 1000).min() == 0


def test_pixel_maps_replace_the_numbers_of_the_camera():
    maps = PixelMaps(
        baseline=np.array([[100.0, 200.0]]),
        electrons_per_count=np.array([[0.5, 0.25]]),
        read_noise=np.array([[0.0, 8.0]]),
    )
    frames = SCMOS.expose(np.full((50_000, 1, 2), 50.0), np.random.default_rng(0), pixels=maps)
    left, right = frames[:, 0].astype(float).T
    electrons = 0.8 * 50
    assert left.mean() == pytest.approx(100 + electrons / 0.5, rel=2e-3)
    assert right.mean() == pytest.approx(200 + electrons / 0.25, rel=2e-3)
    assert left.var() == pytest.approx(electrons / 0.5**2 + 1 / 12, rel=0.03)
    assert right.var() == pytest.approx((electrons + 64) / 0.25**2 + 1 / 12, rel=0.03)
    photons = SCMOS.to_photons(frames, pixels=maps)
    assert photons.mean(axis=(0, 1)) == pytest.approx([50, 50], rel=5e-3)


@pytest.mark.parametrize(
    "nonsense",
    [
        {"quantum_efficiency": 1.2},
        {"em_gain": 0.5},
        {"read_noise": -1},
        {"electrons_per_count": 0},
        {"baseline": float("nan")},
        {"saturation": 70_000},
        {"gain": 2},
    ],
)
def test_a_camera_that_cannot_be_is_refused_by_name(nonsense):
    with pytest.raises(ValidationError, match=next(iter(nonsense))):
        Camera(**nonsense)
