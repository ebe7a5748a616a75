"""Runs any stream of backend events off the GUI thread, and tells them in it at its own pace.

The stream may tell thousands of events per second: they wait in a mailbox, which the GUI thread
empties ten times per second. No Qt object is touched by the other thread.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Generator
from concurrent import futures
from typing import TYPE_CHECKING, NamedTuple

from qtpy.QtCore import QCoreApplication, QObject, QTimer, Signal

from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_INTERVAL_MS = 100
# of one emptying of the mailbox: a longer one is felt when a slider is dragged
_LONGEST_TURN_S = 0.03
# events; with that many the stream waits: they must not pile up while the viewer is busy
_MOST_WAITING = 256

_LOGGER = logging.getLogger(__name__)


class EventWorker(QObject):
    """Runs one stream of events at a time in a thread of its own.

    Signals are emitted in the GUI thread. Events come in order and none is lost, but for those of
    ``latest_only``. Unless `close` was called, every stream that was started ends with exactly one
    of `ended` and `failed`, after its last event; nothing comes after that, and the worker may then
    be started again, even by what is connected to these signals.

    A stream whose worker is destroyed, or whose application quits, is stopped as well.

    Parameters
    ----------
    latest_only
        Types of events of which only the latest matters, such as ``StepFinished``: ten times per
        second one of each is told, however fast other events come in.
    parent
        Whoever owns the worker, usually a widget.

    Attributes
    ----------
    event_arrived
        Carries the event.
    ended
        The stream came to its end, by itself or after `stop`; its last event tells which.
    failed
        The stream raised an error. Carries a message for the user, and the traceback.
    """

    # not ``event``: every QObject has a method of that name, through which Qt calls it
    event_arrived = Signal(object)
    ended = Signal()
    failed = Signal(str, str)

    def __init__(self, latest_only: tuple[type, ...] = (), parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._latest_only = latest_only
        self._running: _Running | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_INTERVAL_MS)
        self._timer.timeout.connect(self._tick)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._let_go)

    @property
    def is_running(self) -> bool:
        """Whether a stream was started that has neither ended nor failed."""
        return self._running is not None

    def start(self, make_events: Callable[[threading.Event], Iterator[object]]) -> None:
        """Run a stream.

        Parameters
        ----------
        make_events
            Opens and returns the stream; it runs in the thread, too, so that it may be slow and
            raise errors. It is given what `stop` sets: the stream has to look at it after each
            event, and end soon. No event is ``None``, and arrays in events must not change any
            more.

        Raises
        ------
        RuntimeError
            The last stream is still running.
        """
        if self._running is not None:
            raise RuntimeError("The last stream is still running; stop it and wait for its end.")
        stream = _Stream(self._latest_only)
        # napari's workers lose a RuntimeError, such as torch raises; a future keeps every error.
        # The thread is not a daemon: at exit, Python waits for models that are being written.
        executor = futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="dl4smlm")
        self._running = _Running(stream, executor.submit(stream.run, make_events))
        executor.shutdown(wait=False)
        self.destroyed.connect(stream.let_go)
        self._timer.start()

    def pause(self) -> None:
        """Hold the stream after the event that it is working at."""
        if self._running is not None:
            self._running.stream.pause()

    def resume(self) -> None:
        """Let a paused stream go on."""
        if self._running is not None:
            self._running.stream.resume()

    def stop(self) -> None:
        """Ask the stream to end soon, also if it is paused; its last events are still told."""
        if self._running is not None:
            self._running.stream.stop()

    def close(self, timeout_s: float = 5.0) -> bool:
        """Stop the stream, tell nothing any more, and wait until it has ended.

        Parameters
        ----------
        timeout_s
            The longest that the GUI thread may be blocked. A stream that takes longer is closed at
            its next event, even if it does not look at what `stop` sets.

        Returns
        -------
        bool
            Whether the stream has ended. If not, it still uses its files and its device.
        """
        running = self._let_go()
        if running is None:
            return True
        has_ended = running.result in futures.wait([running.result], timeout_s).done
        if not has_ended:
            running.stream.abandon()
        return has_ended

    def _let_go(self) -> _Running | None:
        """Stop the stream without waiting, and tell nothing any more."""
        running = self._forget()
        if running is not None:
            running.stream.let_go()
        return running

    def _forget(self) -> _Running | None:
        running, self._running = self._running, None
        if running is not None:
            self._timer.stop()
            self.destroyed.disconnect(running.stream.let_go)
        return running

    def _tick(self) -> None:
        # or it would not fire again in the event loop of a dialog that an event may open
        self._timer.start()
        if not self._empty_mailbox():
            return
        failure = self._take_failure()
        if failure is None:
            self.ended.emit()
        else:
            self.failed.emit(*failure)

    def _empty_mailbox(self) -> bool:
        """Tell what has come in; return whether the stream is over and everything was told."""
        running = self._running
        if running is None:
            return False
        # looked at before the mailbox: what is over by then adds nothing to it
        is_over = running.result.done()
        turn_ends = time.perf_counter() + _LONGEST_TURN_S
        told: set[type] = set()
        while (event := running.stream.take(told)) is not None:
            self.event_arrived.emit(event)
            # what is connected may have closed this stream, or have run an event loop of its own
            if self._running is not running or time.perf_counter() > turn_ends:
                return False
        return is_over and running.stream.is_told

    def _take_failure(self) -> tuple[str, str] | None:
        """Forget the stream that is over, and describe its error, if there was one.

        The error itself is not handed on: it holds all that the stream used, such as the memory of
        a GPU, which the next one may need.
        """
        running = self._forget()
        error = None if running is None else running.result.exception()
        if error is None:
            return None
        message = str(error)
        if not isinstance(error, InputError):
            # those of CUDA go on with advice for programmers
            line, _, _ = traceback.format_exception_only(error)[-1].strip().partition("\n")
            message = f"Unexpected: {line}"
        details = "".join(traceback.format_exception(error))
        _clear_frames(error)
        return message, details


def _clear_frames(error: BaseException | None) -> None:
    """Free what the functions held in which an error was raised, even if they held the error."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


