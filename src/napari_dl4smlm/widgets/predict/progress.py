"""How a prediction goes: progress, time left, warnings, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QApplication, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_dl4smlm.backend.prediction.events import (
    BatchPredicted,
    BatchReduced,
    PredictionStarted,
)
from napari_dl4smlm.widgets.predict.terms import describe_progress
from napari_dl4smlm.widgets.run_state import RunState
from napari_dl4smlm.widgets.train.form import note
from napari_dl4smlm.widgets.wrapped_text import WrappedText

if TYPE_CHECKING:
    from collections.abc import Iterable


class PredictionProgress(QWidget):
    """Shows the events of one run after the other."""

    def __init__(self) -> None:
        super().__init__()
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._line = note()
        self._outcome, self._warnings = WrappedText(), WrappedText()
        self._copy = QPushButton("Copy details")
        self._copy.setToolTip("Copy the message and where in the program it arose, for a report")
        self._copy.clicked.connect(self._copy_details)
        self._details = ""
        self._what = ""
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self._bar, self._line, self._outcome, self._copy, self._warnings):
            layout.addWidget(widget)
        self.show_warnings([])
        self.show_state(RunState.IDLE)

    def begin(self) -> None:
        """Forget the last run."""
        self._details = self._what = ""
        self._outcome.clear()
        self._bar.setRange(0, 0)
        self._line.setText("Reading the model …")

    def tell(self, event: object) -> None:
        """Show what has happened."""
        match event:
            case PredictionStarted():
                self._bar.setRange(0, event.n_frames)
                self._bar.setValue(0)
                self._bar.setToolTip(f"on {event.device}, {event.batch_size} frames at a time")
                self._line.setText(f"{self._what}0 / {event.n_frames:,} frames")
            case BatchPredicted():
                self._bar.setValue(event.frames_done)
                self._line.setText(self._what + describe_progress(event))
            case BatchReduced():
                part = "whole frames" if event.tile_size is None else f"{event.tile_size} px tiles"
                self._bar.setToolTip(
                    f"the memory did not suffice: now {event.batch_size} at a time, {part}"
                )

    def set_file(self, name: str) -> None:
        """Name the file that the following events are about."""
        self._what = f"{name}: "

    def show_warnings(self, warnings: Iterable[str]) -> None:
        """Show where the movie differs from what the model knows; none for no warnings."""
        text = "\n".join(f"⚠ {warning}" for warning in warnings)
        self._warnings.setPlainText(text)
        self._warnings.setVisible(bool(text))

    def warnings(self) -> str:
        """Return the warnings that are shown."""
        return self._warnings.toPlainText()

    def finish(self, outcome: str, details: str = "") -> None:
        """Show how the run ended, until the next one; the details are for a report."""
        self._outcome.setPlainText(outcome)
        self._details = f"{outcome}\n\n{details}" if details else ""

    def outcome(self) -> str:
        """Return how the last run ended."""
        return self._outcome.toPlainText()

    def show_state(self, state: RunState) -> None:
        """Show what belongs to a state."""
        self._bar.setVisible(state.is_active)
        self._line.setVisible(state.is_active)
        self._outcome.setVisible(not state.is_active and bool(self.outcome()))
        self._copy.setVisible(state is RunState.FAILED)
        if state is RunState.STOPPING:
            self._line.setText("Stopping after this batch …")

    def _copy_details(self) -> None:
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(self._details)
