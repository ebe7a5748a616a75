"""Squared and absolute differences in which the few pixels near emitters count more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_dl4smlm.backend.losses.loss import Loss

if TYPE_CHECKING:
    from torch import Tensor


class _WeightedLoss(Loss):
    target_sigma_px = 1.0
    blur_sigma_px = 0.0

    def average(self, penalties: Tensor, truth: Tensor) -> Tensor:
        """Average, with ``foreground_weight`` where the truth, 0 elsewhere, is above 0."""
        # a weighted mean, not a weighted sum: the scale of the loss does not depend on the weight
        weights = torch.where(truth > 0, self.foreground_weight, 1.0)
        return (weights * penalties).sum() / weights.sum()


class WeightedMSELoss(_WeightedLoss):
    r"""Weighted mean squared error plus the L1 norm of the prediction.

    .. math::
        \frac{\lambda}{2}\,\frac{\sum_i w_i (p_i - t_i)^2}{\sum_i w_i} + \mathrm{mean}\,|p|,
        \qquad w_i = w \text{ where } t_i > 0, \text{ else } 1

    The target t has one Gaussian for each emitter and is exactly 0 elsewhere; w, the foreground
    weight, is that of pixels within three standard deviations of an emitter.
    """

    default_lambda = 40.0

    def penalties(self, differences: Tensor) -> Tensor:
        """Square."""
        return differences.square()


class WeightedMAELoss(_WeightedLoss):
    r"""Weighted mean absolute error plus the L1 norm of the prediction.

    .. math::
        \frac{\lambda}{2}\,\frac{\sum_i w_i |p_i - t_i|}{\sum_i w_i} + \mathrm{mean}\,|p|,
        \qquad w_i = w \text{ where } t_i > 0, \text{ else } 1

    Target and weights are those of :class:`WeightedMSELoss`. Its optimum is a weighted median: an
    emitter that the network is less sure of than the weights demand is not predicted dimmer, as
    with the squared error, but not at all.
    """

    default_lambda = 10.0

    def penalties(self, differences: Tensor) -> Tensor:
        """Take absolute values."""
        return differences.abs()
