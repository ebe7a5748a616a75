"""How fast a model predicts on a device, and how much memory that takes."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_dl4smlm.backend.evaluation.comparison.peak_memory import watch_peak
from napari_dl4smlm.backend.evaluation.comparison.scores import Score
from napari_dl4smlm.backend.evaluation.selected_frames import select_frames
from napari_dl4smlm.backend.prediction.events import (
    BatchPredicted,
    BatchReduced,
    PredictionStarted,
)
from napari_dl4smlm.backend.prediction.predictor import Predictor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.models.model_file import TrainedModel
    from napari_dl4smlm.backend.prediction.config import PredictionConfig


@dataclass(frozen=True, eq=False)
class Speed:
    """How a model ran on a device, once it was warm.

    Attributes
    ----------
    device
        Its name.
    batch_size
        Frames at a time.
    tile_size
        Side of the tiles in camera pixels; ``None`` for whole frames.
    streams
        Batches side by side.
    ms_per_frame
        Median over the repeats; its replicates are their times.
    peak_bytes
        Most memory while it ran; ``None`` where that cannot be measured.
    """

    device: str
    batch_size: int
    tile_size: int | None
    streams: int
    ms_per_frame: Score
    peak_bytes: int | None

    @property
    def frames_per_second(self) -> Score:
        """The same the other way round."""
        times = self.ms_per_frame
        return Score(1000 / times.value, times.spread, 1000 / times.replicates)


def measure_speed(
    model: TrainedModel, frames: FrameStack, config: PredictionConfig, *, repeats: int
) -> Speed:
    """Time what `Predictor` does with a batch: normalization, network, sum and localization.

    Batches that run side by side are timed together. The first of them, which set things up, are
    not timed. Reading frames from the disk and writing results is left out.

    Parameters
    ----------
    model
        It is not changed.
    frames
        A movie in memory; it is gone through again and again as far as it takes.
    config
        Device, batch and tiles.
    repeats
        How often a batch, or those side by side, are timed.

    Raises
    ------
    InputError
        As for `Predictor`.
    """
    # what another model left behind is not this one's
    gc.collect()
    device = torch.device(config.device)
    peak = watch_peak(device)
    predictor = Predictor(model, _repeated(frames, 1), config)
    started = next(predictor.events())
    assert isinstance(started, PredictionStarted)
    used: PredictionStarted | BatchReduced = started
    # the first ones, those that are timed, and as many of which some may overtake these
    rounds = repeats + 2
    # twice as many as it takes, should it begin anew with smaller batches
    count = 2 * started.batch_size * started.streams * rounds
    predictor = Predictor(model, _repeated(frames, count), config)
    done: list[tuple[float, int]] = []
    for event in predictor.events():
        match event:
            case BatchReduced():
                used = event
                done.clear()
            case BatchPredicted():
                done.append((event.computed_at, len(event.frames)))
        if len(done) == used.streams * rounds:
            break
    ms = 1000 * _seconds_per_frame(done, used.streams)[:repeats]
    times = Score(float(np.median(ms)), "repeats", ms)
    return Speed(str(device), used.batch_size, used.tile_size, used.streams, times, peak())


def _seconds_per_frame(done: list[tuple[float, int]], streams: int) -> NDArray[np.float64]:
    """Return the times from one round of batches side by side to the next.

    Parameters
    ----------
    done
        When each batch was computed, and how many frames it had.
    streams
        Batches in a round.
    """
    whole = len(done) // streams * streams
    ended, n_frames = np.array(sorted(done)[:whole]).reshape(-1, streams, 2).transpose(2, 0, 1)
    seconds: NDArray[np.float64] = np.diff(ended[:, -1]) / n_frames[1:].sum(axis=1)
    return seconds


def _repeated(frames: FrameStack, count: int) -> FrameStack:
    """Go through a movie as often as it takes for a number of frames."""
    return select_frames(frames, tuple(islice(cycle(range(frames.n_frames)), count)))
