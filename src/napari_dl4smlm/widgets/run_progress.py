"""How a run goes: a bar, a line about what is done now, and how it ended."""

from __future__ import annotations

from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from napari_dl4smlm.widgets.copy_details import CopyDetails
from napari_dl4smlm.widgets.forms.titled_rows import Message
from napari_dl4smlm.widgets.run_state import RunState


class RunProgress(QWidget):
    """What all runs show; who inherits tells what their events mean.

    Parameters
    ----------
    beginning
        What is done before the first event.
    stopping
        What is waited for once the user has stopped the run.
    """

    def __init__(self, beginning: str, stopping: str) -> None:
        super().__init__()
        self._beginning, self._stopping = beginning, stopping
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._line, self._outcome = Message(), Message()
        self._copy = CopyDetails()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self._bar, self._line, self._outcome, self._copy):
            layout.addWidget(widget)
        self.show_state(RunState.IDLE)

    def begin(self) -> None:
        """Forget the last run."""
        self._outcome.show_text("")
        self._bar.setRange(0, 0)
        self._line.show_text(self._beginning)

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
            self._line.show_text(self._stopping)
