"""Convolutions with all that belongs to them, in forms that equal the written one and are faster.

Features are in the channels-last layout throughout, in which the kernels of CPUs and GPUs work on
many channels of a pixel at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_dl4smlm.backend.models.prepared.fastest import fastest

if TYPE_CHECKING:
    from collections.abc import Sequence

# Where the three taps of a kernel fall, along one axis, on a grid enlarged by nearest neighbour:
# [fine pixel][coarse pixel][tap]
_PHASES_OF_TWO = [
    [[1, 0, 0], [0, 1, 1]],  # the first fine pixel sees the coarse pixel before, and its own
    [[1, 1, 0], [0, 0, 1]],  # the second sees its own, and the one after
]
_PHASES_OF_MANY = [
    [[1, 0, 0], [0, 1, 1], [0, 0, 0]],  # the first: the coarse pixel before, its own, the one after
    [[0, 0, 0], [1, 1, 1], [0, 0, 0]],  # all in the middle
    [[0, 0, 0], [1, 1, 0], [0, 0, 1]],  # the last
]
# Through which taps a coarse pixel reaches the four fine ones that see it: the last fine pixel of
# the coarse one before, its own two, the first of the one after
_TRANSPOSED = [[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]]

# The taps that a coarse pixel itself is multiplied with, what the coarse pixel before has more than
# it, and what it has more than the coarse pixel after
_DIFFERENCES = [[1, 1, 1], [1, 0, 0], [0, 0, -1]]

_VALUES_IN_CACHE = 2**18

# of features: as few as pay for the rows of neighbours that each strip computes again
_VALUES_OF_STRIP = 2**21


class PreparedConv(nn.Module, ABC):
    """A convolution, what comes before it, bias and activation in one layer.

    Parameters
    ----------
    weight
        Shape (out_channels, in_channels, k, k) with odd k; normalization folded into it.
    bias
        Shape (out_channels,), or ``None``.
    slope
        What the activation multiplies negative values with: 0 for ReLU, 1 for none.

    Attributes
    ----------
    out_channels
        Of the convolution.
    """

    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None, slope: float) -> None:
        super().__init__()
        self.out_channels = len(weight)
        self.slope = slope
        self.register_buffer("bias", bias)

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Compute features of any type, in that of the weights."""


class ActivatedConv(PreparedConv):
    """Convolution that keeps the grid, with padding."""

    weight: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None, slope: float) -> None:
        super().__init__(weight, bias, slope)
        self.register_buffer("weight", weight)

    def forward(self, features: Tensor) -> Tensor:
        """Shape (N, in_channels, Y, X) to (N, out_channels, Y, X)."""
        return _conv(features.to(self.weight.dtype), self.weight, self.bias, self.slope)


class MapConv(PreparedConv):
    """Convolution to one map, of features that come in parts.

    A library computes 16 or more channels at a time, of which a map is one, so that each column of
    the kernel becomes a channel here. Features of another type than the weights are converted
    strip by strip: as a whole they would leave the cache. And to concatenate features, only to sum
    over them, takes longer than the sum.
    """

    columns: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None, slope: float) -> None:
        super().__init__(weight, bias, slope)
        self.register_buffer("columns", weight.permute(3, 1, 2, 0))

    def forward(self, *parts: Tensor) -> Tensor:
        """Shapes (N, channels, Y, X), whose channels add up to in_channels, to (N, 1, Y, X)."""
        columns = torch.split(self.columns, [part.shape[1] for part in parts], dim=1)
        density = _add_up([_map_in_strips(*pair) for pair in zip(parts, columns, strict=True)])
        return _activated(density if self.bias is None else density + self.bias, self.slope)


