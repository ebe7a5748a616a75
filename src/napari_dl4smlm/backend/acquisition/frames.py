"""A movie as a stack of frames that are read from disk or array only when they are asked for."""

from __future__ import annotations

import copy
import hashlib
import math
import os
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dl4smlm.backend.acquisition.frame_readers import ArrayReader, RawReader
from napari_dl4smlm.backend.acquisition.tiff_folder import open_tiff_folder
from napari_dl4smlm.backend.acquisition.tiff_frames import open_tiff
from napari_dl4smlm.backend.acquisition.tiff_metadata import square_pixel_nm
from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from numpy.typing import NDArray

    from napari_dl4smlm.backend.acquisition.frame_readers import ArrayLike, FrameReader

# frames that no movie has
_NEVER = 10**18

PIXEL_TYPES = (
    *("uint8", "uint16", "uint32", "int8", "int16", "int32"),
    *("float16", "float32", "float64"),
)


class FrameStack:
    """A movie of shape (frame, y, x) whose frames are read when they are asked for.

    Made by `open_frames`. Several threads may read at once. Use it as a context manager, or call
    `close` when done.

    Parameters
    ----------
    reader
        Reads the frames; it is closed with the stack.
    name
        Name of the file, the folder or the array, for messages and titles.
    pixel_size_nm
        Side of a camera pixel in the sample plane; ``None`` if it is not known.
    pixel_sides_nm
        Height and width of a pixel, as the file tells them; ``None`` if it does not.

    Attributes
    ----------
    shape
        ``(n_frames, height, width)``.
    n_frames, height, width
        Number of frames, rows and columns.
    dtype
        Pixel type as stored, in native byte order.
    """

    def __init__(
        self,
        reader: FrameReader,
        *,
        name: str,
        pixel_size_nm: float | None,
        pixel_sides_nm: tuple[float, float] | None = None,
    ) -> None:
        # files may have names with bytes that stand for no letter, which no text can hold
        self.name = name.encode(errors="replace").decode()
        self.pixel_size_nm = pixel_size_nm
        self.pixel_sides_nm = pixel_sides_nm
        self.shape = reader.shape
        self.n_frames, self.height, self.width = reader.shape
        self.dtype = reader.dtype
        self._reader = reader
        # a preview and a prediction may read at once, and a file has only one position
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self.n_frames

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Read some frames, and only those.

        Parameters
        ----------
        start, stop
            First frame and the one behind the last, counted from 0.

        Returns
        -------
        ndarray
            Shape (stop - start, height, width), in the stored dtype. It belongs to the caller.

        Raises
        ------
        InputError
            The stack is closed, the range is empty or not inside the movie, a frame holds NaN,
            infinite pixels or larger ones than 32-bit numbers, or a compressed frame is damaged.
        """
        if not 0 <= start < stop <= self.n_frames:
            raise InputError(
                f"Frames {start} to {stop} cannot be read: {self.name} has {self.n_frames} frames, "
                "counted from 0."
            )
        with self._lock:
            if self._reader.closed:
                raise InputError(f"{self.name} is closed. Open it again to read its frames.")
            frames = self._reader.read(start, stop)
        if self.dtype.kind == "f":
            self._require_finite(frames, start)
        return frames

    def batches(
        self, batch_size: int, frames: range | None = None
    ) -> Iterator[tuple[range, NDArray[Any]]]:
        """Read frames in batches, one after the other.

        Parameters
        ----------
        batch_size
            Frames in a batch; the last batch may be shorter.
        frames
            The frames to read, without gaps; all by default.

        Yields
        ------
        range
            The numbers of the frames in the batch.
        ndarray
            The frames, as `read` returns them.

        Raises
        ------
        InputError
            At once, when ``batch_size`` is below 1 or ``frames`` has gaps or lies outside the
            movie; later, when a frame cannot be read.
        """
        frames = range(self.n_frames) if frames is None else frames
        if batch_size < 1:
            raise InputError(f"Batches of {batch_size} frames cannot be read; use at least 1.")
        if frames.step != 1 or not 0 <= frames.start <= frames.stop <= self.n_frames:
            raise InputError(
                f"{frames} cannot be read from {self.name}: give frames without gaps inside "
                f"range(0, {self.n_frames})."
            )
        starts = range(frames.start, frames.stop, batch_size)
        numbers = (range(start, min(start + batch_size, frames.stop)) for start in starts)
        return ((batch, self.read(batch.start, batch.stop)) for batch in numbers)

    def close(self) -> None:
        """Close the files; closing twice does nothing more."""
        with self._lock:
            self._reader.close()

    def with_pixel_size(self, pixel_size_nm: float) -> FrameStack:
        """Return the same movie with another pixel size; closing one of the two closes both."""
        stack = copy.copy(self)
        stack.pixel_size_nm = pixel_size_nm
        return stack

    def pixel_size_fault(self) -> str | None:
        """Say why there is no pixel size although the file tells the sides of a pixel."""
        if self.pixel_size_nm is not None or self.pixel_sides_nm is None:
            return None
        height_nm, width_nm = self.pixel_sides_nm
        return (
            f"The pixels of {self.name} are {height_nm:g} nm high and {width_nm:g} nm wide, but "
            "positions are computed for square ones. Resample the movie to square pixels, for "
            "example with Fiji; or give the pixel size in nm (pixel_size_nm), if the file is wrong."
        )

    def fingerprint(self) -> str:
        """Return a checksum by which this movie is known again, whatever its file is called.

        Of size, length and the pixels of up to 16 frames that are spread evenly; not of all pixels,
        so that it costs little for any movie.
        """
        digest = hashlib.sha256(repr(self.shape).encode())
        spread = np.linspace(0, self.n_frames - 1, min(16, self.n_frames)).round().astype(int)
        for number in spread:
            digest.update(self.read(number, number + 1).astype(np.float64).tobytes())
        return digest.hexdigest()

    def _require_finite(self, frames: NDArray[Any], start: int) -> None:
        # whoever computes with them takes numbers of 32 bits, of which float64 has larger ones
        finite = (np.abs(frames) <= np.finfo(np.float32).max).all(axis=(1, 2))
        if not finite.all():
            raise InputError(
                f"Frame {start + int(np.argmin(finite))} of {self.name}, counted from 0, holds NaN "
                "or infinite pixels, or some beyond 3.4e38. Replace them by numbers, or leave that "
                "frame out with a frame range."
            )


def open_frames(
    source: str | os.PathLike[str] | ArrayLike | FrameStack, *, pixel_size_nm: float | None = None
) -> FrameStack:
    """Open a movie without reading its pixels.

    Parameters
    ----------
    source
        A TIFF file (also BigTIFF, ImageJ, OME, Micro-Manager, and sets of several files that OME
        or NDTiff metadata join); a folder of TIFF files with one frame each, in natural order, so
        that ``f2.tif`` comes before ``f10.tif``; a ``.npy`` file; or an array-like with the axes
        (frame, y, x) such as a numpy, dask or zarr array. Axes of length 1 are dropped, and an
        image (y, x) is a movie of one frame. A `FrameStack` is returned as it is.
    pixel_size_nm
        Side of a camera pixel in the sample plane. It wins over the one in the file.

    Returns
    -------
    FrameStack
        The movie. Its pixel size is ``None`` if neither the argument nor the file tells it, or if
        the file's pixels are not square within 1 %.

    Raises
    ------
    InputError
        There is no such file; it is not a movie of one frame size and one axis of frames; it is
        cut short; its pixels are not 8-, 16- or 32-bit integers or floating point; or the pixel
        size is not a positive number.
    """
    require_pixel_size(pixel_size_nm)
    if isinstance(source, FrameStack):
        return source if pixel_size_nm is None else source.with_pixel_size(pixel_size_nm)
    stack = _opened_file(source) if isinstance(source, str | os.PathLike) else _opened_array(source)
    try:
        require_pixels(stack)
    except InputError:
        stack.close()
        raise
    return stack if pixel_size_nm is None else stack.with_pixel_size(pixel_size_nm)


def _opened_file(source: str | os.PathLike[str]) -> FrameStack:
    path = Path(source).absolute()
    if not path.exists():
        raise InputError(f"There is no file or folder {path}. Check the name.")
    reader: FrameReader
    if path.is_dir():
        reader, sides_nm = open_tiff_folder(path)
    elif path.suffix.lower() == ".npy":
        reader, sides_nm = _npy_reader(path), None
    else:
        reader, sides_nm = open_tiff(path)
    return FrameStack(
        reader,
        name=path.name,
        pixel_size_nm=square_pixel_nm(sides_nm),
        pixel_sides_nm=sides_nm,
    )


def _npy_reader(path: Path) -> FrameReader:
    array = _memory_map(path)
    reader = ArrayReader(array, path.name)
    if not array.flags.c_contiguous or 0 in reader.shape or array.dtype.kind not in "iuf":
        return reader
    # Read, not mapped: pages of a map stay in the memory of the process, which would seem to grow
    # with every frame of a long movie.
    n_frames, *frame_shape = reader.shape
    frame_bytes = math.prod(frame_shape) * array.itemsize
    start = int(array.offset)
    places = [(path, start + k * frame_bytes) for k in range(n_frames)]
    return RawReader(places, (frame_shape[0], frame_shape[1]), array.dtype)


def _memory_map(path: Path) -> np.memmap[Any, Any]:
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{path.name} cannot be read as a .npy file: {error}. Save the frames again with "
            "numpy.save."
        ) from error


def _opened_array(source: ArrayLike) -> FrameStack:
    if not all(hasattr(source, needed) for needed in ("shape", "dtype", "__getitem__")):
        raise InputError(
            f"A {type(source).__name__} cannot be opened as a movie. Give a path, or an array with "
            "the axes (frame, y, x)."
        )
    return FrameStack(ArrayReader(source, "array"), name="array", pixel_size_nm=None)


def require_pixel_size(pixel_size_nm: float | None) -> None:
    """Refuse a pixel size that is no length; ``None`` stands for one that is not known.

    Raises
    ------
    InputError
        It is not a positive number.
    """
    if pixel_size_nm is not None and not (math.isfinite(pixel_size_nm) and pixel_size_nm > 0):
        raise InputError(
            f"A pixel size of {pixel_size_nm} nm cannot be used. Give the side of a camera pixel "
            "in the sample plane, such as 100 nm."
        )


def require_pixels(stack: FrameStack) -> None:
    """Refuse a movie without pixels, or with pixels of a type that is no number of counts.

    Raises
    ------
    InputError
        An axis has length 0, or the type is not one of `PIXEL_TYPES`.
    """
    if 0 in stack.shape:
        raise InputError(
            f"{stack.name} holds no pixels: its shape is {stack.shape}, as (frame, y, x). Give a "
            "movie with at least one frame."
        )
    if stack.dtype not in PIXEL_TYPES:
        raise InputError(
            f"{stack.name} has pixels of type {stack.dtype} (shape {stack.shape}). Convert them to "
            f"one of {', '.join(PIXEL_TYPES)}."
        )


def parse_frame_range(text: str | None, n_frames: int | None) -> range:
    """Understand ``A:B`` as the frames from A up to, and without, B.

    Parameters
    ----------
    text
        Two frame numbers, counted from 0, with a colon between; an empty side means the first
        frame or the end of the movie. ``None`` means all frames.
    n_frames
        Frames in the movie; ``None`` if nobody knows yet: then there is no end.

    Returns
    -------
    range
        At least one frame, all inside the movie.

    Raises
    ------
    InputError
        The text has another form, or a range that is empty, reversed or not inside the movie.
    """
    end = _NEVER if n_frames is None else n_frames
    if text is None:
        return range(end)
    match = re.fullmatch(r"\s*(\d{0,18})\s*:\s*(\d{0,18})\s*", text, re.ASCII)
    if match:
        start, stop = int(match[1] or 0), int(match[2] or end)
        if start < stop <= end:
            return range(start, stop)
    length = "" if n_frames is None else f": the movie has {n_frames} frames"
    raise InputError(
        f"The frame range {text!r} cannot be used{length}. Write first:end, counted from 0 and "
        f"without the end, such as 0:{n_frames or 100}; either side may be empty."
    )
