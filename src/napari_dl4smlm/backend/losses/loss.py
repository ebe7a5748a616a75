"""What all losses share: a data term weighted by lambda / 2, and a sparse prediction."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from napari_dl4smlm.backend.errors import InputError


class Loss(nn.Module, ABC):
    """A data term weighted by lambda / 2, plus the mean absolute prediction.

    All three losses share this form: a lower ``lambda_`` gives a sparser prediction, a higher one
    keeps more signal. Predictions and targets are in emitters per fine pixel.

    Parameters
    ----------
    lambda_
        Weight of the data term, above 0; by default the loss's own ``default_lambda``.
    foreground_weight
        How much more a pixel near an emitter counts, above 0; the L1L2 loss does not use it.

    Raises
    ------
    InputError
        Lambda or the weight is not above 0.

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
        if not (math.isfinite(foreground_weight) and foreground_weight > 0):
            raise InputError(
                f"foreground_weight is {foreground_weight:g}; it must be above 0, for example 1, "
                "with which all pixels count the same."
            )

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a prediction.

        Parameters
        ----------
        prediction
            Shape (N, 1, Y, X), emitters per fine pixel, of any sign.
        target
            The same shape, drawn with ``target_sigma_px``.

        Raises
        ------
        InputError
            The shapes differ.
        """
        if prediction.shape != target.shape:
            # torch would compare each map with all the others, and average that
            raise InputError(
                f"The prediction has shape {tuple(prediction.shape)}, the target "
                f"{tuple(target.shape)}; a loss compares equal shapes (N, 1, Y, X)."
            )
        penalties = self.penalties(self.as_seen(prediction - target))
        return self.total(self.average(penalties, target), prediction)

    def total(self, data_term: Tensor, prediction: Tensor) -> Tensor:
        """Weight the data term, and add what keeps the prediction sparse."""
        return 0.5 * self.lambda_ * data_term + prediction.abs().mean()

    def as_seen(self, maps: Tensor) -> Tensor:
        """Return density maps (N, 1, Y, X) as the loss compares them; a linear operation.

        Whatever the loss, a target is then a Gaussian of one fine pixel for each emitter.
        """
        return maps

    @abstractmethod
    def penalties(self, differences: Tensor) -> Tensor:
        """Return the penalty of each pixel, of the shape of the differences."""

    @abstractmethod
    def average(self, penalties: Tensor, truth: Tensor) -> Tensor:
        """Average over the pixels of all maps; ``truth`` tells which are near emitters."""

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
