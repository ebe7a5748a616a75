"""Which patches a network with batch normalization can learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork


def check_statistics(
    network: SuperResolutionNetwork, *, height: int, width: int, fewest_patches: int
) -> None:
    """Refuse steps in which a channel has one value alone, of which there are no statistics.

    Parameters
    ----------
    network
        Trains.
    height, width
        Size of a patch in camera pixels.
    fewest_patches
        Patches that are normalized together in the smallest step.

    Raises
    ------
    InputError
        The coarsest grid of the network has a single cell in a patch, and a step a single patch.
    """
    if fewest_patches > 1 or max(height, width) > network.alignment or network.alignment == 1:
        return
    if any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules()):
        raise InputError(
            f"A patch of {height} x {width} px is one cell of the coarsest grid of {network.name}, "
            "and a step has a single patch: batch normalization cannot learn from one value. "
            f"Choose patches of more than {network.alignment} px, larger batches, or a number of "
            "patches that leaves no single one for the last batch."
        )
