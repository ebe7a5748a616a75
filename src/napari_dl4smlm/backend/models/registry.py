"""The networks by name, and what one costs."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import torch

from napari_dl4smlm.backend.errors import InputError, unknown_name
from napari_dl4smlm.backend.models.deep_storm import DeepStorm, SkipStorm
from napari_dl4smlm.backend.models.drl_storm import DrlStorm
from napari_dl4smlm.backend.models.fid_storm import FidStorm
from napari_dl4smlm.backend.models.srcnn import Srcnn
from napari_dl4smlm.backend.models.u_storm import UStorm

if TYPE_CHECKING:
    from torch import nn

    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork

MODELS: dict[str, type[SuperResolutionNetwork]] = {
    network.name: network for network in (Srcnn, DeepStorm, SkipStorm, UStorm, DrlStorm, FidStorm)
}


def create_model(
    name: str, *, upsampling_factor: int = 8, **options: int | float | str | bool
) -> SuperResolutionNetwork:
    """Build a network with new random weights.

    Parameters
    ----------
    name
        One of ``MODELS``.
    upsampling_factor
        Fine pixels per camera pixel: 1, 2, 4 or 8.
    **options
        What the network's class takes besides; what is left out has its default.

    Returns
    -------
    SuperResolutionNetwork
        In training mode, on the CPU. The weights are drawn from torch's global generator.

    Raises
    ------
    InputError
        There is no network of that name, it has no such option, or cannot have that value.
    """
    if name not in MODELS:
        raise unknown_name("model", name, MODELS)
    network = MODELS[name]
    available = [
        option for option in inspect.signature(network).parameters if option != "upsampling_factor"
    ]
    for option in options:
        if option not in available:
            raise InputError(
                f"The model {name} has no option {option!r}; "
                + (f"it has {', '.join(available)}." if available else "it has none.")
            )
    return network(upsampling_factor=upsampling_factor, **options)


def outline_model(
    name: str, *, upsampling_factor: int = 8, **options: int | float | str | bool
) -> SuperResolutionNetwork:
    """Build a network without weights, of which only the size and the layers can be asked.

    It takes no memory and draws no random numbers, so that any thread may build one at any time.
    Parameters and errors are those of `create_model`.
    """
    with torch.device("meta"):
        return create_model(name, upsampling_factor=upsampling_factor, **options)


def parameter_count(network: nn.Module) -> int:
    """Count the numbers that are learned; the running statistics of normalization are not."""
    return sum(parameter.numel() for parameter in network.parameters())


def operations_per_frame(network: SuperResolutionNetwork, height: int, width: int) -> int:
    """Count the multiply-accumulate operations of all convolutions for one frame.

    Parameters
    ----------
    network
        The network.
    height, width
        Size of the frame in camera pixels.

    Returns
    -------
    int
        As the layers are written down, whatever a faster equivalent form would save. One
        operation is two FLOP.
    """
    operations = 0
    height += -height % network.alignment
    width += -width % network.alignment
    pixels = height * width
    for step in network.footprints:
        pixels *= step.enlargement**2
        operations += pixels * step.weights
        pixels //= step.pooling**2
    return operations
