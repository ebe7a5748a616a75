"""FID-STORM: features are extracted on the camera's own grid, and enlarged last."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor, nn

from napari_dl4smlm.backend.models.network import (
    SuperResolutionNetwork,
    UpsampleConv,
    check_choice,
    check_count,
    conv3x3,
    named_layers,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

ACTIVATIONS = ("leaky_relu", "relu")


class FidStorm(SuperResolutionNetwork):
    """FID-STORM, which works on raw camera pixels and was made for real time.

    Parameters
    ----------
    upsampling_factor
        Fine pixels per camera pixel: 1, 2, 4 or 8.
    blocks
        Residual blocks: each more widens the receptive field by 2 camera pixels.
    channels
        Feature maps on the camera grid.
    activation
        Inside the residual blocks: ``"leaky_relu"`` or ``"relu"``.

    Notes
    -----
    All convolutions are 3 x 3 without bias; LeakyReLU has slope 0.01.

    - ``stem``: convolution 1 to 64, LeakyReLU.
    - ``residual_blocks``: convolution 64 to 64, batch normalization, activation; in a chain, whose
      output is added to that of the stem. Single blocks have no skip connection.
    - ``tail``: nearest-neighbour enlargement by 2, convolution, LeakyReLU; once per doubling, to
      32, 16 and 1 channels.

    ======  ==========  ==============================  ===============
    blocks  parameters  multiplications per camera px   receptive field
    ======  ==========  ==============================  ===============
    5       208,720     341,568                         15 camera px
    10      393,680     525,888                         25 camera px
    13      504,656     636,480                         31 camera px
    ======  ==========  ==============================  ===============

    This is the graph of the authors' code at a factor of 8. Three variants of it are in
    circulation: 5 blocks and 10 blocks with ``"leaky_relu"``, and 13 with ``"relu"``. The figure in
    the publication differs from the code: it has 64 channels, batch normalization and ReLU
    throughout. Left out are layers that the code builds and never uses.

    Other factors are ours: ``log2`` of the factor stages that halve the channels, the last one to
    1; for a factor of 1, one convolution that does not enlarge.

    As published, LeakyReLU also follows the last convolution, so that what is negative in the map
    is a hundredth of what it would be.

    As published, the weights start from N(0, 2 / (9 · output channels)), those of the second stage
    of the tail, to which the code points by its 32 input channels, from N(0, 0.001²). The map
    starts near zero with it, as nearly all of its target is, and training with Adam at 0.001 gets
    as far in a few hundred steps as from the usual initializations or farther. Where there is only
    one stage, it is the one that starts small.

    References
    ----------
    Zhou, Wu, Wang, Huang, Biomed. Opt. Express 14(4), 1833 (2023), doi:10.1364/BOE.484540
    """

    name = "fid_storm"
    hint_layer = "residual_blocks"

    def __init__(
        self,
        *,
        upsampling_factor: int = 8,
        blocks: int = 10,
        channels: int = 64,
        activation: str = "leaky_relu",
    ) -> None:
        check_count("blocks", blocks)
        check_count("channels", channels)
        check_choice("activation", activation, ACTIVATIONS)
        super().__init__(upsampling_factor, blocks=blocks, channels=channels, activation=activation)
        self.stem = named_layers(conv=conv3x3(1, channels), activation=nn.LeakyReLU(inplace=True))
        self.residual_blocks = named_layers(
            **{f"block_{number}": _residual_block(channels, activation) for number in range(blocks)}
        )
        self.tail = _tail(upsampling_factor, channels)
        self._initialize()

    def _initialize(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=math.sqrt(2 / (9 * layer.out_channels)))
        tail = [layer for layer in self.tail.modules() if isinstance(layer, nn.Conv2d)]
        second_if_any = tail[:2][-1]
        nn.init.normal_(second_if_any.weight, std=0.001)

    def _density(self, frames: Tensor) -> Tensor:
        features = self.stem(frames)
        density: Tensor = self.tail(features + self.residual_blocks(features))
        return density

    def _layers(self) -> Iterable[nn.Module]:
        return self.stem, self.residual_blocks, self.tail


def _residual_block(channels: int, activation: str) -> nn.Sequential:
    return named_layers(
        conv=conv3x3(channels, channels),
        norm=nn.BatchNorm2d(channels),
        activation=nn.ReLU(inplace=True) if activation == "relu" else nn.LeakyReLU(inplace=True),
    )


def _tail(upsampling_factor: int, channels: int) -> nn.Sequential:
    doublings = upsampling_factor.bit_length() - 1
    if doublings == 0:
        return named_layers(
            to_1x=named_layers(conv=conv3x3(channels, 1), activation=nn.LeakyReLU(inplace=True))
        )
    widths = [max(1, channels // 2**doubling) for doubling in range(doublings)] + [1]
    return named_layers(
        **{
            f"to_{2 ** (doubling + 1)}x": named_layers(
                conv=UpsampleConv(widths[doubling], widths[doubling + 1]),
                activation=nn.LeakyReLU(inplace=True),
            )
            for doubling in range(doublings)
        }
    )
