"""Deep-STORM, an encoder-decoder on the enlarged frame, and Skip-STORM, its variant."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_dl4smlm.backend.models.network import (
    SuperResolutionNetwork,
    UpsampleConv,
    check_count,
    conv3x3,
    enlarge,
    named_layers,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class DeepStorm(SuperResolutionNetwork):
    """Deep-STORM, the network that brought deep learning to dense SMLM.

    Parameters
    ----------
    upsampling_factor
        Fine pixels per camera pixel: 1, 2, 4 or 8.
    channels
        Feature maps on the fine grid; the levels below have 2 and 4, the bottleneck has 16 times
        as many. Published are 32.

    Notes
    -----
    The frame is enlarged by nearest neighbour and passes, all convolutions without bias:

    - ``encoder``: three times 3 x 3 convolution, batch normalization, ReLU, maximum of 2 x 2; to
      32, 64 and 128 channels.
    - ``bottleneck``: 3 x 3 convolution, batch normalization, ReLU; to 512 channels on an eighth of
      the fine grid, which at a factor of 8 is the camera grid.
    - ``decoder``: three times nearest-neighbour enlargement by 2, 3 x 3 convolution, batch
      normalization, ReLU; to 128, 64 and 32 channels. No skip connections.
    - ``head``: 1 x 1 convolution to 1 channel, linear.

    1,366,208 parameters, 92,480 multiplications per fine pixel, receptive field 54 fine px.

    This is the graph of the authors' code with its orthogonal initialization and the epsilon of its
    batch normalization, 0.001. The running statistics follow ten times faster than there, by a
    tenth of the difference per step: they have no part in learning, and at the authors' 0.01 the
    maps in evaluation mode lagged behind the weights for the first few hundred steps, which here
    can be all there are. Published were factors of 8 and 4. The authors normalize every frame to
    its own minimum and maximum, and expect the target to be 100 times a Gaussian of unit sum:
    neither belongs to the network.

    References
    ----------
    E. Nehme, L. E. Weiss, T. Michaeli, Y. Shechtman, Optica 5(4), 458 (2018),
    doi:10.1364/OPTICA.5.000458
    """

    name = "deep_storm"
    hint_layer = "hourglass.bottleneck"

    def __init__(self, *, upsampling_factor: int = 8, channels: int = 32) -> None:
        check_count("channels", channels)
        super().__init__(upsampling_factor, channels=channels)
        self.enlarge = enlarge(upsampling_factor, "nearest")
        self.hourglass = _hourglass(channels)
        self.head = density_head(channels)

    def _density(self, frames: Tensor) -> Tensor:
        density: Tensor = self.head(self.hourglass(self.enlarge(frames)))
        return density

    def _layers(self) -> Iterable[nn.Module]:
        return self.enlarge, self.hourglass, self.head


class SkipStorm(SuperResolutionNetwork):
    """Skip-STORM: Deep-STORM whose last layer also sees the frame.

    Parameters
    ----------
    upsampling_factor, channels
        As in `DeepStorm`.

    Notes
    -----
    `DeepStorm`, except that the enlarged frame is a 33rd channel of what ``head`` sees.

    1,366,209 parameters, 92,481 multiplications per fine pixel, receptive field 54 fine px.

    There is no publication of it. The name and the idea are from the program DL4SMLM (M. B. Reed,
    2025), whose graph is another: its decoder convolves after enlarging by one level more, which
    costs three times as much, its head is 3 x 3 and followed by batch normalization, and every
    convolution has a bias.
    """

    name = "skip_storm"
    hint_layer = "hourglass.bottleneck"

    def __init__(self, *, upsampling_factor: int = 8, channels: int = 32) -> None:
        check_count("channels", channels)
        super().__init__(upsampling_factor, channels=channels)
        self.enlarge = enlarge(upsampling_factor, "nearest")
        self.hourglass = _hourglass(channels)
        self.head = density_head(channels + 1)

    def _density(self, frames: Tensor) -> Tensor:
        fine_frames = self.enlarge(frames)
        density: Tensor = self.head(torch.cat([self.hourglass(fine_frames), fine_frames], dim=1))
        return density

    def _layers(self) -> Iterable[nn.Module]:
        return self.enlarge, self.hourglass, self.head


def _hourglass(channels: int) -> nn.Sequential:
    return hourglass(1, (channels, 2 * channels, 4 * channels), (16 * channels,))


def hourglass(in_channels: int, widths: Sequence[int], bottleneck: Sequence[int]) -> nn.Sequential:
    """Build the encoder, bottleneck and decoder of Deep-STORM.

    Parameters
    ----------
    in_channels
        Channels of the input, whose sides have to be multiples of 2 to the number of levels.
    widths
        Channels of each level, from the fine grid (level 0) down; the output has the first.
    bottleneck
        Channels after each convolution on the coarsest grid.
    """
    encoder: dict[str, nn.Module] = {}
    decoder: dict[str, nn.Module] = {}
    for level, (before, after) in enumerate(pairwise([in_channels, *widths])):
        encoder[f"level_{level}"] = _conv_norm_relu(conv3x3(before, after))
        encoder[f"pool_{level}"] = nn.MaxPool2d(2)
    middle = {
        f"conv_{number}": _conv_norm_relu(conv3x3(before, after))
        for number, (before, after) in enumerate(pairwise([widths[-1], *bottleneck]))
    }
    coarser = [*widths[1:], bottleneck[-1]]
    for level in reversed(range(len(widths))):
        decoder[f"level_{level}"] = _conv_norm_relu(UpsampleConv(coarser[level], widths[level]))
    return named_layers(
        encoder=named_layers(**encoder),
        bottleneck=named_layers(**middle),
        decoder=named_layers(**decoder),
    )


def density_head(channels: int) -> nn.Conv2d:
    """Build the last layer: the density of a fine pixel from its features, linear."""
    head = nn.Conv2d(channels, 1, kernel_size=1, bias=False)
    nn.init.orthogonal_(head.weight)
    return head


def _conv_norm_relu(conv: nn.Conv2d) -> nn.Sequential:
    nn.init.orthogonal_(conv.weight)
    norm = nn.BatchNorm2d(conv.out_channels, eps=1e-3)
    return named_layers(conv=conv, norm=norm, activation=nn.ReLU(inplace=True))
