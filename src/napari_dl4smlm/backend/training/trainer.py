"""The training loop: a stream of events that widget, command line and tests follow alike."""

from __future__ import annotations

import math
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from napari_dl4smlm.backend.atomic_file import check_folder, set_aside
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.losses.registry import create_loss
from napari_dl4smlm.backend.models.device import is_out_of_memory
from napari_dl4smlm.backend.models.model_file import (
    ModelCard,
    load_model,
    load_training_state,
    save_model,
)
from napari_dl4smlm.backend.models.registry import create_model, parameter_count
from napari_dl4smlm.backend.training.batch_statistics import check_statistics
from napari_dl4smlm.backend.training.clock import Clock
from napari_dl4smlm.backend.training.course import TruthCourse
from napari_dl4smlm.backend.training.datasets import load_batch, prefetch
from napari_dl4smlm.backend.training.distillation import Distillation
from napari_dl4smlm.backend.training.events import (
    EpochFinished,
    FirstPreview,
    ModelSaved,
    StepFinished,
    TrainingEvent,
    TrainingFinished,
    TrainingStarted,
    TrainingStopped,
)
from napari_dl4smlm.backend.training.learner import Learner, NotANumberError
from napari_dl4smlm.backend.training.model_paths import (
    check_model_path,
    check_teacher_stays,
    last_model_of,
)
from napari_dl4smlm.backend.training.peers import Peers
from napari_dl4smlm.backend.training.progress import Progress
from napari_dl4smlm.backend.training.validation import Validation

if TYPE_CHECKING:
    import os
    from collections.abc import Generator, Iterator, Mapping

    from pydantic import JsonValue
    from torch import Tensor

    from napari_dl4smlm.backend.models.calibration import Calibration
    from napari_dl4smlm.backend.models.model_file import TeacherRecord, TrainedModel
    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork
    from napari_dl4smlm.backend.training.config import DistillationConfig, TrainingConfig
    from napari_dl4smlm.backend.training.course import Course, Stage
    from napari_dl4smlm.backend.training.data import TrainingData
    from napari_dl4smlm.backend.training.datasets import Patches
    from napari_dl4smlm.backend.training.events import EndReason, Preview

_LARGEST_FOREGROUND_WEIGHT = 100.0
_SAMPLED_PATCHES = 32
_WARM_UP_STEPS = 50
_LOWEST_OF_COSINE = 0.01
_PREPARATION_ENDS_AT = 0.1
"""Share of the time limit."""

_FINGERPRINTS = {
    "truth_fingerprint": "positions, true images or pixel size",
    "simulation_fingerprint": "images or maps in the files that the simulation names",
}
"""Checksums in the record of the data, and of what they are."""


class TrainingDivergedError(InputError):
    """The loss is no longer a number; the models on disk are from before that."""


