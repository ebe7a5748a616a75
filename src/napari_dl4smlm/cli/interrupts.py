"""Ctrl-C, or a job scheduler whose time is up, ends long work in an orderly way."""

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

# the second is what Slurm and torchrun send some seconds before they kill
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_on_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first signal call ``stop``, and the second one end the program at once."""

    def on_interrupt(number: int, frame: object) -> None:
        del number, frame
        restore()
        # not among the results, which may be JSON
        tqdm.write("Stopping after this step; press Ctrl-C again to quit at once.", file=sys.stderr)
        stop()

    def restore() -> None:
        for each, handler in zip(_SIGNALS, previous, strict=True):
            signal.signal(each, handler)

    previous = [signal.signal(each, on_interrupt) for each in _SIGNALS]
    try:
        yield
    finally:
        restore()
