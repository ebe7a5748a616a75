"""Test a model: predict frames whose truth is known, and score every one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dl4smlm.backend.acquisition.frames import open_frames, parse_frame_range
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.evaluation.events import (
    SampleScored,
    ScoringFinished,
    ScoringStarted,
    ScoringStopped,
)
from napari_dl4smlm.backend.evaluation.scorer import Scorer
from napari_dl4smlm.backend.evaluation.selected_frames import select_frames
from napari_dl4smlm.backend.evaluation.untrained import untrained_frames
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.events import (
    BatchPredicted,
    PredictionFinished,
    PredictionStarted,
)
from napari_dl4smlm.backend.prediction.predictor import Predictor
from napari_dl4smlm.backend.training.pairs import infer_upsampling_factor
from napari_dl4smlm.backend.training.truth import ImageTruth, position_truth

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.evaluation.events import ScoringEvent
    from napari_dl4smlm.backend.evaluation.untrained import UntrainedFrames
    from napari_dl4smlm.backend.models.model_file import TrainedModel
    from napari_dl4smlm.backend.training.truth import Truth


def score_model(
    model: TrainedModel,
    frames: FrameStack,
    truth: Localizations | FrameStack,
    config: PredictionConfig | None = None,
    *,
    tolerance_nm: float = 100.0,
    border_nm: float = 0.0,
    stop: threading.Event | None = None,
) -> Iterator[ScoringEvent]:
    """Score a model on every frame of a movie that did not train it.

    Density maps are held in memory for one batch at a time; scores and positions, for the whole
    test.

    Parameters
    ----------
    model
        It is not changed.
    frames
        Raw frames, in counts. They have to stay open until the last event.
    truth
        The true positions, with frames numbered as in the movie. Each is drawn as a Gaussian of sum
        1 with a standard deviation of one fine pixel, and the density maps are compared with that
        as they are. Or the true images, one for each frame, on the model's fine grid: their unit is
        arbitrary, so that every density map is scaled to their sum, and nothing is detected.
    config
        As for prediction; ``frames`` are those to test on.
    tolerance_nm
        Largest distance between a localization and its emitter.
    border_nm
        Rim of the field that the scores of detection leave out.
    stop
        Once another thread sets it, the test ends after the frame at hand.

    Returns
    -------
    iterator of ScoringEvent
        `ScoringStarted`, one `SampleScored` per frame, then `ScoringFinished` or `ScoringStopped`
        with the summary.

    Raises
    ------
    InputError
        At once: frames that trained the model are asked for, or none to test on has an emitter; the
        pixel size is not known; truth and frames do not fit each other; tolerance, border or device
        cannot be used. Later: a frame cannot be read, or the memory does not suffice.
    """
    config = config or PredictionConfig()
    frames = open_frames(frames, pixel_size_nm=config.pixel_size_nm)
    asked_for = None
    if config.frames is not None:
        asked_for = parse_frame_range(config.frames, frames.n_frames)
    test_frames = untrained_frames(model.card, frames, asked_for)
    factor = model.card.upsampling_factor
    true_maps = _truth(truth, frames, test_frames, upsampling_factor=factor)
    predictor = Predictor(
        model,
        select_frames(frames, test_frames.numbers),
        config.model_copy(update={"frames": None}),
        keep_maps=True,
    )
    scorer = Scorer(
        true_maps,
        test_frames,
        height=frames.height,
        width=frames.width,
        upsampling_factor=factor,
        pixel_size_nm=predictor.pixel_size_nm,
        tolerance_nm=tolerance_nm,
        border_nm=border_nm,
    )
    return _scoring(predictor, scorer, test_frames, stop)


def _scoring(
    predictor: Predictor,
    scorer: Scorer,
    test_frames: UntrainedFrames,
    stop: threading.Event | None,
) -> Iterator[ScoringEvent]:
    numbers = test_frames.numbers
    for event in predictor.events():
        match event:
            case PredictionStarted():
                warnings = (*test_frames.warnings, *event.warnings)
                yield ScoringStarted(event.device, len(numbers), warnings)
            case BatchPredicted():
                assert event.density_maps is not None
                for place, density_map in zip(event.frames, event.density_maps, strict=True):
                    found = event.localizations.in_frames(range(place, place + 1))
                    scores = scorer.score(numbers[place], density_map, found)
                    yield SampleScored(scores, len(scorer.samples), len(numbers))
                    if stop is not None and stop.is_set():
                        yield ScoringStopped(scorer.summary())
                        return
            case PredictionFinished():
                yield ScoringFinished(scorer.summary())


def _truth(
    truth: Localizations | FrameStack,
    frames: FrameStack,
    test_frames: UntrainedFrames,
    *,
    upsampling_factor: int,
) -> Truth:
    if isinstance(truth, Localizations):
        _require_emitters(truth, frames, test_frames)
        return position_truth(frames, truth, upsampling_factor=upsampling_factor)
    if truth.n_frames != frames.n_frames:
        raise InputError(
            f"{frames.name} has {frames.n_frames} frames but {truth.name} has {truth.n_frames}. "
            "Every raw frame needs its true image."
        )
    infer_upsampling_factor(frames, truth, upsampling_factor)
    # the unit of the images does not matter, since the predictions are scaled to their sum
    return ImageTruth(truth, upsampling_factor=upsampling_factor, per_emitter=1.0)


def _require_emitters(
    truth: Localizations, frames: FrameStack, test_frames: UntrainedFrames
) -> None:
    if not np.isin(truth.frame, test_frames.numbers).any():
        raise InputError(
            f"None of the {len(test_frames.numbers)} frames of {frames.name} to test on has an "
            f"emitter among the {len(truth)} true positions. Check that they belong to this movie, "
            "or choose other frames."
        )
