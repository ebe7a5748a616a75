"""Ctrl-C ends long work in an orderly way."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INTERRUPTED = 130
"""Exit code of a command that was stopped, as shells know it."""


@contextmanager
def stop_on_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first Ctrl-C call ``stop``, and the second one end the program at once."""

    def on_interrupt(number: int, frame: object) -> None:
        del number, frame
        signal.signal(signal.SIGINT, previous)
        # not among the results, which may be JSON
        tqdm.write("Stopping after this step; press Ctrl-C again to quit at once.", file=sys.stderr)
        stop()

    previous = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
