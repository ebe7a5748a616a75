"""Where a training run stands, and the way to and from the file of the last model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_dl4smlm.backend.models.model_file import load_training_state

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from pydantic import JsonValue
    from torch import Tensor


@dataclass
class Progress:
    """Counters of a run; with the weights and the optimizer they are all that it depends on.

    Attributes
    ----------
    epoch, step
        The epoch under way, from 1, and the steps of it that are done.
    loss_sum
        Sum of the losses of those steps.
    best_epoch, best_validation_loss
        When the validation loss was lowest; 0 and ``None`` before the first epoch is over.
    stale_epochs
        Epochs since then.
    history
        Losses and learning rate of the epochs that are over.
    """

    epoch: int = 1
    step: int = 0
    loss_sum: float = 0.0
    best_epoch: int = 0
    best_validation_loss: float | None = None
    stale_epochs: int = 0
    history: list[dict[str, JsonValue]] = field(default_factory=list)

    def finish_epoch(self, validation_loss: float, learning_rate: float, steps: int) -> bool:
        """Go on to the next epoch; return whether the one that ends was the best so far."""
        self.history.append(
            {
                "epoch": self.epoch,
                "training_loss": self.loss_sum / steps,
                "validation_loss": validation_loss,
                "learning_rate": learning_rate,
            }
        )
        is_best = self.best_validation_loss is None or validation_loss < self.best_validation_loss
        if is_best:
            self.best_epoch = self.epoch
            self.best_validation_loss = validation_loss
            self.stale_epochs = 0
        else:
            self.stale_epochs += 1
        self.epoch += 1
        self.step = 0
        self.loss_sum = 0.0
        return is_best

    def to_json(self) -> dict[str, JsonValue]:
        """Return what :meth:`from_json` takes."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Progress:
        """Restore counters from a file."""
        return cls(**values)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the running averages of an optimizer under flat names."""
    return {
        f"{index}.{name}": tensor
        for index, tensors in optimizer.state_dict()["state"].items()
        for name, tensor in tensors.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Give an optimizer its running averages back."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], float, Progress]:
    """Read the optimizer's tensors, the learning rate and the counters from a last model.

    Raises
    ------
    ModelFileError
        The file cannot be read.
    InputError
        It is not the last model of a training.
    """
    tensors, values = load_training_state(path)
    learning_rate = values.pop("learning_rate")
    assert isinstance(learning_rate, float)
    return tensors, learning_rate, Progress.from_json(values)
