import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from napari_dl4smlm.backend.acquisition.camera import Camera
from napari_dl4smlm.backend.simulation.cameras import CameraRanges, PixelVariation

CAMERA = Camera(quantum_efficiency=0.8, read_noise=1.5, electrons_per_count=0.5, baseline=100)


def test_ranges_have_the_fields_the_defaults_and_the_descriptions_of_a_camera():
    assert list(CameraRanges.model_fields) == list(Camera.model_fields)
    for name, field in CameraRanges.model_fields.items():
        assert field.description == Camera.model_fields[name].description
    assert CameraRanges().model_dump() == Camera().model_dump()
    assert CameraRanges().draw(np.random.default_rng(0)) == Camera()


def test_what_describes_a_camera_describes_ranges_of_it():
    ranges = CameraRanges.model_validate(CAMERA.model_dump())
    assert ranges.draw(np.random.default_rng(0)) == CAMERA


def test_every_number_is_drawn_from_its_range():
    low = {"quantum_efficiency": 0.5, "em_gain": 1, "read_noise": 0}
    low |= {"electrons_per_count": 0.1, "baseline": 90}
    high = {"quantum_efficiency": 1, "em_gain": 300, "read_noise": 3}
    high |= {"electrons_per_count": 10, "baseline": 500}
    ranges = CameraRanges(**{name: (low[name], high[name]) for name in low}, saturation=4095)
    generator = np.random.default_rng(0)
    cameras = [ranges.draw(generator) for _ in range(500)]
    for name in low:
        drawn = [getattr(camera, name) for camera in cameras]
        theory = stats.uniform(low[name], high[name] - low[name])
        assert stats.kstest(drawn, theory.cdf).pvalue > 0.01
    assert {camera.saturation for camera in cameras} == {4095}


@pytest.mark.parametrize(
    ("nonsense", "message"),
    [
        ({"quantum_efficiency": (0.5, 1.2)}, "1.2: Input should be less than or equal to 1"),
        ({"em_gain": "0.5:300"}, "0.5: Input should be greater than or equal to 1"),
        ({"read_noise": -1}, "-1 is below 0"),
        ({"electrons_per_count": (0, 1)}, "0: Input should be greater than 0"),
        ({"baseline": (200, 100)}, "200:100"),
        ({"saturation": 70_000}, "70000: Input should be less than or equal to 65535"),
    ],
)
def test_ranges_that_leave_what_a_camera_can_be_are_refused_by_name(nonsense, message):
    with pytest.raises(ValidationError, match=rf"{next(iter(nonsense))}\n.*{message}"):
        CameraRanges(**nonsense)


def test_pixels_vary_as_asked_around_the_camera():
    variation = PixelVariation(baseline_sd=4, gain_relative_sd=0.05, read_noise_relative_sd=0.6)
    maps = variation.draw(CAMERA, 300, 500, np.random.default_rng(0))
    gain = 1 / maps.electrons_per_count
    for values, mean, sd in [
        (maps.baseline, 100, 4),
        (gain, 2, 0.1),
        (maps.read_noise, 1.5, 0.9),
    ]:
        assert values.shape == (300, 500)
        assert values.mean() == pytest.approx(mean, abs=4 * sd / np.sqrt(values.size))
        assert values.std() == pytest.approx(sd, rel=0.03)
    assert stats.skew(np.log(maps.read_noise), axis=None) == pytest.approx(0, abs=0.03)
    pixels = np.stack([maps.baseline.ravel(), gain.ravel(), maps.read_noise.ravel()])
    assert np.abs(np.corrcoef(pixels) - np.eye(3)).max() < 0.015


def test_pixels_without_variation_are_the_camera():
    maps = PixelVariation().draw(CAMERA, 2, 3, np.random.default_rng(0))
    for name in ("baseline", "electrons_per_count", "read_noise"):
        np.testing.assert_allclose(getattr(maps, name), np.full((2, 3), getattr(CAMERA, name)))


def test_uniform_light_gives_the_same_mean_counts_with_and_without_variation():
    variation = PixelVariation(gain_relative_sd=0.5)
    maps = variation.draw(CAMERA, 400, 400, np.random.default_rng(0))
    counts = CAMERA.expose(np.full((400, 400), 50.0), np.random.default_rng(1), pixels=maps)
    signal = CAMERA.counts_per_photon * 50
    assert counts.mean() == pytest.approx(100 + signal, abs=4 * 0.6 * signal / 400)


def test_the_same_generator_state_draws_the_same_pixels():
    variation = PixelVariation(baseline_sd=(1, 5))
    first, again, other = (
        variation.draw(CAMERA, 4, 4, np.random.default_rng(seed)).baseline for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_negative_variation_is_refused_by_name():
    with pytest.raises(ValidationError, match=r"gain_relative_sd\n.*-0.1 is below 0"):
        PixelVariation(gain_relative_sd=-0.1)
