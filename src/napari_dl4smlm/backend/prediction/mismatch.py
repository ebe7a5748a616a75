"""Where a movie differs from those that a model was trained on, as sentences for the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.models.model_file import ModelCard

_SAMPLED_FRAMES = 5
_PIXEL_SIZE_TOLERANCE = 0.05


def pixel_size_used(
    given_nm: float | None, movie_nm: float | None, model_nm: float | None
) -> float | None:
    """Return the camera pixel that positions are computed with: the first one that is known."""
    return next((size for size in (given_nm, movie_nm, model_nm) if size is not None), None)


def mismatches(
    card: ModelCard, movie: FrameStack, *, frames: range, given_nm: float | None
) -> Iterator[str]:
    """Tell where a movie differs from those that a model was trained on.

    Parameters
    ----------
    card
        Of the model.
    movie
        A few of its frames are read.
    frames
        Those to be predicted.
    given_nm
        Camera pixel that the user gave; it wins over the movie's.

    Yields
    ------
    str
        What differs, and what that means.

    Raises
    ------
    InputError
        A frame cannot be read.
    """
    trained_nm = card.pixel_size_nm
    used_nm = pixel_size_used(given_nm, movie.pixel_size_nm, None)
    if used_nm is None and trained_nm is not None:
        yield movie.pixel_size_fault() or (
            f"{movie.name} does not tell its pixel size: that of the model, {trained_nm:g} nm, is "
            "used. If the camera's is another one, all positions are wrong by the same factor; "
            "give the pixel size then."
        )
    elif used_nm is not None and trained_nm is not None and _differ(used_nm, trained_nm):
        yield (
            f"The pixel size of this movie is {used_nm:g} nm, but the model was trained with "
            f"{trained_nm:g} nm: spots here are {trained_nm / used_nm:.2g} times as wide, in "
            "pixels, as those the model knows. Localizations may be missed or invented; use a "
            "model that was trained with this pixel size."
        )
    intensities = card.normalization.mismatch(_sample(movie, frames))
    if intensities is not None:
        yield intensities


def _differ(used_nm: float, trained_nm: float) -> bool:
    return abs(used_nm / trained_nm - 1) > _PIXEL_SIZE_TOLERANCE


def _sample(movie: FrameStack, frames: range) -> NDArray[np.generic]:
    """Read a few frames, spread over those to be predicted."""
    spread = np.linspace(frames.start, frames.stop - 1, num=_SAMPLED_FRAMES)
    numbers = sorted({round(number) for number in spread})
    return np.concatenate([movie.read(number, number + 1) for number in numbers])
