import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_dl4smlm.backend.simulation.background import Background


def draw(height=40, width=56, seed=0, pixel_size_nm=100.0, **options):
    random = np.random.default_rng(seed)
    return Background(**options).draw(height, width, pixel_size_nm, random)


def test_a_plain_background_is_the_same_everywhere():
    assert (draw(photons=17) == 17).all()
    assert draw().shape == (40, 56)


@settings(max_examples=50)
@given(
    photons=st.floats(0, 1e4),
    slope=st.floats(0, 2),
    texture=st.floats(0, 3),
    texture_nm=st.floats(1, 1e6),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    seed=st.integers(0, 1000),
)
def test_the_mean_is_exact_and_no_pixel_is_below_zero(
    photons, slope, texture, texture_nm, height, width, seed
):
    image = draw(
        height,
        width,
        seed,
        photons=photons,
        slope=slope,
        texture=texture,
        texture_nm=texture_nm,
    )
    assert image.shape == (height, width)
    assert image.mean() == pytest.approx(photons, rel=1e-9)
    assert image.min() >= 0


@pytest.mark.parametrize(("height", "width"), [(30, 30), (20, 50)])
@pytest.mark.parametrize("slope", [0.5, 2.0])
def test_a_slope_is_a_plane_whose_ends_differ_by_it(height, width, slope):
    for seed in range(5):
        image = draw(height, width, seed, photons=10, slope=slope) / 10
        y, x = np.indices((height, width)) + 0.5
        design = np.stack([np.ones(image.size), y.ravel(), x.ravel()], axis=1)
        (offset, per_y, per_x), *_ = np.linalg.lstsq(design, image.ravel(), rcond=None)
        np.testing.assert_allclose(design @ [offset, per_y, per_x], image.ravel(), atol=1e-12)
        # between the outer corners of the field
        corners = [offset + per_y * a + per_x * b for a in (0, height) for b in (0, width)]
        assert max(corners) - min(corners) == pytest.approx(slope, rel=1e-9)


def test_slopes_point_in_every_direction():
    gradients = [np.gradient(draw(16, 16, seed, slope=0.5)) for seed in range(400)]
    angles = np.array([np.arctan2(gy[0, 0], gx[0, 0]) for gy, gx in gradients])
    quarters = np.histogram(angles, bins=4, range=(-np.pi, np.pi))[0]
    # 100 expected in each, with a standard deviation of 8.7
    assert np.abs(quarters - 100).max() < 35


@pytest.mark.parametrize("texture", [0.2, 0.8])
def test_a_texture_in_a_large_field_has_the_deviation_asked_for(texture):
    deviations = [
        draw(200, 200, seed, photons=10, texture=texture, texture_nm=500).std() / 10
        for seed in range(20)
    ]
    assert np.sqrt(np.mean(np.square(deviations))) == pytest.approx(texture, rel=0.05)


def test_the_logarithm_of_a_texture_is_correlated_over_its_length_alike_along_y_and_x():
    length = 6
    fields = [
        np.log(draw(120, 120, seed, texture=0.3, texture_nm=100.0 * length)) for seed in range(20)
    ]
    logs = np.stack(fields)
    logs -= logs.mean()
    variance = (logs**2).mean()
    for lag in (2, 4, 6, 10):
        expected = np.exp(-((lag / length) ** 2))
        along_y = (logs[:, lag:] * logs[:, :-lag]).mean() / variance
        along_x = (logs[:, :, lag:] * logs[:, :, :-lag]).mean() / variance
        np.testing.assert_allclose([along_y, along_x], expected, atol=0.04)
    diagonal = (logs[:, 4:, 4:] * logs[:, :-4, :-4]).mean() / variance
    assert diagonal == pytest.approx(np.exp(-2 * (4 / length) ** 2), abs=0.04)


def test_the_length_of_a_texture_is_in_nanometres():
    coarse = draw(pixel_size_nm=100, texture=0.3, texture_nm=1000)
    same = draw(pixel_size_nm=200, texture=0.3, texture_nm=2000)
    np.testing.assert_allclose(coarse, same)


def test_a_texture_much_larger_than_the_field_hardly_varies_in_it():
    image = draw(texture=0.5, texture_nm=1e6, photons=10)
    assert image.std() < 0.3
    assert image.mean() == pytest.approx(10)


def test_slope_and_texture_multiply():
    slope = draw(texture=0, slope=1.0, photons=1)
    both = draw(texture=0.5, slope=1.0, photons=1)
    texture = draw(texture=0.5, slope=0, photons=1)
    np.testing.assert_allclose(both, slope * texture / (slope * texture).mean(), rtol=1e-9)


def test_each_acquisition_has_its_own_brightness_and_a_seed_has_the_same():
    means = [draw(8, 8, seed, photons=(10, 30)).mean() for seed in range(300)]
    assert 10 <= min(means) < 11 < 29 < max(means) <= 30
    options = {"photons": (10, 30), "slope": (0, 1), "texture": (0, 0.5)}
    np.testing.assert_array_equal(draw(**options), draw(**options))
    assert not np.array_equal(draw(**options), draw(seed=1, **options))


def test_a_background_returns_from_its_json():
    background = Background(photons="10:30", slope=0.5, texture=(0, 0.2))
    assert Background.model_validate_json(background.model_dump_json()) == background
    assert all(field.description for field in Background.model_fields.values())


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"slope": 2.5}, "2.5 is above 2: one end of the field would be below 0"),
        ({"photons": -1}, "below 0"),
        ({"texture_nm": 0}, "not above 0"),
        ({"offset": 100}, "offset\n.*not permitted"),
    ],
)
def test_impossible_backgrounds_are_refused(options, match):
    with pytest.raises(ValidationError, match=match):
        Background(**options)
