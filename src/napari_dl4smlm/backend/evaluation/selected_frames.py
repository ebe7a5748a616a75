"""Some frames of a movie, as a movie of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dl4smlm.backend.acquisition.frames import FrameStack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class _SelectedFrames:
    """Reads some frames of a movie, numbered anew from 0; the movie stays its owner's to close."""

    def __init__(self, frames: FrameStack, numbers: Sequence[int]) -> None:
        self.shape = (len(numbers), frames.height, frames.width)
        self.dtype = frames.dtype
        self.closed = False
        self._frames = frames
        self._numbers = numbers

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return the frames, in the order of the selection."""
        numbers = self._numbers[start:stop]
        return np.concatenate([self._frames.read(number, number + 1) for number in numbers])

    def close(self) -> None:
        """Read no more."""
        self.closed = True


def select_frames(frames: FrameStack, numbers: Sequence[int]) -> FrameStack:
    """Return some frames of a movie as a movie, without reading them.

    Parameters
    ----------
    frames
        The whole movie; it has to stay open, and closing the result does not close it.
    numbers
        At least one frame, in any order, with or without gaps.
    """
    return FrameStack(
        _SelectedFrames(frames, numbers),
        name=frames.name,
        pixel_size_nm=frames.pixel_size_nm,
        pixel_sides_nm=frames.pixel_sides_nm,
    )
