"""The ways to reach the frames of a movie: in an array, as plain bytes in files, by decoding."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from io import BufferedReader
    from pathlib import Path

    from numpy.typing import NDArray


class ArrayLike(Protocol):
    """What an array must offer to be read as a movie; numpy, dask and zarr arrays do."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes; the last two are y and x."""

    @property
    def dtype(self) -> Any:
        """Pixel type."""

    def __getitem__(self, key: Any, /) -> Any:
        """Return the part of the array that a slice selects."""


class FrameReader(Protocol):
    """Reads frames of one movie from where they are; frames count from 0."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    closed: bool

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return a copy of frames ``start`` to ``stop - 1``, in native byte order."""

    def close(self) -> None:
        """Let go of files and arrays; a second call does nothing."""


def require_one_frame_axis(lengths: Sequence[int], frame: Sequence[int], name: str) -> None:
    """Refuse a movie with several long axes beyond y and x, such as time and channel.

    Parameters
    ----------
    lengths
        Lengths of the axes beyond y and x.
    frame
        Height and width, for the message.
    name
        What the user calls the movie, for the message.

    Raises
    ------
    InputError
        More than one of ``lengths`` is longer than 1.
    """
    if sum(length > 1 for length in lengths) > 1:
        shape = " x ".join(str(length) for length in (*lengths, *frame))
        raise InputError(
            f"{name} has shape {shape}; a movie has one axis of frames besides y and x. "
            "Choose one channel, plane or position and give that alone."
        )


class ArrayReader:
    """Frames in an array-like, which is never converted as a whole.

    Parameters
    ----------
    array
        The last two axes are y and x; of the others at most one is longer than 1. Axes of length
        1 are dropped, also behind x.
    name
        What the user calls the array, for messages.

    Raises
    ------
    InputError
        The shape is not that of a movie, or the dtype is not one of numpy's.
    """

    def __init__(self, array: ArrayLike, name: str) -> None:
        shape = tuple(array.shape)
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        if len(shape) < 2:
            raise InputError(
                f"{name} has shape {shape}; a movie has the axes (frame, y, x) and an image (y, x)."
            )
        # frames may be tiny, but not as narrow as RGB or RGBA is deep and yet tall
        if len(shape) > 2 and shape[-1] in (3, 4) and shape[-2] > 16:
            raise InputError(
                f"{name} has shape {shape}, which is that of a colour image. Give one colour "
                "channel, or the sum of all, as (frame, y, x)."
            )
        *lengths, height, width = shape
        require_one_frame_axis(lengths, (height, width), name)
        self._array: Any = array
        self.closed = False
        self._is_image = not lengths
        self._frame_axis = next((i for i, length in enumerate(lengths) if length != 1), 0)
        n_frames = lengths[self._frame_axis] if lengths else 1
        self.shape = (n_frames, height, width)
        try:
            self.dtype = np.dtype(array.dtype).newbyteorder("=")
        except TypeError as error:
            raise InputError(
                f"{name} has pixels of type {array.dtype}. Convert it to a numpy array first."
            ) from error

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return a copy of frames ``start`` to ``stop - 1``, in native byte order."""
        frames = slice(None) if self._is_image else slice(start, stop)
        key = (*(0,) * self._frame_axis, frames) if self._frame_axis else frames
        # a copy, since a view would lend the user's own array, or a file about to be closed
        return np.array(self._array[key], self.dtype).reshape(stop - start, *self.shape[1:])

    def close(self) -> None:
        """Let go of the array; the file behind a memory map closes with its last reference."""
        self._array = None
        self.closed = True


class RawReader:
    """Frames that lie as plain bytes in files; at most one file is open at a time.

    Parameters
    ----------
    places
        For each frame, its file and the byte at which it starts there.
    frame_shape
        Height and width.
    stored_dtype
        Pixel type with the byte order of the files.
    """

    def __init__(
        self,
        places: Sequence[tuple[Path, int]],
        frame_shape: tuple[int, int],
        stored_dtype: np.dtype[Any],
    ) -> None:
        self.shape = (len(places), *frame_shape)
        self.dtype = stored_dtype.newbyteorder("=")
        self.closed = False
        self._stored_dtype = stored_dtype
        self._files = list(dict.fromkeys(path for path, _ in places))
        number_of_file = {path: number for number, path in enumerate(self._files)}
        self._file_of_frame = np.array([number_of_file[path] for path, _ in places], np.int64)
        self._offsets = np.array([offset for _, offset in places], np.int64)
        self._open_file: BufferedReader | None = None
        self._open_path: Path | None = None

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return frames ``start`` to ``stop - 1``, in native byte order.

        Raises
        ------
        InputError
            A file cannot be read any more, or has become shorter since it was opened.
        """
        frames = np.empty((stop - start, *self.shape[1:]), self._stored_dtype)
        for first, last in self._runs(start, stop):
            run = frames[first - start : last - start]
            path = self._files[self._file_of_frame[first]]
            try:
                file = self._opened(path)
                file.seek(int(self._offsets[first]))
                n_bytes = file.readinto(run.data)
            except OSError as error:
                raise InputError(f"{path.name} cannot be read: {error.strerror}.") from error
            if n_bytes < run.nbytes:
                raise InputError(
                    f"{path.name} ends before frame {last - 1} does: it has changed since it was "
                    "opened. Open it again."
                )
        return frames.astype(self.dtype, copy=False)

    def _runs(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Split a range of frames where one does not lie right behind the one before it."""
        frame_bytes = self.shape[1] * self.shape[2] * self._stored_dtype.itemsize
        jumps = np.diff(self._offsets[start:stop]) != frame_bytes
        jumps |= np.diff(self._file_of_frame[start:stop]) != 0
        edges = [start, *(start + 1 + np.flatnonzero(jumps)).tolist(), stop]
        return list(itertools.pairwise(edges))

    def _opened(self, path: Path) -> BufferedReader:
        if self._open_file is None or path != self._open_path:
            self._close_file()
            self._open_file = path.open("rb")
            self._open_path = path
        return self._open_file

    def _close_file(self) -> None:
        if self._open_file is not None:
            self._open_file.close()
            self._open_file = None

    def close(self) -> None:
        """Close the file that is open, if any."""
        self._close_file()
        self.closed = True


class DecodingReader:
    """Frames that are compressed or packed in their file and are decoded one by one.

    Parameters
    ----------
    shape
        Frames, height and width.
    dtype
        Pixel type of a decoded frame.
    decode
        Returns the frame of a given number, shape (height, width).
    close
        Closes the file that ``decode`` reads from.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        decode: Callable[[int], NDArray[Any]],
        close: Callable[[], None],
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self.closed = False
        self._decode = decode
        self._close = close

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return frames ``start`` to ``stop - 1``, in native byte order."""
        frames = np.empty((stop - start, *self.shape[1:]), self.dtype)
        for number in range(start, stop):
            frames[number - start] = self._decode(number)
        return frames

    def close(self) -> None:
        """Close the file."""
        self._close()
        self.closed = True
