"""What the forms show of losses, devices and the size of networks; it needs PyTorch."""

from __future__ import annotations

import importlib
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from napari_dl4smlm.backend.training.config import DEFAULT_UPSAMPLING_FACTOR
from napari_dl4smlm.widgets.torch_loading import load_torch, one_search_for_cycles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LOSS_LABELS = {
    "l1l2": "L1L2",
    "weighted_mse": "weighted MSE",
    "weighted_mae": "weighted MAE",
}

_FRAME_PX = 256
_IMPORTED_AHEAD = {
    "matplotlib.backends.backend_agg",
    "napari_dl4smlm.backend.figures.style",
    "napari_dl4smlm.backend.training.trainer",
}


class TorchFacts(NamedTuple):
    """What is known once PyTorch is imported.

    Attributes
    ----------
    devices
        By name, what to say of those that can be used, with the memory that was free at the time;
        the first is the one that ``auto`` takes.
    unusable
        One sentence for each kind of GPU that cannot be used.
    default_lambdas
        By the name of the loss.
    """

    devices: dict[str, str]
    unusable: tuple[str, ...]
    default_lambdas: dict[str, float]


def torch_facts() -> Iterator[TorchFacts]:
    """Tell the facts; the first time takes seconds, so that it is a stream for a worker."""
    if sys.modules.keys() >= _IMPORTED_AHEAD:
        yield _facts()
        return
    with one_search_for_cycles():
        load_torch()
        yield _facts()
        # what training and its plot need, which would hold the viewer for a second
        for name in _IMPORTED_AHEAD:
            importlib.import_module(name)


def _facts() -> TorchFacts:
    from napari_dl4smlm.backend.losses.registry import LOSSES
    from napari_dl4smlm.backend.models.device import available_devices
    from napari_dl4smlm.backend.models.registry import MODELS

    devices = available_devices()
    # the first network of each kind takes longer, since PyTorch imports what its weights need
    for name in MODELS:
        network_cost(name, {}, DEFAULT_UPSAMPLING_FACTOR)
    return TorchFacts(
        {device.name: device.description for device in devices if device.available},
        tuple(
            f"{device.description}: {device.reason}." for device in devices if not device.available
        ),
        {name: loss.default_lambda for name, loss in LOSSES.items()},
    )


def network_cost(
    model: str, options: Mapping[str, int | float | str | bool], upsampling_factor: int
) -> str:
    """Describe the size of a network and what one frame costs.

    Raises
    ------
    InputError
        The network does not take these options.
    """
    return _network_cost(model, upsampling_factor, **options)


# a form asks at every change, and to outline a network takes most of the time that it has; 3.0 and
# True are other options than 3 and 1, which networks refuse
@lru_cache(maxsize=64, typed=True)
def _network_cost(
    model: str, upsampling_factor: int, /, **options: int | float | str | bool
) -> str:
    from napari_dl4smlm.backend.models.registry import (
        operations_per_frame,
        outline_model,
        parameter_count,
    )

    network = outline_model(model, upsampling_factor=upsampling_factor, **options)
    operations = operations_per_frame(network, _FRAME_PX, _FRAME_PX)
    return (
        f"{parameters_text(parameter_count(network))} parameters · "
        f"{gflop_text(operations)} GFLOP per {_FRAME_PX}²\u00a0px"
    )


def parameters_text(count: int) -> str:
    """Write the number of parameters of a network."""
    if count >= 1e6:
        return f"{count / 1e6:.1f} M"
    return f"{count / 1e3:.0f} k" if count >= 1e4 else f"{count:,}"


def gflop_text(operations: int) -> str:
    """Write so many multiply-accumulate operations in 10⁹ floating-point operations."""
    gflop = 2e-9 * operations
    return f"{gflop:,.0f}" if gflop >= 10 else f"{gflop:.2g}"
