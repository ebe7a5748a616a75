"""The libraries and precisions that a network can be run with here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from napari_dl4smlm.backend.errors import DeviceError, InputError
from napari_dl4smlm.backend.models.compiled import (
    GraphedNetwork,
    OpenVinoNetwork,
    check_openvino,
    is_openvino_installed,
    is_x86,
    openvino_precisions,
)
from napari_dl4smlm.backend.models.prepared import available_precisions, prepare

if TYPE_CHECKING:
    import torch

    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork
    from napari_dl4smlm.backend.models.prepared import Precision, PreparedNetwork
    from napari_dl4smlm.backend.prediction.config import PredictionConfig

    RunnableNetwork = PreparedNetwork | GraphedNetwork | OpenVinoNetwork
    """What takes frames and gives density maps, and knows factor, alignment and halo."""


class Candidate(NamedTuple):
    """A library, and the numbers that it computes with."""

    backend: Literal["torch", "openvino"]
    precision: Precision

    def __str__(self) -> str:
        return f"{self.backend} {self.precision}"


REFERENCE = Candidate("torch", "float32")
"""What all others have to agree with."""


def without_trial(config: PredictionConfig) -> PredictionConfig:
    """Take the reference for what is left open, so that nothing depends on a trial."""
    left_open = [name for name in REFERENCE._fields if getattr(config, name) == "auto"]
    return config.model_copy(update={name: getattr(REFERENCE, name) for name in left_open})


def candidates_for(config: PredictionConfig, device: torch.device) -> list[Candidate]:
    """List what a prediction may be run with: PyTorch first, and the highest precision first.

    Parameters
    ----------
    config
        Its backend and its precision leave out the others.
    device
        Where it is going to run.

    Raises
    ------
    InputError
        The backend asked for is not installed, or cannot predict on this device.
    DeviceError
        The device does not compute with numbers of the precision asked for.
    """
    if config.backend == "openvino":
        _check_openvino(device)
    offered = [Candidate("torch", precision) for precision in available_precisions(device)]
    is_possible = device.type == "cpu" and is_openvino_installed()
    if is_possible and (config.backend == "openvino" or is_x86()):
        offered += [Candidate("openvino", precision) for precision in openvino_precisions()]
    offered = [
        candidate
        for candidate in offered
        if config.backend in ("auto", candidate.backend) and candidate.precision != "float64"
    ]
    found = [
        candidate for candidate in offered if config.precision in ("auto", candidate.precision)
    ]
    if not found:
        names = dict.fromkeys(candidate.precision for candidate in offered)
        raise DeviceError(
            f"The device {str(device)!r} does not compute in {config.precision}. Choose one of "
            f"{', '.join(names)}, or auto."
        )
    return sorted(found, key=lambda candidate: candidate.precision != "float32")


def build_network(
    candidate: Candidate,
    network: SuperResolutionNetwork,
    device: torch.device,
    *,
    at_a_time: int | None = None,
) -> RunnableNetwork:
    """Make a trained network run with a candidate; it stays as it is.

    Parameters
    ----------
    candidate, network, device
        What is run where.
    at_a_time
        As for `OpenVinoNetwork`; others run as many as are asked for.
    """
    if candidate.backend == "openvino":
        return OpenVinoNetwork(network, candidate.precision, at_a_time=at_a_time)
    prepared = prepare(network, device, candidate.precision)
    return GraphedNetwork(prepared) if device.type == "cuda" else prepared


def _check_openvino(device: torch.device) -> None:
    check_openvino()
    if device.type != "cpu":
        raise InputError(
            f"OpenVINO runs on the CPU, but the device is {str(device)!r}. Choose the device cpu, "
            "or the backend torch."
        )
