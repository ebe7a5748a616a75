"""Compare models: the same frames for all, scores with intervals, and what they cost."""

from __future__ import annotations

import dataclasses
import math
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.evaluation.comparison.candidates import check_candidates
from napari_dl4smlm.backend.evaluation.comparison.data_set import open_data_set
from napari_dl4smlm.backend.evaluation.comparison.detection import bootstrap_detection
from napari_dl4smlm.backend.evaluation.comparison.events import (
    ComparisonFinished,
    ComparisonStarted,
    ComparisonStopped,
    FramesPredicted,
    ImagesScored,
    ModelCompared,
    SpeedMeasured,
)
from napari_dl4smlm.backend.evaluation.comparison.images import (
    jackknife,
    leave_one_out,
    n_comparisons,
    sum_images,
)
from napari_dl4smlm.backend.evaluation.comparison.result import ComparedModel, Comparison
from napari_dl4smlm.backend.evaluation.comparison.scores import Score
from napari_dl4smlm.backend.evaluation.comparison.speed import measure_speed
from napari_dl4smlm.backend.evaluation.quality import measure_quality
from napari_dl4smlm.backend.evaluation.selected_frames import select_frames
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.metrics.accuracy import accuracy_by_density, accuracy_by_photons
from napari_dl4smlm.backend.models.device import select_device
from napari_dl4smlm.backend.models.registry import operations_per_frame, parameter_count
from napari_dl4smlm.backend.prediction.backends.candidates import without_trial
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.events import BatchPredicted, PredictionStarted
from napari_dl4smlm.backend.prediction.predictor import Predictor

if TYPE_CHECKING:
    import threading
    from collections.abc import Generator, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.evaluation.comparison.candidates import Candidate
    from napari_dl4smlm.backend.evaluation.comparison.data_set import OpenDataSet
    from napari_dl4smlm.backend.evaluation.comparison.events import ComparisonEvent
    from napari_dl4smlm.backend.evaluation.comparison.result import DataSet
    from napari_dl4smlm.backend.evaluation.comparison.speed import Speed
    from napari_dl4smlm.backend.evaluation.quality import Quality
    from napari_dl4smlm.backend.evaluation.scores import ImageScores
    from napari_dl4smlm.backend.metrics.accuracy import AccuracyByDensity, AccuracyByPhotons


def compare_models(
    candidates: Sequence[Candidate],
    frames: FrameStack,
    truth: Localizations | None = None,
    config: PredictionConfig | None = None,
    *,
    devices: Sequence[str] = (),
    tolerance_nm: float = 100.0,
    border_nm: float = 0.0,
    seed: int = 0,
    repeats: int = 5,
    stop: threading.Event | None = None,
) -> Iterator[ComparisonEvent]:
    """Compare models on the frames of a movie that trained none of them.

    Parameters
    ----------
    candidates
        At least one model.
    frames
        Raw frames, in counts. They have to stay open until the last event.
    truth
        The true positions, with frames numbered as in the movie. Without them, resolution, error
        and precision are measured as far as that is possible; these numbers have no interval.
    config
        As for prediction, for all models; ``frames`` are those to compare on. Where backend or
        precision are left to a trial, PyTorch and single precision are taken, so that models do
        not differ by what a trial found.
    devices
        Where the models are timed, by default where ``config`` has them predict; the results come
        from the first one.
    tolerance_nm
        Largest distance between a localization and its emitter.
    border_nm
        Rim of the field that the scores of detection leave out.
    seed
        Of the bootstrap.
    repeats
        Batches that are timed, at least 1.
    stop
        Once another thread sets it, the comparison ends after the step at hand.

    Returns
    -------
    iterator of ComparisonEvent
        `ComparisonStarted`; for each model `FramesPredicted`, `ImagesScored`, `SpeedMeasured` and
        `ModelCompared`; then `ComparisonFinished` or `ComparisonStopped`.

    Raises
    ------
    InputError
        At once, for what `check_candidates` and `open_data_set` refuse, or a device that cannot be
        used. Later: a frame cannot be read, or the memory does not suffice.
    """
    config = without_trial(config or PredictionConfig())
    check_candidates(candidates)
    if repeats < 1:
        raise InputError(f"{repeats} batches cannot be timed. Give at least 1.")
    # a dict keeps the order, and one of devices that are the same by two names
    names = list(dict.fromkeys(str(select_device(name)) for name in devices or (config.device,)))
    data = open_data_set(
        candidates, frames, truth, config, tolerance_nm=tolerance_nm, border_nm=border_nm
    )
    comparing = _Comparing(data, frames, config, names, seed=seed, repeats=repeats, stop=stop)
    return comparing.events(candidates)


