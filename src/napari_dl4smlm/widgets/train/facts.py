"""What the form shows of networks, losses and devices; all but their names needs PyTorch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MODEL_LABELS = {
    "fid_storm": "FID-STORM",
    "deep_storm": "Deep-STORM",
    "skip_storm": "Skip-STORM",
    "drl_storm": "DRL-STORM",
    "u_storm": "U-STORM",
    "srcnn": "SRCNN",
}
LOSS_LABELS = {
    "l1l2": "L1L2",
    "weighted_mse": "weighted MSE",
    "weighted_mae": "weighted MAE",
}

_FRAME_PX = 256


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
    """Tell the facts; it takes seconds, so that it is a stream for a worker."""
    from napari_dl4smlm.backend.losses.registry import LOSSES
    from napari_dl4smlm.backend.models.device import available_devices

    devices = available_devices()
    yield TorchFacts(
        {device.name: device.description for device in devices if device.available},
        tuple(
            f"{device.description}: {device.reason}." for device in devices if not device.available
        ),
        {name: loss.default_lambda for name, loss in LOSSES.items()},
    )
    _import_ahead()


def network_cost(
    model: str, options: Mapping[str, int | float | str | bool], upsampling_factor: int
) -> str:
    """Describe the size of a network and what one frame costs.

    Raises
    ------
    InputError
        The network does not take these options.
    """
    import torch

    from napari_dl4smlm.backend.models.registry import (
        create_model,
        operations_per_frame,
        parameter_count,
    )

    # the weights are thrown away: the generator of the process is left as it was
    with torch.random.fork_rng(devices=[]):
        network = create_model(model, upsampling_factor=upsampling_factor, **options)
    flop = 2 * operations_per_frame(network, _FRAME_PX, _FRAME_PX)
    return (
        f"{_thousands(parameter_count(network))} parameters · "
        f"{_short(flop / 1e9)} GFLOP per {_FRAME_PX}²\u00a0px"
    )


def _thousands(count: int) -> str:
    if count >= 1e6:
        return f"{count / 1e6:.1f} M"
    return f"{count / 1e3:.0f} k" if count >= 1e4 else f"{count:,}"


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 10 else f"{number:.2g}"


def _import_ahead() -> None:
    """Import what training and its plot need, which would hold the viewer for a second."""
    for name in (
        "matplotlib.backends.backend_qtagg",
        "napari_dl4smlm.backend.figures.style",
        "napari_dl4smlm.backend.training.trainer",
    ):
        importlib.import_module(name)
