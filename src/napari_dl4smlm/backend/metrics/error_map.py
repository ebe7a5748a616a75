"""Where a reconstruction disagrees with the raw frames: an error map in the manner of SQUIRREL."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import scipy

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.metrics.image import pearson
from napari_dl4smlm.backend.metrics.measured import Measured

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Bounds of the blur's standard deviation in camera pixels, far beyond those of a PSF (0.7 to 2).
_NARROWEST_PX = 0.2
_WIDEST_PX = 5.0

# as a logarithm: the blur is found to a thousandth of itself
_TOLERANCE = 1e-3

# share of a point's light, beyond which its Gaussian is cut
_FAINTEST = 1e-8

_rsp = partial(
    Measured,
    label="agreement with the raw frames (RSP)",
    unit="",
    assumption="From -1 to 1, at camera resolution: the raw mean is taken to be the image times a "
    "factor, blurred; finer errors are not seen, and uneven background or brightness lowers it.",
)
_rse = partial(
    Measured,
    label="error against the raw frames (RSE)",
    unit="counts",
    assumption="Root mean square of what blur, factor and offset leave unexplained in a camera "
    "pixel: brighter movies have larger ones, so compare it within one movie only.",
)
_rsf = partial(
    Measured,
    label="blur that fits best (RSF sigma)",
    unit="nm",
    assumption="One Gaussian is taken to blur the whole field: far from the sigma of the "
    "microscope's PSF, image and raw frames do not belong together.",
)


@dataclass(frozen=True, eq=False)
class ErrorMap:
    """How far a reconstruction, blurred and scaled, is from the mean of the raw frames.

    All images are on the grid of the camera pixels, in camera counts.

    Parameters
    ----------
    rsp
        Resolution-scaled Pearson correlation of `reference` and `imaged`.
    rse
        Resolution-scaled error, their root-mean-square difference in counts.
    rsf
        Standard deviation in nm of the blur, the resolution-scaling function.
    reference
        Shape (Y, X), the mean of the raw frames.
    imaged
        The reconstruction as the camera would see it; empty if there is no fit.
    scale
        Counts for each unit of the reconstruction.
    offset
        Counts without any emitter.
    pixel_size_nm
        Camera pixel.
    """

    rsp: Measured
    rse: Measured
    rsf: Measured
    reference: NDArray[np.float64]
    imaged: NDArray[np.float64]
    scale: float
    offset: float
    pixel_size_nm: float

    @property
    def difference(self) -> NDArray[np.float64]:
        """Raw minus reconstruction: positive where the reconstruction lacks light.

        The error map of SQUIRREL is its magnitude.
        """
        return self.reference - self.imaged


def map_errors(
    reconstruction: NDArray[np.floating],
    reference: NDArray[np.floating],
    *,
    pixel_size_nm: float,
) -> ErrorMap:
    r"""Compare a reconstruction with the mean of the frames that it was made of (Culley et al.).

    The reconstruction S is blurred by a Gaussian, integrated over camera pixels, and scaled:

    .. math:: \min_{\alpha, \beta, \sigma} \sum (R - \alpha \, (S \otimes G_\sigma) - \beta)^2

    Factor and offset follow from linear regression for every blur, so that only the blur is
    searched for: the one of the highest correlation. Unlike in the original, which enlarges the
    reference to the fine grid, both are compared on the grid of the camera, where the data are.

    Parameters
    ----------
    reconstruction
        Shape (f Y, f X), in any unit that is proportional to light.
    reference
        Shape (Y, X), the mean of the same raw frames, in camera counts.
    pixel_size_nm
        Camera pixel.

    Raises
    ------
    InputError
        The images do not show the same field, are not finite, or the pixel size is not positive.

    References
    ----------
    S. Culley et al., Nat. Methods 15, 263 (2018), doi:10.1038/nmeth.4605
    """
    _check(reconstruction, reference, pixel_size_nm)
    seen = np.asarray(reference, dtype=np.float64)
    camera = _Camera(np.asarray(reconstruction, dtype=np.float64), seen.shape[0])
    for name, image in (("reconstruction", reconstruction), ("mean of the raw frames", seen)):
        if image.min() == image.max():
            return _without_fit(f"The {name} has no contrast.", seen, pixel_size_nm)
    fit = scipy.optimize.minimize_scalar(
        lambda logarithm: -pearson(camera.image(float(np.exp(logarithm))), seen),
        bounds=(np.log(_NARROWEST_PX), np.log(_WIDEST_PX)),
        method="bounded",
        options={"xatol": _TOLERANCE},
    )
    sigma_px = float(np.exp(fit.x))
    if sigma_px > 0.99 * _WIDEST_PX:
        problem = (
            f"No blur of up to {_WIDEST_PX * pixel_size_nm:,.0f} nm turns the reconstruction into "
            "the mean of the raw frames: do they belong together?"
        )
        return _without_fit(problem, seen, pixel_size_nm)
    blurred = camera.image(sigma_px)
    scale, offset = _regression(blurred, seen)
    imaged = scale * blurred + offset
    return ErrorMap(
        rsp=_rsp(value=pearson(blurred, seen)),
        rse=_rse(value=float(np.sqrt(np.mean((seen - imaged) ** 2)))),
        rsf=_rsf_of(sigma_px, pixel_size_nm),
        reference=seen,
        imaged=imaged,
        scale=scale,
        offset=offset,
        pixel_size_nm=pixel_size_nm,
    )


class _Camera:
    """Sees a reconstruction through a blur, integrated over its pixels.

    What lies beyond the edge of the field is not known, and counts as dark.
    """

    def __init__(self, reconstruction: NDArray[np.float64], height: int) -> None:
        self._reconstruction = reconstruction
        self._factor = reconstruction.shape[0] // height

    def image(self, sigma_px: float) -> NDArray[np.float64]:
        """Return the image on camera pixels, blurred by a sigma in camera pixels."""
        rows, columns = (self._shares(side, sigma_px) for side in self._reconstruction.shape)
        image: NDArray[np.float64] = (columns @ (rows @ self._reconstruction).T).T
        return image

    def _shares(self, fine_pixels: int, sigma_px: float) -> scipy.sparse.csr_array:
        """Share of the light of each fine pixel that falls into each camera pixel."""
        edges = np.arange(fine_pixels // self._factor + 1)
        centres = (np.arange(fine_pixels) + 0.5) / self._factor
        shares = np.diff(scipy.special.ndtr((edges[:, None] - centres) / sigma_px), axis=0)
        # nearly all are zero, and a sparse matrix makes the blur ten times as fast
        shares[shares < _FAINTEST] = 0
        return scipy.sparse.csr_array(shares)


def _rsf_of(sigma_px: float, pixel_size_nm: float) -> Measured:
    if sigma_px < 1.01 * _NARROWEST_PX:
        return _rsf(
            problem=f"Below {_NARROWEST_PX * pixel_size_nm:.3g} nm: the reconstruction is as "
            "blurred as the raw frames."
        )
    return _rsf(value=sigma_px * pixel_size_nm)


def _regression(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Return slope and offset of the line with the least squares."""
    from_mean = x - x.mean()
    slope = float(np.vdot(from_mean, y) / np.vdot(from_mean, from_mean))
    return slope, float(y.mean() - slope * x.mean())


