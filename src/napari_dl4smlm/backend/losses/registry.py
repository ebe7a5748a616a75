"""The losses by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dl4smlm.backend.errors import unknown_name
from napari_dl4smlm.backend.losses.l1l2 import L1L2Loss
from napari_dl4smlm.backend.losses.weighted import WeightedMAELoss, WeightedMSELoss

if TYPE_CHECKING:
    from napari_dl4smlm.backend.losses.loss import Loss

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
        The name is unknown, or lambda or the weight is not above 0.
    """
    if name not in LOSSES:
        raise unknown_name("loss", name, LOSSES)
    return LOSSES[name](lambda_, foreground_weight)
