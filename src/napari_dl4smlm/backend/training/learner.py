"""A network that learns, step by step, and the average of its recent weights."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import torch

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.training.peers import Peers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork
    from napari_dl4smlm.backend.training.arithmetic import AnyModule, Arithmetic
    from napari_dl4smlm.backend.training.objective import Evaluation, Objective

_DECAY = 0.995


class NotANumberError(InputError):
    """The loss of a step is no number; the step was not taken."""


class Learner:
    """Network, objective and optimizer (Adam), and what is evaluated.

    What is validated, shown and saved is not the network after its last step but an exponential
    average over about the last 200 steps (Polyak and Juditsky, SIAM J. Control Optim. 30, 838
    (1992), doi:10.1137/0330046). A single step moves where the network puts all emitters: at a
    learning rate of 0.001 the mean position error of FID-STORM changed from epoch to epoch and
    reached 2 to 5 nm, which would shift a whole image.

    Parameters
    ----------
    network
        What learns; it is moved to the device.
    objective
        What it learns first.
    arithmetic
        How its maps are computed.
    learning_rate
        Of Adam.
    peers
        Other processes that learn from the rest of each batch; by default there are none.

    Attributes
    ----------
    averaged : SuperResolutionNetwork
        The average, always in evaluation mode.
    """

    def __init__(
        self,
        network: SuperResolutionNetwork,
        objective: Objective,
        *,
        arithmetic: Arithmetic,
        learning_rate: float,
        peers: Peers | None = None,
    ) -> None:
        self._arithmetic = arithmetic
        self._peers = peers or Peers()
        self.averaged = _frozen_copy(arithmetic.place(network))
        self._network = arithmetic.place(self._peers.with_common_statistics(network))
        self.begin(objective, learning_rate)

    def begin(self, objective: Objective, learning_rate: float) -> None:
        """Learn something from now on, starting from the average of what was learned before."""
        self._network.load_state_dict(self.averaged.state_dict())
        self._objective = objective
        self._regressors = self._arithmetic.place(objective.regressors)
        self._averaged_regressors = _frozen_copy(self._regressors)
        parameters = [*self._network.parameters(), *self._regressors.parameters()]
        self._optimizer = torch.optim.Adam(parameters, learning_rate)
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

    def step(self, frames: Tensor, targets: Tensor, weight: float = 1.0) -> float:
        """Learn from a batch.

        Parameters
        ----------
        frames
            Shape (N, 1, y, x), normalized.
        targets
            Shape (N, 1, f y, f x), as the loss wants them.
        weight
            What the loss counts for beside those of the peers, 1 on average.

        Returns
        -------
        float
            The loss of all peers before the step.

        Raises
        ------
        NotANumberError
            The loss is NaN or infinite; no step was taken.
        """
        self._network.train()
        targets = targets.to(self._arithmetic.device)
        loss = weight * self._objective.loss(self._network, self._regressors, frames, targets)
        value = self._peers.mean(float(loss.detach()))
        if not math.isfinite(value):
            raise NotANumberError(f"the loss became {value}")
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self._peers.average_gradients(self._optimizer.param_groups[0]["params"])
        self._optimizer.step()
        self._steps += 1
        self._average()
        return value

    @torch.inference_mode()
    def predict(self, frames: Tensor) -> Tensor:
        """Return what the averaged network sees in frames, in emitters per fine pixel."""
        return self._arithmetic.density(self.averaged, frames)

    @torch.inference_mode()
    def evaluate(self, frames: Tensor, targets: Tensor) -> Evaluation:
        """Judge the averaged network by a batch as for `step`, without learning from it."""
        targets = targets.to(self._arithmetic.device)
        return self._objective.evaluate(self.averaged, self._averaged_regressors, frames, targets)

    def state(self) -> dict[str, Tensor]:
        """Return all that learning goes on from, besides the average and the learning rate."""
        moments = {
            f"optimizer.{index}.{name}": tensor
            for index, tensors in self._optimizer.state_dict()["state"].items()
            for name, tensor in tensors.items()
        }
        modules = {
            f"{prefix}{name}": value
            for prefix, module in self._modules().items()
            for name, value in module.state_dict().items()
        }
        return moments | modules | {"steps": torch.tensor(self._steps)}

    def restore(self, averaged: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
        """Go on from an average and a state that :meth:`state` gave, with the same objective."""
        self.averaged.load_state_dict(averaged)
        for prefix, module in self._modules().items():
            module.load_state_dict(_without_prefix(state, prefix))
        moments: dict[int, dict[str, Tensor]] = {}
        for key, tensor in _without_prefix(state, "optimizer.").items():
            index, name = key.split(".", 1)
            moments.setdefault(int(index), {})[name] = tensor
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self._steps = int(state["steps"])

    def _modules(self) -> dict[str, nn.Module]:
        return {
            "weights.": self._network,
            "regressors.": self._regressors,
            "averaged_regressors.": self._averaged_regressors,
        }

    @torch.no_grad()
    def _average(self) -> None:
        # shorter at the start, or the random first weights would linger
        decay = min(_DECAY, (1 + self._steps) / (10 + self._steps))
        for averaged, module in (
            (self.averaged, self._network),
            (self._averaged_regressors, self._regressors),
        ):
            for average, value in zip(
                averaged.state_dict().values(), module.state_dict().values(), strict=True
            ):
                if average.is_floating_point():
                    average.lerp_(value, 1 - decay)
                else:
                    average.copy_(value)


def _frozen_copy(module: AnyModule) -> AnyModule:
    return copy.deepcopy(module).eval().requires_grad_(False)


def _without_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): tensor
        for key, tensor in tensors.items()
        if key.startswith(prefix)
    }
