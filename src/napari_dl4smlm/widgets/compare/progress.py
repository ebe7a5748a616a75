"""How a comparison goes: which model, what of it, how much time is left, and how it ended."""

from __future__ import annotations

from napari_dl4smlm.backend.evaluation.comparison.events import (
    ComparisonStarted,
    FramesPredicted,
    ImagesScored,
    ModelCompared,
    SpeedMeasured,
)
from napari_dl4smlm.widgets.compare.time_left import TimeLeft
from napari_dl4smlm.widgets.durations import duration
from napari_dl4smlm.widgets.run_progress import RunProgress

# finer than the bar is wide
_STEPS = 1000


class ComparisonProgress(RunProgress):
    """Shows the events of one run after the other."""

    def __init__(self) -> None:
        super().__init__("Reading models and data …", "Stopping after this step …")
        self._time_left = TimeLeft()
        self._n_devices = 1
        self._labels: tuple[str, ...] = ()

    def begin_on(self, n_devices: int) -> None:
        """Forget the last run; the models are timed on so many devices."""
        self.begin()
        self._time_left, self._n_devices = TimeLeft(), n_devices

    def tell(self, event: object) -> None:
        """Show what has happened."""
        self._time_left.follow(event, self._n_devices)
        match event:
            case ComparisonStarted():
                self._labels = event.labels
                self._bar.setRange(0, _STEPS)
                self._bar.setToolTip(f"on {event.device}")
                self._show(event.labels[0], f"0 / {event.n_frames:,} frames")
            case FramesPredicted():
                self._show(event.label, f"{event.frames_done:,} / {event.n_frames:,} frames")
            case ImagesScored():
                self._show(event.label, f"image {event.done} / {event.n_comparisons}")
            case SpeedMeasured():
                self._show(event.label, f"timed on {event.speed.device}")
            case ModelCompared():
                self._show(event.model.label, "done")

    def _show(self, label: str, what: str) -> None:
        self._bar.setValue(round(_STEPS * self._time_left.share_done))
        seconds = self._time_left.seconds()
        left = "" if seconds is None else f" · {duration(seconds)} left"
        number = self._labels.index(label) + 1
        self._line.show_text(f"{number} of {len(self._labels)}: {label} · {what}{left}")
