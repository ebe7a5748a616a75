"""Reads the next frames of a movie while the last ones are predicted."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from napari_dl4smlm.backend.acquisition.frames import FrameStack


class ReadAhead:
    """A movie of which one batch is read in advance; use it in a ``with`` statement.

    Parameters
    ----------
    movie
        It has to stay open as long as this.
    """

    def __init__(self, movie: FrameStack) -> None:
        self._movie = movie
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dl4smlm-read")
        self._expected = range(0)
        self._upcoming: Future[NDArray[Any]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # whoever closes the movie next must not do so while it is read
        self._thread.shutdown(wait=True, cancel_futures=True)

    def read(self, frames: range, then: range) -> NDArray[Any]:
        """Return frames, and begin to read those that are wanted then.

        Parameters
        ----------
        frames
            Without gaps, inside the movie.
        then
            What is probably asked for next; empty for nothing.

        Raises
        ------
        InputError
            As `FrameStack.read`, for ``frames`` alone.
        """
        if self._upcoming is not None and self._expected == frames:
            counts = self._upcoming.result()
        else:
            counts = self._movie.read(frames.start, frames.stop)
        self._upcoming = None
        if then:
            self._expected = then
            self._upcoming = self._thread.submit(self._movie.read, then.start, then.stop)
        return counts
