"""One prediction of a movie in memory; what was found so far stays, however it ends."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.localizations.thunderstorm import write_thunderstorm
from napari_dl4smlm.backend.prediction.events import BatchPredicted
from napari_dl4smlm.backend.prediction.reconstruction import write_reconstruction
from napari_dl4smlm.widgets.saving import older_kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from pydantic import JsonValue

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.prediction.config import PredictionConfig
    from napari_dl4smlm.backend.prediction.events import PredictionEvent
    from napari_dl4smlm.backend.prediction.predictor import Predictor
    from napari_dl4smlm.backend.prediction.reconstruction import Reconstruction


@dataclass(frozen=True, eq=False)
class ImageGrown:
    """The super-resolution image after some more frames.

    Attributes
    ----------
    image
        Shape (f Y, f X), emitters per fine pixel; a copy that does not change any more.
    """

    image: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PredictedMovie:
    """What was found in a movie.

    Attributes
    ----------
    origin
        Where it comes from: movie, frames, model and options.
    """

    reconstruction: Reconstruction
    localizations: Localizations
    movie_name: str
    pixel_size_nm: float
    origin: dict[str, JsonValue]

    def summary(self) -> str:
        """Tell how much was found."""
        n_frames = self.reconstruction.n_frames
        return (
            f"{len(self.localizations):,} localizations in {n_frames:,} "
            f"frame{'' if n_frames == 1 else 's'}"
        )

    def write_image(self, path: Path) -> None:
        """Write the same ``reconstruction.tif`` as `predict_to_files`, under any name.

        An older file of that name is kept aside.

        Raises
        ------
        OSError
            The file cannot be written; an older one is as it was.
        """
        with older_kept(path):
            write_reconstruction(path, self.reconstruction, description=self.origin)

    def write_table(self, path: Path, rows: NDArray[np.intp]) -> None:
        """Write some localizations as a ThunderSTORM table, in the order of the frames.

        An older file of that name is kept aside.

        Raises
        ------
        InputError
            The file cannot be written; an older one is as it was.
        """
        with older_kept(path):
            write_thunderstorm(path, self.localizations[np.sort(rows)])


class MoviePrediction:
    """A prediction that another thread runs.

    Parameters
    ----------
    model_path
        The model; it is read by the run.
    open_movie
        Opens the raw frames, in the other thread; they are closed by the run.
    config
        What the user decided.

    Attributes
    ----------
    image_wanted
        Set it to be told the image after the next batch, once.
    """

    def __init__(
        self, model_path: Path, open_movie: Callable[[], FrameStack], config: PredictionConfig
    ) -> None:
        self.image_wanted = threading.Event()
        self._model_path = model_path
        self._open_movie = open_movie
        self._movie_name = ""
        self._config = config
        self._predictor: Predictor | None = None
        self._tables: list[Localizations] = []

    def events(self, stop: threading.Event) -> Iterator[PredictionEvent | ImageGrown]:
        """Predict until the end, or until the batch after which ``stop`` is set.

        Raises
        ------
        InputError
            The model cannot be read, or for what `Predictor` refuses.
        """
        # they import torch, which takes more than a second
        from napari_dl4smlm.backend.models.model_file import load_model
        from napari_dl4smlm.backend.prediction.predictor import Predictor

        with self._open_movie() as movie:
            self._movie_name = movie.name
            predictor = Predictor(load_model(self._model_path), movie, self._config)
            self._predictor = predictor
            for event in predictor.events():
                if isinstance(event, BatchPredicted):
                    self._tables.append(event.localizations)
                yield event
                if isinstance(event, BatchPredicted) and self.image_wanted.is_set():
                    self.image_wanted.clear()
                    yield from _copy_of(predictor.reconstruction)
                if stop.is_set():
                    predictor.stop()

    def result(self) -> PredictedMovie | None:
        """Return what was found, once the run is over; ``None`` if no frame was done."""
        predictor = self._predictor
        if predictor is None or not self._tables:
            return None
        return PredictedMovie(
            reconstruction=predictor.reconstruction,
            localizations=Localizations.concatenate(self._tables),
            movie_name=self._movie_name,
            pixel_size_nm=predictor.pixel_size_nm,
            origin={
                **predictor.origin(),
                "frames": [*predictor.reconstruction.frame_ranges],
            },
        )


def _copy_of(reconstruction: Reconstruction) -> Iterator[ImageGrown]:
    """Copy the image in the thread that adds to it; without memory for a copy, there is none."""
    try:
        image = reconstruction.image
    except MemoryError:
        return
    yield ImageGrown(image)
