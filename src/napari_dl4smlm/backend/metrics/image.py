"""Compare a reconstruction with a true image of the same field and grid.

On sparse images structural similarity is close to 1 whatever is predicted, since most of both is
black: compare summed reconstructions, not the maps of single frames.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
import scipy

from napari_dl4smlm.backend.errors import InputError, unknown_name

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Scale = Literal["none", "sum", "least_squares"]

_WINDOW = 11
_SIGMA_PX = 1.5
_MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

SMALLEST_MS_SSIM_PX = _WINDOW * 2 ** (len(_MS_SSIM_WEIGHTS) - 1)
"""Side of the smallest image whose coarsest scale holds a window."""


def scaled(prediction: ArrayLike, truth: ArrayLike, scale: Scale) -> NDArray[np.float64]:
    """Bring a prediction to the intensity of the truth before the two are compared.

    Parameters
    ----------
    prediction, truth
        The same shape (Y, X).
    scale
        ``"none"``: as it is. ``"sum"``: to the same sum, for images whose unit is arbitrary.
        ``"least_squares"``: by the factor that makes the squared difference smallest.

    Raises
    ------
    InputError
        The shapes differ, an image holds NaN or infinity, the truth is black, or there is no such
        scale.
    """
    images = [np.asarray(image, dtype=np.float64) for image in (prediction, truth)]
    p, t = images
    if p.shape != t.shape or p.ndim != 2:
        raise InputError(
            f"The prediction has shape {p.shape} and the truth {t.shape}. Give two images (y, x) "
            "of the same size."
        )
    for image, name in ((p, "prediction"), (t, "truth")):
        if not np.isfinite(image).all():
            raise InputError(f"The {name} holds NaN or infinite pixels. Replace them by numbers.")
    if not t.any():
        raise InputError("The truth is black: there is nothing to compare with.")
    if scale == "none":
        return p
    if scale == "sum":
        total = p.sum()
        return p * (t.sum() / total) if total else p
    if scale == "least_squares":
        energy = np.vdot(p, p)
        return p * (np.vdot(p, t) / energy) if energy else p
    raise unknown_name("scale", scale, ("none", "sum", "least_squares"))


def nmse(prediction: ArrayLike, truth: ArrayLike, *, scale: Scale = "none") -> float:
    r"""Return the normalized squared error in percent, :math:`100 \sum (p - t)^2 / \sum t^2`.

    0 is perfect, 100 is what a black image has, and a spike in the wrong place has 200.

    Parameters
    ----------
    prediction, truth, scale
        As for :func:`scaled`, whose errors are raised.

    References
    ----------
    E. Nehme et al., Optica 5, 458 (2018), doi:10.1364/OPTICA.5.000458
    """
    p, t = scaled(prediction, truth, scale), np.asarray(truth, dtype=np.float64)
    return float(100 * np.sum((p - t) ** 2) / np.sum(t**2))


def pearson(prediction: ArrayLike, truth: ArrayLike) -> float:
    """Return the correlation of the pixels, from -1 to 1; NaN if one image has no contrast.

    Raises
    ------
    InputError
        As for :func:`scaled`.
    """
    p, t = scaled(prediction, truth, "none"), np.asarray(truth, dtype=np.float64)
    p, t = p - p.mean(), t - t.mean()
    energy = math.sqrt(np.vdot(p, p) * np.vdot(t, t))
    return float(np.vdot(p, t) / energy) if energy else math.nan


def psnr(prediction: ArrayLike, truth: ArrayLike, *, scale: Scale = "none") -> float:
    r"""Return the peak signal-to-noise ratio in dB.

    .. math:: 10 \log_{10} \frac{R^2}{\mathrm{mean}\,(p - t)^2}

    R is the range of the truth, its maximum minus its minimum. Infinite for equal images, and NaN
    if the truth has no contrast.

    Parameters
    ----------
    prediction, truth, scale
        As for :func:`scaled`, whose errors are raised.
    """
    p, t = scaled(prediction, truth, scale), np.asarray(truth, dtype=np.float64)
    error = float(np.mean((p - t) ** 2))
    if error == 0:
        return math.inf
    intensity_range = float(np.ptp(t))
    return 10 * math.log10(intensity_range**2 / error) if intensity_range else math.nan


def ssim(prediction: ArrayLike, truth: ArrayLike, *, scale: Scale = "none") -> float:
    """Return the structural similarity in Gaussian windows of 11 pixels; 1 is perfect.

    The windows have a sigma of 1.5 pixels, and those that reach beyond the border are left out. The
    range of intensities is that of the truth; NaN if it has none.

    Parameters
    ----------
    prediction, truth, scale
        As for :func:`scaled`, whose errors are raised.

    Raises
    ------
    InputError
        The images are smaller than a window.

    References
    ----------
    Z. Wang et al., IEEE Trans. Image Process. 13, 600 (2004), doi:10.1109/TIP.2003.819861
    """
    p, t = scaled(prediction, truth, scale), np.asarray(truth, dtype=np.float64)
    _require_size(t, _WINDOW)
    intensity_range = float(np.ptp(t))
    if intensity_range == 0:
        return math.nan
    luminance, contrast = _similarities(p, t, intensity_range)
    return float(np.mean(luminance * contrast))


def ms_ssim(prediction: ArrayLike, truth: ArrayLike, *, scale: Scale = "none") -> float:
    """Return the structural similarity over five scales, each half as fine; 1 is perfect.

    NaN if the truth has no contrast.

    Parameters
    ----------
    prediction, truth, scale
        As for :func:`scaled`, whose errors are raised.

    Raises
    ------
    InputError
        The images are smaller than 176 pixels: the coarsest scale could not hold a window.

    References
    ----------
    Z. Wang, E. P. Simoncelli, A. C. Bovik, Asilomar Conf. Signals Syst. Comput. (2003),
    doi:10.1109/ACSSC.2003.1292216
    """
    p, t = scaled(prediction, truth, scale), np.asarray(truth, dtype=np.float64)
    _require_size(t, SMALLEST_MS_SSIM_PX)
    intensity_range = float(np.ptp(t))
    if intensity_range == 0:
        return math.nan
    similarity = 1.0
    for level, weight in enumerate(_MS_SSIM_WEIGHTS, start=1):
        luminance, contrast = _similarities(p, t, intensity_range)
        is_coarsest = level == len(_MS_SSIM_WEIGHTS)
        mean = float(np.mean(luminance * contrast if is_coarsest else contrast))
        # a negative mean has no real power; it is as bad as no similarity
        similarity *= max(mean, 0.0) ** weight
        p, t = _halved(p), _halved(t)
    return similarity


def _require_size(image: NDArray[np.float64], side: int) -> None:
    if min(image.shape) < side:
        raise InputError(
            f"The images are {image.shape[0]} x {image.shape[1]} px; structural similarity needs "
            f"at least {side} x {side} px here. Compare a larger field."
        )


def _similarities(
    p: NDArray[np.float64], t: NDArray[np.float64], intensity_range: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the luminance term, and the contrast and structure term, of every whole window."""
    c1, c2 = (0.01 * intensity_range) ** 2, (0.03 * intensity_range) ** 2
    mean_p, mean_t = _window_mean(p), _window_mean(t)
    variance_p = _window_mean(p * p) - mean_p**2
    variance_t = _window_mean(t * t) - mean_t**2
    covariance = _window_mean(p * t) - mean_p * mean_t
    luminance = (2 * mean_p * mean_t + c1) / (mean_p**2 + mean_t**2 + c1)
    contrast = (2 * covariance + c2) / (variance_p + variance_t + c2)
    return luminance, contrast


def _window_mean(image: NDArray[np.float64]) -> NDArray[np.float64]:
    reach = _WINDOW // 2
    offsets = np.arange(-reach, reach + 1)
    profile = np.exp(-0.5 * (offsets / _SIGMA_PX) ** 2)
    profile /= profile.sum()
    mean = scipy.ndimage.correlate1d(
        scipy.ndimage.correlate1d(image, profile, axis=0), profile, axis=1
    )
    whole: NDArray[np.float64] = mean[reach:-reach, reach:-reach]
    return whole


def _halved(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average blocks of 2 x 2 pixels; an odd last row or column is left out."""
    height, width = (side // 2 * 2 for side in image.shape)
    blocks = image[:height, :width].reshape(height // 2, 2, width // 2, 2)
    halved: NDArray[np.float64] = blocks.mean(axis=(1, 3))
    return halved
