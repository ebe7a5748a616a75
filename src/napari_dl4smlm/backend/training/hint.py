"""Hint training: layers of a student learn to put out what layers of its teacher do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_dl4smlm.backend.losses.attentive_imitation import attentive_hint_loss
from napari_dl4smlm.backend.models.layers import layer_outputs
from napari_dl4smlm.backend.training.objective import Evaluation, Objective

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_dl4smlm.backend.losses.loss import Loss
    from napari_dl4smlm.backend.models.layers import Layer
    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork
    from napari_dl4smlm.backend.training.arithmetic import Arithmetic
    from napari_dl4smlm.backend.training.teacher import Teacher


class HintObjective(Objective):
    """To put out the features of a teacher in the middle of the network.

    What comes after the last guided layer is not computed and does not learn.

    Parameters
    ----------
    hints
        Names of the student's layers, by those of the teacher's layers that guide them.
    regressors
        For each hint, what brings the student's features to the shape of the teacher's.
    teacher
        Where the hints come from.
    loss
        How the truth is seen, by which the teacher's error is measured.
    arithmetic
        How the student's features are computed.

    References
    ----------
    See :mod:`napari_dl4smlm.backend.losses.attentive_imitation`.
    """

    stage = "hint"

    def __init__(
        self,
        hints: Mapping[str, str],
        regressors: nn.Module,
        teacher: Teacher,
        loss: Loss,
        arithmetic: Arithmetic,
    ) -> None:
        self._hints = hints
        self.regressors = regressors
        self._teacher = teacher
        self._loss = loss
        self._arithmetic = arithmetic

    def loss(
        self,
        network: SuperResolutionNetwork,
        regressors: nn.Module,
        frames: Tensor,
        targets: Tensor,
    ) -> Tensor:
        """Return the sum of the losses of all hints."""
        return self._sum(network, regressors, frames, self._loss.as_seen(targets))

    def evaluate(
        self,
        network: SuperResolutionNetwork,
        regressors: nn.Module,
        frames: Tensor,
        targets: Tensor,
    ) -> Evaluation:
        """Return the sum of the losses of all hints; there are no density maps yet.

        Hints are followed everywhere. Of few frames, the teacher may be worse in all than in those
        by which its errors are judged: any student would then be perfect.
        """
        del targets
        return Evaluation(self._sum(network, regressors, frames), None)

    def _sum(
        self,
        network: SuperResolutionNetwork,
        regressors: nn.Module,
        frames: Tensor,
        truth: Tensor | None = None,
    ) -> Tensor:
        hints, followed = self._teacher.hints(frames, self._hints.keys(), truth)
        guided = set(self._hints.values())
        with layer_outputs(network, guided, skip_rest=True) as outputs:
            self._arithmetic.density(network, frames)
        losses = []
        for (taught, guided_layer), regressor in zip(
            self._hints.items(), regressors.children(), strict=True
        ):
            features = regressor(outputs[guided_layer].float())
            pair = _common_part(features, hints[taught].float())
            losses.append(attentive_hint_loss(*pair, followed))
        return torch.stack(losses).sum()


class Regressor(nn.Module):
    """Brings the features of a student's layer to the channels and the grid of a teacher's.

    A 1 x 1 convolution, where the channels differ; averages over cells or bilinear interpolation
    where the grids do. Outer corners stay in place.

    Parameters
    ----------
    guided, hint
        The layers of student and teacher.
    """

    def __init__(self, guided: Layer, hint: Layer) -> None:
        super().__init__()
        self.project = (
            nn.Identity()
            if guided.channels == hint.channels
            else nn.Conv2d(guided.channels, hint.channels, kernel_size=1)
        )
        self._enlargement = hint.scale / guided.scale

    def forward(self, features: Tensor) -> Tensor:
        """Shape (N, channels of the student, Y, X) to those of the teacher."""
        # the convolution is done on the coarser grid: there it costs less, and both orders agree
        if self._enlargement < 1:
            features = F.avg_pool2d(features, round(1 / self._enlargement))
        projected: Tensor = self.project(features)
        if self._enlargement > 1:
            projected = F.interpolate(
                projected, scale_factor=self._enlargement, mode="bilinear", align_corners=False
            )
        return projected


def _common_part(features: Tensor, hints: Tensor) -> tuple[Tensor, Tensor]:
    """Cut off what only one of the networks has at the bottom and right, where networks pad."""
    height, width = (min(features.shape[dim], hints.shape[dim]) for dim in (2, 3))
    return features[..., :height, :width], hints[..., :height, :width]
