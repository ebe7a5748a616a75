"""Further processes that do the same work as this one, each with its share of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

from napari_dl4smlm.backend.available_cores import available_cores
from napari_dl4smlm.cli.interrupts import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_COMMAND = (sys.executable, "-m", "napari_dl4smlm.cli")
_IS_FELLOW = "DL4SMLM_FELLOW"  # environment variable


@contextmanager
def fellow_workers(count: int, arguments: Sequence[str], stop: threading.Event) -> Iterator[None]:
    """Run a command in other processes as long as the block lasts, and wait for their end.

    Each is told by ``LOCAL_RANK``, as by ``torchrun``, which GPU is its own. One that fails is told
    of at the end; nothing is printed by the others.

    Parameters
    ----------
    count
        How many workers there are, with this process.
    arguments
        What follows ``dl4smlm`` on the command line; it calls `stop_with_first_worker`.
    stop
        Whether the block ended since this process was stopped: the others are then stopped too.
    """
    with ExitStack() as files:
        # not by a signal: one that they have got already, as by Ctrl-C or from a scheduler, makes
        # the second end them at once, and Windows knows none that lets them end in order
        reading, writing = os.pipe()
        until_stop = files.enter_context(os.fdopen(writing, "wb"))
        files.callback(os.close, reading)
        workers = []
        for rank in range(1, count):
            errors = files.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
            environment = {
                **os.environ,
                _IS_FELLOW: "1",
                "LOCAL_RANK": str(rank),
                "OMP_NUM_THREADS": str(max(1, available_cores() // count)),
            }
            process = subprocess.Popen(
                [*_COMMAND, *arguments],
                env=environment,
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
            workers.append((process, errors))
        try:
            yield
        except BaseException:
            for process, _ in workers:
                process.terminate()
            raise
        else:
            if stop.is_set():
                until_stop.close()
        finally:
            codes = [process.wait() for process, _ in workers]
        for code, (_, errors) in zip(codes, workers, strict=True):
            if code not in (0, INTERRUPTED):
                errors.seek(0)
                *_, last = ["it was killed", *errors.read().split("\n")[:-1]]
                click.echo(f"Warning: a worker has failed: {last}", err=True)


def stop_with_first_worker(stop: Callable[[], None]) -> None:
    """Call ``stop`` once the process that has started this one is stopped or has died.

    Does nothing in a process that was not started by `fellow_workers`.
    """
    if _IS_FELLOW not in os.environ:
        return

    def wait() -> None:
        # nothing is ever written: this is the end of the other side
        os.read(0, 1)
        stop()

    threading.Thread(target=wait, daemon=True).start()
