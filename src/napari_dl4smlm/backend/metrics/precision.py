"""How precisely an isolated emitter can be localized at all: the Cramér-Rao bound."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import scipy

from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def localization_bound_nm(
    photons: float,
    *,
    background: float,
    psf_sigma_nm: float,
    pixel_size_nm: float,
    read_noise: float = 0.0,
    excess_noise: float = 1.0,
    offset_px: tuple[float, float] = (0.5, 0.5),
) -> tuple[float, float]:
    r"""Return the smallest standard error of y and of x that any unbiased estimator can have.

    From the Fisher information of position, photons and background of a Gaussian spot that is
    integrated over square pixels, all four unknown. The counts are Poisson distributed with
    variance :math:`F\mu + \sigma_r^2`: read noise is added to the Poisson variance (Huang et al.),
    and multiplication in an EMCCD doubles it (F = 2; Mortensen et al.).

    Parameters
    ----------
    photons
        Detected photons of the emitter.
    background
        Photons per pixel.
    psf_sigma_nm
        Standard deviation of the spot.
    pixel_size_nm
        Camera pixel.
    read_noise
        Standard deviation, in photons.
    excess_noise
        Variance of the signal over its mean, F: 1 for a Poisson process, 2 for an EMCCD.
    offset_px
        Position (y, x) within a camera pixel, from its outer corner.

    Returns
    -------
    tuple of float
        Bounds for y and x in nm. Lateral, for both together: the root of the sum of squares.

    Raises
    ------
    InputError
        Photons, PSF or pixel are not above 0, background or read noise are below 0, or the excess
        noise is below 1.

    References
    ----------
    K. I. Mortensen et al., Nat. Methods 7, 377 (2010), doi:10.1038/nmeth.1447

    F. Huang et al., Nat. Methods 10, 653 (2013), doi:10.1038/nmeth.2488
    """
    _check_positive(photons=photons, psf_sigma_nm=psf_sigma_nm, pixel_size_nm=pixel_size_nm)
    _check_at_least(0, background=background, read_noise=read_noise)
    _check_at_least(1, excess_noise=excess_noise)
    sigma_px = psf_sigma_nm / pixel_size_nm
    # five standard deviations to each side: what lies beyond tells nothing about the position
    reach = int(np.ceil(5 * sigma_px)) + 1
    edges = np.arange(-reach, reach + 2, dtype=np.float64)
    share_y, slope_y = _profile(edges, offset_px[0], sigma_px)
    share_x, slope_x = _profile(edges, offset_px[1], sigma_px)
    spot = np.outer(share_y, share_x)
    slopes = np.stack(
        [
            photons * np.outer(slope_y, share_x),
            photons * np.outer(share_y, slope_x),
            spot,
            np.ones_like(spot),
        ]
    ).reshape(4, -1)
    variance = excess_noise * (photons * spot + background).ravel() + read_noise**2
    # without any noise in a pixel its information would be infinite; there is no light either
    seen = variance > 0
    information = (slopes[:, seen] / variance[seen]) @ slopes[:, seen].T
    # without background and read noise, the background is known to be 0
    known = slice(None) if background > 0 or read_noise > 0 else slice(3)
    bounds = np.sqrt(np.diag(np.linalg.inv(information[known, known])))
    return float(bounds[0]) * pixel_size_nm, float(bounds[1]) * pixel_size_nm


def _profile(
    edges: NDArray[np.float64], centre: float, sigma_px: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each pixel's share of the spot along one axis, and its change with the centre."""
    scaled = (edges - centre) / sigma_px
    density = np.exp(-(scaled**2) / 2) / math.sqrt(2 * math.pi)
    return np.diff(scipy.special.ndtr(scaled)), -np.diff(density) / sigma_px


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < np.inf:
            raise InputError(f"{name} is {value}; it must be a number above 0.")


def _check_at_least(lowest: float, **values: float) -> None:
    for name, value in values.items():
        if not lowest <= value < np.inf:
            raise InputError(f"{name} is {value}; it must be a number of at least {lowest:g}.")
