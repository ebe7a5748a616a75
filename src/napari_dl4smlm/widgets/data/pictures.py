"""Parts of frames, small enough for single emitters to be seen beside the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.localizations.table import Localizations

SIDE_PX = 64
"""Largest side of a picture in camera pixels."""

_PERCENTILES = (0.1, 99.9)


@dataclass(frozen=True, eq=False)
class Picture:
    """An image in gray.

    Attributes
    ----------
    caption
        What it is, in a few words.
    pixels
        Shape (y, x).
    limits
        What is black and what is white.
    positions_px
        Emitters to mark, shape (N, 2), (y, x) in pixels from the outer corner.
    """

    caption: str
    pixels: NDArray[Any]
    limits: tuple[float, float]
    positions_px: NDArray[np.float64] | None = None


class Part(NamedTuple):
    """A square of a frame: its number, and the first row and column."""

    frame: int
    top: int
    left: int


def contrast(pixels: NDArray[Any]) -> tuple[float, float]:
    """Return limits of gray levels that a few bright pixels do not decide."""
    low, high = np.percentile(pixels, _PERCENTILES).tolist()
    return (low, high if high > low else low + 1)


def central_part(frames: FrameStack) -> Part:
    """Return the centre of the frame in the middle of a movie."""
    top, left = (max(0, (side - SIDE_PX) // 2) for side in (frames.height, frames.width))
    return Part(frames.n_frames // 2, top, left)


def crowded_part(frames: FrameStack, table: Localizations, pixel_size_nm: float) -> Part:
    """Return the part with the most emitters, of the central frame if it has any."""
    number = frames.n_frames // 2
    per_frame = np.bincount(table.frame, minlength=frames.n_frames)
    if not per_frame[number]:
        number = int(per_frame.argmax())
    positions_px = table.in_frames(range(number, number + 1)).positions_nm() / pixel_size_nm
    parts = [
        Part(number, top, left) for top in _starts(frames.height) for left in _starts(frames.width)
    ]
    return max(parts, key=lambda part: len(_inside(positions_px, part)))


def frame_picture(frames: FrameStack, part: Part) -> Picture:
    """Return a part of a movie."""
    pixels = _crop(frames, part)
    return Picture(f"frame {part.frame}", pixels, contrast(pixels))


def positions_pictures(
    frames: FrameStack, table: Localizations, pixel_size_nm: float
) -> tuple[Picture, Picture]:
    """Return a part of a movie twice, the second time with its emitters."""
    part = crowded_part(frames, table, pixel_size_nm)
    plain = frame_picture(frames, part)
    here = table.in_frames(range(part.frame, part.frame + 1)).positions_nm() / pixel_size_nm
    marked = _inside(here, part) - (part.top, part.left)
    return plain, Picture("true positions", plain.pixels, plain.limits, marked)


def pair_pictures(frames: FrameStack, images: FrameStack, factor: int) -> tuple[Picture, Picture]:
    """Return a part of a movie, and the same part of the true image."""
    part = central_part(frames)
    pixels = _crop(images, part, factor)
    positive = pixels[pixels > 0]
    # most of a true image is empty
    white = float(np.percentile(positive, _PERCENTILES[1])) if positive.size else 1.0
    truth = Picture(f"true image ×{factor}", pixels, (0.0, white))
    return frame_picture(frames, part), truth


def _crop(frames: FrameStack, part: Part, factor: int = 1) -> NDArray[Any]:
    (frame,) = frames.read(part.frame, part.frame + 1)
    rows, columns = (
        slice(factor * start, factor * (start + SIDE_PX)) for start in (part.top, part.left)
    )
    cropped: NDArray[Any] = frame[rows, columns]
    return cropped


def _starts(length: int) -> list[int]:
    last = max(0, length - SIDE_PX)
    return sorted({*range(0, last, SIDE_PX // 2), last})


def _inside(positions_px: NDArray[np.float64], part: Part) -> NDArray[np.float64]:
    shifted = positions_px - (part.top, part.left)
    inside: NDArray[np.float64] = positions_px[((shifted >= 0) & (shifted < SIDE_PX)).all(axis=1)]
    return inside
