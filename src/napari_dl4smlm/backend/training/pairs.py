"""Pairs of images, raw and true: two stacks, or two folders whose files are paired by name."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dl4smlm.backend.acquisition.frames import FrameStack, open_frames
from napari_dl4smlm.backend.acquisition.tiff_folder import tiff_files
from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    import os

_FACTORS = (1, 2, 4, 8)


def open_pair(
    frames: str | os.PathLike[str],
    truth: str | os.PathLike[str],
    *,
    pixel_size_nm: float | None = None,
) -> tuple[FrameStack, FrameStack]:
    """Open raw frames and their truth.

    Parameters
    ----------
    frames, truth
        Two stacks of equal length, or two folders with files of the same names.
    pixel_size_nm
        Camera pixel; by default read from the raw frames.

    Raises
    ------
    InputError
        One is a folder and the other is not, a file has no partner, or the lengths differ.
    """
    folders = [Path(path).is_dir() for path in (frames, truth)]
    if folders[0] != folders[1]:
        folder, stack = (frames, truth) if folders[0] else (truth, frames)
        raise InputError(
            f"{folder} is a folder and {stack} is not. Give two folders whose files have the same "
            "names, or two stacks."
        )
    if all(folders):
        _check_partners(Path(frames), Path(truth))
    with ExitStack() as opened:
        raw = opened.enter_context(open_frames(frames, pixel_size_nm=pixel_size_nm))
        images = opened.enter_context(open_frames(truth))
        check_lengths(raw, images)
        # both fit each other: from here on the caller closes them
        opened.pop_all()
    return raw, images


def check_lengths(frames: FrameStack, truth: FrameStack) -> None:
    """Make sure that every raw frame can have its true image.

    Raises
    ------
    InputError
        The lengths differ.
    """
    if frames.n_frames != truth.n_frames:
        raise InputError(
            f"{frames.name} has {frames.n_frames} frames but {truth.name} has {truth.n_frames}. "
            "Every raw frame needs its true image."
        )


def _check_partners(frames: Path, truth: Path) -> None:
    names = [{file.stem for file in tiff_files(folder)} for folder in (frames, truth)]
    problems = [
        f"{len(lonely)} in {folder} without a partner ({', '.join(sorted(lonely)[:5])}"
        f"{', …' if len(lonely) > 5 else ''})"
        for folder, lonely in ((frames, names[0] - names[1]), (truth, names[1] - names[0]))
        if lonely
    ]
    if problems:
        raise InputError(
            f"The images are paired by file name, but there are {' and '.join(problems)}. Rename "
            "or remove them."
        )


def infer_upsampling_factor(frames: FrameStack, truth: FrameStack, given: int | None = None) -> int:
    """Return how many pixels of the truth make up one of the frames, along each side.

    Parameters
    ----------
    frames, truth
        Raw and true images.
    given
        The factor that the user expects.

    Raises
    ------
    InputError
        The ratio is not 1, 2, 4 or 8, differs between the axes, or is not the expected one.
    """
    sizes = (
        f"the frames are {frames.height} x {frames.width} px and the truth is "
        f"{truth.height} x {truth.width} px"
    )
    for factor in _FACTORS:
        if (truth.height, truth.width) == (factor * frames.height, factor * frames.width):
            if given not in (None, factor):
                raise InputError(f"Upsampling {given} was asked for, but {sizes}: it is {factor}.")
            return factor
    raise InputError(
        f"Impossible upsampling: {sizes}. The truth must be 1, 2, 4 or 8 times as high and as "
        "wide as the frames."
    )