class Trainer:
    """Train one network on one set of data, from the truth alone or from a teacher, too.

    The best model (by validation loss) is kept in ``out``, the last one, from which training can
    go on, beside it as ``NAME.last.safetensors``. Files of an earlier training are set aside.

    Processes that ``torchrun`` started train one network together, each on its share of every
    batch. All follow the same events; the first one validates and saves.

    Parameters
    ----------
    data
        Frames with truth.
    config
        Network, loss, device and schedule.
    out
        File for the best model, ``.safetensors``.
    distillation
        Teacher and stages; by default the network learns from the truth alone, in one stage. Every
        stage has a best model of its own, which replaces that of the stage before.
    resume
        Go on from the last model beside ``out``. On a CPU the result is the same, bit for bit, as
        if training had never stopped.

    Raises
    ------
    InputError
        An unknown model, option, loss, layer or device; a lambda that is not above 0; a teacher
        that does not fit, or that the models would replace; a file that is not ``.safetensors``;
        a folder that cannot be written to; patches too small for the network's batch
        normalization; a last model that is missing or was made with another config or truth.
    """

    def __init__(
        self,
        data: TrainingData,
        config: TrainingConfig,
        out: str | os.PathLike[str],
        *,
        distillation: DistillationConfig | None = None,
        resume: bool = False,
    ) -> None:
        self._data = data
        self._config = config
        self.best_path = Path(out)
        check_model_path(self.best_path)
        self.last_path = last_model_of(self.best_path)
        if distillation is not None:
            check_teacher_stays(self.best_path, distillation.teacher)
        check_folder(self.best_path.parent)
        last = self._load_last() if resume else None
        self._loss = create_loss(config.loss, lambda_=config.lambda_)
        self._course: Course = (
            TruthCourse(data, config, self._loss)
            if distillation is None
            else Distillation(distillation, data, config, self._loss)
        )
        if last is not None:
            self._course.continue_from(last.card.training)
        self._arithmetic = self._course.arithmetic
        self._peers = Peers.of_environment(self._arithmetic.device)
        self._normalization = self._course.normalization
        with self._memory_for_network():
            network, self._stages = self._create_network()
        self._check_statistics(network)
        self._training_set = self._open_training_set()
        self._loss.foreground_weight = config.foreground_weight or self._balancing_weight()
        self._stage = self._stages[0]
        self._progress = Progress(config.learning_rate, self._stage.name)
        with self._memory_for_network():
            self._learner = Learner(
                network,
                self._stage.objective,
                arithmetic=self._arithmetic,
                learning_rate=config.learning_rate,
                peers=self._peers,
            )
        self._calibration: Calibration | None = None
        self._resumed = resume
        if last is not None:
            self._restore(last)
        self._validation = Validation(
            data,
            self._normalization,
            loss=self._loss,
            patch_size=config.patch_size,
            batch_size=config.batch_size,
        )
        self._steps_per_epoch = math.ceil(config.patches_per_epoch / config.batch_size)
        self._stop_requested = threading.Event()

    def stop(self) -> None:
        """End the stream after the step under way; may be called from any thread."""
        self._stop_requested.set()

    def events(self) -> Iterator[TrainingEvent]:
        """Train, and tell what happens.

        Yields
        ------
        TrainingEvent
            ``TrainingStarted`` and ``FirstPreview``, then ``TeacherTested`` if there is a teacher
            to be judged, ``StepFinished`` for every step and ``EpochFinished`` and ``ModelSaved``
            for every epoch, and ``TrainingFinished`` or ``TrainingStopped`` last. Arrays in events
            are copies on the host.

        Raises
        ------
        TrainingDivergedError
            The loss is not a number any more.
        """
        clock = Clock(self._config.max_minutes)
        try:
            for event in self._events(clock):
                # what those who follow do meanwhile, such as pausing, is not training
                clock.hold()
                yield event
                clock.go_on()
        finally:
            self._peers.part()

    def _events(self, clock: Clock) -> Iterator[TrainingEvent]:
        yield self._started()
        if not self._resumed and self._peers.is_first:
            for path in (self.best_path, self.last_path):
                set_aside(path)
        yield FirstPreview(self._preview())
        yield from self._prepare(clock)
        reason: EndReason | None = None
        for stage in self._stages[self._stages.index(self._stage) :]:
            if stage is not self._stage:
                self._begin(stage)
            clock.begin_stage(stage.ends_at)
            reason = yield from self._train_stage(clock)
            if reason is None:
                yield from self._stopped()
                return
        assert reason is not None
        yield self._finished(reason)

    def _preview(self) -> Preview:
        with self._memory_explained():
            return self._validation.preview(self._learner, self._course)

    def _prepare(self, clock: Clock) -> Iterator[TrainingEvent]:
        """Let the course prepare itself with an epoch's worth of patches that never train."""
        self._training_set.epoch = 0
        batches = prefetch(self._training_set, self._batches_of_epoch())

        def is_late() -> bool:
            return self._peers.of_first(lambda: clock.has_passed(_PREPARATION_ENDS_AT))

        with self._memory_explained():
            for event in self._course.prepare(batches, len(self._training_set), is_late):
                yield event
                if self._is_to_stop():
                    return

    def _begin(self, stage: Stage) -> None:
        self._stage = stage
        self._progress.begin_stage(stage.name, self._config.learning_rate)
        self._learner.begin(stage.objective, self._config.learning_rate)
        self._calibration = None

    def _train_stage(self, clock: Clock) -> Generator[TrainingEvent, None, EndReason | None]:
        """Train until the stage is over; return why it is, or ``None`` if it was stopped."""
        self._training_set.taught = self._stage.taught
        reason = self._reason_to_end()
        while reason is None:
            if self._is_to_stop():
                return None
            for step_finished in self._train_epoch(clock):
                yield step_finished
                if self._is_to_stop():
                    return None
                if self._peers.of_first(clock.is_over):
                    break
            yield from self._finish_epoch(clock)
            reason = self._reason_to_end()
            if reason is None and self._peers.of_first(clock.is_over):
                reason = "time limit reached"
        return reason

    def _is_to_stop(self) -> bool:
        """Whether this or any other process was asked to stop: all do so after the same step."""
        # what they agreed on, and not whether one was asked in the moment after that
        is_agreed = self._peers.any(self._stop_requested.is_set())
        if is_agreed:
            self._stop_requested.set()
        return is_agreed

    def _create_network(self) -> tuple[SuperResolutionNetwork, tuple[Stage, ...]]:
        # the generator of the process is left as it was: other work may depend on it
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._config.seed)
            network = create_model(
                self._config.model,
                upsampling_factor=self._data.upsampling_factor,
                **self._config.model_options,
            )
            return network, self._course.stages(network)

    def _open_training_set(self) -> Patches:
        config = self._config
        return self._data.training_set(
            self._normalization,
            patch_size=config.patch_size,
            patches=config.patches_per_epoch,
            min_emitters=config.min_emitters,
            augment=config.augment,
            target_sigma_px=self._loss.target_sigma_px,
            seed=config.seed,
        )

    def _balancing_weight(self) -> float:
        """Return background over foreground pixels, so that both count the same as a whole."""
        _, targets = load_batch(self._training_set, self._sample())
        share = float((targets > 0).float().mean())
        weight = (1 - share) / share if share > 0 else _LARGEST_FOREGROUND_WEIGHT
        return min(max(weight, 1.0), _LARGEST_FOREGROUND_WEIGHT)

    def _sample(self) -> range:
        return range(min(_SAMPLED_PATCHES, len(self._training_set)))

    def _load_last(self) -> TrainedModel:
        if not self.last_path.exists():
            raise InputError(
                f"There is no {self.last_path} to resume from. Train without --resume first."
            )
        return load_model(self.last_path)

    def _restore(self, last: TrainedModel) -> None:
        state, progress = load_training_state(self.last_path)
        self._progress = Progress.from_json(progress)
        self._stage = self._stage_under_way()
        self._check_same_config(last.card)
        self._learner.begin(self._stage.objective, self._progress.learning_rate)
        self._learner.restore(last.network.state_dict(), state)
        self._course.restore(state)
        self._calibration = last.card.calibration
        self._normalization = last.card.normalization

    def _stage_under_way(self) -> Stage:
        for stage in self._stages:
            if stage.name == self._progress.stage:
                return stage
        raise InputError(
            f"{self.last_path} is in the stage {self._progress.stage!r}, which was not asked for. "
            "Resume with this stage, or train anew."
        )

    def _check_same_config(self, last: ModelCard) -> None:
        made_with = _with_network(last.training, last.upsampling_factor, last.teacher)
        asked_for = _with_network(
            self._recorded_config(), self._data.upsampling_factor, self._course.teacher_record
        )
        # after hints alone, the transfer may follow
        may_change = {"epochs", "max_minutes", "early_stopping", "device", "stages"}
        # files of earlier versions do not have these
        may_change |= _FINGERPRINTS.keys() - made_with.keys()
        # the data first, since the foreground weight follows from them
        for key in self._data.record() | made_with | asked_for:
            if key in may_change or made_with.get(key) == asked_for.get(key):
                continue
            if key in _FINGERPRINTS:
                raise InputError(
                    f"{self.last_path} was trained with other {_FINGERPRINTS[key]}. Resume with "
                    "the same ones, or train anew."
                )
            raise InputError(
                f"{self.last_path} was trained with {key} = {made_with.get(key)!r}, but "
                f"{asked_for.get(key)!r} was asked for. Resume with the same options, or train "
                "anew."
            )

    def _recorded_config(self) -> dict[str, JsonValue]:
        recorded = self._config.model_dump(mode="json", by_alias=True)
        return recorded | {
            "lambda": self._loss.lambda_,
            "foreground_weight": self._loss.foreground_weight,
            "precision": self._arithmetic.precision,
            **self._data.record(),
            **self._course.record(),
        }

    def _started(self) -> TrainingStarted:
        return TrainingStarted(
            device=str(self._arithmetic.device),
            precision=self._arithmetic.precision,
            parameters=parameter_count(self._learner.averaged),
            epochs=self._config.epochs,
            steps_per_epoch=self._steps_per_epoch,
            training_frames=self._data.n_training_frames,
            validation_frames=len(self._data.validation.numbers),
            first_epoch=self._progress.epoch,
            warnings=tuple(self._warnings()),
            stage=self._stage.name,
        )

    def _warnings(self) -> Iterator[str]:
        yield from self._course.warnings()
        _, targets = load_batch(self._training_set, self._sample())
        smallest = self._loss.smallest_useful_lambda(targets)
        if self._loss.lambda_ <= smallest:
            yield (
                f"lambda is {self._loss.lambda_:g}. At or below {smallest:.3g} an empty image has "
                "the lowest loss on these data, since the L1 term then outweighs every emitter: "
                f"expect to see nothing. The default is {self._loss.default_lambda:g}."
            )

    def _train_epoch(self, clock: Clock) -> Iterator[StepFinished]:
        progress = self._progress
        self._training_set.epoch = progress.epoch
        batches = self._batches_of_epoch()[progress.step :]
        remaining = (self._config.epochs - progress.epoch) * self._steps_per_epoch + len(batches)
        shares = [self._peers.share(batch) for batch in batches]
        loaded = prefetch(self._training_set, [items for items, _ in shares])
        for (frames, targets), (_, weight) in zip(clock.timed_waiting(loaded), shares, strict=True):
            self._adjust_learning_rate(clock)
            loss = self._step(frames, targets, weight)
            progress.step += 1
            progress.loss_sum += loss
            remaining -= 1
            clock.steps += 1
            yield StepFinished(
                progress.epoch,
                progress.step,
                loss,
                clock.seconds_left(remaining),
                self._stage.name,
            )

    def _adjust_learning_rate(self, clock: Clock) -> None:
        """Follow the cosine, whose end is that of the stage's last epoch or of its time."""
        if self._config.schedule != "cosine":
            return
        progress, config = self._progress, self._config
        steps = (progress.epoch - progress.first_epoch) * self._steps_per_epoch + progress.step
        epochs = max(1, self._stage.last_epoch + 1 - progress.first_epoch)
        elapsed = self._peers.of_first(clock.share_elapsed) if config.max_minutes else 0.0
        done = max(steps / (epochs * self._steps_per_epoch), elapsed)
        # the first steps of Adam, whose moments are hardly known, would be too large
        warm_up = min(1.0, (steps + 1) / _WARM_UP_STEPS)
        fall = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        progress.learning_rate = config.learning_rate * warm_up * max(fall, _LOWEST_OF_COSINE)
        self._learner.learning_rate = progress.learning_rate

    def _batches_of_epoch(self) -> list[list[int]]:
        size = self._config.batch_size
        # items are random already: their order needs no shuffling
        items = list(range(len(self._training_set)))
        return [items[start : start + size] for start in range(0, len(items), size)]

    def _step(self, frames: Tensor, targets: Tensor, weight: float) -> float:
        try:
            with self._memory_explained():
                return self._learner.step(frames, targets, weight)
        except NotANumberError as error:
            raise self._diverged(str(error)) from error

    @contextmanager
    def _memory_for_network(self) -> Iterator[None]:
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise InputError(
                f"The memory of this machine does not suffice for the model {self._config.model} "
                "with its options. Choose fewer channels, blocks or levels."
            ) from error

    def _check_statistics(self, network: SuperResolutionNetwork) -> None:
        """Refuse patches of which a step would have a single value to normalize by."""
        config, frames = self._config, self._data.validation.frames
        size = min(config.batch_size, config.patches_per_epoch)
        check_statistics(
            network,
            height=min(config.patch_size, frames.height),
            width=min(config.patch_size, frames.width),
            fewest_patches=self._peers.fewest_normalized(config.patches_per_epoch % size or size),
        )

    @contextmanager
    def _memory_explained(self) -> Iterator[None]:
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            config = self._config
            raise InputError(
                f"The memory of {self._arithmetic.device} does not suffice for "
                f"{config.batch_size} patches of {config.patch_size} x {config.patch_size} px. Use "
                f"a smaller batch or smaller patches. {self._models_on_disk()}"
            ) from error

    def _finish_epoch(self, clock: Clock) -> Iterator[TrainingEvent]:
        progress = self._progress
        epoch, learning_rate = progress.epoch, progress.learning_rate
        training_loss = progress.loss_sum / progress.step
        validation_loss, self._calibration = self._peers.of_first(
            lambda: self._validation.run(self._learner)
        )
        if not math.isfinite(validation_loss):
            raise self._diverged(f"the validation loss became {validation_loss}")
        is_best = progress.finish_epoch(validation_loss, self._calibration)
        self._lower_learning_rate_on_plateau()
        yield EpochFinished(
            epoch,
            training_loss,
            validation_loss,
            learning_rate,
            is_best,
            self._preview(),
            self._calibration,
            clock.share_waited(),
            self._stage.name,
        )
        if is_best:
            yield self._save_best(epoch)
        yield self._save_last(epoch)

    def _lower_learning_rate_on_plateau(self) -> None:
        progress, config = self._progress, self._config
        stale = progress.stale_epochs
        if config.schedule == "plateau" and stale and stale % (config.plateau_patience + 1) == 0:
            progress.learning_rate *= config.plateau_factor
            self._learner.learning_rate = progress.learning_rate

    def _reason_to_end(self) -> EndReason | None:
        """Return why the stage is over, as far as its epochs tell."""
        patience = self._config.early_stopping
        # a stage that is new to a resumed training has one epoch, even if none is left
        if self._progress.best_epoch and self._progress.epoch > self._stage.last_epoch:
            return "all epochs done"
        if patience is not None and self._progress.stale_epochs >= patience:
            return "no longer improving"
        return None

    def _stopped(self) -> Iterator[TrainingEvent]:
        epoch = self._progress.epoch
        if not self._progress.best_epoch:
            # stopped before the stage's first epoch was over: what there is, is the best there is
            yield self._save_best(epoch)
        yield self._save_last(epoch)
        yield TrainingStopped(epoch, self.best_path, self.last_path)

    def _finished(self, reason: EndReason) -> TrainingFinished:
        progress = self._progress
        assert progress.best_validation_loss is not None
        return TrainingFinished(
            epoch=progress.epoch - 1,
            best_epoch=progress.best_epoch,
            best_validation_loss=progress.best_validation_loss,
            best_path=self.best_path,
            last_path=self.last_path,
            reason=reason,
        )

    def _save_best(self, epoch: int) -> ModelSaved:
        def save() -> None:
            save_model(self.best_path, self._learner.averaged, self._card())

        self._peers.of_first(save)
        return ModelSaved(self.best_path, "best", epoch)

    def _save_last(self, epoch: int) -> ModelSaved:
        def save() -> None:
            save_model(
                self.last_path,
                self._learner.averaged,
                self._card(),
                training_state=self._learner.state() | self._course.state(),
                training_progress=self._progress.to_json(),
            )

        self._peers.of_first(save)
        return ModelSaved(self.last_path, "last", epoch)

    def _card(self) -> ModelCard:
        network = self._learner.averaged
        return ModelCard(
            architecture=network.name,
            options=network.options,
            upsampling_factor=network.upsampling_factor,
            pixel_size_nm=self._data.pixel_size_nm,
            normalization=self._normalization,
            density_amplitude=self._arithmetic.density_amplitude,
            blur_sigma_px=self._loss.blur_sigma_px,
            training=self._recorded_config(),
            teacher=self._course.teacher_record,
            history=list(self._progress.history),
            calibration=self._calibration,
        )

    def _diverged(self, what: str) -> TrainingDivergedError:
        progress = self._progress
        return TrainingDivergedError(
            f"Training diverged: {what} in epoch {progress.epoch}, step {progress.step + 1}. Train "
            f"with a learning rate below {progress.learning_rate:g}. {self._models_on_disk()}"
        )

    def _models_on_disk(self) -> str:
        if not self._progress.history:
            return "No model was saved yet."
        if not self._progress.best_epoch:
            return f"The model of the stage before is kept in {self.best_path}."
        return f"The best model (epoch {self._progress.best_epoch}) is kept in {self.best_path}."


def _with_network(
    training: Mapping[str, JsonValue], upsampling_factor: int, teacher: TeacherRecord | None
) -> dict[str, JsonValue]:
    """Add what the config does not tell: the upsampling, and the teacher by its weights."""
    return {
        # first, since other values follow from it
        "upsampling_factor": upsampling_factor,
        # whatever its file is called by now
        "teacher": None if teacher is None else teacher.weights_sha256,
        **training,
    }
