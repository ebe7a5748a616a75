"""What a prediction tells those who watch it: widget, command line and tests alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.localizations.table import Localizations
    from napari_dl4smlm.backend.prediction.reconstruction import Reconstruction


@dataclass(frozen=True)
class PredictionStarted:
    """The prediction is set up; no frame has been predicted yet.

    Attributes
    ----------
    device, backend, precision
        Where it runs, what with, and in which numbers.
    why
        How backend and precision were chosen; empty if there was no choice.
    n_frames
        Frames to be predicted.
    height, width
        Size of the reconstruction, in fine pixels.
    batch_size
        Frames that go through a network at a time.
    tile_size
        Side of the tiles in camera pixels, without their halo; ``None`` for whole frames.
    streams
        Batches side by side.
    warnings
        Sentences for the user, such as a movie unlike those that the model was trained on.
    """

    device: str
    backend: str
    precision: str
    why: str
    n_frames: int
    height: int
    width: int
    batch_size: int
    tile_size: int | None
    streams: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class BatchPredicted:
    """Some frames were predicted and added to the reconstruction.

    Attributes
    ----------
    frames
        Their numbers in the movie, from 0.
    localizations
        What was found in them.
    frames_done, n_frames
        Frames predicted so far, and in all.
    frames_per_second
        Mean since the start.
    computed_at
        When the work on them was done, in seconds of `time.perf_counter`. They are told in order,
        so that some wait for others.
    density_maps
        Shape (frames, f Y, f X), emitters per fine pixel; ``None`` unless the maps were asked for.
    """

    frames: range
    localizations: Localizations
    frames_done: int
    n_frames: int
    frames_per_second: float
    seconds_left: float
    computed_at: float
    density_maps: NDArray[np.float32] | None


@dataclass(frozen=True)
class FramesArrived:
    """How far the prediction of a movie that is still being written is behind its camera.

    Attributes
    ----------
    n_frames
        Frames to be predicted that are there so far.
    frames_behind
        Those of them that are not predicted yet.
    frames_per_second
        How fast frames came in the last ten seconds.
    keeps_up
        ``False`` if frames come faster than they are predicted.
    """

    n_frames: int
    frames_behind: int
    frames_per_second: float
    keeps_up: bool


@dataclass(frozen=True)
class FramesLeftOut:
    """A movie that was followed is over, and not all that was written to it are frames.

    Attributes
    ----------
    reasons
        A sentence for each frame or file.
    """

    reasons: tuple[str, ...]


@dataclass(frozen=True)
class PartsDone:
    """How much of a movie that many workers share is done, by all of them.

    Attributes
    ----------
    frames_done, n_frames
        Frames whose parts are saved, and in all.
    """

    frames_done: int
    n_frames: int


@dataclass(frozen=True)
class BatchReduced:
    """The memory did not suffice; the same frames are predicted again, fewer or less at a time.

    Attributes
    ----------
    batch_size, tile_size, streams
        As in `PredictionStarted`, from now on.
    """

    batch_size: int
    tile_size: int | None
    streams: int


@dataclass(frozen=True)
class PredictionStopped:
    """The user stopped the prediction; the reconstruction holds the frames done so far."""

    reconstruction: Reconstruction


@dataclass(frozen=True)
class PredictionFinished:
    """All frames are in the reconstruction."""

    reconstruction: Reconstruction


@dataclass(frozen=True)
class FilesWritten:
    """The results are on disk."""

    paths: tuple[Path, ...]
    n_localizations: int


PredictionEvent = (
    PredictionStarted
    | BatchPredicted
    | BatchReduced
    | FramesArrived
    | FramesLeftOut
    | PartsDone
    | PredictionStopped
    | PredictionFinished
    | FilesWritten
)
