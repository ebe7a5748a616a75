"""Predict a movie together with other processes that do the same, and put the parts together."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_dl4smlm.backend.acquisition.growing_frames import GrowingFrames
from napari_dl4smlm.backend.atomic_file import atomic_file, set_aside
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.localizations.thunderstorm import ThunderstormWriter
from napari_dl4smlm.backend.prediction.backends.candidates import without_trial
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.events import (
    BatchPredicted,
    BatchReduced,
    FilesWritten,
    PartsDone,
    PredictionStopped,
)
from napari_dl4smlm.backend.prediction.output import (
    LOCALIZATIONS,
    RECONSTRUCTION,
    cannot_be_written,
    require_room,
)
from napari_dl4smlm.backend.prediction.predictor import Predictor
from napari_dl4smlm.backend.prediction.reconstruction import Reconstruction, write_reconstruction
from napari_dl4smlm.backend.prediction.sharing.parts import Parts, PartVanished

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from pydantic import JsonValue

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.models.model_file import TrainedModel
    from napari_dl4smlm.backend.prediction.events import PredictionEvent
    from napari_dl4smlm.backend.prediction.sharing.claims import Claim

PARTS = "parts"
"""Folder, inside that of the results, in which the workers leave what they have done."""

# many pieces, so that all workers end at about the same time and a dead one costs little; but not
# so small that a worker writes its image more often than it predicts
_PIECES = 64
_SHORTEST, _LONGEST = 32, 4096
_LOOK_EVERY_S = 0.5
_BYTES_PER_PIXEL = 12  # the image of one worker in double precision, and that of all
_ROUNDED_BY_NS = 2 * 10**9  # times of files, by some file systems


def predict_shared(
    model: TrainedModel,
    movie: FrameStack,
    out_dir: str | os.PathLike[str],
    config: PredictionConfig | None = None,
    *,
    stop: threading.Event | None = None,
) -> Iterator[PredictionEvent]:
    """Predict a movie together with every other process that calls this with the same arguments.

    The workers may run on many machines; they need no more than a folder that all of them see. Each
    does one piece of the movie after the other, and waits at the end for those of the others. The
    first one then writes the same files as `predict_to_files`. Pieces of a process that died are
    done by the others, or by one that is started later; only the piece that it was at is lost.

    Parameters
    ----------
    model, movie, config
        As for `Predictor`, the same for all workers; their devices may differ.
    out_dir
        Folder for the files; it is created.
    stop
        Once another thread sets it, this worker ends after the batch at hand. What it has done
        counts.

    Returns
    -------
    iterator of PredictionEvent
        `PredictionStarted`; `BatchPredicted` for each batch of this worker; `PartsDone` when more
        of the movie is done, by whomever; and `FilesWritten`, whoever wrote them, or
        `PredictionStopped` with the image of this worker.

    Raises
    ------
    InputError
        At once, as `predict_to_files`, or if the folder holds parts of another prediction. Later,
        as `Predictor.events`; what was done before is kept.
    """
    return _Worker(
        model, movie, Path(out_dir), config or PredictionConfig(), stop or threading.Event()
    ).events()


class _Piece(NamedTuple):
    """Some frames that this worker does; ``missing`` are those of them that are not done."""

    claim: Claim
    missing: list[range]


class _Worker:
    def __init__(
        self,
        model: TrainedModel,
        movie: FrameStack,
        folder: Path,
        config: PredictionConfig,
        stop: threading.Event,
    ) -> None:
        if isinstance(movie, GrowingFrames):
            raise InputError("A movie that is still being written cannot be shared by workers.")
        self._model = model
        self._movie = movie
        self._folder = folder
        # tried on every piece, backends could differ from one to the next
        config = without_trial(config)
        self._config = config
        self._stop = stop
        # refuses what cannot be predicted, before any folder is made
        self._whole = Predictor(model, movie, config)
        self._frames = self._whole.frames
        height, width = self._whole.reconstruction.shape
        self._image = self._whole.reconstruction.empty()
        require_room(folder, _BYTES_PER_PIXEL * height * width)
        try:
            self._parts = Parts(folder / PARTS, self._plan())
        except OSError as error:
            raise cannot_be_written(folder, error) from error

    def events(self) -> Iterator[PredictionEvent]:
        """Do pieces until none is left."""
        yield next(self._whole.events())
        result = self._parts.result
        if result is not None and not self._are_there(result.get("files", {})):
            self._parts.start_anew()
        told = -1
        while (result := self._parts.result) is None:
            missing = self._parts.missing(self._frames)
            done = len(self._frames) - sum(map(len, missing))
            if done != told:
                yield PartsDone(done, len(self._frames))
                told = done
            if self._stop.is_set():
                yield PredictionStopped(self._image)
                return
            piece = self._piece(missing) if missing else None
            if piece is not None:
                with piece.claim:
                    yield from self._predict(piece)
            elif missing or not self._merge():
                self._stop.wait(_LOOK_EVERY_S)
        self._parts.clear()
        yield PartsDone(len(self._frames), len(self._frames))
        yield FilesWritten(self._paths(), result["n_localizations"])

    def _plan(self) -> dict[str, JsonValue]:
        origin = self._whole.origin()
        # each worker chooses for itself
        del origin["computed_with"]
        return {
            **origin,
            "movie_fingerprint": self._movie.fingerprint(),
            "frames": [self._frames.start, self._frames.stop],
        }

    def _paths(self) -> tuple[Path, ...]:
        return (self._folder / LOCALIZATIONS, self._folder / RECONSTRUCTION)

    def _files(self) -> dict[str, JsonValue]:
        """Return what the results are known by: how large they are, and when they were written."""
        states = {path.name: path.stat() for path in self._paths()}
        return {name: [state.st_size, state.st_mtime_ns] for name, state in states.items()}

    def _are_there(self, files: Mapping[str, Any]) -> bool:
        """Tell whether the results are those that the workers wrote, and not of a later run."""
        try:
            there: dict[str, Any] = self._files()
        except FileNotFoundError:
            return False
        return files.keys() == there.keys() and all(
            size == there[name][0] and abs(written_ns - there[name][1]) <= _ROUNDED_BY_NS
            for name, (size, written_ns) in files.items()
        )

    def _piece(self, missing: list[range]) -> _Piece | None:
        """Claim some of the missing frames; ``None`` if others are at work at all of them."""
        length = min(max(-(-len(self._frames) // _PIECES), _SHORTEST), _LONGEST)
        for start in range(self._frames.start, self._frames.stop, length):
            frames = range(start, min(start + length, self._frames.stop))
            if not _common(frames, missing):
                continue
            claimed = self._parts.claim(f"{frames.start}-{frames.stop}")
            if claimed is None:
                continue
            # whoever had the claim before may have finished in the meantime
            left = _common(frames, self._parts.missing(self._frames))
            # and so may all: asked last, since the parts are removed once there is a result
            is_over = self._parts.result is not None
            if left and not is_over:
                return _Piece(claimed, left)
            claimed.give_back()
            if is_over:
                return None
        return None

    def _predict(self, piece: _Piece) -> Iterator[PredictionEvent]:
        for frames in piece.missing:
            config = self._config.model_copy(update={"frames": f"{frames.start}:{frames.stop}"})
            predictor = Predictor(self._model, self._movie, config)
            tables: list[Localizations] = []
            try:
                for event in predictor.events():
                    if isinstance(event, BatchPredicted):
                        tables.append(event.localizations)
                        piece.claim.renew()
                    if isinstance(event, BatchPredicted | BatchReduced):
                        yield event
                    if self._stop.is_set():
                        predictor.stop()
            finally:
                # also of a piece that a key or a bad frame has ended
                if tables and piece.claim.is_held():
                    self._save(predictor.reconstruction, tables)

    def _save(self, part: Reconstruction, tables: list[Localizations]) -> None:
        # by another worker, while this one stood still for so long that it counted as dead
        if any(_common(frames, self._parts.done()) for frames in part.frames):
            return
        self._image.take_in(part)
        try:
            self._parts.save(self._image, Localizations.concatenate(tables))
        except OSError as error:
            raise cannot_be_written(self._folder, error) from error

    def _merge(self) -> bool:
        """Write the results, unless another worker is at it or has just done it."""
        claimed = self._parts.claim("merging")
        if claimed is None:
            return False
        with claimed:
            if self._parts.result is None:
                try:
                    n_localizations = self._write(claimed)
                    files = self._files()
                except PartVanished:
                    return False
                except OSError as error:
                    raise cannot_be_written(self._folder, error) from error
                self._parts.finish({"n_localizations": n_localizations, "files": files})
        return True

    def _write(self, claimed: Claim) -> int:
        n_localizations = 0
        with ExitStack() as places:
            table, image = (places.enter_context(atomic_file(path)) for path in self._paths())
            with ThunderstormWriter(table) as writer:
                for localizations in self._parts.tables():
                    writer.append(localizations)
                    n_localizations += len(localizations)
                    claimed.renew()
            write_reconstruction(image, self._parts.merged(), description=self._whole.origin())
            # both are complete before those of an earlier prediction are touched
            for path in self._paths():
                set_aside(path)
        return n_localizations


def _common(frames: range, others: list[range]) -> list[range]:
    """Return what a range shares with others."""
    shared = (
        range(max(frames.start, other.start), min(frames.stop, other.stop)) for other in others
    )
    return [part for part in shared if len(part)]
