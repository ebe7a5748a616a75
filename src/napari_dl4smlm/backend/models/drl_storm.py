"""DRL-STORM-style: a first guess, what it leaves unexplained of the frame, and a correction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.gaussian_blur import GaussianBlur
from napari_dl4smlm.backend.models.deep_storm import density_head, hourglass
from napari_dl4smlm.backend.models.network import (
    SuperResolutionNetwork,
    check_count,
    enlarge,
    named_layers,
)
from napari_dl4smlm.backend.models.options import WIDEST_PSF_PX

if TYPE_CHECKING:
    from collections.abc import Iterable


class DrlStorm(SuperResolutionNetwork):
    """DRL-STORM-style network: two encoder-decoders with a residual between them.

    Parameters
    ----------
    upsampling_factor
        Fine pixels per camera pixel: 1, 2, 4 or 8.
    channels
        Feature maps on the fine grid; the levels below have 2, 4 and 8 times as many.
    psf_sigma_px
        Standard deviation of the Gaussian that stands for the PSF, in pixels of the frame.

    Notes
    -----
    - ``first_stage``: the encoder-decoder of `DeepStorm` on the enlarged frame, with a bottleneck
      of two convolutions, and a linear 1 x 1 head; gives a first density map.
    - The residual: that map is blurred by the PSF (``psf``), averaged over every camera pixel as
      the camera does it (``camera``), multiplied by the learned number ``psf_gain`` (1 at the
      start), which turns density into the unit of the normalized frame, and subtracted from the
      frame. A first map that explains the frame leaves background and noise.
    - ``second_stage``: the same encoder-decoder on frame, residual and first map; gives what is
      added to the first map.

    2,732,993 parameters, 157,998 multiplications per fine pixel at a factor of 8, receptive field
    25 camera px.

    The publication describes a convolutional network with a residual layer that reduces noise;
    its layer table, initialization and loss were not available here. This is a network in its
    style, and no result of the publication can be expected of it. What the program DL4SMLM (M. B.
    Reed, 2025) encodes under the name is the guide: two stacked encoder-decoders with a bottleneck
    of 592 channels, twice convolved, and a residual against a Gaussian between them. The bottleneck
    has 256 here, twice the level above it, since two stages of 512 would cost more than twice what
    Deep-STORM does; the PSF is centred and acts on the density map, not on features; the output is
    linear. Batch normalization and initialization are those of `DeepStorm`.

    References
    ----------
    Yao, Li, Pan, Yang, Chen, Li, Qu, "Image reconstruction with a deep convolutional neural network
    in high-density super-resolution microscopy", Opt. Express 28(10), 15432 (2020); its DOI was not
    verified
    """

    name = "drl_storm"
    hint_layer = "second_stage.hourglass.bottleneck"

    def __init__(
        self, *, upsampling_factor: int = 8, channels: int = 32, psf_sigma_px: float = 1.1
    ) -> None:
        check_count("channels", channels)
        _check_sigma(psf_sigma_px)
        super().__init__(upsampling_factor, channels=channels, psf_sigma_px=psf_sigma_px)
        self.enlarge = enlarge(upsampling_factor, "nearest")
        self.first_stage = _stage(1, channels)
        self.psf = GaussianBlur(psf_sigma_px * upsampling_factor)
        self.camera = nn.AvgPool2d(upsampling_factor)
        self.psf_gain = nn.Parameter(torch.ones(()))
        self.second_stage = _stage(3, channels)

    def _density(self, frames: Tensor) -> Tensor:
        fine_frames = self.enlarge(frames)
        first: Tensor = self.first_stage(fine_frames)
        residual = self.enlarge(frames - self.psf_gain * self.camera(self.psf(first)))
        correction: Tensor = self.second_stage(torch.cat([fine_frames, residual, first], dim=1))
        return first + correction

    def _layers(self) -> Iterable[nn.Module]:
        explained = (self.psf, self.camera, self.enlarge)
        return self.enlarge, self.first_stage, *explained, self.second_stage


def _stage(in_channels: int, channels: int) -> nn.Sequential:
    widths = (channels, 2 * channels, 4 * channels)
    bottleneck = (8 * channels, 8 * channels)
    return named_layers(
        hourglass=hourglass(in_channels, widths, bottleneck), head=density_head(channels)
    )


def _check_sigma(psf_sigma_px: object) -> None:
    number = None if isinstance(psf_sigma_px, bool) else psf_sigma_px
    if not isinstance(number, int | float) or not 0 < number <= WIDEST_PSF_PX:
        raise InputError(
            "psf_sigma_px must be a number of camera pixels above 0 and at most "
            f"{WIDEST_PSF_PX:g}, such as 1.1 for a PSF of 110 nm on pixels of 100 nm; got "
            f"{psf_sigma_px!r}."
        )
