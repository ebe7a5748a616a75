"""What the user reads about the options and the progress of a prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dl4smlm.backend.prediction.config import UNCALIBRATED_THRESHOLD
from napari_dl4smlm.widgets.durations import duration

if TYPE_CHECKING:
    from napari_dl4smlm.backend.models.model_file import ModelCard
    from napari_dl4smlm.backend.prediction.events import (
        BatchPredicted,
        BatchReduced,
        FramesArrived,
        PredictionStarted,
    )


def automatic_threshold(card: ModelCard | None) -> str:
    """Tell which threshold is used where none is entered."""
    if card is None:
        return "of the model"
    if card.calibration is None:
        return f"{UNCALIBRATED_THRESHOLD}, not calibrated"
    return f"{card.calibration.threshold:.2g}, calibrated"


def automatic_pixel_size(movie_nm: float | None, card: ModelCard | None) -> str:
    """Tell which pixel size is used where none is entered."""
    if movie_nm is not None:
        return f"{movie_nm:.4g} nm, movie"
    if card is not None and card.pixel_size_nm is not None:
        return f"{card.pixel_size_nm:.4g} nm, model"
    return "not known"


def describe_progress(batch: BatchPredicted) -> str:
    """Tell how far a prediction is, how fast, and how long it still takes."""
    return (
        f"{batch.frames_done:,} / {batch.n_frames:,} frames · {batch.frames_per_second:.3g} fps · "
        f"{duration(batch.seconds_left)} left"
    )


def describe_pace(arrived: FramesArrived) -> str:
    """Tell how far a prediction is behind the camera, and whether it can keep up."""
    behind = f"{arrived.frames_behind:,} frames behind the camera"
    if arrived.keeps_up:
        return behind
    return (
        f"⚠ {behind}: {arrived.frames_per_second:.3g} frames per second come, which is more than "
        "are predicted. None is lost; a smaller model or another device would keep up."
    )


def describe_reduction(reduced: BatchReduced) -> str:
    """Tell what is tried after the memory did not suffice."""
    tiles = "" if reduced.tile_size is None else f" in tiles of {reduced.tile_size} px"
    return f"The memory did not suffice: now {frames_at_a_time(reduced)} at a time{tiles}."


def frames_at_a_time(event: PredictionStarted | BatchReduced) -> str:
    """Tell how many frames are in the memory, in words."""
    count = event.batch_size * event.streams
    return "1 frame" if count == 1 else f"{count} frames"