class DoublingConv(PreparedConv):
    """Nearest-neighbour enlargement by 2, then a 3 x 3 convolution with padding.

    The enlarged input is never made, so that 4 instead of 9 multiplications are left per output
    pixel. Its forms equal each other: a transposed convolution with a 4 x 4 kernel; a convolution
    with a 2 x 2 kernel for each of the four fine pixels of a coarse one; and products with the
    features and their differences between neighbours, which the fine pixels share, so that 2.25
    multiplications are left per output pixel, but more is added up. Which of them is the fastest
    depends on the device and the channels.

    Along one axis, with taps a, b, c, the fine pixels of coarse pixel x[i] are
    a x[i-1] + (b + c) x[i] = (a + b + c) x[i] + a (x[i-1] - x[i]), and
    (a + b) x[i] + c x[i+1] = (a + b + c) x[i] - c (x[i] - x[i+1]).

    Attributes
    ----------
    form
        ``"transposed"``, ``"phases"`` or ``"differences"``; ``None`` until the first call has
        tried them all.
    """

    transposed: Tensor
    phases: Tensor
    differences: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None, slope: float) -> None:
        super().__init__(weight, bias, slope)
        self.form: str | None = None
        taps = weight.new_tensor(_TRANSPOSED)
        self.register_buffer("transposed", torch.einsum("oiyx,py,qx->iopq", weight, taps, taps))
        self.register_buffer("phases", _phase_kernels(weight, _PHASES_OF_TWO))
        shares = weight.new_tensor(_DIFFERENCES)
        products = torch.einsum("oiyx,py,qx->pqoi", weight, shares, shares)
        self.register_buffer("differences", products.flatten(0, 2)[:, :, None, None])

    def forward(self, features: Tensor) -> Tensor:
        """Shape (N, in_channels, Y, X) to (N, out_channels, 2 Y, 2 X)."""
        features = features.to(self.phases.dtype)
        forms = {
            "transposed": self._transposed,
            "phases": self._phases,
            "differences": self._differences,
        }
        if self.form is None:
            self.form = fastest(forms, features, self.out_channels)
        return forms[self.form](features)

    def _transposed(self, coarse: Tensor) -> Tensor:
        if _can_fuse(coarse):
            fine: Tensor = torch.ops.mkldnn._convolution_transpose_pointwise(
                coarse, self.transposed, self.bias, [1, 1], [0, 0], [2, 2], [1, 1], 1,
                *_fused_activation(self.slope), "",
            )  # fmt: skip
            return fine
        fine = F.conv_transpose2d(coarse, self.transposed, self.bias, stride=2, padding=1)
        return _activated(fine, self.slope)

    def _phases(self, coarse: Tensor) -> Tensor:
        frames, _, height, width = coarse.shape
        bias = None if self.bias is None else self.bias.repeat(4)
        phases = torch.unflatten(_conv(coarse, self.phases, bias, self.slope), 1, (2, 2, -1))
        fine = coarse.new_empty((frames, 2 * height, 2 * width, self.out_channels))
        fine = fine.permute(0, 3, 1, 2)
        # several times faster than pixel_shuffle and a crop
        for i in (0, 1):
            for j in (0, 1):
                window = phases[:, i, j, :, i : i + height, j : j + width]
                fine[:, :, i::2, j::2] = window
        return fine

    def _differences(self, coarse: Tensor) -> Tensor:
        frames, _, height, width = coarse.shape
        padded = F.pad(coarse, (1, 1, 1, 1))
        down = padded[:, :, :-1] - padded[:, :, 1:]
        across = padded[..., :-1] - padded[..., 1:]
        kernels = torch.unflatten(self.differences, 0, (3, 3, -1))
        own = _conv(coarse, kernels[0, 0], self.bias, slope=1)
        rows = _products(down[..., 1:-1], kernels[1:, 0])
        columns = _products(across[:, :, 1:-1], kernels[0, 1:])
        corners = _products(down[..., :-1] - down[..., 1:], kernels[1:, 1:].flatten(0, 1))
        fine = coarse.new_empty((frames, 2 * height, 2 * width, self.out_channels))
        fine = fine.permute(0, 3, 1, 2)
        for i in (0, 1):
            with_row = own + rows[:, i, :, i : i + height]
            for j in (0, 1):
                window = corners[:, 2 * i + j, :, i : i + height, j : j + width]
                phase = (columns[:, j, :, :, j : j + width] + window).add_(with_row)
                fine[:, :, i::2, j::2] = _activated(phase, self.slope)
        return fine


