"""Threads that work on batches of frames side by side and give the results in order."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import Self

Result = TypeVar("Result")

# as many again wait, so that no thread is without work while results are taken one by one
_AHEAD = 2


class Streams(Generic[Result]):
    """Threads with batches of frames of their own; use it in a ``with`` statement.

    A small frame cannot keep many cores busy, and what is done beside the network keeps one of
    them. Here none waits for another.

    Parameters
    ----------
    device
        Where the networks run.
    networks
        How many of them run at a time. Each has an equal share of the threads of PyTorch.
    threads
        How many batches are worked on at a time; beside the networks, frames are read and peaks
        are sought.

    Attributes
    ----------
    network
        To be held while a network runs.
    """

    def __init__(self, device: torch.device, *, networks: int, threads: int) -> None:
        self.network = threading.BoundedSemaphore(networks)
        self._most_begun = _AHEAD * threads
        self._begun: deque[tuple[range, Future[Result]]] = deque()
        self._pool = _started_pool(device, threads, max(1, torch.get_num_threads() // networks))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # whoever closes the movie next must not do so while it is read
        self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def has_room(self) -> bool:
        """Whether another batch can be begun before a result is taken."""
        return len(self._begun) < self._most_begun

    def begin(self, work: Callable[[range], Result], batch: range) -> None:
        """Have a batch worked on after those that were begun before."""
        self._begun.append((batch, self._pool.submit(work, batch)))

    def take(self) -> tuple[range, Result]:
        """Wait for the batch that was begun first of those that are left.

        Raises
        ------
        IndexError
            None is left.
        Exception
            What went wrong with this batch.
        """
        batch, future = self._begun.popleft()
        return batch, future.result()

    def map(self, work: Callable[[range], Result], batches: Iterable[range]) -> Iterator[Result]:
        """Work on some batches and no others; yield their results in order, or raise an error."""
        try:
            for batch in batches:
                if not self.has_room:
                    yield self.take()[1]
                self.begin(work, batch)
            while self._begun:
                yield self.take()[1]
        finally:
            self._forget()

    def _forget(self) -> None:
        """Wait until nothing that was begun goes on."""
        while self._begun:
            _, future = self._begun.popleft()
            if not future.cancel():
                future.exception()


def _started_pool(device: torch.device, size: int, share: int) -> ThreadPoolExecutor:
    """Start threads that each compute with some of the threads of PyTorch."""
    threads = torch.get_num_threads()
    all_there = threading.Barrier(size)
    # a new thread would be on the first GPU
    gpu = _index(device) if device.type == "cuda" else None

    def set_up() -> None:
        torch.set_num_threads(share)
        # a thread takes what was set last when it asks for the first time: not later than now
        torch.get_num_threads()
        if gpu is not None:
            torch.cuda.set_device(gpu)

    pool = ThreadPoolExecutor(size, "dl4smlm-stream", set_up)
    try:
        for started in [pool.submit(all_there.wait) for _ in range(size)]:
            started.result()
    except BaseException:
        # the others would wait for ever, and the program for them
        all_there.abort()
        pool.shutdown(cancel_futures=True)
        raise
    finally:
        # each thread has a number of its own, but the last one set is that of all threads to come
        torch.set_num_threads(threads)
    return pool


def _index(device: torch.device) -> int:
    return torch.cuda.current_device() if device.index is None else device.index
