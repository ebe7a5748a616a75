"""The layers of a network by name: their channels, their grids, and what they put out."""

from __future__ import annotations

import copy
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork


class Layer(NamedTuple):
    """What a layer puts out.

    Attributes
    ----------
    channels
        Feature maps.
    scale
        Pixels of its grid per camera pixel along each axis, a power of 2.
    """

    channels: int
    scale: float


def network_layers(network: SuperResolutionNetwork) -> dict[str, Layer]:
    """Describe the layers of a network, inside out, in the order in which they are done.

    A layer is a convolution with all that belongs to it, such as normalization and activation, or a
    chain of such layers. Its output changes no more while the network goes on; that of a
    convolution inside a layer does, since activations work in place.
    """
    names = [name for name, layer in network.named_modules() if name and _is_layer(name, layer)]
    probe = copy.deepcopy(network).eval()
    weights = next(probe.parameters())
    frames = torch.zeros(
        1, 1, network.alignment, network.alignment, dtype=weights.dtype, device=weights.device
    )
    with torch.no_grad(), layer_outputs(probe, names) as outputs:
        probe(frames)
    return {
        name: Layer(output.shape[1], output.shape[2] / network.alignment)
        for name, output in outputs.items()
    }


def _is_layer(name: str, module: nn.Module) -> bool:
    has_weights = any(isinstance(part, nn.Conv2d) for part in module.modules())
    return has_weights and name.rpartition(".")[2] != "conv"


@contextmanager
def layer_outputs(
    network: SuperResolutionNetwork, names: Collection[str], *, skip_rest: bool = False
) -> Iterator[dict[str, Tensor]]:
    """Keep what some layers put out, while the network is called in the context.

    Parameters
    ----------
    network
        Called once.
    names
        Of :func:`network_layers`; others are never seen.
    skip_rest
        Leave the call, and with it the context, as soon as all these layers are done.

    Yields
    ------
    dict of Tensor
        By name, shape (N, channels, Y, X); filled by the call.
    """
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            del module, inputs
            outputs[name] = output
            if skip_rest and len(outputs) == len(names):
                raise _AllDone

        return hook

    hooks = [network.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    try:
        with suppress(_AllDone):
            yield outputs
    finally:
        for hook in hooks:
            hook.remove()


class _AllDone(Exception):
    """The way out of a network whose remaining layers are not needed."""
