"""Where and with what numbers networks are computed, and in what unit their output is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import torch
from torch import nn

from napari_dl4smlm.backend.models.device import select_device, supports_bfloat16

if TYPE_CHECKING:
    from torch import Tensor

    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork

AnyModule = TypeVar("AnyModule", bound=nn.Module)

DENSITY_AMPLITUDE = 50.0
"""What a network predicts for one emitter, before it is divided by this very number.

With 1 the random output of a fresh network would be far above its target almost everywhere; 50 is
the scale at which Deep-STORM's code trains (Nehme et al. 2018, doi:10.1364/OPTICA.5.000458).
"""


@dataclass(frozen=True)
class Arithmetic:
    """How density maps are computed.

    Attributes
    ----------
    device
        Where.
    bfloat16
        Compute networks with 16-bit numbers; what is done with their output has 32 bits.
    density_amplitude
        The output of a network for one emitter.
    """

    device: torch.device
    bfloat16: bool = False
    density_amplitude: float = DENSITY_AMPLITUDE

    @classmethod
    def choose(
        cls,
        device: str,
        precision: Literal["auto", "float32", "bfloat16"],
        density_amplitude: float = DENSITY_AMPLITUDE,
    ) -> Arithmetic:
        """Choose the device by its name, and bfloat16 where the device computes in it.

        Raises
        ------
        DeviceError
            The device cannot be used.
        """
        chosen = select_device(device)
        bfloat16 = supports_bfloat16(chosen) if precision == "auto" else precision == "bfloat16"
        return cls(chosen, bfloat16, density_amplitude)

    @property
    def precision(self) -> Literal["float32", "bfloat16"]:
        """Name of the numbers that networks are computed with."""
        return "bfloat16" if self.bfloat16 else "float32"

    def place(self, module: AnyModule) -> AnyModule:
        """Move a network or a part of one to the device, and return it."""
        # PyTorch does not declare the argument
        placed: AnyModule = module.to(  # type: ignore[call-overload]
            self.device, memory_format=torch.channels_last
        )
        return placed

    def density(self, network: SuperResolutionNetwork, frames: Tensor) -> Tensor:
        """Return what a network sees in frames, in emitters per fine pixel.

        Parameters
        ----------
        network
            On the device.
        frames
            Shape (N, 1, y, x), normalized, on any device.

        Returns
        -------
        Tensor
            Shape (N, 1, f y, f x), on the device.
        """
        frames = frames.to(self.device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            output: Tensor = network(frames)
        return output.float() / self.density_amplitude
