"""What a network learns in a stage of its training; here, to mark the emitters in frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from torch import Tensor, nn

if TYPE_CHECKING:
    from napari_dl4smlm.backend.losses.loss import Loss
    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork
    from napari_dl4smlm.backend.training.arithmetic import Arithmetic
    from napari_dl4smlm.backend.training.events import StageName


class Evaluation(NamedTuple):
    """How good a network is on a batch.

    Attributes
    ----------
    loss
        The mean over the batch, by which models are compared.
    density
        Its density maps, in emitters per fine pixel; ``None`` where they do not matter yet.
    """

    loss: Tensor
    density: Tensor | None


class Objective(ABC):
    """What a network learns in a stage.

    Frames are normalized, of shape (N, 1, y, x), and targets (N, 1, f y, f x) as the loss wants
    them, on the device. In a stage with maps of a teacher that are kept, these are a second channel
    of the targets that train.

    Attributes
    ----------
    stage
        Its name.
    regressors
        What learns beside the network and is thrown away after the stage, as it is at the start.
    """

    stage: ClassVar[StageName]
    regressors: nn.Module

    @abstractmethod
    def loss(
        self,
        network: SuperResolutionNetwork,
        regressors: nn.Module,
        frames: Tensor,
        targets: Tensor,
    ) -> Tensor:
        """Return what a step lowers."""

    @abstractmethod
    def evaluate(
        self,
        network: SuperResolutionNetwork,
        regressors: nn.Module,
        frames: Tensor,
        targets: Tensor,
    ) -> Evaluation:
        """Judge a network, in evaluation mode, on frames that it does not learn from."""


class TruthObjective(Objective):
    """To predict the truth.

    Parameters
    ----------
    loss
        How predictions are compared with the truth.
    arithmetic
        How they are computed.
    """

    stage: ClassVar[StageName] = "training"

    def __init__(self, loss: Loss, arithmetic: Arithmetic) -> None:
        self._loss = loss
        self._arithmetic = arithmetic
        self.regressors = nn.ModuleList()

    def loss(
        self,
        network: SuperResolutionNetwork,
        regressors: nn.Module,
        frames: Tensor,
        targets: Tensor,
    ) -> Tensor:
        """Return the loss against the truth."""
        return self.evaluate(network, regressors, frames, targets).loss

    def evaluate(
        self,
        network: SuperResolutionNetwork,
        regressors: nn.Module,
        frames: Tensor,
        targets: Tensor,
    ) -> Evaluation:
        """Compare density maps with the truth."""
        del regressors
        density = self._arithmetic.density(network, frames)
        loss: Tensor = self._loss(density, targets)
        return Evaluation(loss, density)
