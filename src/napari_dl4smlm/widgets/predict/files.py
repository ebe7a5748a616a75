"""Predicts many files one after the other, each to a folder of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.prediction.result_folder import result_folder

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from napari_dl4smlm.backend.prediction.config import PredictionConfig
    from napari_dl4smlm.backend.prediction.events import PredictionEvent


@dataclass(frozen=True)
class FileStarted:
    """The following events are about this file, until the next one."""

    number: int


@dataclass(frozen=True)
class FileFailed:
    """A file cannot be predicted; what was found before the error is in its folder."""

    number: int
    message: str


@dataclass(frozen=True)
class FilesLeft:
    """The user stopped the run before these files."""

    numbers: range


FilesEvent = FileStarted | FileFailed | FilesLeft


def result_folders(movies: Sequence[Path], into: Path | None = None) -> list[Path]:
    """Name a folder for each movie, never the same for two of them.

    Parameters
    ----------
    movies
        Files, or folders of files.
    into
        Where the folders go; by default each beside its movie.
    """
    folders: list[Path] = []
    for movie in movies:
        first = result_folder(movie, into)
        folder, count = first, 1
        while folder in folders:
            count += 1
            folder = first.with_name(f"{first.name}-{count}")
        folders.append(folder)
    return folders


def predict_files(
    model_path: Path,
    movies: Sequence[Path],
    folders: Sequence[Path],
    config: PredictionConfig,
    stop: threading.Event,
) -> Iterator[PredictionEvent | FilesEvent]:
    """Predict files to folders; one that cannot be predicted does not stop the others.

    Yields
    ------
    PredictionEvent or FilesEvent
        For each file `FileStarted`, the events of `predict_to_files` and, if it fails,
        `FileFailed`; at the end `FilesLeft` if files were left out.

    Raises
    ------
    InputError
        The model cannot be read.
    """
    # they import torch, which takes more than a second
    from napari_dl4smlm.backend.models.model_file import load_model
    from napari_dl4smlm.backend.prediction.output import predict_to_files

    model = load_model(model_path)
    for number, (movie, folder) in enumerate(zip(movies, folders, strict=True)):
        if stop.is_set():
            yield FilesLeft(range(number, len(movies)))
            return
        yield FileStarted(number)
        try:
            with open_frames(movie, pixel_size_nm=config.pixel_size_nm) as frames:
                yield from predict_to_files(model, frames, folder, config, stop=stop)
        except (InputError, OSError) as error:
            yield FileFailed(number, str(error))
