"""To start and to cancel a run: what can be pressed when, and why not the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

if TYPE_CHECKING:
    from napari_dl4smlm.widgets.run_state import RunState


class RunButtons(QWidget):
    """Two buttons.

    Parameters
    ----------
    start
        What stands on the first one.
    about_start
        What it does.
    about_cancel
        What is kept.

    Attributes
    ----------
    start_pressed, cancel_pressed
        What the user wants.
    """

    start_pressed = Signal()
    cancel_pressed = Signal()

    def __init__(
        self,
        start: str,
        about_start: str,
        about_cancel: str = "End after the batch under way; what is done is kept",
    ) -> None:
        super().__init__()
        self.start, self.cancel = QPushButton(start), QPushButton("Cancel")
        self._about_start, self._about_cancel = about_start, about_cancel
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.start)
        layout.addWidget(self.cancel)
        self.start.clicked.connect(self.start_pressed)
        self.cancel.clicked.connect(self.cancel_pressed)

    def show_state(self, state: RunState, problem: str | None) -> None:
        """Enable what a state allows.

        Parameters
        ----------
        state
            Of the run.
        problem
            Why none can begin; ``None`` if it can.
        """
        for button, why_not, what in (
            (self.start, state.why_disabled("start") or problem, self._about_start),
            (self.cancel, state.why_disabled("stop"), self._about_cancel),
        ):
            button.setEnabled(why_not is None)
            button.setToolTip(why_not or what)
