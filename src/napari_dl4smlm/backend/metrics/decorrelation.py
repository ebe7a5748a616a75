"""Image decorrelation analysis: the finest detail of one image that stands out of its noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.metrics.measured import Measured
from napari_dl4smlm.backend.metrics.spectrum import Rings, windowed_spectrum

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Smaller images have too few rings for a curve.
_SMALLEST_PX = 32

_FILTERS = 40
# standard deviation in pixels of the Gaussian that the finest high-pass filter takes away
_FINEST_FILTER_PX = 0.1

# A spot with a standard deviation of one pixel, as reconstructions draw every localization, has a
# resolution of 2.5 to 3 pixels, wherever it is.
_FEWEST_PIXELS_PER_RESOLUTION = 3.5

# A peak must rise above what follows by more than rounding, and stand out of pure noise.
_SMALLEST_FALL = 5e-4
_LOWEST_PEAK = 0.05

_measured = partial(
    Measured,
    label="decorrelation resolution",
    unit="nm",
    assumption="It is the finest detail drawn in this one image, be it real or not: a sharply "
    "drawn artefact counts as detail.",
)


@dataclass(frozen=True, eq=False)
class DecorrelationResolution:
    """Resolution by decorrelation analysis, and the curves that tell it.

    Parameters
    ----------
    resolution
        Period of the finest detail, in nm.
    frequency_per_nm
        Shape (rings,), spatial frequency from 0; empty if the image is too small or has no detail.
    curve
        Correlation of the image with its own phases up to each frequency, from 0 to 1.
    filtered
        The same after the high-pass filter of which the curve peaks at the highest frequency;
        empty if there is no peak.
    """

    resolution: Measured
    frequency_per_nm: NDArray[np.float64]
    curve: NDArray[np.float64]
    filtered: NDArray[np.float64]


def decorrelation_resolution(
    image: NDArray[np.floating], *, pixel_size_nm: float
) -> DecorrelationResolution:
    r"""Measure the resolution of a single image, without parameters (Descloux et al.).

    The spectrum I of the image is correlated with its own phases :math:`I / |I|`, masked at a
    radius r: the curve

    .. math:: d(r) = \frac{\sum_{|k| < r} |I|}{\sqrt{\sum |I|^2 \, \sum_{|k| < r} 1}}

    rises as long as the rings hold signal, and falls where they hold only noise. High-pass filters
    weaken the coarse detail, so that the peak moves out to the last frequency with signal. The
    resolution is the period of the outermost peak over all filters.

    An image in which every localization is drawn as a sharp spot has the resolution of these spots,
    however wrong their places are. There is no result below three and a half pixels, where it is
    that of a spot of one pixel.

    As the product of the spectrum and its phases is its magnitude, and both mask and filter depend
    on the radius alone, sums over rings tell all curves at once.

    Parameters
    ----------
    image
        Shape (Y, X).
    pixel_size_nm
        Side of its pixels.

    Raises
    ------
    InputError
        The image is not two-dimensional or not finite, or the pixel size is not positive.

    References
    ----------
    A. Descloux, K. S. Grußmayer, A. Radenovic, Nat. Methods 16, 918 (2019),
    doi:10.1038/s41592-019-0515-7
    """
    _check(image, pixel_size_nm)
    nothing = np.empty(0)
    if min(image.shape) < _SMALLEST_PX:
        size = " x ".join(str(side) for side in image.shape)
        problem = f"An image of {size} pixels is too small; it takes {_SMALLEST_PX} on each side."
        return DecorrelationResolution(_measured(problem=problem), nothing, nothing, nothing)
    curves = _Curves(np.asarray(image, dtype=np.float64))
    if not curves.has_detail:
        problem = "The image has no contrast."
        return DecorrelationResolution(_measured(problem=problem), nothing, nothing, nothing)
    frequency_per_nm = curves.frequency / pixel_size_nm
    unfiltered = curves.filtered(0)
    peak, filtered = curves.outermost_peak()
    if peak == 0:
        problem = "No detail stands out of the noise."
        return DecorrelationResolution(
            _measured(problem=problem), frequency_per_nm, unfiltered, nothing
        )
    finest_nm = _FEWEST_PIXELS_PER_RESOLUTION * pixel_size_nm
    if 1 / frequency_per_nm[peak] < finest_nm:
        resolution = _measured(
            problem=f"The finest detail is below {finest_nm:.3g} nm, or "
            f"{_FEWEST_PIXELS_PER_RESOLUTION:g} pixels: this is how sharply single localizations "
            "are drawn, not how well they are known."
        )
    else:
        resolution = _measured(value=1 / float(frequency_per_nm[peak]))
    return DecorrelationResolution(resolution, frequency_per_nm, unfiltered, filtered)


def _check(image: NDArray[np.floating], pixel_size_nm: float) -> None:
    if image.ndim != 2 or not np.isfinite(image).all():
        raise InputError(
            f"The resolution of an image of shape {image.shape} cannot be measured, or it holds "
            "NaN. Give one image (y, x) of finite numbers."
        )
    if not 0 < pixel_size_nm < np.inf:
        raise InputError(f"The pixel size is {pixel_size_nm} nm. Give a positive number.")


class _Curves:
    """The decorrelation curves of an image after any high-pass filter."""

    def __init__(self, image: NDArray[np.float64]) -> None:
        magnitude = np.abs(windowed_spectrum(image))
        rings = Rings((image.shape[0], image.shape[1]))
        self.frequency = rings.frequency
        self.has_detail = bool(magnitude.any())
        self._longer_px = max(image.shape)
        self._magnitude = rings.sum(magnitude)
        self._power = rings.sum(magnitude**2)
        self._inside = np.cumsum(rings.waves)

    def filtered(self, sigma_px: float) -> NDArray[np.float64]:
        """Return the curve once a Gaussian blur was taken away from the image; 0 takes none."""
        # the transform of a Gaussian of standard deviation s is exp(-2 π² s² q²)
        blur = np.exp(-2 * (np.pi * sigma_px * self.frequency) ** 2) if sigma_px else 0.0
        passed = np.ones_like(self.frequency) - blur
        inside = np.cumsum(self._magnitude * passed)
        return inside / np.sqrt(np.sum(self._power * passed**2) * self._inside)

    def outermost_peak(self) -> tuple[int, NDArray[np.float64]]:
        """Return the ring of the outermost peak over all filters, 0 without one, and its curve."""
        unfiltered = self.filtered(0)
        first = _peak(unfiltered)
        # a filter far coarser than the detail that is plainly there changes nothing
        coarsest_px = 1 / self.frequency[first] if first else self._longer_px / 4
        sigmas_px = np.geomspace(coarsest_px, _FINEST_FILTER_PX, _FILTERS)
        curves = [unfiltered, *(self.filtered(float(sigma_px)) for sigma_px in sigmas_px)]
        peaks = [_peak(curve) for curve in curves]
        outermost = int(np.argmax(peaks))
        return peaks[outermost], curves[outermost]


def _peak(curve: NDArray[np.float64]) -> int:
    """Return the ring of the highest point that the curve falls from; 0 if it only rises.

    Where the curve is highest at its end, that end is cut off: the rise of noise in the outer rings
    must not hide the peak of the signal.
    """
    end = len(curve)
    while end > 1:
        highest = int(np.argmax(curve[:end]))
        if curve[highest] < _LOWEST_PEAK:
            return 0
        if curve[highest] - curve[highest:end].min() >= _SMALLEST_FALL:
            return highest
        end = highest
    return 0
