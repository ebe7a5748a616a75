"""A rewritten network as a model of OpenVINO, layer by layer.

OpenVINO's own converter traces a network as it is run, which the layers here, made for PyTorch's
kernels, would not survive; and it tells its makers over the network that it was used.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino
import torch
import torch.nn.functional as F
from openvino import opset13 as ops
from torch import Tensor, nn

from napari_dl4smlm.backend.gaussian_blur import GaussianBlur
from napari_dl4smlm.backend.models.prepared.convolutions import (
    ActivatedConv,
    DoublingConv,
    MapConv,
    PooledConv,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import fx

Node = Any
"""Of a model of OpenVINO."""

# of a layer that doubles its input, from which on products with differences of neighbours pay: of
# 512 channels, as in Deep-STORM, they spare a quarter of the time, of 256 nothing
_MANY_CHANNELS = 512

_FUNCTIONS: dict[object, Callable[..., Node]] = {
    operator.add: ops.add,
    operator.sub: ops.subtract,
    operator.mul: ops.multiply,
    operator.truediv: ops.divide,
    torch.cat: lambda parts, dim: ops.concat(parts, dim),
}


def openvino_model(
    density: fx.GraphModule, height: int, width: int, *, in_16_bits: bool = False
) -> Node:
    """Translate what `rewrite` returns.

    Parameters
    ----------
    density
        On the CPU.
    height, width
        Size of the one frame that the model takes at a time.
    in_16_bits
        It is going to be computed so: with no more steps than there are, as each of them rounds.

    Returns
    -------
    openvino.Model
        From shape (1, 1, Y, X) to (1, 1, f Y, f X), both in single precision.

    Raises
    ------
    TypeError
        For a layer that has no translation.
    """
    nodes: dict[fx.Node, Node] = {}

    def translated(argument: Any) -> Any:
        if isinstance(argument, list | tuple):
            return [translated(part) for part in argument]
        if isinstance(argument, int | float):
            return _constant(torch.tensor(float(argument)))
        return nodes[argument]

    for node in density.graph.nodes:
        inputs = [translated(argument) for argument in node.args] if node.op != "output" else []
        match node.op:
            case "placeholder":
                frames = ops.parameter([1, 1, height, width], np.float32)
                nodes[node] = frames
            case "get_attr":
                nodes[node] = _constant(operator.attrgetter(node.target)(density))
            case "call_module":
                nodes[node] = _layer(density.get_submodule(node.target), inputs, in_16_bits)
            case "call_function":
                nodes[node] = _FUNCTIONS[node.target](*inputs, **node.kwargs)
            case "output":
                result = nodes[node.args[0]]
    return openvino.Model([result], [frames])


def _layer(layer: nn.Module, inputs: Sequence[Node], in_16_bits: bool) -> Node:
    features = inputs[0]
    match layer:
        case ActivatedConv(weight=weight, bias=bias, slope=slope):
            return _activated(_conv(features, weight, bias), slope)
        case MapConv(columns=columns, bias=bias, slope=slope):
            joined = features if len(inputs) == 1 else ops.concat(inputs, 1)
            if in_16_bits or len(columns) == 1:
                return _activated(_conv(joined, columns.permute(3, 1, 2, 0), bias), slope)
            return _activated(_biased(_map(joined, columns), bias), slope)
        case DoublingConv():
            return _doubled(layer, features, in_16_bits)
        case PooledConv():
            return _pooled(layer, features)
        case GaussianBlur():
            kernel = torch.tensor(layer.kernel)
            blurred_in_y = _conv(features, kernel.view(1, 1, -1, 1), None)
            return _conv(blurred_in_y, kernel.view(1, 1, 1, -1), None)
        case nn.MaxPool2d(kernel_size=int(size)):
            window = [size, size]
            return ops.max_pool(features, window, [1, 1], [0, 0], [0, 0], window).output(0)
        case nn.AvgPool2d(kernel_size=int(size)):
            window = [size, size]
            return ops.avg_pool(features, window, [0, 0], [0, 0], window, exclude_pad=True)
        case nn.Upsample(mode="nearest" | "bicubic", scale_factor=float(factor)):
            if in_16_bits or layer.mode == "nearest":
                return _enlarged(features, factor, layer.mode)
            return _enlarged_by_products(features, factor)
        case nn.Identity():
            return features
        case _:
            raise TypeError(f"{type(layer).__name__} has no translation for OpenVINO")


def _conv(features: Node, weight: Tensor, bias: Tensor | None) -> Node:
    padding = [size // 2 for size in weight.shape[2:]]
    output = ops.convolution(features, _constant(weight), [1, 1], padding, padding, [1, 1])
    return _biased(output, bias)


def _doubled(layer: DoublingConv, features: Node, in_16_bits: bool) -> Node:
    in_channels = layer.phases.shape[1]
    if in_channels >= _MANY_CHANNELS and not in_16_bits:
        return _doubled_by_differences(layer, features)
    # measured on all networks in all precisions; a single channel leaves the kernels for transposed
    # convolutions almost idle
    if layer.out_channels > 1:
        kernel = _constant(layer.transposed)
        fine = ops.convolution_backprop_data(
            features, kernel, [2, 2], pads_begin=[1, 1], pads_end=[1, 1]
        )
        return _activated(_biased(fine, layer.bias), layer.slope)
    # the slots of a shuffled cell begin one fine pixel before those of a coarse one, so that the
    # order of the phases is turned round
    phases = torch.unflatten(layer.phases, 0, (2, 2, -1)).flip(0, 1).flatten(0, 2)
    bias = None if layer.bias is None else layer.bias.repeat(4)
    cells = _activated(_conv(features, phases, bias), layer.slope)
    shuffled = ops.depth_to_space(cells, "blocks_first", 2)
    return ops.slice(shuffled, [1, 1], [-1, -1], [1, 1], [2, 3])


def _doubled_by_differences(layer: DoublingConv, features: Node) -> Node:
    _, _, height, width = features.shape
    kernels = torch.unflatten(layer.differences, 0, (3, 3, -1))
    down = _differences(features, [[1], [-1]])
    across = _differences(features, [[1, -1]])
    both = _differences(features, [[1, -1], [-1, 1]])
    own = _conv(features, kernels[0, 0], layer.bias)
    # of all coarse pixels and one row, one column or both more than there are
    rows = _conv(down, kernels[1:, 0].flatten(0, 1), None)
    columns = _conv(across, kernels[0, 1:].flatten(0, 1), None)
    corners = _conv(both, kernels[1:, 1:].flatten(0, 2), None)

    def window(products: Node, number: int, y: int, x: int) -> Node:
        first = number * layer.out_channels
        start, stop = [first, y, x], [first + layer.out_channels, y + height, x + width]
        return ops.slice(products, start, stop, [1, 1, 1], [1, 2, 3])

    phases = []
    for i in (0, 1):
        with_row = ops.add(own, window(rows, i, i, 0))
        for j in (0, 1):
            with_column = ops.add(with_row, window(columns, j, 0, j))
            phase = ops.add(with_column, window(corners, 2 * i + j, i, j))
            phases.append(_activated(phase, layer.slope))
    return ops.depth_to_space(ops.concat(phases, 1), "blocks_first", 2)


def _differences(features: Node, signs: Sequence[Sequence[int]]) -> Node:
    """Subtract neighbours in each channel, beyond the border too, where there are zeros."""
    kernel = torch.tensor(signs).expand(features.shape[1], 1, 1, -1, -1)
    padding = [size - 1 for size in kernel.shape[3:]]
    return ops.group_convolution(features, _constant(kernel), [1, 1], padding, padding, [1, 1])


def _pooled(layer: PooledConv, frames: Node) -> Node:
    responses = _activated(_conv(frames, layer.weight, layer.bias), layer.slope)
    # in whole blocks, which keep the layout of the convolution; to gather channels changes it twice
    parts = ops.split(responses, 1, 9)
    rows = {
        pair: [
            ops.maximum(parts.output(3 * pair[0] + x), parts.output(3 * pair[1] + x))
            for x in range(3)
        ]
        for pair in layer.cells
    }
    cells = [
        ops.maximum(rows[pair_in_y][pair_in_x[0]], rows[pair_in_y][pair_in_x[1]])
        for pair_in_y in layer.cells
        for pair_in_x in layer.cells
    ]
    return ops.depth_to_space(ops.concat(cells, 1), "blocks_first", len(layer.cells))


def _map(features: Node, columns: Tensor) -> Node:
    """Convolve to one map with a channel for each column of the kernel, as in MapConv."""
    side = len(columns)
    weight, along_y = _constant(columns), [side // 2, 0]
    responses = ops.convolution(features, weight, [1, 1], along_y, along_y, [1, 1])
    # each channel is moved to its column, and all are added up
    shift, along_x = _constant(torch.eye(side).view(1, side, 1, side)), [0, side // 2]
    return ops.convolution(responses, shift, [1, 1], along_x, along_x, [1, 1])


def _enlarged(features: Node, factor: float, mode: str) -> Node:
    nearest = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    bicubic = {"coordinate_transformation_mode": "half_pixel", "cube_coeff": -0.75}
    return ops.interpolate(
        features,
        np.array([factor, factor], np.float32),
        "nearest" if mode == "nearest" else "cubic",
        "scales",
        axes=[2, 3],
        **(nearest if mode == "nearest" else bicubic),
    )


def _enlarged_by_products(features: Node, factor: float) -> Node:
    """Enlarge small frames bicubically in a twentieth of the time, as products with matrices."""
    rows, columns = (_constant(_bicubic(length, factor)) for length in features.shape[2:])
    return ops.matmul(ops.matmul(rows, features, False, False), columns, False, True)


def _bicubic(length: int, factor: float) -> Tensor:
    """Return what each fine pixel of a row takes from each coarse one."""
    unit = torch.eye(length)[None, None]
    scale = (factor, 1.0)
    return F.interpolate(unit, scale_factor=scale, mode="bicubic")[0, 0]


def _biased(features: Node, bias: Tensor | None) -> Node:
    return features if bias is None else ops.add(features, _constant(bias.view(1, -1, 1, 1)))


def _activated(features: Node, slope: float) -> Node:
    if slope == 1:
        return features
    if slope == 0:
        return ops.relu(features)
    return ops.prelu(features, np.array([slope], np.float32))


def _constant(values: Tensor) -> Node:
    return ops.constant(values.detach().float().contiguous().numpy())
