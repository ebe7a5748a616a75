"""Runs what was asked for last; what was asked for before is of no interest any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_dl4smlm.widgets.worker import EventWorker

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator


class LatestRun(QObject):
    """Streams of events of which only the newest is told; it waits until the last has ended.

    Attributes
    ----------
    event_arrived, failed
        As those of `EventWorker`.
    ended
        The newest stream is over, whether it failed or not.
    """

    event_arrived = Signal(object)
    ended = Signal()
    failed = Signal(str, str)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._worker = EventWorker(parent=self)
        self._next: Callable[[], Iterator[object]] | None = None
        self._is_wanted = False
        self._worker.event_arrived.connect(self._on_event)
        self._worker.ended.connect(self._on_end)
        self._worker.failed.connect(self._on_failure)

    @property
    def is_running(self) -> bool:
        """Whether there is a stream that has not ended."""
        return self._worker.is_running

    def start(self, make_events: Callable[[], Iterator[object]]) -> None:
        """Run a stream in place of any other."""
        self._next = make_events
        self._is_wanted = False
        if self._worker.is_running:
            self._worker.stop()
        else:
            self._start_next()

    def cancel(self) -> None:
        """Tell nothing any more of what is running."""
        self._next = None
        self._is_wanted = False
        self._worker.stop()

    def close(self) -> bool:
        """Cancel and wait, as `EventWorker.close`."""
        self.cancel()
        return self._worker.close()

    def _start_next(self) -> None:
        make_events, self._next = self._next, None
        if make_events is None:
            return
        self._is_wanted = True

        def run(stop: threading.Event) -> Iterator[object]:
            for event in make_events():
                yield event
                if stop.is_set():
                    return

        self._worker.start(run)

    def _on_event(self, event: object) -> None:
        if self._is_wanted:
            self.event_arrived.emit(event)

    def _on_end(self) -> None:
        if self._is_wanted:
            self.ended.emit()
        self._start_next()

    def _on_failure(self, message: str, details: str) -> None:
        if self._is_wanted:
            self.failed.emit(message, details)
            self.ended.emit()
        self._start_next()
