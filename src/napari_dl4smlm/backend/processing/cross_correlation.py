"""Drift from the correlation of images of all stretches of a movie with one another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import scipy
from pydantic import BaseModel, Field

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.density_map import render_density_map
from napari_dl4smlm.backend.processing.drift_curve import DriftCurve
from napari_dl4smlm.backend.processing.segments import Segments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.localizations.table import Localizations

_SEGMENTS = 20
_LEAST_LOCALIZATIONS = 500

_BLUR_PX = 1.0
"""Of each image: the peak of a correlation is then wide enough to be found between its pixels."""

_PEAK_REACH_PX = 2

_LARGEST_SIDE_PX = 8192
_LARGEST_PX = _SEGMENTS * _LARGEST_SIDE_PX**2
"""Of all images together; their transforms take 5 GB."""

_MOST_SEGMENTS = 200
"""Two minutes for small images; pairs, and with them the time, go up with the square."""


class CrossCorrelation(BaseModel, frozen=True, extra="forbid"):
    """Redundant cross-correlation (RCC).

    An image is drawn of every segment of the movie. The shift between each two images is where
    their correlation is highest; the drift is what agrees best with all these shifts, of which
    those that contradict the others are left out.

    References
    ----------
    Y. Wang et al., Opt. Express 22, 15982 (2014), doi:10.1364/OE.22.015982
    """

    kind: Literal["rcc"] = Field("rcc", description="redundant cross-correlation of images")
    segment_frames: int | None = Field(
        None,
        ge=1,
        title="Segment",
        description="frames that are drawn into one image; default: a twentieth of the movie, more "
        f"where that has fewer than {_LEAST_LOCALIZATIONS} localizations",
    )
    pixel_nm: float = Field(
        25.0, gt=0, allow_inf_nan=False, title="Pixel", description="of the images, in nm"
    )
    max_shift_nm: float = Field(
        1000.0,
        gt=0,
        allow_inf_nan=False,
        title="Largest shift",
        description="between any two segments, in nm",
    )

    def estimate(self, localizations: Localizations) -> DriftCurve:
        """Estimate the drift of a table that has rows.

        Raises
        ------
        InputError
            The localizations are too few or lie in one segment, there would be more than 200
            segments, or the images would be larger than 8192 pixels or fill the memory.
        """
        segments = Segments.to_compare(
            localizations,
            self.segment_frames,
            most=_SEGMENTS,
            least_localizations=_LEAST_LOCALIZATIONS,
        )
        n_segments = len(segments.positions_nm)
        if n_segments > _MOST_SEGMENTS:
            raise InputError(
                f"{n_segments:,} segments are too many to correlate each with each. Choose "
                f"segments of at least {-(-len(segments.frames) // _MOST_SEGMENTS):,} frames, or "
                "the method 'aim'."
            )
        spectra, shape = self._spectra(segments, localizations)
        pairs = np.column_stack(np.triu_indices(len(spectra), k=1))
        shifts = [self._shift_px(spectra[i], spectra[j], shape) for i, j in pairs]
        shift_nm = np.array(shifts).reshape(-1, 2) * self.pixel_nm
        drift_nm = _agreeing(pairs, shift_nm, len(spectra), tolerance_nm=self.pixel_nm)
        return DriftCurve.through(segments.mean_frame, drift_nm, frames=segments.frames)

    def __str__(self) -> str:
        return "drift by redundant cross-correlation"

    def _spectra(
        self, segments: Segments, localizations: Localizations
    ) -> tuple[list[NDArray[np.complex64]], tuple[int, int]]:
        """Return the Fourier transforms of all images, and the shape of the images."""
        positions = localizations.positions_nm()
        corner = positions.min(axis=0)
        height, width = (np.ptp(positions, axis=0) / self.pixel_nm).astype(int) + 1
        # room for the largest shift, since the transform goes round
        room = 2 * self._reach_px + 1
        shape = (
            scipy.fft.next_fast_len(int(height) + room),
            scipy.fft.next_fast_len(int(width) + room, real=True),
        )
        n_segments = len(segments.positions_nm)
        if max(shape) > _LARGEST_SIDE_PX or n_segments * shape[0] * shape[1] > _LARGEST_PX:
            raise InputError(
                f"Images of {shape[0]} x {shape[1]} px are too large for {n_segments} of them to "
                f"be correlated. Choose pixels of more than {self.pixel_nm:g} nm, longer segments, "
                "or the method 'aim'."
            )
        spectra = []
        for part in segments.positions_nm:
            image = render_density_map(
                part - corner,
                height=int(height),
                width=int(width),
                pixel_size_nm=self.pixel_nm,
                upsampling_factor=1,
                sigma_px=_BLUR_PX,
            )
            spectra.append(scipy.fft.rfft2(image - image.mean(), s=shape))
        return spectra, shape

    def _shift_px(
        self,
        first: NDArray[np.complex64],
        second: NDArray[np.complex64],
        shape: tuple[int, int],
    ) -> NDArray[np.float64]:
        """Return how far the second image is shifted against the first, (y, x)."""
        correlation = scipy.fft.irfft2(first.conj() * second, s=shape)
        around_zero = np.arange(-self._reach_px, self._reach_px + 1)
        return _peak(correlation[np.ix_(around_zero, around_zero)]) - self._reach_px

    @property
    def _reach_px(self) -> int:
        return int(np.ceil(self.max_shift_nm / self.pixel_nm)) + _PEAK_REACH_PX


def _peak(image: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return where a paraboloid through the surroundings of the highest pixel is highest.

    It is that pixel itself where the paraboloid has no summit.
    """
    reach = _PEAK_REACH_PX
    inner = image[reach:-reach, reach:-reach]
    row, column = np.unravel_index(np.argmax(inner), inner.shape)
    around = image[row : row + 2 * reach + 1, column : column + 2 * reach + 1]
    y, x = (axis.ravel() for axis in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    terms = np.column_stack([np.ones_like(y), y, x, y * y, x * x, x * y]).astype(float)
    _, *slope, yy, xx, xy = np.linalg.lstsq(terms, around.ravel().astype(float))[0]
    curvature = np.array([[2 * yy, xy], [xy, 2 * xx]])
    highest = np.array([row + reach, column + reach], float)
    if np.linalg.eigvalsh(curvature)[-1] < 0:
        highest += np.linalg.solve(curvature, -np.array(slope)).clip(-1, 1)
    return highest


def _agreeing(
    pairs: NDArray[np.intp], shift_nm: NDArray[np.float64], n: int, *, tolerance_nm: float
) -> NDArray[np.float64]:
    """Return the drifts (n, 2) whose differences are the shifts, in the sense of least squares.

    The shift that contradicts the others most is left out, again and again, until none is off by
    more than the tolerance, or none can be spared.
    """
    design = np.zeros((len(pairs), n))
    design[np.arange(len(pairs)), pairs[:, 0]] = -1
    design[np.arange(len(pairs)), pairs[:, 1]] = 1
    # the drift of the first segment is 0
    design = design[:, 1:]
    kept = np.ones(len(pairs), bool)
    while True:
        solution = np.linalg.lstsq(design[kept], shift_nm[kept])[0]
        error = np.linalg.norm(shift_nm - design @ solution, axis=1) * kept
        worst = int(np.argmax(error)) if len(error) else -1
        if worst < 0 or error[worst] <= tolerance_nm:
            break
        kept[worst] = False
        if np.linalg.matrix_rank(design[kept]) < n - 1:
            break
    return np.vstack([np.zeros((1, 2)), solution])
