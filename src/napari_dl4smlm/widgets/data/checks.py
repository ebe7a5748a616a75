"""Looks at data that may train: a few frames, all of the truth, and how the two fit each other.

Everything here runs off the GUI thread.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_dl4smlm.backend.acquisition.frames import parse_frame_range
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.training.config import DataConfig
from napari_dl4smlm.backend.training.pairs import infer_upsampling_factor, open_pair
from napari_dl4smlm.widgets.data.events import (
    Fault,
    MovieFacts,
    Ready,
    RefusalError,
    TruthFacts,
    about,
)
from napari_dl4smlm.widgets.session import TrainingSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.training.data import TrainingData
    from napari_dl4smlm.backend.training.filmed import FilmedData
    from napari_dl4smlm.backend.training.truth import Truth
    from napari_dl4smlm.widgets.sources.choices import MovieChoice, MovieFile, TableChoice

_FRAMES_TO_LOOK_AT = 8
# a histogram of more takes longer to draw, and looks the same
_PIXELS_TO_DRAW = 2**18

DEFAULT_FACTOR = 8
"""Upsampling where none is asked for, as in `open_training_data`."""


@dataclass(frozen=True)
class Division:
    """Which frames are used, and which of them validate, as the user wrote it."""

    frames: str | None = None
    validation_frames: str | None = None

    def of(self, n_frames: int, *, seed: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the frames that train and those that validate.

        Raises
        ------
        RefusalError
            A range is none, or there are too few frames.
        """
        # imports torch
        from napari_dl4smlm.backend.training.filmed import split_frames

        with about("frames"):
            used = parse_frame_range(self.frames, n_frames)
        with about("validation_frames"):
            validating = self.validation_frames
            kept = None if validating is None else parse_frame_range(validating, n_frames)
            fraction = DataConfig.model_fields["validation_fraction"].default
            return split_frames(
                used, validation_fraction=fraction, validation_frames=kept, seed=seed
            )


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
    factor = upsampling_factor or DEFAULT_FACTOR
    with ExitStack() as files:
        with about("movie"):
            frames = files.enter_context(movie.open(pixel_size_nm))
            pixels = some_pixels(frames)
            file = movie.in_file()
        in_file_nm = None if file is None else file.pixel_size_nm
        yield MovieFacts(_about(frames), pixels, frames.pixel_size_nm, in_file_nm)
        size_nm = frames.pixel_size_nm
        if size_nm is None:
            raise RefusalError(
                "pixel_size_nm",
                f"{movie.name} does not say how large its pixels are. Enter the pixel size.",
            )
        if isinstance(positions, Fault):
            raise RefusalError(positions.field, positions.message)
        # imports torch, which takes longer than to look at a movie
        from napari_dl4smlm.backend.training.filmed import position_truth

        with about("positions"):
            table = positions.read(size_nm)
            if len(table) == 0:
                raise InputError(f"{positions.name} holds no localization; nothing can be learned.")
            position_truth(frames, table, upsampling_factor=factor)
        yield TruthFacts(_count(len(table), frames), factor, table)
        division.of(frames.n_frames, seed=0)
        summary = f"{movie.name} + {positions.name}\n{_about(frames)} · ×{factor}"
    config = None
    table_file = positions.in_file(size_nm)
    if file is not None and table_file is not None:
        config = DataConfig(
            movie=file.path,
            localizations=table_file,
            upsampling_factor=upsampling_factor,
            **_options(file, size_nm, division),
        )

    def truth(frames: FrameStack, files: ExitStack) -> tuple[Truth, int]:
        return position_truth(frames, table, upsampling_factor=factor), factor

    yield Ready(_source(config, movie, size_nm, truth, division, summary, factor))


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
            pixels = some_pixels(frames)
            file = raw.in_file()
        in_file_nm = None if file is None else file.pixel_size_nm
        yield MovieFacts(_about(frames), pixels, frames.pixel_size_nm, in_file_nm)
        if isinstance(images, Fault):
            raise RefusalError(images.field, images.message)
        with about("images"):
            truth_frames = files.enter_context(images.open(None))
            _check_lengths(frames, truth_frames)
            factor = infer_upsampling_factor(frames, truth_frames)
            images_file = images.in_file()
            if file is not None and images_file is not None:
                _check_files(file.path, images_file.path)
            spots = _spots_per_frame(truth_frames)
        # of emitters that overlap, only the brightest makes a maximum
        per_frame = f"at least {spots:,.3g} emitters in a frame"
        text = " · ".join([f"×{factor}", per_frame, *_density(spots, frames)])
        yield TruthFacts(text, factor)
        division.of(frames.n_frames, seed=0)
        summary = f"{raw.name} + {images.name}\n{_about(frames)} · ×{factor}"
        size_nm = frames.pixel_size_nm
    config = None
    if file is not None and images_file is not None:
        config = DataConfig(
            pairs=(file.path, images_file.path), **_options(file, size_nm, division)
        )
    truth = partial(_image_truth, images)
    yield Ready(_source(config, raw, size_nm, truth, division, summary, factor))


