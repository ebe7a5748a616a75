"""The truth that a network is trained against, rendered only where a patch needs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.density_map import render_density_map
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dl4smlm.backend.acquisition.frames import FrameStack


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

    Their brightest pixel counts as one emitter, so that images of 0 and 255 train as those of 0
    and 1 do. They are taken as they are: for the L1L2 loss they should show single bright pixels,
    for the weighted losses a small Gaussian for each emitter.

    Parameters
    ----------
    images
        Truth, one image a frame.
    upsampling_factor
        Fine pixels per camera pixel.
    brightest
        Value of the brightest pixel of all images.
    """

    def __init__(self, images: FrameStack, *, upsampling_factor: int, brightest: float) -> None:
        self._images = images
        self._upsampling_factor = upsampling_factor
        self._brightest = brightest

    def render(self, patch: Patch, sigma_px: float) -> NDArray[np.float32]:
        """Return the image of a patch; ``sigma_px`` was chosen by whoever drew the images."""
        f = self._upsampling_factor
        (image,) = self._images.read(patch.frame, patch.frame + 1)
        rows = slice(patch.top * f, (patch.top + patch.height) * f)
        columns = slice(patch.left * f, (patch.left + patch.width) * f)
        part: NDArray[np.float32] = image[rows, columns].astype(np.float32)
        return part / np.float32(self._brightest)

    def count_emitters(self, patch: Patch) -> int:
        """Return how many pixels of a patch are at least half as bright as the brightest one."""
        return int(np.count_nonzero(self.render(patch, 0) >= 0.5))

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
            f"{frames.name} does not say how large its pixels are. Give the pixel size in nm, for "
            "example --pixel-size-nm 100."
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
    """Look for the brightest pixel of all true images.

    Raises
    ------
    InputError
        No pixel is above 0.
    """
    brightest = max(float(batch.max()) for _, batch in images.batches(64))
    if not brightest > 0:
        raise InputError(f"{images.name} has no pixel above 0; there is nothing to learn from.")
    return ImageTruth(images, upsampling_factor=upsampling_factor, brightest=brightest)
