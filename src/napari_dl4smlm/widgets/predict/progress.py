"""How a prediction goes: progress, time left, and how it ended."""

from __future__ import annotations

from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from napari_dl4smlm.backend.prediction.events import (
    BatchPredicted,
    BatchReduced,
    PredictionStarted,
)
from napari_dl4smlm.widgets.copy_details import CopyDetails
from napari_dl4smlm.widgets.forms.titled_rows import Message
from napari_dl4smlm.widgets.predict.terms import describe_progress, describe_reduction
from napari_dl4smlm.widgets.run_state import RunState


class PredictionProgress(QWidget):
    """Shows the events of one run after the other."""

    def __init__(self) -> None:
        super().__init__()
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._line, self._outcome = Message(), Message()
        self._copy = CopyDetails()
        self._what = ""
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self._bar, self._line, self._outcome, self._copy):
            layout.addWidget(widget)
        self.show_state(RunState.IDLE)

    def begin(self) -> None:
        """Forget the last run."""
        self._what = ""
        self._outcome.show_text("")
        self._bar.setRange(0, 0)
        self._line.show_text("Reading the model …")

    def tell(self, event: object) -> None:
        """Show what has happened."""
        match event:
            case PredictionStarted():
                self._bar.setRange(0, event.n_frames)
                self._bar.setValue(0)
                self._bar.setToolTip(f"on {event.device}, {event.batch_size} frames at a time")
                self._line.show_text(f"{self._what}0 / {event.n_frames:,} frames")
            case BatchPredicted():
                self._bar.setValue(event.frames_done)
                self._line.show_text(self._what + describe_progress(event))
            case BatchReduced():
                self._line.show_text(describe_reduction(event))
                self._bar.setToolTip(describe_reduction(event))

    def set_file(self, name: str) -> None:
        """Name the file that the following events are about."""
        self._what = f"{name}: "

    def finish(self, outcome: str) -> None:
        """Show how the run ended, until the next one."""
        self._outcome.show_text(outcome)

    def fail(self, message: str, details: str, kept: str) -> None:
        """Show why the run failed and what it has found by then; the details are for a report."""
        self._outcome.show_text(f"⚠ {message}" + (f"\nKept: {kept}." if kept else ""))
        self._copy.set_failure(message, details)

    def outcome(self) -> str:
        """Return how the last run ended."""
        return self._outcome.toPlainText()

    def show_state(self, state: RunState) -> None:
        """Show what belongs to a state."""
        self._bar.setVisible(state.is_active)
        if not state.is_active:
            self._line.show_text("")
        self._copy.setVisible(state is RunState.FAILED)
        if state is RunState.STOPPING:
            self._line.show_text("Stopping after this batch …")
