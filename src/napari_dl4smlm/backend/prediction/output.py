"""Predict a movie straight to files: the image, the table and, if asked for, the density maps."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dl4smlm.backend.acquisition.calibrated_tiff import calibrated_tiff
from napari_dl4smlm.backend.acquisition.growing_frames import GrowingFrames
from napari_dl4smlm.backend.atomic_file import (
    atomic_file,
    check_folder,
    remove_abandoned,
    set_aside,
)
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.thunderstorm import ThunderstormWriter
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.events import BatchPredicted, FilesWritten
from napari_dl4smlm.backend.prediction.predictor import Predictor
from napari_dl4smlm.backend.prediction.reconstruction import write_reconstruction

if TYPE_CHECKING:
    import os
    import threading
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.models.model_file import TrainedModel
    from napari_dl4smlm.backend.prediction.events import PredictionEvent

RECONSTRUCTION = "reconstruction.tif"
LOCALIZATIONS = "localizations.csv"
DENSITY_MAPS = "density_maps.tif"


def predict_to_files(
    model: TrainedModel,
    movie: FrameStack,
    out_dir: str | os.PathLike[str],
    config: PredictionConfig | None = None,
    *,
    save_maps: bool = False,
    stop: threading.Event | None = None,
) -> Iterator[PredictionEvent]:
    """Predict a movie and write ``reconstruction.tif`` and ``localizations.csv``.

    However the prediction ends, by itself, by ``stop``, by Ctrl-C, by closing the iterator or at a
    frame that cannot be read: the frames done by then are written, and ``reconstruction.tif`` tells
    which they are. Files of an earlier prediction are renamed (``reconstruction.previous.tif``).

    Parameters
    ----------
    model, movie, config
        As for `Predictor`.
    out_dir
        Folder for the files; it is created.
    save_maps
        Write the density map of every frame as well, to ``density_maps.tif``.
    stop
        Once another thread sets it, the prediction ends after the batch at hand.

    Returns
    -------
    iterator of PredictionEvent
        The events of `Predictor.events`, then `FilesWritten`, which names no file if no frame was
        done.

    Raises
    ------
    InputError
        At once, for what `Predictor` refuses, for maps of a movie that grows, or if the folder
        cannot be written to or has less room than the images take. Later, for what
        `Predictor.events` refuses, or if the disk gets full all the same: then nothing is left but
        the files of an earlier prediction.
    """
    config = config or PredictionConfig()
    folder = Path(out_dir)
    if save_maps and isinstance(movie, GrowingFrames):
        raise InputError(
            "Density maps cannot be saved of a movie that is still being written. Predict it again "
            "when it is complete."
        )
    predictor = Predictor(model, movie, config, keep_maps=save_maps)
    n_images = 1 + (len(predictor.frames) if save_maps else 0)
    require_room(folder, n_images * _image_bytes(predictor))
    return _predict_and_write(predictor, folder, stop)


def _predict_and_write(
    predictor: Predictor, folder: Path, stop: threading.Event | None
) -> Iterator[PredictionEvent]:
    with ExitStack() as places, ExitStack() as open_files:
        files = _ResultFiles(places, open_files, folder, predictor)
        try:
            for event in predictor.events():
                if isinstance(event, BatchPredicted):
                    files.append(event)
                yield event
                if stop is not None and stop.is_set():
                    predictor.stop()
        except BaseException:
            # hours of work must not be lost to a key or to one bad frame
            if not files.failed:
                files.complete()
            raise
        yield files.complete()


class _ResultFiles:
    """The files of one prediction, which appear, all of them, when `complete` is called.

    Parameters
    ----------
    places
        Holds the files until they may appear; leaving it with an error removes them.
    open_files
        Holds those that are being written.
    folder
        Where they go.
    predictor
        What fills them.

    Attributes
    ----------
    failed
        Whether something could not be written: what was, is then not worth keeping.
    """

    def __init__(
        self, places: ExitStack, open_files: ExitStack, folder: Path, predictor: Predictor
    ) -> None:
        self.failed = False
        self._places = places
        self._open_files = open_files
        self._folder = folder
        self._predictor = predictor
        self._paths: list[Path] = []
        self._write_map: Callable[[NDArray[np.float32]], None] | None = None
        self._n_localizations = 0

    def append(self, batch: BatchPredicted) -> None:
        """Write what was found in some frames."""
        with self._reporting_failures():
            # only now, so that a prediction that never began leaves no file
            if not self._paths:
                self._table = self._open_files.enter_context(
                    ThunderstormWriter(self._new_file(LOCALIZATIONS))
                )
            self._table.append(batch.localizations)
            if batch.density_maps is not None:
                write_map = self._write_map = self._write_map or self._open_maps()
                for density_map in batch.density_maps:
                    write_map(density_map)
        self._n_localizations += len(batch.localizations)

    def complete(self) -> FilesWritten:
        """Write the image and put all files where they belong."""
        with self._reporting_failures():
            if self._paths:
                self._write_image()
            # to the last byte, before the files of an earlier prediction are touched
            self._open_files.close()
            for path in self._paths:
                set_aside(path)
            self._places.close()
        return FilesWritten(tuple(self._paths), self._n_localizations)

    def _open_maps(self) -> Callable[[NDArray[np.float32]], None]:
        predictor = self._predictor
        temporary = self._open_files.enter_context(atomic_file(self._new_file(DENSITY_MAPS)))
        return self._open_files.enter_context(
            calibrated_tiff(
                temporary,
                pixel_size_nm=predictor.reconstruction.pixel_size_nm,
                nbytes=len(predictor.frames) * _image_bytes(predictor),
                information={**predictor.origin(), "first_frame": predictor.frames.start},
            )
        )

    def _write_image(self) -> None:
        write_reconstruction(
            self._new_file(RECONSTRUCTION),
            self._predictor.reconstruction,
            description=self._predictor.origin(),
        )

    def _new_file(self, name: str) -> Path:
        """Return where to write a file, which gets its name only together with the others."""
        path = self._folder / name
        remove_abandoned(path)
        self._paths.append(path)
        return self._places.enter_context(atomic_file(path))

    @contextmanager
    def _reporting_failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failed = True
            raise cannot_be_written(self._folder, error) from error


def _image_bytes(predictor: Predictor) -> int:
    height, width = predictor.reconstruction.shape
    return 4 * height * width


def cannot_be_written(folder: Path, error: OSError) -> InputError:
    """Build the error for a folder that takes no results."""
    return InputError(
        f"The results cannot be written to {folder} ({error.strerror or error}). Make room, or "
        "choose another folder; files of an earlier prediction are kept."
    )


def require_room(folder: Path, needed_bytes: int) -> None:
    """Create a folder, and make sure before long work that its results fit into it.

    Raises
    ------
    InputError
        It cannot be created or written to, or has less room.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"The folder {folder} cannot be created ({error.strerror}). Choose another one."
        ) from error
    check_folder(folder)
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise InputError(
            f"{folder} has {free_bytes / 1e9:.2g} GB of room, but the images alone take "
            f"{needed_bytes / 1e9:.2g} GB. Make room, or choose another folder."
        )
