"""How a prediction goes: progress, time left, and how it ended."""

from __future__ import annotations

from napari_dl4smlm.backend.prediction.events import (
    BatchPredicted,
    BatchReduced,
    PredictionStarted,
)
from napari_dl4smlm.widgets.predict.terms import describe_progress, describe_reduction
from napari_dl4smlm.widgets.run_progress import RunProgress


class PredictionProgress(RunProgress):
    """Shows the events of one run after the other."""

    def __init__(self) -> None:
        super().__init__("Reading the model …", "Stopping after this batch …")
        self._what = ""

    def begin(self) -> None:
        """Forget the last run."""
        super().begin()
        self._what = ""

    def tell(self, event: object) -> None:
        """Show what has happened."""
        match event:
            case PredictionStarted():
                self._bar.setRange(0, event.n_frames)
                self._bar.setValue(0)
                how = f"with {event.backend} in {event.precision}"
                self._bar.setToolTip(
                    f"on {event.device} {how}, {event.batch_size} frames at a time"
                    + (f"\n{event.why}" if event.why else "")
                )
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
