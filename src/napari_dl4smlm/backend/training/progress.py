"""Where a training run stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import JsonValue

    from napari_dl4smlm.backend.models.calibration import Calibration
    from napari_dl4smlm.backend.training.events import StageName


@dataclass
class Progress:
    """Counters of a run; with the state of the learner they are all that it depends on.

    Attributes
    ----------
    learning_rate
        Of the next step.
    stage, first_epoch
        The stage under way, and its first epoch.
    epoch, step
        The epoch under way, from 1, and the steps of it that are done.
    loss_sum
        Sum of the losses of those steps.
    best_epoch, best_validation_loss
        When the validation loss of the stage was lowest; 0 and ``None`` before its first epoch is
        over.
    stale_epochs
        Epochs since then.
    history
        Stage, losses and learning rate of the epochs that are over.
    """

    learning_rate: float
    stage: StageName = "training"
    first_epoch: int = 1
    epoch: int = 1
    step: int = 0
    loss_sum: float = 0.0
    best_epoch: int = 0
    best_validation_loss: float | None = None
    stale_epochs: int = 0
    history: list[dict[str, JsonValue]] = field(default_factory=list)

    def begin_stage(self, stage: StageName, learning_rate: float) -> None:
        """Go on to the next stage, whose losses are others."""
        self.stage = stage
        self.first_epoch = self.epoch
        self.learning_rate = learning_rate
        self.best_epoch = 0
        self.best_validation_loss = None
        self.stale_epochs = 0

    def finish_epoch(self, validation_loss: float, calibration: Calibration | None) -> bool:
        """Go on to the next epoch; return whether the one that ends was the best so far."""
        entry: dict[str, JsonValue] = {
            "stage": self.stage,
            "epoch": self.epoch,
            "training_loss": self.loss_sum / self.step,
            "validation_loss": validation_loss,
            "learning_rate": self.learning_rate,
        }
        if calibration is not None:
            entry["validation_jaccard"] = calibration.jaccard
            entry["validation_rmse_nm"] = calibration.rmse_nm
        self.history.append(entry)
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
