"""Rewrite what a network computes: the same function of the frames, in fewer and faster steps."""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING, Any

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_dl4smlm.backend.models.network import UpsampleConv
from napari_dl4smlm.backend.models.prepared.convolutions import (
    ActivatedConv,
    DoubledMap,
    DoublingConv,
    MapConv,
    PooledConv,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork


# fx traces one network at a time in a process
_TRACING = threading.Lock()


def rewrite(network: SuperResolutionNetwork) -> fx.GraphModule:
    """Return what a network computes between padding and cropping, rewritten.

    Parameters
    ----------
    network
        Stays as it is.

    Returns
    -------
    fx.GraphModule
        Takes and returns what the network's ``_density`` does, in evaluation mode. Double
        precision, in which the weights were combined; no gradients.
    """
    network = copy.deepcopy(network).cpu().double().eval().requires_grad_(False)
    with _TRACING:
        density = fx.GraphModule(network, _LayerTracer().trace(network))
    for rule in (_join_with_activation, _pool_on_frames, _spare_concatenation):
        for node in list(density.graph.nodes):
            rule(density, node)
        density.graph.eliminate_dead_code()
    _tidy(density)
    return density


def join_in_strips(density: fx.GraphModule) -> None:
    """Make one layer, in place, of the last that doubles its input and the map of its features.

    Parameters
    ----------
    density
        What `rewrite` returns, for a CPU.
    """
    for node in list(density.graph.nodes):
        _map_of_doubled(density, node)
    _tidy(density)


class _LayerTracer(fx.Tracer):
    """Follows the frames through a network down to the layers that consist of no others."""

    traced_func_name = "_density"

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Leave networks alone that are at work in other threads: fx gets to see these as well."""
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Leave their parameters alone, too."""
        if threading.get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        del module_qualified_name
        return not any(m.children())


def _join_with_activation(density: fx.GraphModule, node: fx.Node) -> None:
    """Convolution, then normalization and activation if there are any: one layer."""
    conv = _layer(density, node)
    if not isinstance(conv, nn.Conv2d):
        return
    norm = _layer(density, _only_user(node))
    if isinstance(norm, nn.BatchNorm2d):
        conv = fuse_conv_bn_eval(conv, norm)
        _absorb_user(node)
    slope = _slope(_layer(density, _only_user(node)))
    if slope is None:
        slope = 1.0
    else:
        _absorb_user(node)
    bias = None if conv.bias is None else conv.bias.detach()
    layer: nn.Module
    if isinstance(conv, UpsampleConv):
        layer = DoublingConv(conv.weight.detach(), bias, slope)
    elif conv.out_channels == 1:
        layer = MapConv(conv.weight.detach(), bias, slope)
    else:
        layer = ActivatedConv(conv.weight.detach(), bias, slope)
    density.add_submodule(str(node.target), layer)


def _pool_on_frames(density: fx.GraphModule, node: fx.Node) -> None:
    """Enlargement, 3 x 3 convolution, maximum of 2 x 2: one layer on the grid of the frames."""
    source = _only_source(node)
    match (_layer(density, source), _layer(density, node), _layer(density, _only_user(node))):
        case (
            nn.Upsample(mode="nearest", scale_factor=float(factor)),
            ActivatedConv(weight=weight, bias=bias, slope=slope),
            nn.MaxPool2d(kernel_size=2),
        ) if source is not None and weight.shape[-1] == 3:
            _absorb_user(node)
            node.args = source.args
            density.add_submodule(str(node.target), PooledConv(weight, bias, slope, int(factor)))


def _spare_concatenation(density: fx.GraphModule, node: fx.Node) -> None:
    """Concatenation, convolution to one map: a layer that takes the parts."""
    source = _only_source(node)
    is_map = isinstance(_layer(density, node), MapConv)
    if is_map and source is not None and source.target is torch.cat:
        node.args = tuple(source.all_input_nodes)


def _map_of_doubled(density: fx.GraphModule, node: fx.Node) -> None:
    to_map = _layer(density, node)
    if not isinstance(to_map, MapConv) or to_map.columns.shape[2] > 1:
        return
    source, *others = node.all_input_nodes
    doubling = _layer(density, source)
    if isinstance(doubling, DoublingConv) and _only_user(source) is node:
        node.args = (*source.args, *others)
        density.graph.erase_node(source)
        density.add_submodule(str(node.target), DoubledMap(doubling, to_map))


def _tidy(density: fx.GraphModule) -> None:
    density.graph.lint()
    density.delete_all_unused_submodules()
    density.recompile()


def _layer(density: fx.GraphModule, node: fx.Node | None) -> nn.Module | None:
    if node is None or node.op != "call_module":
        return None
    return density.get_submodule(str(node.target))


def _only_source(node: fx.Node) -> fx.Node | None:
    return node.all_input_nodes[0] if len(node.all_input_nodes) == 1 else None


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _absorb_user(node: fx.Node) -> None:
    for user in list(node.users):
        user.replace_all_uses_with(node)
        user.graph.erase_node(user)


def _slope(activation: nn.Module | None) -> float | None:
    match activation:
        case nn.ReLU():
            return 0.0
        case nn.LeakyReLU(negative_slope=slope):
            return float(slope)
        case _:
            return None
