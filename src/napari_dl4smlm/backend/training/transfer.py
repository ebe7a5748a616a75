"""Knowledge transfer: the density maps of a student learn from the truth and from a teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dl4smlm.backend.losses.attentive_imitation import attentive_imitation_loss
from napari_dl4smlm.backend.training.objective import TruthObjective

if TYPE_CHECKING:
    from torch import Tensor, nn

    from napari_dl4smlm.backend.losses.loss import Loss
    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork
    from napari_dl4smlm.backend.training.arithmetic import Arithmetic
    from napari_dl4smlm.backend.training.teacher import Teacher


class TransferObjective(TruthObjective):
    """To predict the truth and what a teacher predicts, and to be judged by the truth alone.

    Parameters
    ----------
    teacher
        Whose maps are imitated.
    alpha
        Weight of the truth against the teacher; at 1 the teacher is not asked, and this is ordinary
        training.
    loss, arithmetic
        As in :class:`TruthObjective`.
    """

    stage = "transfer"

    def __init__(self, teacher: Teacher, alpha: float, loss: Loss, arithmetic: Arithmetic) -> None:
        super().__init__(loss, arithmetic)
        self._teacher = teacher
        self._alpha = alpha

    def loss(
        self,
        network: SuperResolutionNetwork,
        regressors: nn.Module,
        frames: Tensor,
        targets: Tensor,
    ) -> Tensor:
        """Return the attentive imitation loss."""
        if self._alpha == 1:
            return super().loss(network, regressors, frames, targets)
        truth = targets[:, :1]
        # maps that are kept come with the targets
        taught = targets[:, 1:] if targets.shape[1] > 1 else self._teacher.maps(frames)
        followed = self._teacher.attention(taught, self._loss.as_seen(truth))
        density = self._arithmetic.density(network, frames)
        return attentive_imitation_loss(self._loss, density, truth, taught, followed, self._alpha)
