"""What is known about a movie, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_dl4smlm.backend.acquisition.frames import FrameStack


def describe_movie(frames: FrameStack) -> str:
    """Write length, size, pixel type and, if it is known, pixel size."""
    parts = [
        f"{frames.n_frames:,} frame{'' if frames.n_frames == 1 else 's'}",
        f"{frames.height} × {frames.width}",
        str(frames.dtype),
    ]
    if frames.pixel_size_nm is not None:
        parts.append(f"{frames.pixel_size_nm:.4g} nm")
    return " · ".join(parts)
