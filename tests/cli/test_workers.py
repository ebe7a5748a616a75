"""Processes that share the work of a command."""

import sys
import threading

import pytest

from napari_dl4smlm.cli import workers

FELLOW = """
import sys, threading
from napari_dl4smlm.cli.workers import stop_with_first_worker
stop = threading.Event()
stop_with_first_worker(stop.set)
was_stopped = stop.wait({wait_s})
sys.exit(0 if was_stopped == {expected} else f"Error: stopped: {{was_stopped}}")
"""


@pytest.mark.parametrize("stopped", [False, True])
def test_the_others_are_stopped_if_and_only_if_the_first_worker_is(monkeypatch, capsys, stopped):
    # the one that is stopped would else wait for longer than the test may take
    fellow = FELLOW.format(wait_s=60 if stopped else 0.1, expected=stopped)
    monkeypatch.setattr(workers, "_COMMAND", (sys.executable, "-c", fellow))
    stop = threading.Event()
    with workers.fellow_workers(3, [], stop):
        if stopped:
            stop.set()
    assert capsys.readouterr().err == ""


def test_who_was_not_started_by_a_first_worker_is_stopped_by_none(monkeypatch):
    monkeypatch.delenv("DL4SMLM_FELLOW", raising=False)
    before = threading.active_count()
    workers.stop_with_first_worker(lambda: pytest.fail("stopped"))
    assert threading.active_count() == before
