"""Blur density maps with a fixed Gaussian, fast and with its gradient."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator

_VALUES_IN_CACHE = 2**18


class GaussianBlur(nn.Module):
    """Convolution of one-channel maps with a fixed, centred Gaussian of unit sum.

    Beyond its borders a map counts as zero.

    Parameters
    ----------
    sigma_px
        Standard deviation in pixels of the map, above 0; the kernel ends at 3 sigma.

    Attributes
    ----------
    radius
        Of the kernel, in pixels.
    kernel
        The ``2 * radius + 1`` values of its profile.
    """

    def __init__(self, sigma_px: float) -> None:
        super().__init__()
        self.radius = math.ceil(3 * sigma_px)
        offsets = range(-self.radius, self.radius + 1)
        samples = [math.exp(-((offset / sigma_px) ** 2) / 2) for offset in offsets]
        self.kernel = tuple(sample / math.fsum(samples) for sample in samples)

    def forward(self, maps: Tensor) -> Tensor:
        """Shape (N, 1, Y, X), in and out."""
        blurred: Tensor = _Blur.apply(maps, self.kernel)  # type: ignore[no-untyped-call]
        return blurred


class _Blur(torch.autograd.Function):
    """A symmetric kernel between borders of zeros is its own adjoint: the gradient is blurred."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, kernel: tuple[float, ...]) -> Tensor:
        ctx.kernel = kernel
        if maps.device.type != "cpu":
            return _blur(maps, kernel)
        blurred = torch.empty_like(maps)
        for part, strip, above, below in _portions(maps, reach=len(kernel) // 2):
            rows = slice(strip.start - above, strip.stop + below)
            kept = slice(above, above + strip.stop - strip.start)
            blurred[part, :, strip] = _blur(maps[part, :, rows], kernel)[:, :, kept]
        return blurred

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return _Blur.apply(gradients[0], ctx.kernel), None  # type: ignore[no-untyped-call]


def _portions(maps: Tensor, *, reach: int) -> Iterator[tuple[slice, slice, int, int]]:
    """Divide maps into what stays in the cache while it is added up.

    Yields
    ------
    tuple
        Some of the maps, some of their rows, and how many rows above and below reach into these.
    """
    count, _, height, width = maps.shape
    n_rows = min(height, max(4 * reach, _VALUES_IN_CACHE // width))
    n_maps = max(1, _VALUES_IN_CACHE // (n_rows * width))
    for first in range(0, count, n_maps):
        for start in range(0, height, n_rows):
            stop = min(start + n_rows, height)
            yield (
                slice(first, first + n_maps),
                slice(start, stop),
                min(reach, start),
                min(reach, height - stop),
            )


def _blur(maps: Tensor, kernel: tuple[float, ...]) -> Tensor:
    # a sum of shifted maps: a convolution of one channel takes ten times as long on a CPU
    reach = len(kernel) // 2
    for dim, margin in ((-2, (0, 0, reach, reach)), (-1, (reach, reach))):
        padded = F.pad(maps, margin)
        size = maps.shape[dim]
        maps = padded.narrow(dim, 0, size) * kernel[0]
        for start, share in enumerate(kernel[1:], 1):
            maps.add_(padded.narrow(dim, start, size), alpha=share)
    return maps
