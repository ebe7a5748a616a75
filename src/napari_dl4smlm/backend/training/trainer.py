"""The training loop: a stream of events that widget, command line and tests follow alike."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from napari_dl4smlm.backend.atomic_file import check_folder, set_aside
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.losses.registry import create_loss
from napari_dl4smlm.backend.models.device import (
    is_out_of_memory,
    select_device,
    supports_bfloat16,
)
from napari_dl4smlm.backend.models.model_file import (
    ModelCard,
    load_model,
    load_training_state,
    save_model,
)
from napari_dl4smlm.backend.models.registry import create_model, parameter_count
from napari_dl4smlm.backend.training.datasets import load_batch, prefetch
from napari_dl4smlm.backend.training.events import (
    EpochFinished,
    ModelSaved,
    StepFinished,
    TrainingEvent,
    TrainingFinished,
    TrainingStarted,
    TrainingStopped,
)
from napari_dl4smlm.backend.training.learner import (
    DENSITY_AMPLITUDE,
    Learner,
    NotANumberError,
)
from napari_dl4smlm.backend.training.progress import Progress
from napari_dl4smlm.backend.training.validation import Validation

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from torch import Tensor

    from napari_dl4smlm.backend.models.model_file import Calibration
    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork
    from napari_dl4smlm.backend.training.config import TrainingConfig
    from napari_dl4smlm.backend.training.data import TrainingData
    from napari_dl4smlm.backend.training.events import EndReason

_LARGEST_FOREGROUND_WEIGHT = 100.0
_SAMPLED_PATCHES = 32
_WARM_UP_STEPS = 50
_LOWEST_OF_COSINE = 0.01


class TrainingDivergedError(InputError):
    """The loss is no longer a number; the models on disk are from before that."""


class Trainer:
    """Train one network on one set of data.

    The best model (by validation loss) is kept in ``out``, the last one, from which training can
    go on, beside it as ``NAME.last.safetensors``. Files of an earlier training are set aside.

    Parameters
    ----------
    data
        Frames with truth.
    config
        Network, loss, device and schedule.
    out
        File for the best model, ``.safetensors``.
    resume
        Go on from the last model beside ``out``. On a CPU the result is the same, bit for bit, as
        if training had never stopped.

    Raises
    ------
    InputError
        An unknown model, option, loss or device; a lambda that is not above 0; a folder that
        cannot be written to; a last model that is missing or was made with another config.
    """

    def __init__(
        self,
        data: TrainingData,
        config: TrainingConfig,
        out: str | os.PathLike[str],
        *,
        resume: bool = False,
    ) -> None:
        self._data = data
        self._config = config
        self.best_path = Path(out)
        self.last_path = self.best_path.with_name(f"{self.best_path.stem}.last.safetensors")
        check_folder(self.best_path.parent)
        self._device = select_device(config.device)
        self._bfloat16 = _use_bfloat16(config.precision, self._device)
        self._normalization = data.fit_normalization()
        self._loss = create_loss(config.loss, lambda_=config.lambda_)
        self._training_set = data.training_set(
            self._normalization,
            patch_size=config.patch_size,
            patches=config.patches_per_epoch,
            min_emitters=config.min_emitters,
            augment=config.augment,
            target_sigma_px=self._loss.target_sigma_px,
            seed=config.seed,
        )
        self._loss.foreground_weight = config.foreground_weight or self._balancing_weight()
        self._learner = Learner(
            self._create_network(),
            self._loss,
            device=self._device,
            learning_rate=config.learning_rate,
            bfloat16=self._bfloat16,
        )
        self._progress = Progress(config.learning_rate)
        self._calibration: Calibration | None = None
        self._resumed = resume
        if resume:
            self._restore()
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
            ``TrainingStarted``, then ``StepFinished`` for every step and ``EpochFinished`` and
            ``ModelSaved`` for every epoch, and ``TrainingFinished`` or ``TrainingStopped`` last.
            Arrays in events are copies on the host.

        Raises
        ------
        TrainingDivergedError
            The loss is not a number any more.
        """
        yield self._started()
        if not self._resumed:
            for path in (self.best_path, self.last_path):
                set_aside(path)
        clock = _Clock(self._config.max_minutes)
        reason = self._reason_to_end(clock)
        while reason is None:
            for step_finished in self._train_epoch(clock):
                yield step_finished
                if self._stop_requested.is_set():
                    yield from self._stopped()
                    return
                if clock.is_over():
                    break
            yield from self._finish_epoch(clock)
            reason = self._reason_to_end(clock)
            if self._stop_requested.is_set() and reason is None:
                yield from self._stopped()
                return
        yield self._finished(reason)

    def _create_network(self) -> SuperResolutionNetwork:
        # the generator of the process is left as it was: other work may depend on it
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._config.seed)
            return create_model(
                self._config.model,
                upsampling_factor=self._data.upsampling_factor,
                **self._config.model_options,
            )

    def _balancing_weight(self) -> float:
        """Return background over foreground pixels, so that both count the same as a whole."""
        _, targets = load_batch(self._training_set, self._sample())
        share = float((targets > 0).float().mean())
        weight = (1 - share) / share if share > 0 else _LARGEST_FOREGROUND_WEIGHT
        return min(max(weight, 1.0), _LARGEST_FOREGROUND_WEIGHT)

    def _sample(self) -> range:
        return range(min(_SAMPLED_PATCHES, len(self._training_set)))

    def _restore(self) -> None:
        if not self.last_path.exists():
            raise InputError(
                f"There is no {self.last_path} to resume from. Train without --resume first."
            )
        last = load_model(self.last_path)
        made_with = last.card.training
        asked_for = self._recorded_config()
        may_change = {"epochs", "max_minutes", "early_stopping", "device"}
        for key in asked_for.keys() - may_change:
            if made_with.get(key) != asked_for[key]:
                raise InputError(
                    f"{self.last_path} was trained with {key} = {made_with.get(key)!r}, but "
                    f"{asked_for[key]!r} was asked for. Resume with the same options, or train "
                    "anew."
                )
        state, progress = load_training_state(self.last_path)
        self._learner.restore(last.network.state_dict(), state)
        self._progress = Progress.from_json(progress)
        self._learner.learning_rate = self._progress.learning_rate
        self._calibration = last.card.calibration
        self._normalization = last.card.normalization

    def _recorded_config(self) -> dict[str, object]:
        recorded = self._config.model_dump(mode="json", by_alias=True)
        return recorded | {
            "lambda": self._loss.lambda_,
            "foreground_weight": self._loss.foreground_weight,
            "precision": "bfloat16" if self._bfloat16 else "float32",
            **self._data.record(),
        }

    def _started(self) -> TrainingStarted:
        return TrainingStarted(
            device=str(self._device),
            precision="bfloat16" if self._bfloat16 else "float32",
            parameters=parameter_count(self._learner.averaged),
            epochs=self._config.epochs,
            steps_per_epoch=self._steps_per_epoch,
            training_frames=self._data.n_training_frames,
            validation_frames=len(self._data.validation.numbers),
            first_epoch=self._progress.epoch,
            warnings=tuple(self._warnings()),
        )

    def _warnings(self) -> Iterator[str]:
        _, targets = load_batch(self._training_set, self._sample())
        smallest = self._loss.smallest_useful_lambda(targets)
        if self._loss.lambda_ <= smallest:
            yield (
                f"lambda is {self._loss.lambda_:g}. At or below {smallest:.3g} an empty image has "
                "the lowest loss on these data, since the L1 term then outweighs every emitter: "
                f"expect to see nothing. The default is {self._loss.default_lambda:g}."
            )

    def _train_epoch(self, clock: _Clock) -> Iterator[StepFinished]:
        progress = self._progress
        self._training_set.epoch = progress.epoch
        batches = self._batches_of_epoch()[progress.step :]
        remaining = (self._config.epochs - progress.epoch) * self._steps_per_epoch + len(batches)
        for frames, targets in clock.timed_waiting(prefetch(self._training_set, batches)):
            self._adjust_learning_rate(clock)
            loss = self._step(frames, targets)
            progress.step += 1
            progress.loss_sum += loss
            remaining -= 1
            clock.steps += 1
            yield StepFinished(progress.epoch, progress.step, loss, clock.seconds_left(remaining))

    def _adjust_learning_rate(self, clock: _Clock) -> None:
        """Follow the cosine, whose end is that of the last epoch or of the time."""
        if self._config.schedule != "cosine":
            return
        progress, config = self._progress, self._config
        steps = (progress.epoch - 1) * self._steps_per_epoch + progress.step
        done = max(steps / (config.epochs * self._steps_per_epoch), clock.share_elapsed())
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

    def _step(self, frames: Tensor, targets: Tensor) -> float:
        try:
            return self._learner.step(frames, targets)
        except NotANumberError as error:
            raise self._diverged(str(error)) from error
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise InputError(
                f"The memory of {self._device} does not suffice for {len(frames)} patches of "
                f"{frames.shape[-2]} x {frames.shape[-1]} px. Use a smaller batch or smaller "
                f"patches. {self._models_on_disk()}"
            ) from error

    def _finish_epoch(self, clock: _Clock) -> Iterator[TrainingEvent]:
        progress = self._progress
        epoch, learning_rate = progress.epoch, progress.learning_rate
        training_loss = progress.loss_sum / progress.step
        validation_loss, self._calibration = self._validation.run(self._learner)
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
            self._validation.preview(self._learner),
            self._calibration,
            clock.share_waited(),
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

    def _reason_to_end(self, clock: _Clock) -> EndReason | None:
        patience = self._config.early_stopping
        if self._progress.epoch > self._config.epochs:
            return "all epochs done"
        if patience is not None and self._progress.stale_epochs >= patience:
            return "no longer improving"
        if clock.is_over():
            return "time limit reached"
        return None

    def _stopped(self) -> Iterator[TrainingEvent]:
        epoch = self._progress.epoch
        if not self.best_path.exists():
            # stopped before the first epoch was over: what there is, is the best there is
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
        save_model(self.best_path, self._learner.averaged, self._card())
        return ModelSaved(self.best_path, "best", epoch)

    def _save_last(self, epoch: int) -> ModelSaved:
        save_model(
            self.last_path,
            self._learner.averaged,
            self._card(),
            training_state=self._learner.state(),
            training_progress=self._progress.to_json(),
        )
        return ModelSaved(self.last_path, "last", epoch)

    def _card(self) -> ModelCard:
        network = self._learner.averaged
        return ModelCard(
            architecture=network.name,
            options=network.options,
            upsampling_factor=network.upsampling_factor,
            pixel_size_nm=self._data.pixel_size_nm,
            normalization=self._normalization,
            density_amplitude=DENSITY_AMPLITUDE,
            blur_sigma_px=self._loss.blur_sigma_px,
            training=self._recorded_config(),
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
        if not self._progress.best_epoch:
            return "No model was saved yet."
        return f"The best model (epoch {self._progress.best_epoch}) is kept in {self.best_path}."


class _Clock:
    """How long a run has taken, may still take, and how much of it went into waiting for data."""

    def __init__(self, max_minutes: float | None) -> None:
        self._start = time.monotonic()
        self._limit = math.inf if max_minutes is None else 60 * max_minutes
        self._waited = 0.0
        self._worked = 0.0
        self.steps = 0

    def share_elapsed(self) -> float:
        """Share of the time limit that is over."""
        return (time.monotonic() - self._start) / self._limit

    def is_over(self) -> bool:
        return self.share_elapsed() >= 1

    def seconds_left(self, steps: int) -> float:
        elapsed = time.monotonic() - self._start
        return max(0.0, min(elapsed / self.steps * steps, self._limit - elapsed))

    def timed_waiting(
        self, batches: Iterator[tuple[Tensor, Tensor]]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Hand on batches, and measure how long they are waited for."""
        asked = time.monotonic()
        for batch in batches:
            arrived = time.monotonic()
            self._waited += arrived - asked
            yield batch
            asked = time.monotonic()
            self._worked += asked - arrived

    def share_waited(self) -> float:
        """Share of the training steps' time that was spent waiting for patches."""
        total = self._waited + self._worked
        return self._waited / total if total else 0.0


def _use_bfloat16(precision: str, device: torch.device) -> bool:
    if precision == "auto":
        return supports_bfloat16(device)
    return precision == "bfloat16"
