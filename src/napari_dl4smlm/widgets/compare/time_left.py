"""How much of a comparison is done, and how long the rest will take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from napari_dl4smlm.backend.evaluation.comparison.events import (
    ComparisonStarted,
    FramesPredicted,
    ImagesScored,
    ModelCompared,
    SpeedMeasured,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# of the time for a model, until it is known of one: prediction, scores of images, timing
_GUESSED_SHARES = {"frames": 0.6, "images": 0.2, "speed": 0.2}


class TimeLeft:
    """Follows the events of one comparison.

    The steps of a model are known, but not what each costs: that is guessed for the first model and
    taken from the models before for all others.

    Parameters
    ----------
    clock
        Tells seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = self._step_began = clock()
        self._n_models = self._n_devices = 1
        self._models_done = 0
        self._seconds = dict.fromkeys(_GUESSED_SHARES, 0.0)
        self._done = dict.fromkeys(_GUESSED_SHARES, 0.0)

    def follow(self, event: object, n_devices: int) -> None:
        """Take the next event into account."""
        now = self._clock()
        match event:
            case ComparisonStarted():
                self._n_models, self._n_devices = len(event.labels), n_devices
                self._began = now
            case FramesPredicted():
                self._step("frames", event.frames_done / event.n_frames, now)
            case ImagesScored():
                self._step("images", event.done / event.n_comparisons, now)
            case SpeedMeasured():
                self._step("speed", self._done["speed"] + 1 / self._n_devices, now)
            case ModelCompared():
                self._models_done += 1
                self._done = dict.fromkeys(_GUESSED_SHARES, 0.0)
        self._step_began = now

    @property
    def share_done(self) -> float:
        """From 0 to 1."""
        shares = self._seconds if self._models_done else _GUESSED_SHARES
        total = sum(shares.values())
        of_model = sum(shares[name] * done for name, done in self._done.items()) / (total or 1.0)
        return min((self._models_done + of_model) / self._n_models, 1.0)

    def seconds(self) -> float | None:
        """Return how long it will still take; ``None`` as long as nothing is done."""
        share = self.share_done
        elapsed = self._clock() - self._began
        return elapsed * (1 - share) / share if share else None

    def _step(self, name: str, done: float, now: float) -> None:
        self._seconds[name] += now - self._step_began
        self._done[name] = done
