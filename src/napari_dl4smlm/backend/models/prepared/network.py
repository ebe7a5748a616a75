"""Prepare a trained network once, to run it on many frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_dl4smlm.backend.errors import DeviceError, unknown_name
from napari_dl4smlm.backend.models.device import supports_bfloat16
from napari_dl4smlm.backend.models.prepared.convolutions import PreparedConv
from napari_dl4smlm.backend.models.prepared.rewriting import join_in_strips, rewrite

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import fx

    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork

Precision = Literal["float16", "bfloat16", "float32", "float64"]

# frames that forms of layers are tried with: few, unless a device needs many to be busy
_TRIAL_ON_CPU = (1, 1, 32, 32)
_TRIAL_ON_GPU = (8, 1, 64, 64)


class PreparedNetwork(nn.Module):
    """The function of a trained network, for one device and precision; made by `prepare`.

    Attributes
    ----------
    precision
        What it is computed with. If that has 16 bits, layers that see frames or maps, enlarged or
        not, and layers that make a map have single precision: they cost little time, and much of
        the accuracy would be lost in them.
    upsampling_factor, alignment, halo
        As in `SuperResolutionNetwork`.
    """

    def __init__(
        self, network: SuperResolutionNetwork, device: torch.device, precision: Precision
    ) -> None:
        super().__init__()
        self.precision = precision
        self.upsampling_factor = network.upsampling_factor
        self.alignment = network.alignment
        self.halo = network.halo
        self._density = _place(rewrite(network), device, precision)
        if device.type == "cpu":
            join_in_strips(self._density)

    def forward(self, frames: Tensor) -> Tensor:
        """Predict the density map of every frame, without gradients.

        Parameters
        ----------
        frames
            Shape (N, 1, Y, X), normalized, on the device, of any size from 1 x 1 px.

        Returns
        -------
        Tensor
            Shape (N, 1, f Y, f X) with f the upsampling factor, in single precision, or in double
            if that is the precision; that of the network, to rounding.
        """
        height, width = frames.shape[-2:]
        padding = (0, -width % self.alignment, 0, -height % self.alignment)
        density: Tensor = self._density(F.pad(frames.to(_map_dtype(self.precision)), padding))
        factor = self.upsampling_factor
        return density[..., : factor * height, : factor * width]


@torch.no_grad()
def prepare(
    network: SuperResolutionNetwork, device: torch.device, precision: Precision = "float32"
) -> PreparedNetwork:
    """Rewrite a trained network into its fastest form for a device.

    Normalization is folded into the convolutions; layers that enlarge their input compute the same
    from the input as it is; bias and activation are done with the convolution; features are in the
    channels-last layout. Between equal forms of a layer, a trial run on the device decides, so
    that two preparations may differ by rounding.

    Parameters
    ----------
    network
        Stays as it is.
    device
        Where it is going to run.
    precision
        One of `available_precisions`. With 16 bits, peaks that hardly stand out come and go, the
        more the less a network has learned; compare the localizations.

    Returns
    -------
    PreparedNetwork
        On the device.

    Raises
    ------
    DeviceError
        The device does not compute with such numbers.
    """
    _check_precision(device, precision)
    prepared = PreparedNetwork(network, device, precision).eval()
    shape = _TRIAL_ON_CPU if device.type == "cpu" else _TRIAL_ON_GPU
    prepared(torch.zeros(shape, device=device))
    return prepared


def available_precisions(device: torch.device) -> tuple[Precision, ...]:
    """List what a device computes with, without emulating it: the fastest first.

    Of the two with 16 bits, ``"float16"`` rounds eight times less, but ends at 65504: what a layer
    makes of a pixel thousands of times brighter than those of the training can be lost.
    """
    computed: dict[Precision, bool] = {
        "float16": _supports_float16(device),
        "bfloat16": supports_bfloat16(device),
        "float32": True,
        "float64": device.type != "mps",
    }
    return tuple(precision for precision, is_computed in computed.items() if is_computed)


def _supports_float16(device: torch.device) -> bool:
    if device.type == "cpu":
        # older versions of PyTorch cannot tell, and emulation takes a hundred times as long
        capabilities: Mapping[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
        return capabilities.get("amx_fp16", False)
    return device.type == "cuda"


def _check_precision(device: torch.device, precision: Precision) -> None:
    if precision not in get_args(Precision):
        raise unknown_name("precision", precision, get_args(Precision))
    available = available_precisions(device)
    if precision not in available:
        raise DeviceError(
            f"The device {str(device)!r} does not compute in {precision}. Choose one of "
            f"{', '.join(available)}."
        )


def _map_dtype(precision: Precision) -> torch.dtype:
    return torch.float64 if precision == "float64" else torch.float32


def _place(density: fx.GraphModule, device: torch.device, precision: Precision) -> fx.GraphModule:
    # the types first, since not every device has double precision
    density.to(_map_dtype(precision))
    for layer in _layers_of_features(density):
        layer.to(getattr(torch, precision))
    # the layout of the weights becomes that of the features; PyTorch does not declare the argument
    density.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return density


def _layers_of_features(density: fx.GraphModule) -> Iterator[PreparedConv]:
    """Find the layers that turn features into features: neither sees nor makes frames or maps."""
    features: set[fx.Node] = set()
    for node in density.graph.nodes:
        sees_features = any(source in features for source in node.all_input_nodes)
        layer = density.get_submodule(node.target) if node.op == "call_module" else None
        if not isinstance(layer, PreparedConv):
            # enlarged, pooled or added to each other, frames are still frames
            if sees_features:
                features.add(node)
        elif layer.out_channels > 1:
            features.add(node)
            if sees_features:
                yield layer
