"""Emitters in frames without a network: band-pass filter, threshold, and a fit to every spot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.gaussian_fit import check_frames, fit_spots

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.localizations.table import Localizations

_WIDE = 1.6
"""Wide over narrow Gaussian; the band-pass is then close to a Laplacian (Marr & Hildreth)."""


def detect_spots(
    frames: NDArray[np.floating],
    *,
    pixel_size_nm: float,
    psf_sigma_nm: float,
    threshold: float = 5.0,
    fit_sigma: bool = False,
    read_noise: float = 0.0,
    excess_noise: float = 1.0,
    first_frame: int = 0,
) -> Localizations:
    """Localize emitters one by one: the classical way, made for spots that do not overlap.

    A spot is a local maximum of the difference of two Gaussians, one as wide as the PSF and one 1.6
    times wider (a filter of ThunderSTORM, with its ratio), that stands out of the noise. The noise
    is that which the local mean of the photons brings about, so that neither a high density of
    emitters nor an uneven background changes how many empty places are taken for spots. Every spot
    is then fitted as by :func:`fit_spots`, which drops some.

    Two equally bright emitters less than two standard deviations of the PSF apart are one spot and
    give one localization between them; from three on they are two.

    Parameters
    ----------
    frames
        Photons, shape (N, Y, X), such as :meth:`Camera.to_photons` gives. Finite.
    pixel_size_nm
        Camera pixel.
    psf_sigma_nm
        Standard deviation of an emitter's image.
    threshold
        Smallest spot, in standard deviations of the noise after the filter. At 5, at most two of a
        million pixels of background give a localization; at 4, up to a hundred do.
    fit_sigma, read_noise, excess_noise, first_frame
        See :func:`fit_spots`.

    Returns
    -------
    Localizations
        In the order of frames, with photons, sigma, background and uncertainty.

    Raises
    ------
    InputError
        The threshold is not above 0, or :func:`fit_spots` refuses the frames, sizes or noise.

    References
    ----------
    M. Ovesný et al., Bioinformatics 30, 2389 (2014), doi:10.1093/bioinformatics/btu202

    D. Marr and E. Hildreth, Proc. R. Soc. Lond. B 207, 187 (1980), doi:10.1098/rspb.1980.0020
    """
    if not 0 < threshold < np.inf:
        raise InputError(f"The threshold is {threshold:g}; give a number above 0, such as 5.")
    check_frames(frames, pixel_size_nm, psf_sigma_nm, read_noise, excess_noise)
    sigma = psf_sigma_nm / pixel_size_nm
    noise_gain = _noise_gain(frames.shape[1], frames.shape[2], sigma)
    spots = []
    for index, image in enumerate(frames):
        band_pass, local_mean = _band_pass(image.astype(np.float64), sigma)
        variance = excess_noise * np.maximum(local_mean, 0) + read_noise**2
        is_spot = _local_maxima(band_pass, reach=max(1, round(sigma)))
        is_spot &= band_pass > threshold * noise_gain * np.sqrt(variance)
        row, column = np.nonzero(is_spot)
        spots.append((np.full_like(row, index), row, column))
    frame, row, column = np.concatenate(spots, axis=1) if spots else np.empty((3, 0), np.intp)
    localizations, _ = fit_spots(
        frames,
        frame,
        row,
        column,
        pixel_size_nm=pixel_size_nm,
        psf_sigma_nm=psf_sigma_nm,
        fit_sigma=fit_sigma,
        read_noise=read_noise,
        excess_noise=excess_noise,
        first_frame=first_frame,
    )
    return localizations


def _band_pass(
    image: NDArray[np.float64], sigma: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the difference of the Gaussians, and the wider of them: the local mean."""
    local_mean = scipy.ndimage.gaussian_filter(image, _WIDE * sigma)
    return scipy.ndimage.gaussian_filter(image, sigma) - local_mean, local_mean


def _noise_gain(height: int, width: int, sigma: float) -> NDArray[np.float64]:
    """Return what the band-pass makes of white noise of standard deviation 1, shape (Y, X).

    It is larger at the border, where the filters see the mirrored frame.
    """
    variance = np.zeros((height, width))
    for first, second, sign in ((1.0, 1.0, 1), (_WIDE, _WIDE, 1), (1.0, _WIDE, -2)):
        along_y, along_x = (
            (
                scipy.ndimage.gaussian_filter1d(np.eye(side), first * sigma)
                * scipy.ndimage.gaussian_filter1d(np.eye(side), second * sigma)
            ).sum(axis=0)
            for side in (height, width)
        )
        variance += sign * np.outer(along_y, along_x)
    return np.sqrt(variance)


def _local_maxima(image: NDArray[np.float64], reach: int) -> NDArray[np.bool_]:
    """Tell which pixels are the highest within reach; of equal ones, the last in reading order."""
    side = 2 * reach + 1
    later = np.arange(side**2).reshape(side, side) > side**2 // 2
    highest: NDArray[np.bool_] = image >= scipy.ndimage.maximum_filter(image, side)
    highest &= image > scipy.ndimage.maximum_filter(
        image, footprint=later, mode="constant", cval=-np.inf
    )
    return highest
