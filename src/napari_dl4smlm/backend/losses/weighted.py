"""Squared and absolute differences in which the few pixels near emitters count more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def _weighted_mean(errors: Tensor, density: Tensor, foreground_weight: float) -> Tensor:
    # a weighted mean, not a weighted sum: the scale of the loss does not depend on the weight
    weights = torch.where(density > 0, foreground_weight, 1.0)
    return (weights * errors).sum() / weights.sum()


def weighted_mse_loss(
    prediction: Tensor, density: Tensor, lambda_: float, foreground_weight: float
) -> Tensor:
    r"""Weighted mean squared error plus the L1 norm of the prediction.

    .. math::
        \frac{\lambda}{2}\,\frac{\sum_i w_i (p_i - t_i)^2}{\sum_i w_i} + \mathrm{mean}\,|p|,
        \qquad w_i = w \text{ where } t_i > 0, \text{ else } 1

    Parameters
    ----------
    prediction
        Shape (N, 1, Y, X), emitters per fine pixel, of any sign.
    density
        The same shape: the true density map, one Gaussian per emitter and exactly 0 elsewhere.
    lambda_
        Weight of the data term: lower is sparser, higher keeps more signal.
    foreground_weight
        The weight w of pixels within three standard deviations of an emitter.
    """
    errors = (prediction - density).square()
    data_term = _weighted_mean(errors, density, foreground_weight)
    return 0.5 * lambda_ * data_term + prediction.abs().mean()


def weighted_mae_loss(
    prediction: Tensor, density: Tensor, lambda_: float, foreground_weight: float
) -> Tensor:
    r"""Weighted mean absolute error plus the L1 norm of the prediction.

    .. math::
        \frac{\lambda}{2}\,\frac{\sum_i w_i |p_i - t_i|}{\sum_i w_i} + \mathrm{mean}\,|p|,
        \qquad w_i = w \text{ where } t_i > 0, \text{ else } 1

    Its optimum is a weighted median: an emitter that the network is less sure of than the weights
    demand is not predicted dimmer, as with the squared error, but not at all.

    Parameters
    ----------
    prediction, density, lambda_, foreground_weight
        As in :func:`weighted_mse_loss`.
    """
    errors = (prediction - density).abs()
    data_term = _weighted_mean(errors, density, foreground_weight)
    return 0.5 * lambda_ * data_term + prediction.abs().mean()
