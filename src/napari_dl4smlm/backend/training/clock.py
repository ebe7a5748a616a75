"""How long a run has taken, may still take, and how much of it went into waiting for data."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor


class Clock:
    """A clock that stands still while those who follow a run hold it.

    Parameters
    ----------
    max_minutes
        Time limit of the run; ``None`` for none.
    now
        Tells seconds from whenever on.

    Attributes
    ----------
    steps
        Steps of the stage that are done; whoever trains counts them.
    """

    def __init__(
        self, max_minutes: float | None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._now = now
        self._start = now()
        self._held_since = self._start
        self._limit = math.inf if max_minutes is None else 60 * max_minutes
        self._waited = 0.0
        self._worked = 0.0
        self.begin_stage()

    def hold(self) -> None:
        """Stand still until `go_on`."""
        self._held_since = self._now()

    def go_on(self) -> None:
        """Leave out the time since `hold`."""
        self._start += self._now() - self._held_since

    def begin_stage(self, ends_at: float = 1.0) -> None:
        """Measure a stage from now on, which ends at a share of the time limit."""
        self._stage_start = self._elapsed()
        self._stage_end = ends_at * self._limit
        self.steps = 0

    def share_elapsed(self) -> float:
        """Share of the stage's time that is over, at most 1."""
        if self.is_over():
            return 1.0
        return (self._elapsed() - self._stage_start) / (self._stage_end - self._stage_start)

    def is_over(self) -> bool:
        """Whether the time of the stage has run out."""
        return self._elapsed() >= self._stage_end

    def has_passed(self, share: float) -> bool:
        """Whether a share of the time limit of the run is over."""
        return self._elapsed() >= share * self._limit

    def seconds_left(self, steps: int) -> float:
        """Time that so many more steps take, at the pace of the stage, within the limit."""
        elapsed = self._elapsed()
        pace = (elapsed - self._stage_start) / self.steps
        return max(0.0, min(pace * steps, self._limit - elapsed))

    def timed_waiting(
        self, batches: Iterator[tuple[Tensor, Tensor]]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Hand on batches, and measure how long they are waited for."""
        asked = self._elapsed()
        for batch in batches:
            arrived = self._elapsed()
            self._waited += arrived - asked
            yield batch
            asked = self._elapsed()
            self._worked += asked - arrived

    def share_waited(self) -> float:
        """Share of the training steps' time that was spent waiting for patches."""
        total = self._waited + self._worked
        return self._waited / total if total else 0.0

    def _elapsed(self) -> float:
        return self._now() - self._start
