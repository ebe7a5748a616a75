"""How a prediction goes: progress, time left, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dl4smlm.backend.prediction.events import (
    BatchPredicted,
    BatchReduced,
    FramesArrived,
    PredictionStarted,
)
from napari_dl4smlm.widgets.forms.titled_rows import Message
from napari_dl4smlm.widgets.predict.terms import (
    describe_pace,
    describe_progress,
    describe_reduction,
    frames_at_a_time,
)
from napari_dl4smlm.widgets.run_progress import RunProgress

if TYPE_CHECKING:
    from napari_dl4smlm.widgets.run_state import RunState


class PredictionProgress(RunProgress):
    """Shows the events of one run after the other."""

    def __init__(self) -> None:
        self._pace = Message()
        super().__init__("Reading the model …", "Stopping after this batch …")
        layout = self.layout()
        assert layout is not None
        layout.addWidget(self._pace)
        self._what = ""

    def begin(self) -> None:
        """Forget the last run."""
        super().begin()
        self._what = ""
        self._pace.show_text("")

    def tell(self, event: object) -> None:
        """Show what has happened."""
        match event:
            case PredictionStarted():
                self._bar.setRange(0, event.n_frames)
                self._bar.setValue(0)
                how = f"with {event.backend} in {event.precision}"
                self._bar.setToolTip(
                    f"on {event.device} {how}, {frames_at_a_time(event)} at a time"
                    + (f"\n{event.why}" if event.why else "")
                )
                self._line.show_text(f"{self._what}0 / {event.n_frames:,} frames")
            case BatchPredicted():
                self._bar.setValue(event.frames_done)
                self._line.show_text(self._what + describe_progress(event))
            case FramesArrived():
                self._bar.setMaximum(event.n_frames)
                self._pace.show_text(describe_pace(event))
            case BatchReduced():
                self._line.show_text(describe_reduction(event))
                self._bar.setToolTip(describe_reduction(event))

    def show_state(self, state: RunState) -> None:
        """Show what belongs to a state."""
        super().show_state(state)
        if not state.is_active:
            self._pace.show_text("")

    def set_file(self, name: str) -> None:
        """Name the file that the following events are about."""
        self._what = f"{name}: "
