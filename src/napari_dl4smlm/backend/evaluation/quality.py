"""How good a result is where the truth is not known: all that can be measured, in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.density_map import render_density_map
from napari_dl4smlm.backend.metrics.decorrelation import (
    DecorrelationResolution,
    decorrelation_resolution,
)
from napari_dl4smlm.backend.metrics.error_map import ErrorMap, map_errors
from napari_dl4smlm.backend.metrics.fourier_ring import (
    FourierRingResolution,
    fourier_ring_resolution,
)
from napari_dl4smlm.backend.metrics.localization_statistics import (
    Distribution,
    LocalizationsPerFrame,
    localizations_per_frame,
    photon_distribution,
    sigma_distribution,
)
from napari_dl4smlm.backend.metrics.nearest_neighbour import (
    NearestNeighbourPrecision,
    nearest_neighbour_precision,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.localizations.table import Localizations
    from napari_dl4smlm.backend.metrics.measured import Measured

# bounds the memory for the mean of a movie of any length
_FRAMES_AT_A_TIME = 16

# the grid of an image that is drawn of the table, where none is given
_UPSAMPLING_FACTOR = 8

# fits of spots at the edge may end a little outside
_LARGEST_SHARE_OUTSIDE = 0.01


@dataclass(frozen=True, eq=False)
class Quality:
    """What was measured of a result without knowing the truth.

    Parameters
    ----------
    fourier_ring
        Resolution: down to which detail two halves of the movie agree.
    decorrelation
        Resolution: the finest detail of the image.
    errors
        Where the image and the raw frames disagree.
    nearest_neighbour
        Precision with which one molecule is localized twice.
    photons, sigma
        How bright the molecules are, and how wide their spots.
    per_frame
        How many localizations there are, over time.
    """

    fourier_ring: FourierRingResolution
    decorrelation: DecorrelationResolution
    errors: ErrorMap
    nearest_neighbour: NearestNeighbourPrecision
    photons: Distribution
    sigma: Distribution
    per_frame: LocalizationsPerFrame

    def measured(self) -> dict[str, Measured]:
        """Return every number, or the reason why there is none, by its name."""
        return {
            "frc_resolution": self.fourier_ring.resolution,
            "decorrelation_resolution": self.decorrelation.resolution,
            "precision": self.nearest_neighbour.precision,
            "rsp": self.errors.rsp,
            "rse": self.errors.rse,
            "rsf": self.errors.rsf,
            "localizations_per_frame": self.per_frame.mean,
            "photons": self.photons.median,
            "sigma": self.sigma.median,
        }


@dataclass(frozen=True)
class QualityProgress:
    """Something is about to be measured.

    Attributes
    ----------
    what
        In a few words.
    share
        Of all the work that is done by then, from 0 to 1.
    """

    what: str
    share: float


def measure_quality(
    localizations: Localizations,
    movie: FrameStack,
    *,
    image: NDArray[np.floating] | None = None,
    frames: range | None = None,
    block_frames: int | None = None,
) -> Quality:
    """Measure all that can be told of a result without the truth.

    The movie is read once, a few frames at a time. :func:`quality_events` does the same, and can be
    watched and left early.

    Parameters
    ----------
    localizations
        Of the movie, with frames numbered as in it.
    movie
        The raw frames, with their pixel size.
    image
        The reconstruction of the same frames, shape (f Y, f X). By default the localizations are
        drawn on a grid of an eighth of a camera pixel, each as a Gaussian of one fine pixel.
    frames
        The frames that were localized, without gaps; all by default.
    block_frames
        As for `fourier_ring_resolution`.

    Raises
    ------
    InputError
        The pixel size of the movie is not known; the table, the image and the movie do not fit each
        other; or a frame cannot be read.
    """
    for event in quality_events(
        localizations, movie, image=image, frames=frames, block_frames=block_frames
    ):
        if isinstance(event, Quality):
            return event
    raise AssertionError("unreachable")


def quality_events(
    localizations: Localizations,
    movie: FrameStack,
    *,
    image: NDArray[np.floating] | None = None,
    frames: range | None = None,
    block_frames: int | None = None,
) -> Iterator[QualityProgress | Quality]:
    """Measure what :func:`measure_quality` does, of the same and with the same errors.

    Yields
    ------
    QualityProgress or Quality
        What is about to be measured, and in the end all of it.
    """
    if movie.pixel_size_nm is None:
        raise InputError(
            movie.pixel_size_fault()
            or f"The pixel size of {movie.name} is not known. Give it in nm."
        )
    frames = range(movie.n_frames) if frames is None else frames
    _require_same_movie(localizations, movie, movie.pixel_size_nm)
    localizations = localizations.in_frames(frames)
    if image is None:
        yield QualityProgress("image of the localizations", 0.0)
        image = _draw(localizations, movie, movie.pixel_size_nm)
    total = np.zeros((movie.height, movie.width))
    for n_added in _add_frames(movie, frames, total):
        yield QualityProgress("mean of the raw frames", 0.5 * n_added / len(frames))
    yield QualityProgress("error map", 0.5)
    # before the resolutions, since it refuses an image of another field
    errors = map_errors(image, total / len(frames), pixel_size_nm=movie.pixel_size_nm)
    yield QualityProgress("decorrelation resolution", 0.6)
    decorrelation = decorrelation_resolution(
        image, pixel_size_nm=movie.pixel_size_nm * movie.height / image.shape[0]
    )
    yield QualityProgress("FRC resolution", 0.7)
    fourier_ring = fourier_ring_resolution(localizations, block_frames=block_frames)
    yield QualityProgress("localization precision (NeNA)", 0.9)
    yield Quality(
        fourier_ring=fourier_ring,
        decorrelation=decorrelation,
        errors=errors,
        nearest_neighbour=nearest_neighbour_precision(localizations),
        photons=photon_distribution(localizations),
        sigma=sigma_distribution(localizations),
        per_frame=localizations_per_frame(localizations, frames),
    )


def mean_frame(movie: FrameStack, frames: range) -> NDArray[np.float64]:
    """Return the mean of some frames without gaps, shape (Y, X), in counts.

    Raises
    ------
    InputError
        A frame cannot be read.
    """
    total = np.zeros((movie.height, movie.width))
    for _ in _add_frames(movie, frames, total):
        pass
    return total / len(frames)


def _add_frames(movie: FrameStack, frames: range, total: NDArray[np.float64]) -> Iterator[int]:
    """Add frames to an image, and tell how many were added so far."""
    for numbers, batch in movie.batches(_FRAMES_AT_A_TIME, frames):
        total += batch.sum(axis=0, dtype=np.float64)
        yield numbers.stop - frames.start


def _require_same_movie(
    localizations: Localizations, movie: FrameStack, pixel_size_nm: float
) -> None:
    if len(localizations) == 0:
        return
    last = int(localizations.frame.max())
    if last >= movie.n_frames:
        raise InputError(
            f"The table has localizations in frame {last}, counted from 0, but {movie.name} has "
            f"{movie.n_frames} frames. Give the movie that was localized."
        )
    y_px, x_px = localizations.positions_nm().T / pixel_size_nm
    inside = (y_px >= 0) & (y_px < movie.height) & (x_px >= 0) & (x_px < movie.width)
    if inside.mean() < 1 - _LARGEST_SHARE_OUTSIDE:
        localizations.check_inside(movie.height, movie.width, pixel_size_nm)


def _draw(
    localizations: Localizations, movie: FrameStack, pixel_size_nm: float
) -> NDArray[np.floating]:
    spikes = render_density_map(
        localizations.positions_nm(),
        height=movie.height,
        width=movie.width,
        pixel_size_nm=pixel_size_nm,
        upsampling_factor=_UPSAMPLING_FACTOR,
        sigma_px=0,
    )
    # blurred together, which takes the same time for any number of localizations
    blurred: NDArray[np.floating] = scipy.ndimage.gaussian_filter(spikes, 1.0, mode="constant")
    return blurred
