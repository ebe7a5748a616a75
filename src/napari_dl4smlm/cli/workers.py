"""Further processes that do the same work as this one, each with its share of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

from napari_dl4smlm.backend.available_cores import available_cores
from napari_dl4smlm.cli.interrupts import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_COMMAND = (sys.executable, "-m", "napari_dl4smlm.cli")


@contextmanager
def fellow_workers(count: int, arguments: Sequence[str]) -> Iterator[None]:
    """Run a command in other processes as long as the block lasts, and wait for their end.

    Each is told by ``LOCAL_RANK``, as by ``torchrun``, which GPU is its own. Ctrl-C reaches all of
    them. One that fails is told of at the end; nothing is printed by the others.

    Parameters
    ----------
    count
        How many workers there are, with this process.
    arguments
        What follows ``dl4smlm`` on the command line.
    """
    with ExitStack() as files:
        workers = []
        for rank in range(1, count):
            errors = files.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
            environment = {
                **os.environ,
                "LOCAL_RANK": str(rank),
                "OMP_NUM_THREADS": str(max(1, available_cores() // count)),
            }
            process = subprocess.Popen(
                [*_COMMAND, *arguments],
                env=environment,
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
        finally:
            codes = [process.wait() for process, _ in workers]
        for code, (_, errors) in zip(codes, workers, strict=True):
            if code not in (0, INTERRUPTED):
                errors.seek(0)
                *_, last = ["it was killed", *errors.read().split("\n")[:-1]]
                click.echo(f"Warning: a worker has failed: {last}", err=True)
