"""How a training goes: progress, time left, losses, warnings, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from napari_dl4smlm.backend.training.events import (
    EpochFinished,
    StepFinished,
    TeacherTested,
    TrainingFinished,
    TrainingStarted,
    TrainingStopped,
)
from napari_dl4smlm.widgets.copy_details import CopyDetails
from napari_dl4smlm.widgets.durations import duration
from napari_dl4smlm.widgets.forms.note import note
from napari_dl4smlm.widgets.loss_plot import LossPlot
from napari_dl4smlm.widgets.run_state import RunState
from napari_dl4smlm.widgets.training.run import EarlierEpochs
from napari_dl4smlm.widgets.training.trained_model import TrainedModel
from napari_dl4smlm.widgets.wrapped_text import WrappedText

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_dl4smlm.backend.training.events import StageName, TrainingEvent

# of all epochs together, whose own steps may be more than Qt can count
_BAR_STEPS = 1000
_STAGES: dict[StageName, str] = {"training": "", "hint": "hints", "transfer": "transfer"}
_HINTS_ALONE = (
    "Hints alone teach a network to see nothing yet, so that Predict was not given this model. "
    "Resume with the transfer."
)
# instead of the time left; steps that were under way are still told then
_HELD = {RunState.PAUSED: "paused", RunState.STOPPING: "stopping after this step …"}


class TrainingProgress(QWidget):
    """Shows the events of one training after the other; empty before the first one.

    Attributes
    ----------
    trained
        What becomes of the model.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._line, self._best = note(), note()
        self._best.setToolTip(
            "The model with the lowest loss on the validation frames. The Jaccard index is the "
            "share of emitters\nfound, of all that are found, missed or spurious, at the best "
            "threshold."
        )
        self._warnings, self._outcome = WrappedText(), WrappedText()
        self._plot = LossPlot()
        self._copy = CopyDetails()
        self.trained = TrainedModel()
        self._started: TrainingStarted | None = None
        self._stage: StageName = "training"
        self._where = ""
        self._time_left = ""
        self._held: str | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (
            self._bar,
            self._line,
            self._outcome,
            self._copy,
            self.trained,
            self._warnings,
            self._plot,
            self._best,
        ):
            layout.addWidget(widget)
        self.begin()
        self.hide()

    @property
    def can_predict(self) -> bool:
        """Whether the best model is from a stage that teaches density maps."""
        return self._stage != "hint"

    def begin(self, *, go_on: bool = False) -> None:
        """Get ready for a training: forget the last one, unless this one goes on with it."""
        self._started = None
        self._where = "Opening the data …"
        self._time_left = ""
        # no end in sight yet
        self._bar.setRange(0, 0)
        for text in (self._warnings, self._outcome):
            text.clear()
            text.hide()
        if not go_on:
            self._plot.clear()
            self._best.hide()

    def tell(self, event: TrainingEvent | EarlierEpochs) -> None:
        """Show what has happened."""
        match event:
            case EarlierEpochs():
                self._show_history(event.history)
            case TrainingStarted():
                self._start(event)
            case TeacherTested():
                self._where = f"testing the teacher · {event.patches:,} of {event.total:,} patches"
                self._show_line()
            case StepFinished():
                self._step(event)
            case EpochFinished():
                self._finish_epoch(event)
            case TrainingFinished():
                self._bar.setValue(self._bar.maximum())
                self._show_outcome(f"Finished after epoch {event.epoch}: {event.reason}.")
            case TrainingStopped():
                self._show_outcome(f"Stopped in epoch {event.epoch}; Resume goes on from there.")

    def fail(self, message: str, details: str) -> None:
        """Show why training failed."""
        self._show_outcome(f"⚠ {message}")
        self._copy.set_failure(message, details)

    def show_state(self, state: RunState, model: Path | None) -> None:
        """Show what belongs to a state; once training is over, the best model, if there is one."""
        self.setVisible(state is not RunState.IDLE)
        self._bar.setVisible(state.is_active)
        self._line.setVisible(state.is_active)
        self._copy.setVisible(state is RunState.FAILED)
        why_not_used = None if self.can_predict else _HINTS_ALONE
        self.trained.show_model(None if state.is_active else model, why_not_used)
        self._plot.setVisible(state.is_active or self._best.isVisibleTo(self))
        self._held = _HELD.get(state)
        self._show_line()

    def _start(self, event: TrainingStarted) -> None:
        self._started = event
        self._bar.setRange(0, _BAR_STEPS)
        self._show_position(event.first_epoch, 0, event.stage)
        self._bar.setToolTip(
            f"{event.parameters:,} parameters on {event.device} in {event.precision}"
        )
        self._warnings.setPlainText("\n".join(f"⚠ {warning}" for warning in event.warnings))
        self._warnings.setVisible(bool(event.warnings))

    def _step(self, event: StepFinished) -> None:
        self._time_left = f"{duration(event.seconds_left)} left"
        self._show_position(event.epoch, event.step, event.stage)

    def _finish_epoch(self, event: EpochFinished) -> None:
        assert self._started is not None
        # of short epochs, the steps may all be left out
        self._show_position(event.epoch, self._started.steps_per_epoch, event.stage)
        self._plot.add(
            event.epoch, event.training_loss, event.validation_loss, event.is_best, event.stage
        )
        if event.is_best:
            found = event.calibration
            self._show_best(
                event.epoch, event.validation_loss, None if found is None else found.jaccard
            )

    def _show_history(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Show earlier epochs, as far as the model file tells of them."""
        told = [
            entry
            for entry in history
            if {"epoch", "training_loss", "validation_loss"} <= entry.keys()
        ]
        self._plot.restore(
            (
                entry["epoch"],
                entry["training_loss"],
                entry["validation_loss"],
                entry.get("stage", "training"),
            )
            for entry in told
        )
        if told:
            self._stage = told[-1].get("stage", "training")
            of_stage = [entry for entry in told if entry.get("stage", "training") == self._stage]
            best = min(of_stage, key=lambda entry: entry["validation_loss"])
            self._show_best(best["epoch"], best["validation_loss"], best.get("validation_jaccard"))

    def _show_best(self, epoch: int, loss: float, jaccard: float | None) -> None:
        found = "" if jaccard is None else f" · Jaccard {jaccard:.2f}"
        what = "hint loss" if self._stage == "hint" else "loss"
        self._best.setText(f"Best: epoch {epoch} · {what} {loss:.4g}{found}")
        self._best.show()

    def _show_position(self, epoch: int, step: int, stage: StageName) -> None:
        assert self._started is not None
        self._stage = stage
        done = epoch - 1 + step / self._started.steps_per_epoch
        self._bar.setValue(round(_BAR_STEPS * done / self._started.epochs))
        where = f"epoch {epoch} of {self._started.epochs}"
        self._where = " · ".join(filter(None, (where, _STAGES[stage])))
        self._show_line()

    def _show_line(self) -> None:
        self._line.setText(" · ".join(filter(None, (self._where, self._held or self._time_left))))

    def _show_outcome(self, text: str) -> None:
        self._outcome.setPlainText(text)
        self._outcome.show()
