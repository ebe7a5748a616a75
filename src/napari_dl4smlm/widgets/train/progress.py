"""How a training goes: progress, time left, losses, warnings, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QApplication, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_dl4smlm.backend.training.events import (
    EpochFinished,
    StepFinished,
    TrainingFinished,
    TrainingStarted,
    TrainingStopped,
)
from napari_dl4smlm.widgets.loss_plot import LossPlot
from napari_dl4smlm.widgets.run_state import RunState
from napari_dl4smlm.widgets.train.form import note
from napari_dl4smlm.widgets.wrapped_text import WrappedText

if TYPE_CHECKING:
    from napari_dl4smlm.backend.training.events import TrainingEvent

# instead of the time left; steps that were under way are still told then
_HELD = {RunState.PAUSED: "paused", RunState.STOPPING: "stopping after this step …"}


class TrainingProgress(QWidget):
    """Shows the events of one training after the other; empty before the first one."""

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
        self._copy = QPushButton("Copy details")
        self._copy.setToolTip("Copy the message and where in the program it arose, for a report")
        self._copy.clicked.connect(self._copy_details)
        self._details = ""
        self._started: TrainingStarted | None = None
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
            self._warnings,
            self._plot,
            self._best,
        ):
            layout.addWidget(widget)
        self.begin()
        self.hide()

    def begin(self, *, go_on: bool = False) -> None:
        """Get ready for a training: forget the last one, unless this one goes on with it."""
        self._started = None
        self._where = "Opening the data …"
        self._time_left = self._details = ""
        # no end in sight yet
        self._bar.setRange(0, 0)
        for text in (self._warnings, self._outcome):
            text.clear()
            text.hide()
        if not go_on:
            self._plot.clear()
            self._best.hide()

    def tell(self, event: TrainingEvent) -> None:
        """Show what has happened."""
        match event:
            case TrainingStarted():
                self._start(event)
            case StepFinished():
                self._step(event)
            case EpochFinished():
                self._finish_epoch(event)
            case TrainingFinished():
                self._bar.setValue(self._bar.maximum())
                self._show_outcome(
                    f"Finished after epoch {event.epoch}: {event.reason}.\n{event.best_path}"
                )
            case TrainingStopped():
                self._show_outcome(
                    f"Stopped in epoch {event.epoch}; Resume goes on from there.\n{event.best_path}"
                )

    def fail(self, message: str, details: str) -> None:
        """Show why training failed."""
        self._show_outcome(f"⚠ {message}")
        self._details = f"{message}\n\n{details}"

    def show_state(self, state: RunState) -> None:
        """Show what belongs to a state."""
        self.setVisible(state is not RunState.IDLE)
        self._bar.setVisible(state.is_active)
        self._line.setVisible(state.is_active)
        self._copy.setVisible(state is RunState.FAILED)
        self._plot.setVisible(state.is_active or self._best.isVisibleTo(self))
        self._held = _HELD.get(state)
        self._show_line()

    def _start(self, event: TrainingStarted) -> None:
        self._started = event
        self._bar.setRange(0, event.epochs * event.steps_per_epoch)
        self._show_position(event.first_epoch, 0)
        self._bar.setToolTip(
            f"{event.parameters:,} parameters on {event.device} in {event.precision}"
        )
        self._warnings.setPlainText("\n".join(f"⚠ {warning}" for warning in event.warnings))
        self._warnings.setVisible(bool(event.warnings))

    def _step(self, event: StepFinished) -> None:
        self._time_left = f"{_duration(event.seconds_left)} left"
        self._show_position(event.epoch, event.step)

    def _finish_epoch(self, event: EpochFinished) -> None:
        assert self._started is not None
        # of short epochs, the steps may all be left out
        self._show_position(event.epoch, self._started.steps_per_epoch)
        self._plot.add(event.epoch, event.training_loss, event.validation_loss, event.is_best)
        if event.is_best:
            found = (
                "" if event.calibration is None else (f" · Jaccard {event.calibration.jaccard:.2f}")
            )
            self._best.setText(
                f"Best: epoch {event.epoch} · loss {event.validation_loss:.4g}{found}"
            )
            self._best.show()

    def _show_position(self, epoch: int, step: int) -> None:
        assert self._started is not None
        self._bar.setValue((epoch - 1) * self._started.steps_per_epoch + step)
        self._where = f"epoch {epoch} of {self._started.epochs}"
        self._show_line()

    def _show_line(self) -> None:
        self._line.setText(" · ".join(filter(None, (self._where, self._held or self._time_left))))

    def _show_outcome(self, text: str) -> None:
        self._outcome.setPlainText(text)
        self._outcome.show()

    def _copy_details(self) -> None:
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(self._details)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
