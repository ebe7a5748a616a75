"""A stream of events that runs in another thread, as the GUI thread sees it."""

from __future__ import annotations

import gc
import itertools
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from dataclasses import dataclass

import pytest

pytest.importorskip("pytestqt")

from qtpy.QtCore import QEventLoop, QObject, QTimer

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.widgets.worker import EventWorker

pytestmark = pytest.mark.gui

# far above what anything here takes, so that a busy machine fails no test
TIMEOUT_MS = 120_000


@dataclass(frozen=True)
class Step:
    number: int


@dataclass(frozen=True)
class Epoch:
    number: int


@dataclass(frozen=True)
class Picture:
    number: int


class Audience:
    """Writes down what a worker tells, and in which thread."""

    def __init__(self, worker):
        self.told = []
        self.ends = []
        self.threads = set()
        worker.event_arrived.connect(self.on_event)
        worker.ended.connect(lambda: self.ends.append("ended"))
        worker.failed.connect(lambda message, details: self.ends.append((message, details)))

    def on_event(self, event):
        self.told.append(event)
        self.threads.add(threading.current_thread())


@pytest.fixture
def worker(qtbot):
    worker = EventWorker(latest_only=(Step, Picture))
    yield worker
    assert worker.close(TIMEOUT_MS / 1000)


@pytest.fixture
def audience(worker):
    return Audience(worker)


def until_stopped(stop):
    """Tell numbers, without any pause, until the stop."""
    for number in itertools.count():
        yield number
        if stop.is_set():
            yield "stopped"
            return


def run_to_its_end(worker, audience, make_events, qtbot):
    worker.start(make_events)
    qtbot.waitUntil(lambda: bool(audience.ends))


# what arrives


def test_all_events_arrive_in_order_and_in_the_gui_thread(worker, audience, qtbot):
    run_to_its_end(worker, audience, lambda stop: iter(range(1000)), qtbot)

    assert audience.told == list(range(1000))
    assert audience.threads == {threading.main_thread()}
    assert audience.ends == ["ended"]


def test_the_stream_is_opened_and_run_in_another_thread(worker, audience, qtbot):
    threads = []

    def open_stream(stop):
        threads.append(threading.current_thread())
        return run()

    def run():
        threads.append(threading.current_thread())
        yield "event"

    run_to_its_end(worker, audience, open_stream, qtbot)

    assert len(set(threads)) == 1
    assert threads[0] is not threading.main_thread()


def test_of_thousands_of_steps_at_most_ten_per_second_arrive_but_every_epoch(
    worker, audience, qtbot
):
    def train(stop):
        for epoch in range(1, 6):
            for number in range(2000):
                yield Step(2000 * epoch + number)
            yield Epoch(epoch)
        yield Step(20_000)

    started = time.perf_counter()
    run_to_its_end(worker, audience, train, qtbot)
    seconds = time.perf_counter() - started

    steps = [event.number for event in audience.told if isinstance(event, Step)]
    assert [event.number for event in audience.told if isinstance(event, Epoch)] == [1, 2, 3, 4, 5]
    assert steps == sorted(steps)
    assert len(steps) <= 10 * seconds + 1
    assert audience.told[-1] == Step(20_000)


def test_no_step_arrives_after_the_epoch_that_it_belongs_to(worker, audience, qtbot):
    def train(stop):
        yield Step(1)
        yield Epoch(1)
        yield Step(2)
        yield Epoch(2)

    run_to_its_end(worker, audience, train, qtbot)

    assert audience.told in (
        [Epoch(1), Step(2), Epoch(2)],
        [Step(1), Epoch(1), Step(2), Epoch(2)],
    )


def test_steps_are_told_however_fast_epochs_come(worker, audience, qtbot):
    def train(stop):
        for number in itertools.count():
            yield Step(number)
            yield Epoch(number)
            if stop.is_set():
                return

    # an epoch takes as long to show as a turn may last
    worker.event_arrived.connect(
        lambda event: spin(seconds=0.04) if isinstance(event, Epoch) else None
    )
    worker.start(train)
    qtbot.waitUntil(lambda: sum(isinstance(event, Step) for event in audience.told) >= 5)

    worker.close()
    assert audience.told == sorted(audience.told, key=lambda e: (e.number, isinstance(e, Epoch)))
    assert [event.number for event in audience.told if isinstance(event, Epoch)] == list(
        range(sum(isinstance(event, Epoch) for event in audience.told))
    )


