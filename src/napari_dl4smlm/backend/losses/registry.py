"""The losses by name, with the target each one wants and the lambda it starts from."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from napari_dl4smlm.backend.errors import InputError, unknown_name
from napari_dl4smlm.backend.losses.l1l2 import l1l2_loss
from napari_dl4smlm.backend.losses.weighted import weighted_mae_loss, weighted_mse_loss


class Loss(nn.Module):
    """A data term weighted by lambda / 2, plus the mean absolute prediction.

    All three losses share this form: a lower ``lambda_`` gives a sparser prediction, a higher one
    keeps more signal. Predictions and targets are in emitters per fine pixel.

    Parameters
    ----------
    lambda_
        Weight of the data term, above 0; by default the loss's own ``default_lambda``.
    foreground_weight
        How much more a pixel near an emitter counts; the L1L2 loss does not use it.

    Attributes
    ----------
    target_sigma_px : float
        Width of the Gaussian, in fine pixels, that the target is to be drawn with; 0 for spikes.
    blur_sigma_px : float
        Width of the Gaussian, in fine pixels, through which the loss sees a prediction; 0 if it
        sees every pixel. An image of the prediction has to be blurred as much: what is finer was
        never compared with anything, and networks fill it with stripes of one pixel.
    """

    target_sigma_px: float
    blur_sigma_px: float
    default_lambda: float

    def __init__(self, lambda_: float | None = None, foreground_weight: float = 1.0) -> None:
        super().__init__()
        self.lambda_ = self.default_lambda if lambda_ is None else lambda_
        self.foreground_weight = foreground_weight
        if not (math.isfinite(self.lambda_) and self.lambda_ > 0):
            raise InputError(
                f"lambda is {self.lambda_:g}; it must be above 0, for example "
                f"{self.default_lambda:g}. Lower values give a sparser prediction, higher ones "
                "keep more signal."
            )

    def smallest_useful_lambda(self, target: Tensor) -> float:
        """Lambda at or below which the empty image is the best prediction of a target.

        The losses are convex, so that the empty image is the optimum exactly if the slope of the
        data term there is nowhere steeper than that of the L1 norm, which is one per pixel.

        Parameters
        ----------
        target
            Shape (N, 1, Y, X), drawn with ``target_sigma_px``.

        Returns
        -------
        float
            Infinity for an empty target.
        """
        empty = torch.zeros_like(target, requires_grad=True)
        # the slope of |p| at p = 0 is taken as 0 by torch, which leaves the data term alone
        (slope,) = torch.autograd.grad(self(empty, target), empty)
        steepest = float(slope.abs().max()) * target.numel() / self.lambda_
        return 1 / steepest if steepest > 0 else math.inf


class L1L2Loss(Loss):
    """Blurred squared difference plus L1 norm; see :func:`l1l2_loss`."""

    target_sigma_px = 0.0
    blur_sigma_px = 1.0
    default_lambda = 400.0

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of ``prediction`` against spikes; both of shape (N, 1, Y, X)."""
        return l1l2_loss(prediction, target, self.lambda_)


class WeightedMSELoss(Loss):
    """Weighted mean squared error plus L1 norm; see :func:`weighted_mse_loss`."""

    target_sigma_px = 1.0
    blur_sigma_px = 0.0
    default_lambda = 40.0

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of ``prediction`` against a density map; both of shape (N, 1, Y, X)."""
        return weighted_mse_loss(prediction, target, self.lambda_, self.foreground_weight)


class WeightedMAELoss(Loss):
    """Weighted mean absolute error plus L1 norm; see :func:`weighted_mae_loss`."""

    target_sigma_px = 1.0
    blur_sigma_px = 0.0
    default_lambda = 10.0

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of ``prediction`` against a density map; both of shape (N, 1, Y, X)."""
        return weighted_mae_loss(prediction, target, self.lambda_, self.foreground_weight)


LOSSES: dict[str, type[Loss]] = {
    "l1l2": L1L2Loss,
    "weighted_mse": WeightedMSELoss,
    "weighted_mae": WeightedMAELoss,
}


def create_loss(name: str, *, lambda_: float | None = None, foreground_weight: float = 1.0) -> Loss:
    """Create a loss by its name in ``LOSSES``.

    Raises
    ------
    InputError
        The name is unknown, or lambda is not above 0.
    """
    if name not in LOSSES:
        raise unknown_name("loss", name, LOSSES)
    return LOSSES[name](lambda_, foreground_weight)