class DoubledMap(nn.Module):
    """`DoublingConv`, then `MapConv` of 1 x 1, strip by strip.

    The features in between, the largest of a decoder, never exist as a whole: they would leave the
    cache, and be more than the allocator of the system keeps, so that each of their pages would be
    asked for and cleared for every frame.

    Parameters
    ----------
    doubling, to_map
        The two layers.
    """

    def __init__(self, doubling: DoublingConv, to_map: MapConv) -> None:
        super().__init__()
        self.doubling = doubling
        self.to_map = to_map

    def forward(self, coarse: Tensor, *others: Tensor) -> Tensor:
        """Shape (N, in_channels, Y, X) to (N, 1, 2 Y, 2 X).

        ``others``, of shape (N, channels, 2 Y, 2 X), are further parts of what the map is made of.
        """
        frames, _, height, width = coarse.shape
        row_values = 4 * width * self.doubling.out_channels
        if frames * height * row_values <= _VALUES_OF_STRIP:
            density: Tensor = self.to_map(self.doubling(coarse), *others)
            return density
        rows = max(1, _VALUES_OF_STRIP // row_values)
        density = self.to_map.columns.new_empty((frames, 1, 2 * height, 2 * width))
        for frame in range(frames):
            for first in range(0, height, rows):
                last = min(first + rows, height)
                strip = slice(frame, frame + 1), slice(None), slice(2 * first, 2 * last)
                features = self._doubled(coarse[frame : frame + 1], first, last)
                density[strip] = self.to_map(features, *(other[strip] for other in others))
        return density

    def _doubled(self, coarse: Tensor, first: int, last: int) -> Tensor:
        """Double some rows, which see one more on each side."""
        start, stop = max(0, first - 1), min(last + 1, coarse.shape[2])
        fine: Tensor = self.doubling(coarse[:, :, start:stop])
        return fine[:, :, 2 * (first - start) : 2 * (last - start)]


class PooledConv(PreparedConv):
    """Nearest-neighbour enlargement, 3 x 3 convolution with padding, then the maximum of 2 x 2.

    All on the grid before the enlargement, on which the convolution has only three different
    responses per axis: that of the first, of the last and of all other fine pixels. Neither the
    enlarged input nor the features on the fine grid, the largest of an encoder, are ever made.

    Parameters
    ----------
    weight, bias, slope
        As in `PreparedConv`; the slope must not be negative.
    factor
        Of the enlargement; a multiple of 2.
    """

    weight: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None, slope: float, factor: int) -> None:
        super().__init__(weight, None if bias is None else bias.repeat(9), slope)
        responses = [0, *[1] * (factor - 2), 2]
        self.cells = list(zip(responses[::2], responses[1::2], strict=True))
        self.register_buffer("weight", _phase_kernels(weight, _PHASES_OF_MANY))

    def forward(self, features: Tensor) -> Tensor:
        """Shape (N, in_channels, Y, X) to (N, out_channels, factor / 2 Y, factor / 2 X)."""
        responses = _conv(features.to(self.weight.dtype), self.weight, self.bias, self.slope)
        frames, _, height, width = responses.shape
        # (N, Y, X, response in y, response in x, channels)
        responses = torch.unflatten(responses.permute(0, 2, 3, 1), 3, (3, 3, -1))
        side, channels = len(self.cells), responses.shape[-1]
        pooled = responses.new_empty((frames, height, side, width, side, channels))
        rows = {pair: _larger(responses, pair) for pair in set(self.cells)}
        for y, pair_in_y in enumerate(self.cells):
            for x, pair_in_x in enumerate(self.cells):
                _larger(rows[pair_in_y], pair_in_x, out=pooled[:, :, y, :, x])
        return pooled.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)


