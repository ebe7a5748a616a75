"""How many frames, and how much of a frame, go through how many networks at a time."""

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

More frames at a time are slower in most networks, whose activations then leave the cache, and take
more memory; fewer of them make more steps beside the network.
"""

_STREAMED_PIXELS = 256**2
"""Camera pixels of a batch above which a CPU computes one batch after the other.

Measured on two cores at eight-fold upsampling, whole predictions: batches side by side are a fifth
to a third faster on frames of 32 x 32 to 256 x 256 px. Beyond, the memory for as many sets of
features is dear, and little is known of the gain.
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
    streams
        Batches side by side.
    """

    batch_size: int
    tile_size: int | None
    streams: int = 1

    @property
    def threads(self) -> int:
        """Batches to be worked on at a time: one is read and searched beside a single network.

        Of frames that have to be cut into tiles, memory is too dear for that.
        """
        return max(self.streams, 2) if self.tile_size is None else 1

    def reduced(self, height: int, width: int) -> Portion | None:
        """Return half as many frames at a time or, of a single one, half as long tiles; or give up.

        Parameters
        ----------
        height, width
            Size of a frame in camera pixels.

        Returns
        -------
        Portion or None
            ``None`` if the tiles are as small as they get.
        """
        if self.streams > 1:
            return Portion(self.batch_size, self.tile_size, self.streams // 2)
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
    value_bytes: int = 4,
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
    value_bytes
        Of a number in the activations: 2 if they have 16 bits.

    Returns
    -------
    Portion
        On a CPU, with as many batches side by side as PyTorch has threads, if they are small and
        have at most 4 GiB of activations together; else with one.
    """
    pixel_bytes = activation_bytes_per_pixel(network) * value_bytes // 4
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
    streams = 1
    if device.type == "cpu" and tile_size is None:
        streams = _streams(batch_size * height * width, pixel_bytes)
    return Portion(batch_size, tile_size, streams)


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


def _streams(pixels: int, pixel_bytes: int) -> int:
    # without OpenMP, threads cannot have shares of those of PyTorch
    has_own_threads = torch.backends.openmp.is_available()  # type: ignore[no-untyped-call]
    if pixels > _STREAMED_PIXELS or not has_own_threads:
        return 1
    return max(1, min(torch.get_num_threads(), _FRAME_BYTES // (pixels * pixel_bytes)))


def _batch_bytes(device: torch.device) -> int:
    if device.type == "cpu":
        return _CPU_BATCH_BYTES
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free // 4
    return _BATCH_BYTES
