"""The way of a network from its first weights to its last, stage by stage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dl4smlm.backend.training.arithmetic import Arithmetic
from napari_dl4smlm.backend.training.objective import Objective, TruthObjective

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pydantic import JsonValue
    from torch import Tensor

    from napari_dl4smlm.backend.acquisition.normalization import Normalization
    from napari_dl4smlm.backend.losses.loss import Loss
    from napari_dl4smlm.backend.models.model_file import TeacherRecord
    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork
    from napari_dl4smlm.backend.training.config import TrainingConfig
    from napari_dl4smlm.backend.training.data import TrainingData
    from napari_dl4smlm.backend.training.events import StageName, TeacherTested
    from napari_dl4smlm.backend.training.taught_maps import TaughtMaps


@dataclass(frozen=True)
class Stage:
    """A part of the training, with one thing to learn.

    Attributes
    ----------
    objective
        What is learned.
    last_epoch
        The epoch after which the stage ends at the latest, counted from the start of training.
    ends_at
        Share of the time limit after which it ends at the latest.
    taught
        Maps of a teacher that come with the patches.
    """

    objective: Objective
    last_epoch: int
    ends_at: float = 1.0
    taught: TaughtMaps | None = None

    @property
    def name(self) -> StageName:
        """Name of what is learned."""
        return self.objective.stage


class Course(ABC):
    """What differs between trainings with and without a teacher.

    Attributes
    ----------
    arithmetic
        How density maps are computed.
    normalization
        How counts become network input.
    teacher_record
        Which teacher, if any.
    """

    arithmetic: Arithmetic
    normalization: Normalization
    teacher_record: TeacherRecord | None = None

    @abstractmethod
    def stages(self, network: SuperResolutionNetwork) -> tuple[Stage, ...]:
        """Plan the stages for a network with random weights.

        What they need of random weights themselves is drawn from torch's global generator.

        Raises
        ------
        InputError
            The network cannot take this course.
        """

    def prepare(
        self,
        batches: Iterable[tuple[Tensor, Tensor]],
        total: int,
        is_late: Callable[[], bool],
    ) -> Iterator[TeacherTested]:
        """Do what has to be done once, before the first step.

        Parameters
        ----------
        batches
            Training patches.
        total
            How many these are.
        is_late
            Whether the first batches have to do; asked after each of them.
        """
        del batches, total, is_late
        yield from ()

    def continue_from(self, recorded: Mapping[str, JsonValue]) -> None:
        """Take over what does not matter but must stay, from the record of an earlier training.

        Called before `stages`, if training is resumed.
        """
        del recorded

    def taught(self, frames: Tensor) -> Tensor | None:
        """Return the density maps of the teacher, to be looked at; ``None`` without a teacher.

        Parameters
        ----------
        frames
            Shape (N, 1, y, x), normalized.

        Returns
        -------
        Tensor or None
            Shape (N, 1, f y, f x), emitters per fine pixel, clamped at 0; each emitter is a
            Gaussian of one fine pixel, as the truth that it is compared with.
        """
        del frames
        return None

    def warnings(self) -> Iterator[str]:
        """Say what the user should know before training."""
        yield from ()

    def record(self) -> dict[str, JsonValue]:
        """Return what tells, later, how a network was trained, beside its training config."""
        return {}

    def state(self) -> dict[str, Tensor]:
        """Return what `prepare` has found out, under names that begin with ``course``."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `prepare` found out from the state of a training that is resumed."""
        del state


class TruthCourse(Course):
    """One stage, in which a network learns from the truth alone.

    Parameters
    ----------
    data
        What the intensities are measured on.
    config
        Device, precision and length.
    loss
        How predictions are compared with the truth.
    """

    def __init__(self, data: TrainingData, config: TrainingConfig, loss: Loss) -> None:
        self.arithmetic = Arithmetic.choose(config.device, config.precision)
        self.normalization = data.fit_normalization()
        self._loss = loss
        self._epochs = config.epochs

    def stages(self, network: SuperResolutionNetwork) -> tuple[Stage, ...]:
        """Return the only stage."""
        del network
        return (Stage(TruthObjective(self._loss, self.arithmetic), self._epochs),)
