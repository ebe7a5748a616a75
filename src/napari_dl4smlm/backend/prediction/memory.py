"""How many frames, and how much of a frame, go through a network at a time."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from napari_dl4smlm.backend.prediction.config import SMALLEST_TILE_PX

if TYPE_CHECKING:
    from torch import Tensor, nn

    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork

_FRAME_BYTES = 4 * 2**30
"""Activations of one frame above which it is cut into tiles: what 8 GiB of memory can spare."""

_CPU_BATCH_BYTES = 64 * 2**20
"""Activations of a batch on a CPU.

More frames at a time are slower there: the activations leave the cache, and the system has to find
new pages for them in every layer.
"""

_BATCH_BYTES = 2 * 2**30
_MOST_FRAMES = 64
"""Beyond it there is nothing to gain, and progress would come in leaps."""


@dataclass(frozen=True)
class Portion:
    """What goes through the network at a time.

    Attributes
    ----------
    batch_size
        Frames.
    tile_size
        Side of a tile in camera pixels, without its halo; ``None`` for whole frames.
    """

    batch_size: int
    tile_size: int | None

    def reduced(self, height: int, width: int) -> Portion | None:
        """Return half as many frames or, of a single one, half as long tiles; or give up.

        Parameters
        ----------
        height, width
            Size of a frame in camera pixels.

        Returns
        -------
        Portion or None
            ``None`` if the tiles are as small as they get.
        """
        if self.batch_size > 1:
            return Portion(self.batch_size // 2, self.tile_size)
        tile_size = (self.tile_size or max(height, width)) // 2
        return Portion(1, tile_size) if tile_size >= SMALLEST_TILE_PX else None


def plan_portion(
    network: SuperResolutionNetwork,
    device: torch.device,
    *,
    height: int,
    width: int,
    batch_size: int | None = None,
    tile_size: int | None = None,
) -> Portion:
    """Choose what is not given such that it is fast and fits into the memory.

    Parameters
    ----------
    network
        On any device; it is not run.
    device
        Where it is going to run.
    height, width
        Size of a frame in camera pixels.
    batch_size, tile_size
        As in `Portion`, or ``None`` to choose: whole frames if the activations of one stay within
        4 GiB, and as many frames at a time as have 64 MiB of activations on a CPU, a quarter of
        the free memory on a CUDA device and 2 GiB on another one, but not more than 64.
    """
    pixel_bytes = activation_bytes_per_pixel(network)
    if tile_size is None and height * width * pixel_bytes > _FRAME_BYTES:
        side = math.isqrt(_FRAME_BYTES // pixel_bytes)
        tile_size = max(SMALLEST_TILE_PX, side - 2 * network.halo)
    if tile_size is not None and tile_size >= max(height, width):
        tile_size = None
    if batch_size is None:
        seen = height * width
        if tile_size is not None:
            side = tile_size + 2 * network.halo
            seen = min(height, side) * min(width, side)
        frames = _batch_bytes(device) // (seen * pixel_bytes)
        batch_size = min(max(1, frames), _MOST_FRAMES)
    return Portion(batch_size, tile_size)


def activation_bytes_per_pixel(network: SuperResolutionNetwork) -> int:
    """Estimate the memory that a network takes for every camera pixel that it sees at a time.

    Three times the input and output of its largest layer in single precision: the layer alone
    holds one of the three, and with shortcuts, enlargements and the workspace of a
    convolution made it 0.8 to 3.1, measured on all networks with PyTorch 2.13.
    """
    shadow = copy.deepcopy(network).to("meta").eval()
    values: list[int] = []

    def note_size(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        values.append(sum(tensor.numel() for tensor in inputs) + output.numel())

    for layer in shadow.modules():
        if not list(layer.children()):
            layer.register_forward_hook(note_size)
    # whole pooling cells, so that nothing is padded
    side = network.alignment
    with torch.inference_mode():
        shadow(torch.empty(1, 1, side, side, device="meta"))
    return math.ceil(3 * 4 * max(values) / side**2)


def _batch_bytes(device: torch.device) -> int:
    if device.type == "cpu":
        return _CPU_BATCH_BYTES
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free // 4
    return _BATCH_BYTES
