"""Fourier ring correlation: down to which detail two halves of the localizations agree."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import scipy

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.density_map import render_density_map
from napari_dl4smlm.backend.metrics.measured import Measured
from napari_dl4smlm.backend.metrics.spectrum import Rings, windowed_spectrum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_dl4smlm.backend.localizations.table import Localizations

THRESHOLD = 1 / 7
"""Correlation at which detail counts as resolved (Nieuwenhuizen et al.)."""

_BLOCKS = 20
_FEWEST_LOCALIZATIONS = 100

# Pixels along the longer side of the images that are compared. They are made finer until the
# resolution is four pixels: coarser ones cannot tell it, and finer ones only take time.
_SIDES = (256, 512, 1024, 2048, 4096)
_PIXELS_PER_RESOLUTION = 4
# Below three pixels, drawing on a grid adds noise: a spike shared by its neighbours has a power
# sum_k sinc^4(q + k) and a signal sinc^4(q), which differ by 7 % at q = 1/3.
_FEWEST_PIXELS_PER_RESOLUTION = 3

# in standard deviations of the mean correlation of images without anything in common
_SIGNIFICANT = 5.0


@dataclass(frozen=True, eq=False)
class FourierRingResolution:
    """Resolution by Fourier ring correlation, and the curve that tells it.

    Parameters
    ----------
    resolution
        Period of the finest detail that both halves share, in nm.
    frequency_per_nm
        Shape (rings,), spatial frequency; empty if there are too few localizations. The first is
        that of one period in the image: the mean tells nothing about detail.
    correlation
        Of each ring, from -1 to 1.
    smoothed
        The same, smoothed; where it first falls below 1/7 is the resolution.
    block_frames
        So many frames in a row went to the same half.
    """

    resolution: Measured
    frequency_per_nm: NDArray[np.float64]
    correlation: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    block_frames: int


def fourier_ring_resolution(
    localizations: Localizations,
    *,
    block_frames: int | None = None,
    generator: np.random.Generator | None = None,
) -> FourierRingResolution:
    r"""Measure the resolution of an image of localizations (Nieuwenhuizen et al., Banterle et al.).

    The localizations are split into two halves by blocks of frames, each half is drawn as an image,
    and the two are correlated for every spatial frequency q on its own:

    .. math:: \mathrm{FRC}(q) = \frac{\sum F_1 F_2^*}{\sqrt{\sum |F_1|^2 \sum |F_2|^2}}

    with sums over the ring of frequency q in their spectra. The resolution is the period at which
    the curve, smoothed by local quadratic regression, first falls below 1/7. For M molecules at
    random places, each localized once in each half with the error σ, that is 2πσ / √(ln 7) = 4.5 σ.

    A molecule that is localized in both halves, since its blink crosses the end of a block or since
    it blinks again, is there with twice the same labelling error: such spurious correlation makes
    the resolution too good. Blocks much longer than a blink avoid the first; nothing but a model of
    the blinking removes the second. Two runs of a deterministic network on the same frames cannot
    be compared at all: they agree in every error.

    Parameters
    ----------
    localizations
        Of one movie; the image is as large as the box around all of them.
    block_frames
        Frames in a row that belong to the same half; by default a twentieth of the movie.
    generator
        Draws the blocks of each half at random; without one they alternate.

    Raises
    ------
    InputError
        A block has less than one frame.

    References
    ----------
    R. P. J. Nieuwenhuizen et al., Nat. Methods 10, 557 (2013), doi:10.1038/nmeth.2448

    N. Banterle et al., J. Struct. Biol. 183, 363 (2013), doi:10.1016/j.jsb.2013.05.004
    """
    block = _block_frames(localizations, block_frames)
    measured = partial(
        Measured,
        label="FRC resolution",
        unit="nm",
        assumption=f"The movie is split into blocks of {_frames(block)} for two images: a molecule "
        "that shines in both makes the number too good.",
    )
    if len(localizations) < _FEWEST_LOCALIZATIONS:
        count = len(localizations)
        counted = "1 localization is" if count == 1 else f"{count} localizations are"
        problem = f"{counted} too few to show a structure twice."
        return _without_curve(measured(problem=problem), block)
    is_second = second_half(localizations, block, generator)
    if is_second.all() or not is_second.any():
        problem = f"All localizations lie within one block of {_frames(block)}: there is no half."
        return _without_curve(measured(problem=problem), block)
    positions_nm = localizations.positions_nm()
    positions_nm -= positions_nm.min(axis=0)
    if not positions_nm.any():
        return _without_curve(measured(problem="All localizations have the same position."), block)
    curve = _sufficiently_fine([positions_nm[~is_second], positions_nm[is_second]])
    problem = curve.problem()
    return FourierRingResolution(
        resolution=measured(problem=problem) if problem else measured(value=curve.resolution_nm),
        frequency_per_nm=curve.frequency / curve.pixel_size_nm,
        correlation=curve.correlation,
        smoothed=curve.smoothed,
        block_frames=block,
    )


def _without_curve(resolution: Measured, block_frames: int) -> FourierRingResolution:
    nothing = np.empty(0)
    return FourierRingResolution(resolution, nothing, nothing, nothing, block_frames)


def second_half(
    localizations: Localizations, block_frames: int, generator: np.random.Generator | None = None
) -> NDArray[np.bool_]:
    """Tell which localizations belong to the second half, one boolean per row.

    Parameters
    ----------
    localizations
        At least one.
    block_frames
        Frames in a row that belong to the same half, counted from the first in the table.
    generator
        Draws which half of the blocks it is; without one they alternate.
    """
    block = (localizations.frame - localizations.frame.min()) // block_frames
    count = int(block.max()) + 1
    order = np.arange(count) if generator is None else generator.permutation(count)
    is_second: NDArray[np.bool_] = order[block] % 2 == 1
    return is_second


def fourier_ring_correlation(
    first: NDArray[np.floating], second: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Correlate two images for every spatial frequency on its own.

    Parameters
    ----------
    first, second
        The same shape (Y, X). They are windowed, and their means do not matter.

    Returns
    -------
    NDArray
        From -1 to 1, one number for each ring of `Rings`; 0 where one of the images has no detail
        of that frequency at all.

    Raises
    ------
    InputError
        The images are not two-dimensional, differ in shape, or hold NaN or infinity.
    """
    if first.ndim != 2 or first.shape != second.shape:
        raise InputError(
            f"Images of shape {first.shape} and {second.shape} cannot be correlated. Give two "
            "images (y, x) of the same size."
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InputError("An image holds NaN or infinite pixels. Replace them by numbers.")
    return _correlate(first, second, Rings(first.shape))


def _correlate(
    first: NDArray[np.floating], second: NDArray[np.floating], rings: Rings
) -> NDArray[np.float64]:
    f1, f2 = windowed_spectrum(first), windowed_spectrum(second)
    shared = rings.sum(f1.real * f2.real + f1.imag * f2.imag)
    power = np.sqrt(rings.sum(np.abs(f1) ** 2)) * np.sqrt(rings.sum(np.abs(f2) ** 2))
    correlation = np.zeros_like(shared)
    np.divide(shared, power, out=correlation, where=power > 0)
    return correlation.clip(-1, 1)


@dataclass(frozen=True, eq=False)
class _Curve:
    """The correlation of two images of one pixel size, ring by ring from one period a side."""

    pixel_size_nm: float
    frequency: NDArray[np.float64]
    waves: NDArray[np.float64]
    correlation: NDArray[np.float64]
    smoothed: NDArray[np.float64]

    @property
    def last_ring(self) -> int | None:
        """The last ring before the curve first falls below the threshold.

        Where the curve starts below, as for a structure of one size in an even field, the fall
        after its first rise counts.
        """
        above = self.smoothed >= THRESHOLD
        falls = np.flatnonzero(above[:-1] & ~above[1:])
        return int(falls[0]) if falls.size else None

    @property
    def resolution_nm(self) -> float:
        """Period at the threshold; 0 without a fall, when detail of every size is correlated."""
        if self.last_ring is None:
            return 0.0
        fall = slice(self.last_ring, self.last_ring + 2)
        # ascending, as interpolation takes it
        frequency = np.interp(THRESHOLD, self.smoothed[fall][::-1], self.frequency[fall][::-1])
        return self.pixel_size_nm / float(frequency)

    @property
    def is_uncorrelated(self) -> bool:
        """Whether two images without anything in common could have such a curve."""
        if self.last_ring is None and self.smoothed[-1] >= THRESHOLD:
            return False
        coarser = slice(None if self.last_ring is None else self.last_ring + 1)
        waves = self.waves[coarser]
        # the correlation of n waves, of which half are independent, has the variance 1 / n
        return bool(waves @ self.correlation[coarser] < _SIGNIFICANT * np.sqrt(waves.sum()))

    @property
    def is_fine(self) -> bool:
        """Whether no finer pixels are needed."""
        return self.resolution_nm >= _PIXELS_PER_RESOLUTION * self.pixel_size_nm

    def problem(self) -> str:
        """Say why there is no resolution; nothing if there is one."""
        if self.is_uncorrelated:
            return "The two halves of the movie have no structure in common."
        finest_nm = _FEWEST_PIXELS_PER_RESOLUTION * self.pixel_size_nm
        if self.resolution_nm < finest_nm:
            return (
                f"The halves agree in all detail down to {finest_nm:.2g} nm, the finest that can "
                "be told in a field of this size: are the same localizations in both?"
            )
        return ""


def _block_frames(localizations: Localizations, block_frames: int | None) -> int:
    if block_frames is None:
        span = int(np.ptp(localizations.frame)) + 1 if len(localizations) else 1
        return max(1, span // _BLOCKS)
    if block_frames < 1:
        raise InputError(f"A block of {block_frames} frames cannot be made. Give at least 1.")
    return block_frames


def _frames(count: int) -> str:
    return f"{count:,} frame{'s' * (count > 1)}"


def _sufficiently_fine(halves: Sequence[NDArray[np.float64]]) -> _Curve:
    """Correlate ever finer images of two halves until their pixels can tell the resolution."""
    for side in _SIDES:
        curve = _curve(halves, side)
        if curve.is_fine or curve.is_uncorrelated:
            break
    return curve


def _curve(halves: Sequence[NDArray[np.float64]], side: int) -> _Curve:
    extent_nm = np.max([positions_nm.max(axis=0) for positions_nm in halves], axis=0)
    pixel_size_nm = float(extent_nm.max()) / side
    height, width = (
        scipy.fft.next_fast_len(int(length // pixel_size_nm) + 1) for length in extent_nm
    )
    first, second = (
        render_density_map(
            positions_nm,
            height=height,
            width=width,
            pixel_size_nm=pixel_size_nm,
            upsampling_factor=1,
            sigma_px=0,
        )
        for positions_nm in halves
    )
    rings = Rings((height, width))
    correlation = _correlate(first, second, rings)[1:]
    # the span of the program that Nieuwenhuizen et al. published: a tenth of the rings
    smoothed = _local_regression(correlation, span=side // 20 | 1)
    return _Curve(pixel_size_nm, rings.frequency[1:], rings.waves[1:], correlation, smoothed)


def _local_regression(values: NDArray[np.float64], span: int) -> NDArray[np.float64]:
    """Smooth by quadratic fits to the ``span`` nearest values, with tricube weights (LOESS).

    References
    ----------
    W. S. Cleveland, J. Am. Stat. Assoc. 74, 829 (1979), doi:10.1080/01621459.1979.10481038
    """
    places = np.arange(len(values))
    first = np.clip(places - span // 2, 0, len(values) - span)
    neighbours = first[:, None] + np.arange(span)
    distance = (neighbours - places[:, None]).astype(np.float64)
    distance /= np.abs(distance).max(axis=1, keepdims=True) + 1
    weights = (1 - np.abs(distance) ** 3) ** 3
    powers = distance[:, :, None] ** np.arange(3)
    weighted = (powers * weights[:, :, None]).transpose(0, 2, 1)
    coefficients = np.linalg.solve(weighted @ powers, weighted @ values[neighbours][:, :, None])
    smoothed: NDArray[np.float64] = coefficients[:, 0, 0]
    return smoothed
