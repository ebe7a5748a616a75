"""How fast a model predicts on a device, and how much memory that takes."""

from __future__ import annotations

import gc
import time
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
    # twice as many as it takes, should it begin anew with smaller batches
    count = 2 * started.batch_size * started.streams * (repeats + 1)
    predictor = Predictor(model, _repeated(frames, count), config)
    seconds_per_frame: list[float] = []
    side_by_side: list[int] = []
    began = time.perf_counter()
    for event in predictor.events():
        match event:
            case PredictionStarted():
                began = time.perf_counter()
            case BatchReduced():
                used = event
                seconds_per_frame.clear()
                side_by_side.clear()
                began = time.perf_counter()
            case BatchPredicted():
                side_by_side.append(len(event.frames))
        if len(side_by_side) == used.streams:
            ended = time.perf_counter()
            seconds_per_frame.append((ended - began) / sum(side_by_side))
            side_by_side.clear()
            began = ended
        if len(seconds_per_frame) > repeats:
            break
    ms = 1000 * np.array(seconds_per_frame[1:])
    times = Score(float(np.median(ms)), "repeats", ms)
    return Speed(str(device), used.batch_size, used.tile_size, used.streams, times, peak())


def _repeated(frames: FrameStack, count: int) -> FrameStack:
    """Go through a movie as often as it takes for a number of frames."""
    return select_frames(frames, tuple(islice(cycle(range(frames.n_frames)), count)))
