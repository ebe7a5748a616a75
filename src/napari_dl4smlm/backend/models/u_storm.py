"""U-STORM: a small U-Net on the enlarged frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.models.network import (
    SuperResolutionNetwork,
    UpsampleConv,
    check_count,
    conv3x3,
    enlarge,
    named_layers,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_FEATURES = 4096
"""On the coarsest level: the weights between two such levels take 0.6 GB."""


class UStorm(SuperResolutionNetwork):
    """U-STORM: a U-Net that predicts one density per fine pixel.

    Parameters
    ----------
    upsampling_factor
        Fine pixels per camera pixel: 1, 2, 4 or 8.
    channels
        Feature maps on the fine grid; each coarser level has twice as many.
    depth
        Levels below the fine grid, each with half the pixels per axis.

    Notes
    -----
    The frame is enlarged by nearest neighbour. Every convolution but the last is 3 x 3 without
    bias, followed by batch normalization and ReLU:

    - ``encoder``: per level two convolutions, then the maximum of 2 x 2; 16, 32 and 64 channels.
    - ``bottleneck``: two convolutions, 128 channels. With three levels it has an eighth of the
      fine grid, which at a factor of 8 is the camera grid.
    - ``decoder``: per level ``upsample``, which enlarges by 2 by nearest neighbour and halves the
      channels in a convolution, then ``merge``, two convolutions of that and of what the encoder
      had at this level before pooling.
    - ``head``: 1 x 1 convolution to 1 channel, linear.

    536,320 parameters, 47,392 multiplications per fine pixel (half of Deep-STORM's), receptive
    field 116 fine px.

    Names the idea, not a published graph. The program DL4SMLM (M. B. Reed, 2025) introduced
    U-STORM after Yao et al., who used a U-Net for another purpose and whose text was not available
    here. Its graph takes the skips after pooling, has one convolution per level, and ends in batch
    normalization and ReLU, which can leave an output dead; here it is the customary U-Net with a
    linear output. Widths are chosen to cost what that graph costs (42,960 multiplications per fine
    pixel); the depth so that the coarsest grid is that of the camera.

    References
    ----------
    Yao, Zeng, Lian, Tang, Neurocomputing 312, 364 (2018), doi:10.1016/j.neucom.2018.05.103
    (inspiration only)

    O. Ronneberger, P. Fischer, T. Brox, MICCAI 2015, doi:10.1007/978-3-319-24574-4_28 (the U-Net)
    """

    name = "u_storm"
    hint_layer = "bottleneck"

    def __init__(self, *, upsampling_factor: int = 8, channels: int = 16, depth: int = 3) -> None:
        check_count("channels", channels)
        check_count("depth", depth)
        if channels * 2**depth > _MOST_FEATURES:
            raise InputError(
                f"u_storm with channels={channels} and depth={depth} would have "
                f"{channels * 2**depth} feature maps on its coarsest level; at most "
                f"{_MOST_FEATURES} can be trained. Give fewer channels or levels."
            )
        super().__init__(upsampling_factor, channels=channels, depth=depth)
        widths = [channels * 2**level for level in range(depth + 1)]
        self.enlarge = enlarge(upsampling_factor, "nearest")
        self.encoder = nn.ModuleDict(
            {
                f"level_{level}": _two_convs(widths[level - 1] if level else 1, widths[level])
                for level in range(depth)
            }
        )
        self.pool = nn.MaxPool2d(2)
        self.bottleneck = _two_convs(widths[-2], widths[-1])
        self.decoder = nn.ModuleDict(
            {
                f"level_{level}": _DecoderLevel(widths[level + 1], widths[level])
                for level in reversed(range(depth))
            }
        )
        self.head = nn.Conv2d(channels, 1, kernel_size=1, bias=False)

    def _density(self, frames: Tensor) -> Tensor:
        features: Tensor = self.enlarge(frames)
        skipped: list[Tensor] = []
        for level in self.encoder.values():
            skipped.append(level(features))
            features = self.pool(skipped[-1])
        features = self.bottleneck(features)
        for level in self.decoder.values():
            features = level(features, skipped.pop())
        density: Tensor = self.head(features)
        return density

    def _layers(self) -> Iterator[nn.Module]:
        yield self.enlarge
        for level in self.encoder.values():
            yield level
            yield self.pool
        yield self.bottleneck
        for level in self.decoder.values():
            yield from level.children()
        yield self.head


class _DecoderLevel(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.upsample = _conv_norm_relu(UpsampleConv(in_channels, out_channels))
        self.merge = _two_convs(2 * out_channels, out_channels)

    def forward(self, coarse: Tensor, skipped: Tensor) -> Tensor:
        merged: Tensor = self.merge(torch.cat([skipped, self.upsample(coarse)], dim=1))
        return merged


def _two_convs(in_channels: int, out_channels: int) -> nn.Sequential:
    return named_layers(
        first=_conv_norm_relu(conv3x3(in_channels, out_channels)),
        second=_conv_norm_relu(conv3x3(out_channels, out_channels)),
    )


def _conv_norm_relu(conv: nn.Conv2d) -> nn.Sequential:
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    norm = nn.BatchNorm2d(conv.out_channels)
    return named_layers(conv=conv, norm=norm, activation=nn.ReLU(inplace=True))