def _without_fit(problem: str, seen: NDArray[np.float64], pixel_size_nm: float) -> ErrorMap:
    return ErrorMap(
        rsp=_rsp(problem=problem),
        rse=_rse(problem=problem),
        rsf=_rsf(problem=problem),
        reference=seen,
        imaged=np.empty((0, 0)),
        scale=np.nan,
        offset=np.nan,
        pixel_size_nm=pixel_size_nm,
    )


def _check(
    reconstruction: NDArray[np.floating], reference: NDArray[np.floating], pixel_size_nm: float
) -> None:
    if not 0 < pixel_size_nm < np.inf:
        raise InputError(f"The pixel size is {pixel_size_nm} nm. Give a positive number.")
    if reference.ndim != 2 or reference.size == 0:
        raise InputError(
            f"The reference has shape {reference.shape}. Give one image (y, x), the mean of the "
            "raw frames."
        )
    factor = reconstruction.shape[0] // reference.shape[0]
    if factor < 1 or reconstruction.shape != tuple(factor * side for side in reference.shape):
        raise InputError(
            f"A reconstruction of shape {reconstruction.shape} is not of the same field as raw "
            f"frames of shape {reference.shape}: both sides must be the same whole number of times "
            "as long. Give the movie that was reconstructed."
        )
    for name, image in (("reconstruction", reconstruction), ("reference", reference)):
        if not np.isfinite(image).all():
            raise InputError(f"The {name} holds NaN or infinite pixels. Replace them by numbers.")
