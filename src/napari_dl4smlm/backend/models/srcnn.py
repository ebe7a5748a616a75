"""SRCNN: three convolutions on a bicubically enlarged frame, the baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from napari_dl4smlm.backend.models.network import (
    SuperResolutionNetwork,
    check_choice,
    enlarge,
    named_layers,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

KERNELS = ("9-1-5", "9-3-5", "9-5-5")


class Srcnn(SuperResolutionNetwork):
    """The first network for image super-resolution, as a baseline for the others.

    Parameters
    ----------
    upsampling_factor
        Fine pixels per camera pixel: 1, 2, 4 or 8.
    kernels
        Sides of the three kernels in fine pixels: ``"9-1-5"``, ``"9-3-5"`` or ``"9-5-5"``.

    Notes
    -----
    The frame is enlarged, then passes three convolutions with bias, to 64, 32 and 1 channels, with
    ReLU after the first two and no normalization.

    =======  ==========  ===========================  ===============
    kernels  parameters  multiplications per fine px  receptive field
    =======  ==========  ===========================  ===============
    9-1-5    8,129       8,032                        13 fine px
    9-3-5    24,513      24,416                       15 fine px
    9-5-5    57,281      57,184                       17 fine px
    =======  ==========  ===========================  ===============

    The enlargement is bicubic, as in the publication. Nearest-neighbour enlargement would take from
    this network what little it sees: at a factor of 8, its 13 fine px would hold two or three
    different camera pixels per axis, and less than the PSF. Bicubic interpolation brings in four
    camera pixels per axis at every fine pixel. Beyond the borders it repeats the outermost pixel.

    Other than published, the convolutions are padded with zeros so that the map covers the whole
    frame; PyTorch's bicubic kernel has a = -0.75 and not -0.5; and nothing here fixes the smaller
    learning rate of the last layer. The weights start from N(0, 0.001²) and the biases from 0, as
    published: the map starts at zero with vanishing gradients, from where Adam, whose steps do not
    shrink with the gradient, departs within a hundred steps.

    No use of SRCNN for SMLM was published with numbers that these could be compared with. The
    details above were not checked against the full text.

    References
    ----------
    C. Dong, C. C. Loy, K. He, X. Tang, IEEE Trans. Pattern Anal. Mach. Intell. 38(2), 295 (2016),
    doi:10.1109/TPAMI.2015.2439281
    """

    name = "srcnn"
    hint_layer = "mapping"

    def __init__(self, *, upsampling_factor: int = 8, kernels: str = "9-1-5") -> None:
        check_choice("kernels", kernels, KERNELS)
        super().__init__(upsampling_factor, kernels=kernels)
        patch, mapping, reconstruction = (int(size) for size in kernels.split("-"))
        self.enlarge = enlarge(upsampling_factor, "bicubic")
        self.patch_extraction = named_layers(
            conv=_conv(1, 64, patch), activation=nn.ReLU(inplace=True)
        )
        self.mapping = named_layers(conv=_conv(64, 32, mapping), activation=nn.ReLU(inplace=True))
        self.reconstruction = _conv(32, 1, reconstruction)

    def _density(self, frames: Tensor) -> Tensor:
        patches = self.patch_extraction(self.enlarge(frames))
        density: Tensor = self.reconstruction(self.mapping(patches))
        return density

    def _layers(self) -> Iterable[nn.Module]:
        return self.enlarge, self.patch_extraction, self.mapping, self.reconstruction


def _conv(in_channels: int, out_channels: int, size: int) -> nn.Conv2d:
    conv = nn.Conv2d(in_channels, out_channels, size, padding=size // 2)
    weight, bias = conv.parameters()
    nn.init.normal_(weight, std=0.001)
    nn.init.zeros_(bias)
    return conv
