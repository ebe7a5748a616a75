"""Start, pause or resume, and stop: what can be pressed when, and why not the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_dl4smlm.backend.training.model_paths import last_model_of
from napari_dl4smlm.widgets.run_state import RunState

if TYPE_CHECKING:
    from pathlib import Path


class TrainingButtons(QWidget):
    """Three buttons; the second one resumes what is paused, or what ended with a model on disk.

    Parameters
    ----------
    start
        What stands on the first one.
    about_start
        What it does.

    Attributes
    ----------
    start_pressed, pause_pressed, resume_pressed, stop_pressed
        What the user wants.
    """

    start_pressed = Signal()
    pause_pressed = Signal()
    resume_pressed = Signal()
    stop_pressed = Signal()

    def __init__(self, start: str, about_start: str) -> None:
        super().__init__()
        self._start, self._hold, self._stop = map(QPushButton, (start, "Pause", "Stop"))
        self._about_start = about_start
        self._resumes = False
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for button in (self._start, self._hold, self._stop):
            layout.addWidget(button)
        self._start.clicked.connect(self.start_pressed)
        self._hold.clicked.connect(self._on_hold)
        self._stop.clicked.connect(self.stop_pressed)

    def show_state(self, state: RunState, problem: str | None, resumable: Path | None) -> None:
        """Enable what a state allows.

        Parameters
        ----------
        state
            Of the run.
        problem
            Why no training can begin; ``None`` if it can.
        resumable
            The model whose training can go on.
        """
        _enable(self._start, state.why_disabled("start") or problem, self._about_start)
        self._resumes = state is RunState.PAUSED or (not state.is_active and resumable is not None)
        self._hold.setText("Resume" if self._resumes else "Pause")
        if not self._resumes:
            _enable(self._hold, state.why_disabled("pause"), "Hold training after this step")
        elif state is RunState.PAUSED or resumable is None:
            _enable(self._hold, state.why_disabled("resume"), "Go on with this training")
        else:
            last = last_model_of(resumable).name
            what = f"Go on from {last}, with the same options; more epochs are welcome"
            _enable(self._hold, state.why_disabled("start") or problem, what)
        _enable(
            self._stop,
            state.why_disabled("stop"),
            "End training after the step under way; the best and the last model are kept",
        )

    def _on_hold(self) -> None:
        (self.resume_pressed if self._resumes else self.pause_pressed).emit()


def _enable(button: QPushButton, why_not: str | None, what: str) -> None:
    button.setEnabled(why_not is None)
    button.setToolTip(why_not or what)
