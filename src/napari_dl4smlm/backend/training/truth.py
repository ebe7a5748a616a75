"""The truth that a network is trained against, rendered only where a patch needs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import scipy

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.density_map import render_density_map
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dl4smlm.backend.acquisition.frames import FrameStack


# in fine pixels: what belongs to a spot, if there is no other one
_SPOT_RADIUS = 6
_ENOUGH_SPOTS = 1000
# where they are so dense that hardly one is alone
_MOST_SPOTS = 100_000


@dataclass(frozen=True)
class Patch:
    """A square of one frame: its number, upper left camera pixel, and size in camera pixels."""

    frame: int
    top: int
    left: int
    height: int
    width: int


class Truth(Protocol):
    """Density maps of a movie, given as positions or as images."""

    def render(self, patch: Patch, sigma_px: float) -> NDArray[np.float32]:
        """Return the density map of a patch on the fine grid, in emitters per fine pixel."""
        ...

    def count_emitters(self, patch: Patch) -> int:
        """Return how many emitters lie inside a patch."""
        ...

    def positions_nm(self, patch: Patch) -> NDArray[np.float64] | None:
        """Return the emitters inside a patch, from its corner; ``None`` where only images tell."""
        ...


class PositionTruth:
    """Truth from a table of positions.

    Parameters
    ----------
    localizations
        Positions, with frames numbered as in the movie.
    height, width
        Size of the movie's frames in camera pixels.
    pixel_size_nm
        Camera pixel.
    upsampling_factor
        Fine pixels per camera pixel.

    Raises
    ------
    InputError
        A position lies outside of the field of view.
    """

    def __init__(
        self,
        localizations: Localizations,
        *,
        height: int,
        width: int,
        pixel_size_nm: float,
        upsampling_factor: int,
    ) -> None:
        localizations.check_inside(height, width, pixel_size_nm)
        ordered = localizations.sorted_by_frame()
        self._positions_nm = ordered.positions_nm()
        self._frames = ordered.frame
        self._pixel_size_nm = pixel_size_nm
        self._upsampling_factor = upsampling_factor

    def _positions(self, patch: Patch) -> NDArray[np.float64]:
        """Positions (N, 2) in the patch's frame, from the patch's own corner."""
        first, last = np.searchsorted(self._frames, [patch.frame, patch.frame + 1])
        corner = np.array([patch.top, patch.left]) * self._pixel_size_nm
        shifted: NDArray[np.float64] = self._positions_nm[first:last] - corner
        return shifted

    def render(self, patch: Patch, sigma_px: float) -> NDArray[np.float32]:
        """Return the density map of a patch; emitters just outside reach into it."""
        size = np.array([patch.height, patch.width]) * self._pixel_size_nm
        margin = (4 * sigma_px + 1) * self._pixel_size_nm / self._upsampling_factor
        positions = self._positions(patch)
        near = ((positions > -margin) & (positions < size + margin)).all(axis=1)
        return render_density_map(
            positions[near],
            height=patch.height,
            width=patch.width,
            pixel_size_nm=self._pixel_size_nm,
            upsampling_factor=self._upsampling_factor,
            sigma_px=sigma_px,
        )

    def count_emitters(self, patch: Patch) -> int:
        """Return how many positions lie inside a patch."""
        return len(self.positions_nm(patch))

    def positions_nm(self, patch: Patch) -> NDArray[np.float64]:
        """Return the positions (N, 2) inside a patch, (y, x) from its upper left corner."""
        size = np.array([patch.height, patch.width]) * self._pixel_size_nm
        positions = self._positions(patch)
        inside: NDArray[np.float64] = positions[((positions >= 0) & (positions < size)).all(axis=1)]
        return inside


class ImageTruth:
    """Truth from images that are already on the fine grid.

    Their shapes are taken as they are: for the L1L2 loss, which blurs them, they should show single
    bright pixels, for the weighted losses a small Gaussian for each emitter.

    Parameters
    ----------
    images
        Truth, one image a frame.
    upsampling_factor
        Fine pixels per camera pixel.
    per_emitter
        What one emitter adds to the sum of an image.
    """

    def __init__(self, images: FrameStack, *, upsampling_factor: int, per_emitter: float) -> None:
        self._images = images
        self._upsampling_factor = upsampling_factor
        self._per_emitter = per_emitter

    def render(self, patch: Patch, sigma_px: float) -> NDArray[np.float32]:
        """Return the image of a patch; ``sigma_px`` was chosen by whoever drew the images."""
        f = self._upsampling_factor
        (image,) = self._images.read(patch.frame, patch.frame + 1)
        rows = slice(patch.top * f, (patch.top + patch.height) * f)
        columns = slice(patch.left * f, (patch.left + patch.width) * f)
        part: NDArray[np.float32] = image[rows, columns].astype(np.float32)
        return part / np.float32(self._per_emitter)

    def count_emitters(self, patch: Patch) -> int:
        """Return how many emitters make up the sum of a patch."""
        return round(float(self.render(patch, 0).sum(dtype=np.float64)))

    def positions_nm(self, patch: Patch) -> None:
        """Positions are not known: what an image shows may be emitters of any shape."""


def position_truth(
    frames: FrameStack, localizations: Path | Localizations, *, upsampling_factor: int
) -> PositionTruth:
    """Match a table of positions with the movie that it belongs to.

    Raises
    ------
    InputError
        The pixel size is not known, the table has a frame that the movie does not have, is empty,
        or has a position outside of the field of view.
    """
    if frames.pixel_size_nm is None:
        raise InputError(
            frames.pixel_size_fault()
            or f"{frames.name} does not say how large its pixels are. Give the pixel size in nm, "
            "for example --pixel-size-nm 100."
        )
    table = localizations
    if not isinstance(table, Localizations):
        table = read_thunderstorm(table, pixel_size_nm=frames.pixel_size_nm)
    if len(table) == 0:
        name = "The table" if table is localizations else localizations
        raise InputError(f"{name} holds no localization; there is nothing to learn from.")
    last = int(table.frame.max())
    if last >= frames.n_frames:
        raise InputError(
            f"The localizations reach up to frame {last + 1} (counted from 1), but {frames.name} "
            f"has {frames.n_frames} frames. Check that the table belongs to this movie."
        )
    return PositionTruth(
        table,
        height=frames.height,
        width=frames.width,
        pixel_size_nm=frames.pixel_size_nm,
        upsampling_factor=upsampling_factor,
    )


def image_truth(images: FrameStack, *, upsampling_factor: int) -> ImageTruth:
    """Measure how bright an emitter is in true images, of which nobody tells the unit.

    It is the median sum of spots that are alone: of bright pixels, of Gaussians, whatever their
    height. Where none is alone, it is the mean.

    Parameters
    ----------
    images
        Truth, one image a frame, in any unit.
    upsampling_factor
        Fine pixels per camera pixel.

    Raises
    ------
    InputError
        No pixel is above 0.
    """
    total, n_spots, lone = 0.0, 0, list[float]()
    # anywhere in the movie, since emitters may bleach
    for number in np.random.default_rng(0).permutation(images.n_frames):
        (image,) = images.read(int(number), int(number) + 1).astype(np.float64)
        spots = _spots(image)
        total += float(image.sum())
        n_spots += len(spots)
        lone += _lone_sums(image, spots)
        if len(lone) >= _ENOUGH_SPOTS or n_spots >= _MOST_SPOTS:
            break
    if not n_spots:
        raise InputError(f"{images.name} has no pixel above 0; there is nothing to learn from.")
    per_emitter = float(np.median(lone)) if lone else total / n_spots
    return ImageTruth(images, upsampling_factor=upsampling_factor, per_emitter=per_emitter)


def _spots(image: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return row and column (N, 2) of what is brighter than all around it."""
    is_highest = (image > 0) & (image == scipy.ndimage.maximum_filter(image, 3))
    # neighbours of the same height belong to one spot
    labels, count = scipy.ndimage.label(is_highest, np.ones((3, 3)))
    centres = scipy.ndimage.center_of_mass(is_highest, labels, range(1, count + 1))
    return np.array(centres).reshape(-1, 2).round().astype(np.intp)


def _lone_sums(image: NDArray[np.float64], spots: NDArray[np.intp]) -> list[float]:
    """Return the sums of the image around spots that are alone there."""
    inside = (spots >= _SPOT_RADIUS) & (spots < np.array(image.shape) - _SPOT_RADIUS)
    near = scipy.spatial.cKDTree(spots).query_ball_point(
        spots, _SPOT_RADIUS, p=np.inf, return_length=True
    )
    around = [
        tuple(slice(place - _SPOT_RADIUS, place + _SPOT_RADIUS + 1) for place in spot)
        for spot in spots[inside.all(axis=1) & (near == 1)]
    ]
    return [float(image[window].sum()) for window in around]
