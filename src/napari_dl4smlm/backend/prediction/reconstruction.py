"""The super-resolution image: the sum of the density maps of all frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dl4smlm.backend.acquisition.calibrated_tiff import calibrated_tiff
from napari_dl4smlm.backend.atomic_file import atomic_file
from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray
    from pydantic import JsonValue


class Reconstruction:
    """Running sum of density maps, with the numbers of the frames that are in it.

    Reconstructions of disjoint frames merge to that of all of them, in any order, so that many
    workers can share one movie.

    Parameters
    ----------
    height, width
        Size in fine pixels.
    pixel_size_nm
        Side of a fine pixel.
    blur_sigma_px
        Standard deviation, in fine pixels, of the Gaussian that the image is blurred with: once,
        where it is asked for, and not each density map. 0 for none.

    Attributes
    ----------
    shape
        ``(height, width)``.
    frames
        The frames in the sum as ranges without gaps, sorted, none touching the next.
    """

    def __init__(
        self, height: int, width: int, *, pixel_size_nm: float, blur_sigma_px: float = 0.0
    ) -> None:
        self.shape = (height, width)
        self.pixel_size_nm = pixel_size_nm
        self.blur_sigma_px = blur_sigma_px
        self.frames: tuple[range, ...] = ()
        # single precision would lose the dim half of a sum over more than some 10 000 frames
        self._sum = np.zeros(self.shape, dtype=np.float64)

    @classmethod
    def of(
        cls,
        total: NDArray[np.float64],
        frames: Iterable[range],
        *,
        pixel_size_nm: float,
        blur_sigma_px: float,
    ) -> Reconstruction:
        """Make the reconstruction with a given sum, which is not copied.

        Raises
        ------
        InputError
            Two of the ranges have a frame in common.
        """
        made = cls(*total.shape, pixel_size_nm=pixel_size_nm, blur_sigma_px=blur_sigma_px)
        made._sum = total
        made.frames = _union(frames)
        return made

    @property
    def total(self) -> NDArray[np.float64]:
        """The sum itself, not blurred, in emitters per fine pixel; it changes with every frame."""
        return self._sum

    @property
    def n_frames(self) -> int:
        """Number of frames in the sum."""
        return sum(len(frames) for frames in self.frames)

    @property
    def frame_ranges(self) -> list[str]:
        """The frames in the sum as the user writes them, such as ``["0:100", "150:200"]``."""
        return [f"{part.start}:{part.stop}" for part in self.frames]

    @property
    def image(self) -> NDArray[np.float32]:
        """The sum, blurred, in emitters per fine pixel; a copy.

        Another thread may add frames meanwhile; the copy then holds them in some rows only.
        """
        image = self._sum.astype(np.float32)
        if self.blur_sigma_px > 0:
            # loaded here, since who only takes in images needs no PyTorch
            import torch

            from napari_dl4smlm.backend.gaussian_blur import GaussianBlur

            blur = GaussianBlur(self.blur_sigma_px)
            image = blur(torch.from_numpy(image)[None, None])[0, 0].numpy()
        return image

    def empty(self) -> Reconstruction:
        """Return the reconstruction of no frame of the same field."""
        return Reconstruction(
            *self.shape, pixel_size_nm=self.pixel_size_nm, blur_sigma_px=self.blur_sigma_px
        )

    def add(self, density: NDArray[np.floating], frames: range) -> None:
        """Add the sum of the density maps of some frames.

        Parameters
        ----------
        density
            Shape (height, width), emitters per fine pixel.
        frames
            Their numbers, without gaps.

        Raises
        ------
        InputError
            The density has another shape, or one of the frames is in the sum already.
        """
        self._add(density, (frames,))

    def take_in(self, other: Reconstruction) -> None:
        """Add the frames of another reconstruction to this one.

        Raises
        ------
        InputError
            The two differ in shape, pixel size or blur, or share a frame.
        """
        if not np.isclose(self.pixel_size_nm, other.pixel_size_nm, rtol=1e-6, atol=0):
            raise InputError(
                f"Reconstructions with pixels of {self.pixel_size_nm:g} nm and "
                f"{other.pixel_size_nm:g} nm cannot be added. Predict both with one pixel size."
            )
        if self.blur_sigma_px != other.blur_sigma_px:
            raise InputError(
                f"Reconstructions that are blurred by {self.blur_sigma_px:g} px and "
                f"{other.blur_sigma_px:g} px cannot be added. Predict both with one model."
            )
        self._add(other._sum, other.frames)

    def merge(self, other: Reconstruction) -> Reconstruction:
        """Return the reconstruction of the frames of both.

        Raises
        ------
        InputError
            The two differ in shape, pixel size or blur, or share a frame.
        """
        merged = self.empty()
        merged.take_in(self)
        merged.take_in(other)
        return merged

    def _add(self, density: NDArray[np.floating], frames: tuple[range, ...]) -> None:
        if density.shape != self.shape:
            raise InputError(
                f"A density of shape {density.shape} cannot be added to a reconstruction of shape "
                f"{self.shape}. Frames of one movie have the same size; is this another movie?"
            )
        # first, since it refuses frames that would be added twice
        frames = _union([*self.frames, *frames])
        self._sum += density
        self.frames = frames


def write_reconstruction(
    path: str | os.PathLike[str],
    reconstruction: Reconstruction,
    *,
    description: Mapping[str, JsonValue],
) -> None:
    """Write the image as a TIFF file of 32-bit floating point with its pixel size.

    Parameters
    ----------
    path
        The file to create or replace; it is never left half-written.
    reconstruction
        The image becomes a BigTIFF above 4 GB.
    description
        Where it comes from, such as model and movie; stored as JSON where ImageJ shows it, with
        the frames that are in it.

    Raises
    ------
    OSError
        The file cannot be written; an older one is as it was.
    """
    image = reconstruction.image
    with (
        atomic_file(path) as temporary,
        calibrated_tiff(
            temporary,
            pixel_size_nm=reconstruction.pixel_size_nm,
            nbytes=image.nbytes,
            information={**description, "frames": [*reconstruction.frame_ranges]},
        ) as write,
    ):
        write(image)


def _union(parts: Iterable[range]) -> tuple[range, ...]:
    """Sort ranges and join those that touch; refuse those that overlap."""
    joined: list[range] = []
    for frames in sorted(filter(None, parts), key=lambda frames: frames.start):
        if joined and frames.start < joined[-1].stop:
            raise InputError(
                f"Frame {frames.start} is in both parts of the reconstruction and would count "
                "twice. Give parts of the movie without common frames."
            )
        if joined and frames.start == joined[-1].stop:
            frames = range(joined.pop().start, frames.stop)
        joined.append(frames)
    return tuple(joined)