class _Predicted(NamedTuple):
    """What a model makes of the frames.

    Attributes
    ----------
    images
        Of every group of frames.
    found
        The localizations of all groups.
    threshold
        Their smallest confidence.
    computed_with
        Library and precision of every group, and how they were chosen.
    """

    images: list[NDArray[np.float32]]
    found: Localizations
    threshold: float
    computed_with: dict[str, str]


class _Comparing:
    """One comparison as it runs."""

    def __init__(
        self,
        data: OpenDataSet,
        whole: FrameStack,
        config: PredictionConfig,
        devices: Sequence[str],
        *,
        seed: int,
        repeats: int,
        stop: threading.Event | None,
    ) -> None:
        self._data = data
        self._whole = whole
        self._configs = [
            config.model_copy(
                update={"device": device, "frames": None, "pixel_size_nm": data.pixel_size_nm}
            )
            for device in devices
        ]
        self._asked_for = f"{config.backend} {config.precision}"
        self._seed = seed
        self._repeats = repeats
        self._stop = stop
        self._done: list[ComparedModel] = []

    def events(self, candidates: Sequence[Candidate]) -> Iterator[ComparisonEvent]:
        """Compare one model after the other, once."""
        yield ComparisonStarted(
            labels=tuple(candidate.label for candidate in candidates),
            device=self._configs[0].device,
            n_frames=self._data.movie.n_frames,
            warnings=self._data.warnings,
        )
        for candidate in candidates:
            try:
                for event in self._compare(candidate):
                    yield event
                    if self._stopped() and len(self._done) < len(candidates):
                        yield ComparisonStopped(self._comparison() if self._done else None)
                        return
            except InputError as error:
                # of several models, which one was it?
                raise InputError(f"{candidate.label}: {error}") from error
        yield ComparisonFinished(self._comparison())

    def _compare(self, candidate: Candidate) -> Iterator[ComparisonEvent]:
        data = self._data
        images, found, threshold, computed_with = yield from self._predict(candidate)
        image = sum_images(images).astype(np.float32)
        scores = self._costs(candidate)
        quality: Quality | None = None
        by_density: AccuracyByDensity | None = None
        by_photons: AccuracyByPhotons | None = None
        if data.emitters is None:
            quality = measure_quality(found, data.movie, image=image)
            scores |= _quality_scores(quality)
        else:
            scores |= bootstrap_detection(
                data.inside_border(found),
                data.inside_border(data.emitters),
                n_frames=data.movie.n_frames,
                tolerance_nm=data.tolerance_nm,
                seed=self._seed,
            )
            scores |= yield from self._score_images(candidate, images)
            by_density, by_photons = self._accuracy(found, data.emitters)
        speeds = yield from self._time(candidate)
        self._done.append(
            ComparedModel(
                label=candidate.label,
                path=candidate.path,
                card=candidate.model.card,
                threshold=threshold,
                scores=scores | _speed_scores(speeds),
                speeds=tuple(speeds),
                image=image,
                localizations=data.in_movie(found),
                by_density=by_density,
                by_photons=by_photons,
                quality=quality,
                computed_with=", ".join(computed_with),
                warnings=tuple(
                    f"{candidate.label}: {reason}"
                    for name, reason in computed_with.items()
                    if name != self._asked_for
                ),
            )
        )
        yield ModelCompared(self._done[-1], self._comparison())

    def _predict(self, candidate: Candidate) -> Generator[ComparisonEvent, None, _Predicted]:
        """Predict every group of frames."""
        data = self._data
        images: list[NDArray[np.float32]] = []
        found: list[Localizations] = []
        computed_with: dict[str, str] = {}
        for group in data.groups:
            predictor = Predictor(
                candidate.model, select_frames(data.movie, group), self._configs[0]
            )
            for event in predictor.events():
                if isinstance(event, PredictionStarted):
                    computed_with[f"{event.backend} {event.precision}"] = event.why
                elif isinstance(event, BatchPredicted):
                    table = event.localizations
                    found.append(dataclasses.replace(table, frame=table.frame + group.start))
                    done = group.start + event.frames_done
                    yield FramesPredicted(candidate.label, done, data.movie.n_frames)
            images.append(predictor.reconstruction.image)
        return _Predicted(
            images, Localizations.concatenate(found), predictor.threshold, computed_with
        )

    def _score_images(
        self, candidate: Candidate, images: Sequence[NDArray[np.float32]]
    ) -> Generator[ComparisonEvent, None, dict[str, Score]]:
        true_images = self._data.true_images
        assert true_images is not None
        scores: list[ImageScores] = []
        for score in leave_one_out(images, true_images):
            scores.append(score)
            yield ImagesScored(candidate.label, len(scores), n_comparisons(len(images)))
        return jackknife(scores)

    def _accuracy(
        self, found: Localizations, emitters: Localizations
    ) -> tuple[AccuracyByDensity, AccuracyByPhotons | None]:
        tolerance_nm = self._data.tolerance_nm
        by_photons = None
        if emitters.photons is not None and np.isfinite(emitters.photons).any():
            by_photons = accuracy_by_photons(found, emitters, tolerance_nm=tolerance_nm)
        return accuracy_by_density(found, emitters, tolerance_nm=tolerance_nm), by_photons

    def _costs(self, candidate: Candidate) -> dict[str, Score]:
        network, movie, path = candidate.model.network, self._data.movie, candidate.path
        gflop = 2e-9 * operations_per_frame(network, movie.height, movie.width)
        return {
            "parameters": Score(parameter_count(network), "none"),
            "gflop_per_frame": Score(gflop, "none"),
            "file_megabytes": Score(path.stat().st_size / 1e6 if path else math.nan, "none"),
        }

    def _time(self, candidate: Candidate) -> Generator[ComparisonEvent, None, list[Speed]]:
        speeds: list[Speed] = []
        for config in self._configs:
            frames = self._data.frames_to_time
            speed = measure_speed(candidate.model, frames, config, repeats=self._repeats)
            speeds.append(speed)
            yield SpeedMeasured(candidate.label, speed)
        return speeds

    @cached_property
    def _description(self) -> DataSet:
        # goes through all frames
        return self._data.describe(self._whole)

    def _stopped(self) -> bool:
        return self._stop is not None and self._stop.is_set()

    def _comparison(self) -> Comparison:
        return Comparison(
            data=self._description,
            models=tuple(self._done),
            devices=tuple(config.device for config in self._configs),
            seed=self._seed,
            repeats=self._repeats,
            warnings=(
                *self._data.warnings,
                *(warning for model in self._done for warning in model.warnings),
            ),
        )


def _quality_scores(quality: Quality) -> dict[str, Score]:
    return {
        name: Score(math.nan if one.value is None else one.value)
        for name, one in quality.measured().items()
    }


def _speed_scores(speeds: Sequence[Speed]) -> dict[str, Score]:
    scores: dict[str, Score] = {}
    for speed in speeds:
        scores[f"ms_per_frame_{speed.device}"] = speed.ms_per_frame
        scores[f"frames_per_second_{speed.device}"] = speed.frames_per_second
        peak = math.nan if speed.peak_bytes is None else speed.peak_bytes / 1e6
        scores[f"peak_megabytes_{speed.device}"] = Score(peak)
    return scores