def some_pixels(frames: FrameStack) -> NDArray[Any]:
    """Return pixels of frames from all parts of a movie, in one dimension."""
    rows = _some_frames(frames).reshape(-1, frames.width)
    return rows[:: max(1, -(-rows.size // _PIXELS_TO_DRAW))].ravel()


def _some_frames(frames: FrameStack) -> NDArray[Any]:
    count = min(_FRAMES_TO_LOOK_AT, frames.n_frames)
    numbers = np.linspace(0, frames.n_frames - 1, count).round().astype(int)
    return np.concatenate([frames.read(k, k + 1) for k in numbers.tolist()])


def _about(frames: FrameStack) -> str:
    parts = [
        f"{frames.n_frames:,} frame{'s' if frames.n_frames > 1 else ''}",
        f"{frames.height} × {frames.width}",
        str(frames.dtype),
    ]
    if frames.pixel_size_nm is not None:
        parts.append(f"{frames.pixel_size_nm:.4g} nm")
    return " · ".join(parts)


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


def _spots_per_frame(images: FrameStack) -> float:
    """Count the maxima of true images that are brighter than a tenth of the brightest."""
    from scipy.ndimage import maximum_filter

    shown = _some_frames(images)
    brightest = shown.max()
    if not brightest > 0:
        return 0.0
    maxima = shown == maximum_filter(shown, size=(1, 3, 3))
    return float(np.count_nonzero(maxima & (shown > brightest / 10)) / len(shown))


def _options(file: MovieFile, size_nm: float | None, division: Division) -> dict[str, Any]:
    """Return what configs of files have in common."""
    return {
        # what the file says need not be said again
        "pixel_size_nm": None if file.pixel_size_nm == size_nm else size_nm,
        "frames": division.frames,
        "validation_frames": division.validation_frames,
    }


def _check_lengths(frames: FrameStack, images: FrameStack) -> None:
    if frames.n_frames != images.n_frames:
        raise InputError(
            f"{frames.name} has {frames.n_frames} frames but {images.name} has "
            f"{images.n_frames}. Every raw frame needs its true image."
        )


def _check_files(*paths: Any) -> None:
    for stack in open_pair(*paths):
        stack.close()


def _image_truth(images: MovieChoice, frames: FrameStack, files: ExitStack) -> tuple[Truth, int]:
    from napari_dl4smlm.backend.training.truth import ImageTruth

    truth_frames = files.enter_context(images.open(None))
    _check_lengths(frames, truth_frames)
    factor = infer_upsampling_factor(frames, truth_frames)
    brightest = max(float(batch.max()) for _, batch in truth_frames.batches(64))
    if not brightest > 0:
        raise InputError(f"{images.name} has no pixel above 0; there is nothing to learn from.")
    return ImageTruth(truth_frames, upsampling_factor=factor, brightest=brightest), factor


def _source(
    config: DataConfig | None,
    movie: MovieChoice,
    pixel_size_nm: float | None,
    truth: Callable[[FrameStack, ExitStack], tuple[Truth, int]],
    division: Division,
    summary: str,
    factor: int,
) -> TrainingSource:
    def open_layers(seed: int) -> FilmedData:
        from napari_dl4smlm.backend.training.filmed import FilmedData

        with ExitStack() as files:
            frames = files.enter_context(movie.open(pixel_size_nm))
            labels, factor = truth(frames, files)
            training, validation = division.of(frames.n_frames, seed=seed)
            kept_open = files.pop_all()
        return FilmedData(
            frames, labels, factor, frames.pixel_size_nm, training, validation, kept_open
        )

    return TrainingSource(
        open=open_layers if config is None else partial(open_config, config),
        config=config,
        movie_layer_name=None if movie.layer_frames is None else movie.name,
        summary=summary,
        upsampling_factor=factor,
        pixel_size_nm=pixel_size_nm,
    )


def open_config(config: DataConfig, seed: int) -> TrainingData:
    """Open what the command line would open; see `open_training_data`."""
    # imports torch
    from napari_dl4smlm.backend.training.data import open_training_data

    return open_training_data(config, seed=seed)
