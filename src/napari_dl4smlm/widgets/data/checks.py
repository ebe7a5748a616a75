"""Looks at data that may train: a few frames, all of the truth, and how the two fit each other.

Everything here runs off the GUI thread.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.training.config import DEFAULT_UPSAMPLING_FACTOR, DataConfig
from napari_dl4smlm.backend.training.pairs import (
    check_lengths,
    infer_upsampling_factor,
    open_pair,
)
from napari_dl4smlm.backend.training.truth import Patch, image_truth, position_truth
from napari_dl4smlm.widgets.data.events import (
    Fault,
    MovieFacts,
    Ready,
    RefusalError,
    TruthFacts,
    about,
)
from napari_dl4smlm.widgets.data.pictures import (
    central_part,
    frame_picture,
    pair_pictures,
    positions_pictures,
)
from napari_dl4smlm.widgets.data.training_source import Division, Filmed
from napari_dl4smlm.widgets.sources.movie_text import describe_movie

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.widgets.sources.choices import MovieChoice, MovieFile, TableChoice

_FRAMES_TO_LOOK_AT = 8
# a histogram of more takes longer to draw, and looks the same
_PIXELS_TO_DRAW = 2**18


def check_movie(
    movie: MovieChoice,
    positions: TableChoice | Fault,
    *,
    pixel_size_nm: float | None,
    upsampling_factor: Literal[1, 2, 4, 8] | None,
    division: Division,
) -> Iterator[object]:
    """Look at a movie with positions.

    Parameters
    ----------
    movie
        The movie.
    positions
        Its true positions, or why they cannot be told yet.
    pixel_size_nm
        Camera pixel; ``None`` leaves it to the movie.
    upsampling_factor
        Fine pixels per camera pixel; ``None`` for the default.
    division
        Of the frames.

    Yields
    ------
    MovieFacts, TruthFacts, Ready
        In this order; `MovieFacts` also where the positions are faulty.

    Raises
    ------
    RefusalError
        Something does not fit; it tells to which row that belongs.
    """
    factor = upsampling_factor or DEFAULT_UPSAMPLING_FACTOR
    with ExitStack() as files:
        with about("movie"):
            frames = files.enter_context(movie.open(pixel_size_nm))
            file = movie.in_file()
            facts = _facts(frames, file)
        yield facts
        size_nm = frames.pixel_size_nm
        if size_nm is None:
            raise RefusalError(
                "pixel_size_nm",
                frames.pixel_size_fault()
                or f"{movie.name} does not say how large its pixels are. Enter the pixel size.",
            )
        if isinstance(positions, Fault):
            raise RefusalError(positions.field, positions.message)
        with about("positions"):
            table = positions.read(size_nm)
            if len(table) == 0:
                raise InputError(f"{positions.name} holds no localization; nothing can be learned.")
            position_truth(frames, table, upsampling_factor=factor)
            pictures = positions_pictures(frames, table, size_nm)
        yield TruthFacts(_count(len(table), frames), factor, pictures, table)
        division.of(frames.n_frames, seed=0)
        summary = f"{movie.name} + {positions.name}\n{describe_movie(frames)}"
    config = None
    table_file = positions.in_file(size_nm)
    if file is not None and table_file is not None:
        config = DataConfig(
            movie=file.path,
            localizations=table_file,
            **_options(file, size_nm, division),
        )
    filmed = Filmed(movie, division, size_nm, config, summary)
    yield Ready(filmed.with_positions(table, factor))


def check_pairs(
    raw: MovieChoice,
    images: MovieChoice | Fault,
    *,
    pixel_size_nm: float | None,
    division: Division,
) -> Iterator[object]:
    """Look at a pair of movies: raw frames, and true images of them.

    Parameters
    ----------
    raw
        The raw frames.
    images
        The true images, or why they cannot be told yet.
    pixel_size_nm
        Camera pixel; ``None`` leaves it to the movie, and it may stay unknown.
    division
        Of the frames.

    Yields
    ------
    MovieFacts, TruthFacts, Ready
        In this order; `MovieFacts` also where the images are faulty.

    Raises
    ------
    RefusalError
        Something does not fit; it tells to which row that belongs.
    """
    with ExitStack() as files:
        with about("raw"):
            frames = files.enter_context(raw.open(pixel_size_nm))
            file = raw.in_file()
            facts = _facts(frames, file)
        yield facts
        if isinstance(images, Fault):
            raise RefusalError(images.field, images.message)
        with about("images"):
            truth_frames = files.enter_context(images.open(None))
            check_lengths(frames, truth_frames)
            factor = infer_upsampling_factor(frames, truth_frames)
            images_file = images.in_file()
            if file is not None and images_file is not None:
                _check_files(file.path, images_file.path)
            emitters = _emitters_per_frame(frames, truth_frames, factor)
            pictures = pair_pictures(frames, truth_frames, factor)
        per_frame = f"about {emitters:,.3g} emitters in a frame"
        text = " · ".join([f"×{factor}", per_frame, *_density(emitters, frames)])
        yield TruthFacts(text, factor, pictures)
        division.of(frames.n_frames, seed=0)
        summary = f"{raw.name} + {images.name}\n{describe_movie(frames)}"
        size_nm = frames.pixel_size_nm
    config = None
    if file is not None and images_file is not None:
        config = DataConfig(
            pairs=(file.path, images_file.path), **_options(file, size_nm, division)
        )
    filmed = Filmed(raw, division, size_nm, config, summary)
    yield Ready(filmed.with_images(images, factor))


def _facts(frames: FrameStack, file: MovieFile | None) -> MovieFacts:
    return MovieFacts(
        describe_movie(frames),
        some_pixels(frames),
        frame_picture(frames, central_part(frames)),
        frames.pixel_size_nm,
        None if file is None else file.pixel_size_nm,
    )


def some_pixels(frames: FrameStack) -> NDArray[Any]:
    """Return pixels of frames from all parts of a movie, in one dimension."""
    rows = _some_frames(frames).reshape(-1, frames.width)
    return rows[:: max(1, -(-rows.size // _PIXELS_TO_DRAW))].ravel()


def _some_frames(frames: FrameStack) -> NDArray[Any]:
    return np.concatenate([frames.read(k, k + 1) for k in _some_numbers(frames)])


def _some_numbers(frames: FrameStack) -> list[int]:
    count = min(_FRAMES_TO_LOOK_AT, frames.n_frames)
    numbers: list[int] = np.linspace(0, frames.n_frames - 1, count).round().astype(int).tolist()
    return numbers


def _count(emitters: int, frames: FrameStack) -> str:
    per_frame = emitters / frames.n_frames
    return " · ".join(
        [f"{emitters:,} emitters", f"{per_frame:,.3g} in a frame", *_density(per_frame, frames)]
    )


def _density(per_frame: float, frames: FrameStack) -> list[str]:
    if frames.pixel_size_nm is None:
        return []
    area_um2 = frames.height * frames.width * frames.pixel_size_nm**2 / 1e6
    return [f"{per_frame / area_um2:.3g} /µm²"]


def _emitters_per_frame(frames: FrameStack, images: FrameStack, factor: int) -> float:
    truth = image_truth(images, upsampling_factor=factor)
    counts = [
        truth.count_emitters(Patch(frame, 0, 0, frames.height, frames.width))
        for frame in _some_numbers(frames)
    ]
    return float(np.mean(counts))


def _options(file: MovieFile, size_nm: float | None, division: Division) -> dict[str, Any]:
    """Return what configs of files have in common."""
    return {
        # what the file says need not be said again
        "pixel_size_nm": None if file.pixel_size_nm == size_nm else size_nm,
        "frames": division.frames,
        "validation_frames": division.validation_frames,
    }


def _check_files(*paths: Any) -> None:
    for stack in open_pair(*paths):
        stack.close()
