import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.transform import downscale_local_mean

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.metrics.error_map import map_errors

FACTOR = 8


def reconstruction(*, height=24, width=32, emitters=60, seed=0):
    """Spots of one fine pixel, away from the rim."""
    generator = np.random.default_rng(seed)
    image = np.zeros((height * FACTOR, width * FACTOR))
    rows, columns = (
        generator.integers(5 * FACTOR, (side - 5) * FACTOR, emitters) for side in (height, width)
    )
    np.add.at(image, (rows, columns), 1.0)
    return gaussian_filter(image, 1)


def seen(image, sigma_px, factor=FACTOR):
    """Blur and sum over camera pixels, by other libraries."""
    blurred = (
        gaussian_filter(image, sigma_px * factor, truncate=7, mode="constant")
        if sigma_px
        else image
    )
    return downscale_local_mean(blurred, (factor, factor)) * factor**2


@pytest.mark.parametrize("sigma_px", [0.8, 1.3, 2.5])
def test_blur_scale_and_offset_of_the_camera_are_recovered(sigma_px):
    image = reconstruction()
    reference = 700 * seen(image, sigma_px) + 110
    result = map_errors(image, reference, pixel_size_nm=100)
    assert result.rsf.value == pytest.approx(100 * sigma_px, rel=0.002)
    assert result.scale == pytest.approx(700, rel=0.005)
    assert result.offset == pytest.approx(110, rel=1e-3)
    assert result.rsp.value == pytest.approx(1, abs=1e-5)
    assert result.rse.value < 0.005 * reference.std()
    assert result.difference == pytest.approx(0, abs=0.01 * np.ptp(reference))


def test_rsp_and_rse_are_those_of_numpy_at_the_best_blur():
    generator = np.random.default_rng(1)
    image = reconstruction()
    reference = 50 * seen(image, 1.3) + 20 + generator.normal(0, 3, (24, 32))
    result = map_errors(image, reference, pixel_size_nm=100)
    blurred = seen(image, result.rsf.value / 100)
    slope, offset = np.polyfit(blurred.ravel(), reference.ravel(), 1)
    assert (result.scale, result.offset) == pytest.approx((slope, offset), rel=1e-3)
    expected = np.corrcoef(blurred.ravel(), reference.ravel())[0, 1]
    assert result.rsp.value == pytest.approx(expected, abs=1e-5)
    residual = reference - slope * blurred - offset
    assert result.rse.value == pytest.approx(np.sqrt(np.mean(residual**2)), rel=1e-4)
    assert result.rse.value == pytest.approx(3, rel=0.1)
    # no other blur is better
    for sigma_px in (0.9, 1.2, 1.4, 2.0):
        other = seen(image, sigma_px)
        assert np.corrcoef(other.ravel(), reference.ravel())[0, 1] < result.rsp.value + 1e-6


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
@settings(max_examples=15, deadline=None)
def test_the_agreement_does_not_depend_on_units(image_unit, count, baseline):
    image = reconstruction(height=16, width=16, emitters=20)
    reference = seen(image, 1.3) + np.random.default_rng(0).normal(0, 0.05, (16, 16))
    expected = map_errors(image, reference, pixel_size_nm=100)
    result = map_errors(image_unit * image, count * reference + baseline, pixel_size_nm=100)
    assert result.rsp.value == pytest.approx(expected.rsp.value, abs=1e-6)
    assert result.rsf.value == pytest.approx(expected.rsf.value, rel=0.01)
    assert result.rse.value == pytest.approx(count * expected.rse.value, rel=1e-4)


def test_a_missed_filament_and_an_invented_one_show_with_opposite_signs():
    image = reconstruction()
    missed, invented = image.copy(), np.zeros_like(image)
    missed[100, 60:120] += 2
    invented[60, 150:200] += 2
    reference = 100 * seen(missed, 1.3) + 100
    result = map_errors(image + invented, reference, pixel_size_nm=100)
    difference = result.difference
    assert difference.shape == (24, 32)
    assert np.unravel_index(difference.argmax(), difference.shape)[0] == 100 // 8
    assert np.unravel_index(difference.argmin(), difference.shape)[0] == 60 // 8
    assert result.rsp.value < 0.99


def test_an_image_as_blurred_as_the_frames_has_no_blur_but_agrees():
    image = gaussian_filter(reconstruction(), 10)
    result = map_errors(image, seen(image, 0), pixel_size_nm=100)
    assert result.rsf.value is None
    assert "as blurred as the raw frames" in result.rsf.problem
    assert result.rsp.value == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("image", "reference", "reason"),
    [
        (np.zeros((64, 64)), np.eye(8), "reconstruction has no contrast"),
        (np.eye(64), np.full((8, 8), 100.0), "mean of the raw frames has no contrast"),
        (np.eye(64), np.zeros((8, 8)), "mean of the raw frames has no contrast"),
        (
            reconstruction(),
            np.add.outer(np.arange(24.0), np.arange(32.0)),
            "No blur of up to 500 nm",
        ),
    ],
)
def test_what_cannot_be_compared_says_why_instead_of_a_number(image, reference, reason):
    result = map_errors(image, reference, pixel_size_nm=100)
    for measured in (result.rsp, result.rse, result.rsf):
        assert measured.value is None
        assert reason in measured.problem
    assert result.imaged.size == 0


@pytest.mark.parametrize(
    ("image", "reference", "message"),
    [
        (np.ones((64, 60)), np.ones((8, 8)), r"\(64, 60\) is not of the same field .* \(8, 8\)"),
        (np.ones((4, 4)), np.ones((8, 8)), "not of the same field"),
        (np.ones((8, 8)), np.ones((2, 8, 8)), r"reference has shape \(2, 8, 8\)"),
        (np.full((8, 8), np.nan), np.ones((8, 8)), "reconstruction holds NaN"),
        (np.ones((8, 8)), np.full((8, 8), np.inf), "reference holds NaN or infinite"),
    ],
)
def test_images_of_different_fields_are_refused(image, reference, message):
    with pytest.raises(InputError, match=message):
        map_errors(image, reference, pixel_size_nm=100)


def test_a_pixel_without_size_is_refused():
    with pytest.raises(InputError, match="pixel size is -1 nm"):
        map_errors(np.eye(8), np.eye(8), pixel_size_nm=-1)