class _Stream:
    """Events on their way from the thread that makes them, which is in `run`, to the GUI thread."""

    def __init__(self, latest_only: tuple[type, ...]) -> None:
        self._latest_only = latest_only
        self._stop_requested = threading.Event()
        # guards the mailbox, and tells the waiting thread of changes
        self._changed = threading.Condition()
        self._mailbox: deque[object] = deque()
        self._is_paused = False
        self._is_watched = True
        self._is_abandoned = False

    def run(self, make_events: Callable[[threading.Event], Iterator[object]]) -> None:
        """Go through all events, waiting where the GUI thread wants it to."""
        try:
            events = make_events(self._stop_requested)
            try:
                for event in events:
                    self._post(event)
                    if self._is_abandoned:
                        break
            finally:
                if isinstance(events, Generator):
                    events.close()
        except BaseException:
            if not self._is_watched:
                _LOGGER.exception("A run failed after its window was closed.")
            raise

    def _post(self, event: object) -> None:
        """Put an event into the mailbox, and wait until the next one is wanted."""
        with self._changed:
            if self._is_watched:
                if isinstance(event, self._latest_only):
                    self._drop_older(event)
                self._mailbox.append(event)
            self._changed.wait_for(self._may_go_on)

    def _drop_older(self, event: object) -> None:
        """Drop an event in whose place this one can be told, without overtaking those of others."""
        kept: list[object] = []
        while self._mailbox and isinstance(self._mailbox[-1], self._latest_only):
            other = self._mailbox.pop()
            if type(other) is not type(event):
                kept.append(other)
        self._mailbox.extend(reversed(kept))

    def _may_go_on(self) -> bool:
        if not self._is_watched:
            return True
        return not self._is_paused and len(self._mailbox) < _MOST_WAITING

    def take(self, told: set[type]) -> object | None:
        """Take the oldest event out of the mailbox; ``None`` if none is to be told now.

        Parameters
        ----------
        told
            The types of ``latest_only`` of which this turn has told one already, to which those of
            the event are added: another one is left for the next turn, or out, if a later one is
            there.
        """
        with self._changed:
            while self._mailbox:
                kind = type(self._mailbox[0])
                if kind in told and not any(type(later) is kind for later in self._later()):
                    return None
                event = self._mailbox.popleft()
                self._changed.notify()
                if kind not in told:
                    if isinstance(event, self._latest_only):
                        told.add(kind)
                    return event
            return None

    def _later(self) -> Iterator[object]:
        return itertools.islice(self._mailbox, 1, None)

    @property
    def is_told(self) -> bool:
        """Whether the mailbox is empty."""
        return not self._mailbox

    def pause(self) -> None:
        with self._changed:
            self._is_paused = True

    def resume(self) -> None:
        with self._changed:
            self._is_paused = False
            self._changed.notify()

    def stop(self) -> None:
        self._stop_requested.set()
        self.resume()

    def let_go(self) -> None:
        """Stop, and keep no more events, since nobody takes them."""
        self._is_watched = False
        self.stop()

    def abandon(self) -> None:
        """End at the next event, whether the stream looks at its stop or not."""
        self._is_abandoned = True


class _Running(NamedTuple):
    """A stream, and what becomes of its thread.

    The stream must not hold the result, whose error holds the stream: such a cycle would keep the
    memory of a failed run until Python happens to look for cycles.
    """

    stream: _Stream
    result: futures.Future[None]
