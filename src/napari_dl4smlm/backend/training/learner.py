"""A network that learns, step by step, and the average of its recent weights."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import torch

from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from napari_dl4smlm.backend.losses.registry import Loss
    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork

DENSITY_AMPLITUDE = 50.0
"""What a network predicts for one emitter, before it is divided by this very number.

With 1 the random output of a fresh network would be far above its target almost everywhere; 50 is
the scale at which Deep-STORM's code trains (Nehme et al. 2018, doi:10.1364/OPTICA.5.000458).
"""

_DECAY = 0.995


class NotANumberError(InputError):
    """The loss of a step is no number; the step was not taken."""


class Learner:
    """Network, loss and optimizer (Adam), and what they are evaluated with.

    What is validated, shown and saved is not the network after its last step but an exponential
    average over about the last 200 steps (Polyak and Juditsky, SIAM J. Control Optim. 30, 838
    (1992), doi:10.1137/0330046). A single step moves where the network puts all emitters: at a
    learning rate of 0.001 the mean position error of FID-STORM changed from epoch to epoch and
    reached 2 to 5 nm, which would shift a whole image.

    Parameters
    ----------
    network
        What learns; it is moved to the device.
    loss
        What it learns from.
    device
        Where it is computed.
    learning_rate
        Of Adam.
    bfloat16
        Compute the network with 16-bit, and the loss with 32-bit numbers.

    Attributes
    ----------
    averaged : SuperResolutionNetwork
        The average, always in evaluation mode.
    """

    def __init__(
        self,
        network: SuperResolutionNetwork,
        loss: Loss,
        *,
        device: torch.device,
        learning_rate: float,
        bfloat16: bool,
    ) -> None:
        self._network = network
        # PyTorch does not declare the argument
        self._network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(network).eval().requires_grad_(False)
        self._loss = loss
        self._device = device
        self._bfloat16 = bfloat16
        self._optimizer = torch.optim.Adam(network.parameters(), learning_rate)
        self._steps = 0

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next step."""
        rate: float = self._optimizer.param_groups[0]["lr"]
        return rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = value

    def step(self, frames: Tensor, targets: Tensor) -> float:
        """Learn from a batch.

        Parameters
        ----------
        frames
            Shape (N, 1, y, x), normalized.
        targets
            Shape (N, 1, f y, f x), as the loss wants them.

        Returns
        -------
        float
            The loss before the step.

        Raises
        ------
        NotANumberError
            The loss is NaN or infinite; no step was taken.
        """
        self._network.train()
        loss = self._loss(self._density(self._network, frames), targets.to(self._device))
        value = float(loss.detach())
        if not math.isfinite(value):
            raise NotANumberError(f"the loss became {value}")
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        self._steps += 1
        self._average()
        return value

    @torch.inference_mode()
    def predict(self, frames: Tensor) -> Tensor:
        """Return what the averaged network sees in frames, in emitters per fine pixel."""
        return self._density(self.averaged, frames)

    @torch.inference_mode()
    def loss(self, density: Tensor, targets: Tensor) -> float:
        """Return the loss of a prediction, without learning from it."""
        return float(self._loss(density, targets.to(self._device)))

    def state(self) -> dict[str, Tensor]:
        """Return all that learning goes on from, besides the average and the learning rate."""
        moments = {
            f"optimizer.{index}.{name}": tensor
            for index, tensors in self._optimizer.state_dict()["state"].items()
            for name, tensor in tensors.items()
        }
        weights = {f"weights.{name}": value for name, value in self._network.state_dict().items()}
        return moments | weights | {"steps": torch.tensor(self._steps)}

    def restore(self, averaged: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
        """Go on from an average and a state that :meth:`state` gave."""
        self.averaged.load_state_dict(averaged)
        self._network.load_state_dict(_without_prefix(state, "weights."))
        moments: dict[int, dict[str, Tensor]] = {}
        for key, tensor in _without_prefix(state, "optimizer.").items():
            index, name = key.split(".", 1)
            moments.setdefault(int(index), {})[name] = tensor
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self._steps = int(state["steps"])

    def _density(self, network: SuperResolutionNetwork, frames: Tensor) -> Tensor:
        frames = frames.to(self._device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            output: Tensor = network(frames)
        return output.float() / DENSITY_AMPLITUDE

    @torch.no_grad()
    def _average(self) -> None:
        # shorter at the start, or the random first weights would linger
        decay = min(_DECAY, (1 + self._steps) / (10 + self._steps))
        for average, value in zip(
            self.averaged.state_dict().values(), self._network.state_dict().values(), strict=True
        ):
            if average.is_floating_point():
                average.lerp_(value, 1 - decay)
            else:
                average.copy_(value)


def _without_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): tensor
        for key, tensor in tensors.items()
        if key.startswith(prefix)
    }
