"""When the frames of a movie that is still being written come, and whether they come too fast."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from napari_dl4smlm.backend.acquisition.frames import parse_frame_range
from napari_dl4smlm.backend.prediction.events import FramesArrived

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from napari_dl4smlm.backend.acquisition.growing_frames import GrowingFrames

_LOOK_EVERY_S = 0.1
_TELL_EVERY_S = 1.0
# a camera may hold back frames for a second or so and then write many
_RATE_OVER_S = 10.0
_BEHIND_FROM_S = 2.0


class Arrivals:
    """The frames to be predicted of a movie that grows.

    Parameters
    ----------
    movie
        It is looked at again and again.
    wanted
        Frames that the user asks for, as ``A:B``; ``None`` for all that come.

    Attributes
    ----------
    frames
        Those of the wanted ones that are there.

    Raises
    ------
    InputError
        ``wanted`` cannot be understood.
    """

    def __init__(self, movie: GrowingFrames, wanted: str | None) -> None:
        self._movie = movie
        self._wanted = parse_frame_range(wanted, None)
        self._history: deque[_Standing] = deque()
        self.frames = self._there()

    def wait_for(self, first: int, stopping: threading.Event) -> Iterator[FramesArrived]:
        """Wait until a frame is there, or until no more is to come.

        Parameters
        ----------
        first
            The frame to be predicted next.
        stopping
            Once another thread sets it, the waiting ends.

        Yields
        ------
        FramesArrived
            Whenever there are more frames, and each second while there are none.

        Raises
        ------
        InputError
            The movie is gone, or has a frame of another size or type.
        """
        grown_at = told_at = time.monotonic()
        is_first_look = True
        while not stopping.is_set():
            before = self._movie.n_frames
            has_grown = self._movie.grow() > before
            self.frames = self._there()
            now = time.monotonic()
            if has_grown:
                grown_at = now
            if is_first_look or has_grown or now - told_at >= _TELL_EVERY_S:
                yield self._standing(first, now)
                told_at, is_first_look = now, False
            is_over = first >= self._wanted.stop or now - grown_at >= self._movie.quiet_s
            if first < self.frames.stop or is_over:
                return
            stopping.wait(_LOOK_EVERY_S)

    def _there(self) -> range:
        start = self._wanted.start
        return range(start, max(start, min(self._wanted.stop, self._movie.n_frames)))

    def _standing(self, first: int, now: float) -> FramesArrived:
        behind = self.frames.stop - first
        self._history.append(_Standing(now, self.frames.stop, behind))
        while now - self._history[0].time > _RATE_OVER_S:
            self._history.popleft()
        oldest = self._history[0]
        seconds = now - oldest.time
        rate = (self.frames.stop - oldest.arrived) / seconds if seconds > 0 else 0.0
        return FramesArrived(
            n_frames=len(self.frames),
            frames_behind=behind,
            frames_per_second=rate,
            keeps_up=behind <= max(oldest.behind, _BEHIND_FROM_S * rate),
        )


class _Standing(NamedTuple):
    time: float
    arrived: int
    behind: int
