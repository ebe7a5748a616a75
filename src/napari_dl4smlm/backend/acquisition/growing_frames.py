"""A movie that is still being written: the frames that are complete, and more at each look."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from napari_dl4smlm.backend.acquisition.frame_readers import FrameReader
from napari_dl4smlm.backend.acquisition.frames import (
    FrameStack,
    require_pixel_size,
    require_pixels,
)
from napari_dl4smlm.backend.acquisition.growing_folder import GrowingFolder
from napari_dl4smlm.backend.acquisition.growing_tiff import GrowingTiff
from napari_dl4smlm.backend.acquisition.tiff_folder import names_tiff
from napari_dl4smlm.backend.acquisition.tiff_metadata import square_pixel_nm
from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    import os

SHORTEST_QUIET_S = 2.0
"""Seconds without a frame after which a movie can be taken as complete, at the earliest."""

_POLL_S = 0.1


class GrowingReader(FrameReader, Protocol):
    """Reads the frames that are complete; ``shape`` begins with their number.

    Attributes
    ----------
    pixel_sides_nm
        Height and width of a pixel, from the first frame's metadata.
    """

    pixel_sides_nm: tuple[float, float] | None

    def look(self) -> None:
        """Take in the frames that have become complete."""

    def left_out(self) -> tuple[str, ...]:
        """Tell what was found and is no frame."""


class GrowingFrames(FrameStack):
    """A movie to which another program appends frames; made by `open_growing_frames`.

    `n_frames` and `shape` tell of the frames that were complete when `grow` was called last.

    Attributes
    ----------
    path
        The file or the folder that grows.
    quiet_s
        The movie is over when no frame has come for so long.
    """

    def __init__(
        self,
        reader: GrowingReader,
        *,
        path: Path,
        pixel_size_nm: float | None,
        pixel_sides_nm: tuple[float, float] | None = None,
        quiet_s: float,
    ) -> None:
        super().__init__(
            reader, name=path.name, pixel_size_nm=pixel_size_nm, pixel_sides_nm=pixel_sides_nm
        )
        self.path = path
        self.quiet_s = quiet_s
        self._growing = reader

    def grow(self) -> int:
        """Look for new frames.

        A frame is complete when the next one has begun, or when nothing was written for a second.

        Returns
        -------
        int
            Number of complete frames.

        Raises
        ------
        InputError
            The movie is gone, has become shorter, or has a frame of another size or type.
        """
        with self._lock:
            self._growing.look()
            self.shape = self._growing.shape
            self.n_frames = self.shape[0]
        return self.n_frames

    def left_out(self) -> tuple[str, ...]:
        """Say what was found and is no frame of the movie, such as one that was cut short."""
        with self._lock:
            return self._growing.left_out()


def open_growing_frames(
    path: str | os.PathLike[str],
    *,
    pixel_size_nm: float | None = None,
    quiet_s: float = 30.0,
    wait_s: float = 0.0,
    stop: threading.Event | None = None,
) -> GrowingFrames:
    """Open a movie that is still being written, as soon as its first frame is complete.

    Parameters
    ----------
    path
        A TIFF file that gets one page after the other, or a folder that gets one TIFF file for
        each frame, named in their order. It need not exist yet.
    pixel_size_nm
        Side of a camera pixel in the sample plane. It wins over the one in the file.
    quiet_s
        The movie is over when no frame has come for so long; more than the second after which the
        last frame counts as complete.
    wait_s
        The longest to wait for the first frame.
    stop
        Once another thread sets it, the waiting ends.

    Returns
    -------
    GrowingFrames
        The movie, with at least one frame.

    Raises
    ------
    InputError
        ``quiet_s`` is too short; no frame is complete in time; the file is no TIFF; or its frames
        are such as `open_frames` refuses.
    """
    require_pixel_size(pixel_size_nm)
    if not quiet_s >= SHORTEST_QUIET_S:
        raise InputError(
            f"A movie cannot be taken as complete after {quiet_s:g} s without a frame: wait at "
            f"least {SHORTEST_QUIET_S:g} s."
        )
    path = Path(path).absolute()
    stop = stop or threading.Event()
    ends_at = time.monotonic() + wait_s
    reader: GrowingReader | None = None
    while True:
        if reader is None and path.exists():
            reader = _reader_of(path)
        if reader is not None:
            reader.look()
            if reader.shape[0]:
                sides_nm = reader.pixel_sides_nm
                frames = GrowingFrames(
                    reader,
                    path=path,
                    pixel_size_nm=pixel_size_nm or square_pixel_nm(sides_nm),
                    pixel_sides_nm=sides_nm,
                    quiet_s=quiet_s,
                )
                require_pixels(frames)
                return frames
        if stop.is_set() or time.monotonic() >= ends_at:
            raise InputError(
                f"{path} has no complete frame yet. Start the acquisition, or check the name."
            )
        stop.wait(_POLL_S)


def can_grow(path: Path) -> bool:
    """Tell whether a movie is of a kind that can be followed while it is written."""
    return path.is_dir() or names_tiff(path.name)


def _reader_of(path: Path) -> GrowingReader:
    if path.is_dir():
        return GrowingFolder(path)
    if not can_grow(path):
        raise InputError(
            f"{path.name} cannot be followed while it is written: only TIFF files, and folders of "
            "them, can."
        )
    return GrowingTiff(path)
