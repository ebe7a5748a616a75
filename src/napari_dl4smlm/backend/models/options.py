"""What can be chosen of each network besides the upsampling, for those who ask before building it.

The networks themselves have the same options with the same defaults.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

LARGEST_COUNTS = {"blocks": 200, "channels": 512, "depth": 8}
"""Of each option that counts something: with more, weights alone soon take all memory there is."""

WIDEST_PSF_PX = 20.0
"""Of the standard deviation of a PSF in camera pixels: what is wider was given in nm."""

_Blocks = Annotated[int, Field(ge=1, le=LARGEST_COUNTS["blocks"])]
_Channels = Annotated[int, Field(ge=1, le=LARGEST_COUNTS["channels"])]
_Depth = Annotated[int, Field(ge=1, le=LARGEST_COUNTS["depth"])]


class NetworkOptions(BaseModel):
    """The options of one network."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FidStormOptions(NetworkOptions):
    """Those of FID-STORM: its width and its depth."""

    blocks: _Blocks = Field(
        10, title="Blocks", description="residual blocks; each widens the view by 2 camera pixels"
    )
    channels: _Channels = Field(
        64, title="Channels", description="feature maps on the camera's pixel grid"
    )
    activation: Literal["leaky_relu", "relu"] = Field(
        "leaky_relu", title="Activation", description="what follows each convolution of a block"
    )


class HourglassOptions(NetworkOptions):
    """Those of Deep-STORM and Skip-STORM: their width."""

    channels: _Channels = Field(
        32,
        title="Channels",
        description="feature maps on the fine grid; the coarser levels have 2, 4 and 16 times as "
        "many",
    )


class DrlStormOptions(NetworkOptions):
    """Those of DRL-STORM: its width, and the PSF that it calculates with."""

    channels: _Channels = Field(
        32,
        title="Channels",
        description="feature maps of either stage on the fine grid; the coarser levels have more",
    )
    psf_sigma_px: float = Field(
        1.1,
        gt=0,
        le=WIDEST_PSF_PX,
        allow_inf_nan=False,
        title="PSF width",
        description="standard deviation of the PSF in camera pixels",
    )


class UStormOptions(NetworkOptions):
    """Those of U-STORM: its width and its depth."""

    channels: _Channels = Field(
        16,
        title="Channels",
        description="feature maps on the fine grid; each coarser level has twice as many",
    )
    depth: _Depth = Field(
        3, title="Depth", description="levels below the fine grid, each half as fine"
    )


class SrcnnOptions(NetworkOptions):
    """Those of SRCNN: its three convolutions."""

    kernels: Literal["9-1-5", "9-3-5", "9-5-5"] = Field(
        "9-1-5", title="Kernels", description="sides of the three kernels in fine pixels"
    )


NETWORK_OPTIONS: dict[str, type[NetworkOptions]] = {
    "fid_storm": FidStormOptions,
    "deep_storm": HourglassOptions,
    "skip_storm": HourglassOptions,
    "drl_storm": DrlStormOptions,
    "u_storm": UStormOptions,
    "srcnn": SrcnnOptions,
}
"""By the name of the network."""