def test_kinds_of_which_the_latest_matters_do_not_fill_the_mailbox(worker, audience, qtbot):
    made = threading.Event()

    def predict(stop):
        for number in range(1000):
            yield Step(number)
            yield Picture(number)
        made.set()

    worker.start(predict)
    # no event loop runs meanwhile: of a full mailbox, this would not come to its end
    assert made.wait(TIMEOUT_MS / 1000)
    qtbot.waitUntil(lambda: bool(audience.ends))

    assert audience.told == [Step(999), Picture(999)]


def test_a_viewer_that_is_busy_holds_the_stream_back(worker):
    made, many_are_made = [], threading.Event()

    def predict(stop):
        for event in until_stopped(stop):
            made.append(event)
            if len(made) == 256:
                many_are_made.set()
            yield event

    worker.start(predict)
    # no event loop runs meanwhile
    assert many_are_made.wait(TIMEOUT_MS / 1000)
    spin(seconds=0.1)

    assert len(made) == 256


# the GUI thread stays free


def spin(seconds):
    """Keep this thread, and the lock of the interpreter, busy."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        sum(range(1000))


class Pulse:
    """Counts how often an event loop gets to a timer of 10 ms."""

    def __init__(self):
        self.beats = 0
        self.timer = QTimer()
        self.timer.timeout.connect(self.beat)
        self.timer.start(10)

    def beat(self):
        self.beats += 1


def test_the_event_loop_keeps_answering_while_a_stream_computes(worker, audience, qtbot):
    def compute(stop):
        for number in range(20):
            spin(seconds=0.05)
            yield Step(number)

    pulse = Pulse()
    run_to_its_end(worker, audience, compute, qtbot)

    # a second of computing holds 100 beats; one that blocks the event loop leaves none
    assert pulse.beats >= 20


def test_the_event_loop_keeps_answering_while_many_slow_events_arrive(worker, audience, qtbot):
    worker.event_arrived.connect(lambda event: spin(seconds=0.02))

    pulse = Pulse()
    run_to_its_end(worker, audience, lambda stop: iter(range(30)), qtbot)

    # two at a time leave time for 90 beats; all at once would block the event loop for 0.6 s
    assert pulse.beats >= 40


# errors


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("CUDA error: an illegal access"), "RuntimeError: CUDA error: an illegal"),
        (MemoryError(), "MemoryError"),
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left"),
        (SystemExit(1), "SystemExit: 1"),
        (RuntimeError("no device\nCompile with TORCH_USE_CUDA_DSA"), "RuntimeError: no device"),
    ],
)
def test_an_unexpected_error_ends_the_stream_and_is_told_with_its_traceback(
    worker, audience, qtbot, error, message
):
    def train(stop):
        yield 1
        raise error

    run_to_its_end(worker, audience, train, qtbot)

    [(told, details)] = audience.ends
    assert audience.told == [1]
    assert told.startswith(f"Unexpected: {message}")
    assert "\n" not in told
    assert "in train" in details


def test_what_the_user_can_mend_is_told_as_it_is(worker, audience, qtbot):
    def open_stream(stop):
        raise InputError("There is no movie.tif. Choose another file.")

    run_to_its_end(worker, audience, open_stream, qtbot)

    [(message, _)] = audience.ends
    assert message == "There is no movie.tif. Choose another file."


def test_an_error_after_the_stop_is_told_too(worker, audience, qtbot):
    def train(stop):
        yield "step"
        stop.wait()
        raise OSError(28, "No space left on device")

    worker.start(train)
    worker.stop()
    qtbot.waitUntil(lambda: bool(audience.ends))

    [(message, _)] = audience.ends
    assert "No space left" in message


# pause and stop


def test_a_pause_freezes_the_stream_until_it_is_resumed(worker, audience, qtbot):
    made = []

    def train(stop):
        for event in until_stopped(stop):
            made.append(event)
            yield event

    worker.start(train)
    qtbot.waitUntil(lambda: bool(audience.told))
    worker.pause()
    # every event that was made before the pause, and the one under way, is told
    qtbot.waitUntil(lambda: audience.told == made)
    before = len(made)
    qtbot.wait(300)
    assert len(made) <= before + 1

    worker.resume()
    qtbot.waitUntil(lambda: len(made) > before + 100)


def test_a_stop_lets_the_stream_finish_its_work_and_tells_its_last_events(worker, audience, qtbot):
    worker.start(until_stopped)
    qtbot.waitUntil(lambda: len(audience.told) > 10)
    worker.stop()
    qtbot.waitUntil(lambda: bool(audience.ends))

    assert audience.told == [*range(len(audience.told) - 1), "stopped"]
    assert audience.ends == ["ended"]


def test_a_paused_stream_can_be_stopped(worker, audience, qtbot):
    worker.start(until_stopped)
    worker.pause()
    qtbot.waitUntil(lambda: bool(audience.told))
    worker.stop()
    qtbot.waitUntil(lambda: bool(audience.ends))

    assert audience.told[-1] == "stopped"
    assert audience.ends == ["ended"]


def test_buttons_pressed_when_nothing_runs_do_nothing(worker, audience, qtbot):
    worker.pause()
    worker.resume()
    worker.stop()

    run_to_its_end(worker, audience, lambda stop: iter([stop.is_set()]), qtbot)

    assert audience.told == [False]


# closing


class Stream:
    """Runs until the stop, or for ever, and knows whether it was closed."""

    def __init__(self, *, looks_at_stop=True):
        self.looks_at_stop = looks_at_stop
        self.next_event_wanted = threading.Semaphore(0)
        self.runs = threading.Event()
        self.closed_in = None
        self.closed = threading.Event()

    def __call__(self, stop):
        try:
            for number in itertools.count():
                self.runs.set()
                yield number
                if not self.looks_at_stop:
                    self.next_event_wanted.acquire()
                elif stop.is_set():
                    return
        finally:
            self.closed_in = threading.current_thread()
            self.closed.set()


@pytest.mark.parametrize("state", ["running", "paused", "waiting for the viewer"])
def test_closing_ends_the_stream_and_its_finally_blocks_run_in_its_thread(
    worker, audience, qtbot, state
):
    stream = Stream()
    worker.start(stream)
    if state == "waiting for the viewer":
        # no event loop runs meanwhile, so that the mailbox gets full
        assert stream.runs.wait(TIMEOUT_MS / 1000)
        spin(seconds=0.1)
    else:
        qtbot.waitUntil(lambda: bool(audience.told))
    if state == "paused":
        worker.pause()

    assert worker.close(TIMEOUT_MS / 1000)

    assert stream.closed.is_set()
    assert stream.closed_in is not threading.main_thread()
    assert not worker.is_running


def test_nothing_is_told_after_closing(worker, audience, qtbot):
    stream = Stream()
    worker.start(stream)
    assert stream.runs.wait(TIMEOUT_MS / 1000)
    assert worker.close(TIMEOUT_MS / 1000)

    qtbot.wait(300)

    assert audience.told == []
    assert audience.ends == []


def test_who_is_told_an_event_may_close_the_worker(worker, audience, qtbot):
    worker.event_arrived.connect(lambda event: worker.close(TIMEOUT_MS / 1000))
    worker.start(lambda stop: iter(range(10)))
    qtbot.waitUntil(lambda: bool(audience.told))
    qtbot.wait(300)

    assert audience.told == [0]
    assert audience.ends == []


def test_a_stream_that_does_not_end_in_time_is_closed_at_its_next_event(worker, qtbot):
    stream, held = Stream(looks_at_stop=False), []

    def open_stream(stop):
        # or Python would close it, too, as soon as nobody holds it
        held.append(stream(stop))
        return held[0]

    worker.start(open_stream)
    assert stream.runs.wait(TIMEOUT_MS / 1000)

    assert not worker.close(timeout_s=0.01)
    assert not stream.closed.is_set()

    stream.next_event_wanted.release()
    assert stream.closed.wait(TIMEOUT_MS / 1000)


def test_closing_when_nothing_runs_is_over_at_once(worker):
    assert worker.close(timeout_s=0)


def test_an_error_while_closing_is_not_lost(worker, qtbot, caplog):
    runs = threading.Event()

    def train(stop):
        yield "step"
        runs.set()
        stop.wait()
        raise OSError(28, "No space left on device")

    worker.start(train)
    assert runs.wait(TIMEOUT_MS / 1000)
    assert worker.close(TIMEOUT_MS / 1000)

    assert "No space left on device" in caplog.text


def test_a_stream_ends_with_the_widget_that_owns_its_worker(qtbot):
    widget, stream = QObject(), Stream()
    worker = EventWorker(parent=widget)
    worker.start(stream)
    assert stream.runs.wait(TIMEOUT_MS / 1000)

    widget.deleteLater()

    qtbot.waitUntil(stream.closed.is_set)


def test_a_stream_ends_with_a_worker_that_nobody_holds(qtbot):
    worker, stream = EventWorker(), Stream()
    worker.start(stream)
    assert stream.runs.wait(TIMEOUT_MS / 1000)

    del worker
    gc.collect()

    assert stream.closed.wait(TIMEOUT_MS / 1000)


def test_an_application_that_quits_waits_for_what_the_stream_still_writes():
    script = """
        import time
        from qtpy.QtCore import QCoreApplication
        from napari_dl4smlm.widgets.worker import EventWorker

        def train(stop):
            while not stop.is_set():
                yield "step"
            time.sleep(0.3)
            print("model written")

        application = QCoreApplication([])
        worker = EventWorker()
        worker.event_arrived.connect(application.quit)
        worker.start(train)
        application.exec()
    """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.stderr, done.returncode) == ("model written\n", "", 0)


# one after the other


def test_a_second_stream_is_refused_while_the_first_one_runs(worker):
    worker.start(until_stopped)

    with pytest.raises(RuntimeError, match="still running"):
        worker.start(until_stopped)


def test_the_next_stream_may_be_started_by_who_is_told_of_the_end(worker, audience, qtbot):
    streams = [iter(["second"])]
    worker.ended.connect(lambda: streams and worker.start(lambda stop: streams.pop()))
    worker.start(lambda stop: iter(["first"]))
    qtbot.waitUntil(lambda: len(audience.ends) == 2)

    assert audience.told == ["first", "second"]


def test_a_dialog_that_an_event_opens_does_not_hold_back_the_other_events(worker, audience, qtbot):
    def ask(event):
        if event == 0:
            dialog = QEventLoop()
            worker.ended.connect(dialog.quit)
            dialog.exec()

    worker.event_arrived.connect(ask)
    run_to_its_end(worker, audience, lambda stop: iter(range(5)), qtbot)

    assert audience.told == [0, 1, 2, 3, 4]
    assert audience.ends == ["ended"]


class Trainer:
    """Holds what should not be held longer than needed, such as the memory of a GPU."""

    def events(self, error):
        yield "step"
        # this function then holds the error, and the error this function
        if error is not None:
            raise error


@pytest.mark.parametrize("kind", [None, RuntimeError, InputError])
def test_what_a_stream_used_is_free_when_its_end_is_told(worker, qtbot, kind):
    trainers, alive = [], []

    def open_stream(stop):
        trainer = Trainer()
        trainers.append(weakref.ref(trainer))
        return trainer.events(kind and kind())

    worker.ended.connect(lambda: alive.append(trainers[0]()))
    worker.failed.connect(lambda message, details: alive.append(trainers[0]()))
    # whatever is freed, is so without a search for cycles
    gc.disable()
    try:
        worker.start(open_stream)
        qtbot.waitUntil(lambda: bool(alive))
    finally:
        gc.enable()

    assert alive == [None]
