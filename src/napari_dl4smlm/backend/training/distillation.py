"""Knowledge distillation: a small network learns from a large one that is trained already."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from napari_dl4smlm.backend.errors import InputError, unknown_name
from napari_dl4smlm.backend.models.frame_record import FrameRecord
from napari_dl4smlm.backend.models.layers import network_layers
from napari_dl4smlm.backend.models.model_file import TeacherRecord, load_model
from napari_dl4smlm.backend.training.arithmetic import Arithmetic
from napari_dl4smlm.backend.training.course import Course, Stage
from napari_dl4smlm.backend.training.hint import HintObjective, Regressor
from napari_dl4smlm.backend.training.hint_grid import check_grid
from napari_dl4smlm.backend.training.taught_maps import TaughtMaps
from napari_dl4smlm.backend.training.teacher import Teacher
from napari_dl4smlm.backend.training.transfer import TransferObjective

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pydantic import JsonValue
    from torch import Tensor

    from napari_dl4smlm.backend.losses.loss import Loss
    from napari_dl4smlm.backend.models.layers import Layer
    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork
    from napari_dl4smlm.backend.training.config import DistillationConfig, TrainingConfig
    from napari_dl4smlm.backend.training.data import TrainingData
    from napari_dl4smlm.backend.training.events import TeacherTested

_FRAMES_TO_COMPARE = 20
_PIXEL_SIZE_TOLERANCE = 0.05
_ERROR_RANGE = "course.error_range"


class Distillation(Course):
    """Hints for the student's layers, then transfer to its density maps, or one of both.

    The student takes over the normalization and the density amplitude of the teacher, so that both
    see the same input and mean the same by their output.

    Parameters
    ----------
    distillation
        Teacher, stages and their weights.
    data
        What the student is trained on.
    config
        Device, precision and length.
    loss
        How the student's predictions are compared with the truth and with the teacher's.

    Raises
    ------
    InputError
        The teacher cannot be read, has another upsampling than the data, or there are fewer epochs
        than stages.
    """

    def __init__(
        self,
        distillation: DistillationConfig,
        data: TrainingData,
        config: TrainingConfig,
        loss: Loss,
    ) -> None:
        self._distillation = distillation
        self._data = data
        self._config = config
        self._loss = loss
        self._stages = tuple(distillation.stages.split(","))
        if config.epochs < len(self._stages):
            raise InputError(
                f"Two stages take at least two epochs, not {config.epochs}. Raise the number of "
                "epochs or leave out one stage."
            )
        model = load_model(distillation.teacher)
        self._network, self._card = model.network, model.card
        self._check_upsampling()
        self.normalization = model.card.normalization
        self.arithmetic = Arithmetic.choose(
            config.device, config.precision, model.card.density_amplitude
        )
        is_followed = "hint" in self._stages or distillation.alpha < 1
        self._teacher = Teacher(
            model, self.arithmetic, attentive=distillation.attentive and is_followed
        )
        self.teacher_record = TeacherRecord(
            file=distillation.teacher.name,
            architecture=model.card.architecture,
            weights_sha256=model.card.weights_sha256,
            trained_on=model.card.trained_on(),
        )
        self._hints: dict[str, str] = {}

    def stages(self, network: SuperResolutionNetwork) -> tuple[Stage, ...]:
        """Plan hints and transfer, or one of them.

        Raises
        ------
        InputError
            A layer does not exist, or its grid is coarser than the patches.
        """
        epochs, share = self._config.epochs, 1.0
        stages = []
        if "hint" in self._stages:
            if len(self._stages) > 1:
                share = self._distillation.hint_share
                epochs = min(max(1, round(share * epochs)), epochs - 1)
            stages.append(Stage(self._hint_objective(network), epochs, share))
        if "transfer" in self._stages:
            alpha = self._distillation.alpha
            transfer = TransferObjective(self._teacher, alpha, self._loss, self.arithmetic)
            taught = None
            if alpha < 1:
                taught = TaughtMaps.of(self._teacher, self._data, self.normalization)
            stages.append(Stage(transfer, self._config.epochs, taught=taught))
        return tuple(stages)

    def prepare(
        self,
        batches: Iterable[tuple[Tensor, Tensor]],
        total: int,
        is_late: Callable[[], bool],
    ) -> Iterator[TeacherTested]:
        """Measure the teacher's errors, by which it is followed more or less."""
        as_seen = ((frames, self._loss.as_seen(targets)) for frames, targets in batches)
        return self._teacher.measure_errors(as_seen, total, is_late)

    def continue_from(self, recorded: Mapping[str, JsonValue]) -> None:
        """Take over the order of the hints, in which the state of their regressors is kept."""
        hints, earlier = self._distillation.hints, recorded.get("hints")
        if isinstance(earlier, dict) and earlier == hints:
            ordered = {hint: hints[hint] for hint in earlier}
            self._distillation = self._distillation.model_copy(update={"hints": ordered})

    def taught(self, frames: Tensor) -> Tensor:
        """Return the density maps of the teacher."""
        return self._teacher.shown(frames)

    def warnings(self) -> Iterator[str]:
        """Say what the stages leave out, and where the data do not suit the teacher."""
        if self._stages == ("hint",):
            yield (
                "Hints do not teach the last layers: the model will not see anything until it is "
                "resumed with the transfer."
            )
        taught, used = self._card.pixel_size_nm, self._data.pixel_size_nm
        if taught and used and abs(used / taught - 1) > _PIXEL_SIZE_TOLERANCE:
            yield (
                f"The teacher was trained on pixels of {taught:g} nm; those of these data have "
                f"{used:g} nm. It may teach what is not there."
            )
        yield from self._remembered_frames()
        validation = self._data.validation
        frames = [
            validation.frames.read(number, number + 1)
            for number in islice(validation.numbers, _FRAMES_TO_COMPARE)
        ]
        mismatch = self.normalization.mismatch(np.concatenate(frames))
        if mismatch is not None:
            yield f"Of the teacher: {mismatch}"

    def record(self) -> dict[str, JsonValue]:
        """Return the config, with the layers that were chosen."""
        values = self._distillation.model_dump(mode="json", exclude={"teacher"})
        return values | {"hints": dict(self._hints)}

    def state(self) -> dict[str, Tensor]:
        """Return the range of the teacher's errors."""
        if self._teacher.error_range is None:
            return {}
        return {_ERROR_RANGE: torch.tensor(self._teacher.error_range, dtype=torch.float64)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over the range of the teacher's errors."""
        if _ERROR_RANGE in state:
            lowest, highest = state[_ERROR_RANGE].tolist()
            self._teacher.error_range = lowest, highest

    def _check_upsampling(self) -> None:
        taught, needed = self._card.upsampling_factor, self._data.upsampling_factor
        if taught != needed:
            raise InputError(
                f"The teacher {self._distillation.teacher} predicts {taught} fine pixels per "
                f"camera pixel, but the data are prepared for {needed}. Their maps cannot be "
                f"compared: choose an upsampling of {taught}, or another teacher."
            )

    def _remembered_frames(self) -> Iterator[str]:
        """Say if validation frames of the student trained its teacher, or the teacher's."""
        used = FrameRecord.model_validate(self._data.record())
        taught = [
            record.training_frames
            for record in self._card.trained_on()
            if record.movie_fingerprint == used.movie_fingerprint
        ]
        remembered = len(used.validation_frames.intersection(frozenset[int]().union(*taught)))
        if remembered:
            yield (
                f"{remembered} of the {len(used.validation_frames)} validation frames trained the "
                "teacher, which hands on what it remembers of them: the scores on them will be too "
                "good. Keep frames for validation that did not train it; with the seed and the "
                "frames that it was trained with, the same ones are drawn."
            )

    def _hint_objective(self, student: SuperResolutionNetwork) -> HintObjective:
        taught, guided = network_layers(self._network), network_layers(student)
        self._hints = self._distillation.hints or {self._network.hint_layer: student.hint_layer}
        pairs = [
            (
                self._checked_layer(taught, hint, f"of the teacher ({self._network.name})"),
                self._checked_layer(guided, layer, f"of the student ({student.name})"),
            )
            for hint, layer in self._hints.items()
        ]
        regressors = nn.ModuleList(Regressor(layer, hint) for hint, layer in pairs)
        return HintObjective(self._hints, regressors, self._teacher, self._loss, self.arithmetic)

    def _checked_layer(self, layers: Mapping[str, Layer], name: str, whose: str) -> Layer:
        if name not in layers:
            raise unknown_name(f"layer {whose}", name, layers)
        frames = self._data.validation.frames
        side = min(self._config.patch_size, frames.height, frames.width)
        check_grid(name, whose, scale=layers[name].scale, patch_px=side)
        return layers[name]
