import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve2d
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.metrics.image import (
    SMALLEST_MS_SSIM_PX,
    ms_ssim,
    nmse,
    pearson,
    psnr,
    ssim,
)


@pytest.fixture
def truth():
    image = gaussian_filter(np.random.default_rng(0).random((200, 180)), 3)
    return (image - image.min()) / np.ptp(image)


@pytest.fixture
def prediction(truth):
    return truth + np.random.default_rng(1).normal(0, 0.1, truth.shape)


def test_a_spike_in_the_wrong_place_has_an_nmse_of_200_percent():
    truth, prediction = np.zeros((2, 9, 9))
    truth[4, 4] = prediction[4, 5] = 3
    assert nmse(prediction, truth) == pytest.approx(200)


def test_a_black_prediction_has_an_nmse_of_100_percent(truth):
    assert nmse(np.zeros_like(truth), truth) == pytest.approx(100)
    assert nmse(np.zeros_like(truth), truth, scale="sum") == pytest.approx(100)
    assert nmse(np.zeros_like(truth), truth, scale="least_squares") == pytest.approx(100)


def test_a_perfect_prediction_in_another_unit_is_perfect_once_scaled(truth):
    assert nmse(7 * truth, truth) == pytest.approx(3600)
    for scale in ("sum", "least_squares"):
        assert nmse(7 * truth, truth, scale=scale) == pytest.approx(0, abs=1e-12)


def test_no_factor_has_a_smaller_error_than_that_of_least_squares(truth, prediction):
    best = nmse(prediction, truth, scale="least_squares")
    assert all(nmse(f * prediction, truth) >= best for f in np.linspace(0.5, 1.5, 101))
    # what is left of the energy when the projection on the prediction is taken away
    norms = np.linalg.norm(prediction) * np.linalg.norm(truth)
    cosine = np.vdot(prediction, truth) / norms
    assert best == pytest.approx(100 * (1 - cosine**2))


def test_correlation_is_that_of_numpy_and_ignores_scale_and_offset(truth, prediction):
    expected = np.corrcoef(prediction.ravel(), truth.ravel())[0, 1]
    assert pearson(prediction, truth) == pytest.approx(expected)
    assert pearson(5 * prediction + 3, truth) == pytest.approx(expected)
    assert math.isnan(pearson(np.ones_like(truth), truth))


def test_psnr_is_that_of_scikit_image(truth, prediction):
    expected = peak_signal_noise_ratio(truth, prediction, data_range=np.ptp(truth))
    assert psnr(prediction, truth) == pytest.approx(expected)
    assert psnr(truth, truth) == math.inf


def test_ssim_is_that_of_scikit_image_with_the_settings_of_its_authors(truth, prediction):
    expected = structural_similarity(
        truth,
        prediction,
        data_range=np.ptp(truth),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim(prediction, truth) == pytest.approx(expected, abs=1e-9)
    assert ssim(truth, truth) == pytest.approx(1)


def test_ms_ssim_is_that_of_its_definition_with_plain_convolutions(truth, prediction):
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(image):
        return convolve2d(image, window, mode="valid")

    expected = 1.0
    p, t = prediction, truth
    for k, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        covariance = mean(p * t) - mean(p) * mean(t)
        variances = mean(p * p) - mean(p) ** 2 + mean(t * t) - mean(t) ** 2
        term = (2 * covariance + 0.03**2) / (variances + 0.03**2)
        if k == 4:
            term = (
                term * (2 * mean(p) * mean(t) + 0.01**2) / (mean(p) ** 2 + mean(t) ** 2 + 0.01**2)
            )
        expected *= term.mean() ** weight
        p, t = (
            image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
            .reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2)
            .mean((1, 3))
            for image in (p, t)
        )
    assert ms_ssim(prediction, truth) == pytest.approx(expected, abs=1e-9)
    assert ms_ssim(truth, truth) == pytest.approx(1)


def test_the_opposite_of_the_truth_has_no_multi_scale_similarity(truth):
    assert ms_ssim(1 - truth, truth) == 0


def test_a_truth_without_contrast_has_no_range_to_compare_with():
    even = np.ones((SMALLEST_MS_SSIM_PX, SMALLEST_MS_SSIM_PX))
    assert [metric(0 * even, even) for metric in (psnr, ssim, ms_ssim)] == pytest.approx(
        [np.nan] * 3, nan_ok=True
    )
    assert psnr(even, even) == np.inf


@pytest.mark.parametrize("metric", [nmse, pearson, psnr, ssim, ms_ssim])
def test_images_that_cannot_be_compared_are_refused(metric, truth):
    with pytest.raises(InputError, match=r"shape \(200, 179\) and the truth \(200, 180\)"):
        metric(truth[:, 1:], truth)
    with pytest.raises(InputError, match="truth is black"):
        metric(truth, 0 * truth)
    with pytest.raises(InputError, match="prediction holds NaN"):
        metric(truth * np.nan, truth)


def test_images_smaller_than_a_window_are_refused(truth):
    with pytest.raises(InputError, match=r"10 x 180 px; .* at least 11 x 11"):
        ssim(truth[:10], truth[:10])
    with pytest.raises(InputError, match=r"170 x 180 px; .* at least 176 x 176"):
        ms_ssim(truth[:170], truth[:170])


def test_a_misspelt_scale_is_answered_with_the_nearest(truth):
    with pytest.raises(InputError, match="Did you mean 'sum'"):
        nmse(truth, truth, scale="sums")