def _larger(responses: Tensor, pair: tuple[int, int], out: Tensor | None = None) -> Tensor:
    """Compare two of the responses along the fourth axis."""
    first, second = (responses.select(3, number) for number in pair)
    return torch.maximum(first, second, out=out)


def _phase_kernels(weight: Tensor, phases: Sequence[object]) -> Tensor:
    """Shape (out, in, 3, 3) to (phases in y, phases in x, out) in the first axis."""
    taps = weight.new_tensor(phases)
    return torch.einsum("oiyx,pay,qbx->pqoiab", weight, taps, taps).flatten(0, 2)


def _products(features: Tensor, kernels: Tensor) -> Tensor:
    """Multiply features (N, in, Y, X) with kernels (n, out, in, 1, 1): (N, n, out, Y, X)."""
    features = features.contiguous(memory_format=torch.channels_last)
    return torch.unflatten(
        _conv(features, kernels.flatten(0, 1), None, slope=1), 1, (len(kernels), -1)
    )


def _conv(features: Tensor, weight: Tensor, bias: Tensor | None, slope: float) -> Tensor:
    padding = weight.shape[-1] // 2
    if _can_fuse(features):
        output: Tensor = torch.ops.mkldnn._convolution_pointwise(
            features, weight, bias, [padding] * 2, [1, 1], [1, 1], 1,
            *_fused_activation(slope), "",
        )  # fmt: skip
        return output
    return _activated(F.conv2d(features, weight, bias, padding=padding), slope)


def _map_in_strips(features: Tensor, columns: Tensor) -> Tensor:
    if features.device.type == "cpu" and columns.shape[2] == 1:
        return _weighted_sum(features, columns.flatten())
    frames, channels, height, width = features.shape
    rows = height
    if features.device.type == "cpu" and features.dtype != columns.dtype:
        rows = max(1, _VALUES_IN_CACHE // (frames * channels * width))
    reach = columns.shape[2] // 2
    strips = []
    for first in range(0, height, rows):
        start, stop = max(0, first - reach), min(first + rows + reach, height)
        density = _map(features[:, :, start:stop].to(columns.dtype), columns)
        strips.append(density[:, :, first - start :][:, :, :rows])
    return torch.cat(strips, dim=2)


def _weighted_sum(features: Tensor, weights: Tensor) -> Tensor:
    """Multiply the channels of every pixel with weights, of which there is one for each channel."""
    frames, channels, height, width = features.shape
    pixels = features.permute(0, 2, 3, 1).reshape(-1, channels)
    density = weights.new_empty(len(pixels))
    step = len(pixels)
    if features.dtype != weights.dtype:
        step = max(1, _VALUES_IN_CACHE // channels)
    for first in range(0, len(pixels), step):
        some = slice(first, first + step)
        torch.mv(pixels[some].to(weights.dtype), weights, out=density[some])
    return density.view(frames, 1, height, width)


def _map(features: Tensor, columns: Tensor) -> Tensor:
    width, size = features.shape[3], len(columns)
    responses = F.conv2d(features, columns, padding=(size // 2, 0))
    responses = F.pad(responses, (size // 2, size // 2))
    return _add_up([responses[:, x : x + 1, :, x : x + width] for x in range(size)])


def _add_up(maps: Sequence[Tensor]) -> Tensor:
    total = maps[0]
    for other in maps[1:]:
        total = total + other
    return total


def _activated(features: Tensor, slope: float) -> Tensor:
    if slope == 1:
        return features
    return F.relu_(features) if slope == 0 else F.leaky_relu_(features, slope)


def _can_fuse(features: Tensor) -> bool:
    """Whether oneDNN takes the activation too, which spares a pass over what comes out.

    PyTorch's compiler calls these functions in the same way, but they are not documented.
    """
    return (
        features.device.type == "cpu"
        and features.dtype != torch.float64
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    )


def _fused_activation(slope: float) -> tuple[str, list[float]]:
    if slope == 1:
        return "none", []
    return ("relu", []) if slope == 0 else ("leaky_relu", [slope])
