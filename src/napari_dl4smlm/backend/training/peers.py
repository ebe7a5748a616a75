"""Processes that train one network together, each on its share of every batch.

Every process has the network, the optimizer and the data. A step of all is the step that one would
take with the whole batch: each computes the gradients of its share, and the mean of them is what
all learn from (synchronous data parallelism, as in ``DistributedDataParallel``). The networks here
have about a million weights, so that their gradients travel in one message at the end of the
backward pass.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.models.device import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Anything = TypeVar("Anything")
AnyModule = TypeVar("AnyModule", bound=nn.Module)


class Peers:
    """The processes of one training; one alone by default.

    Parameters
    ----------
    rank
        Number of this process, from 0. The first one validates, saves and keeps the time.
    count
        How many there are.
    device
        Where each computes; messages travel between these.
    """

    def __init__(self, rank: int = 0, count: int = 1, device: torch.device | None = None) -> None:
        self.rank = rank
        self.count = count
        self._device = device or torch.device("cpu")

    @classmethod
    def of_environment(cls, device: torch.device) -> Peers:
        """Find the processes that ``torchrun`` started; without it, there is one.

        Raises
        ------
        InputError
            The others cannot be reached.
        """
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1 or "RANK" not in os.environ:
            return cls(device=device)
        if not dist.is_initialized():
            try:
                dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
            except (RuntimeError, ValueError) as error:
                raise InputError(
                    f"The other {count - 1} processes of this training cannot be reached: {error}"
                ) from error
        return cls(int(os.environ["RANK"]), count, device)

    def part(self) -> None:
        """End the messages, when training is over."""
        if self.count > 1 and dist.is_initialized():
            dist.destroy_process_group()

    @property
    def is_first(self) -> bool:
        """Whether this process does what is to be done once."""
        return self.rank == 0

    def share(self, items: Sequence[int]) -> tuple[list[int], float]:
        """Return the items of a batch that are for this process, and how much they weigh.

        The mean over all processes of the weighted means is the mean over the batch.
        """
        mine = list(items[self.rank :: self.count])
        # every process takes part in every step, if only with nothing
        return mine or list(items[:1]), len(mine) * self.count / len(items)

    def mean(self, value: float) -> float:
        """Return the mean of a number over all processes."""
        if self.count == 1:
            return value
        total = torch.tensor([value], dtype=torch.float64, device=self._message_device())
        with _lost_peers_explained():
            dist.all_reduce(total)
        return float(total) / self.count

    def any(self, flag: bool) -> bool:
        """Tell whether a flag is set in some process."""
        return self.mean(float(flag)) > 0

    def of_first(self, find: Callable[[], Anything]) -> Anything:
        """Let the first process find something, and tell it to all.

        Raises
        ------
        InputError
            The first process could not find it, or is no more. All of them say so.
        """
        if self.count == 1:
            return find()
        values: list[Any] = [None]
        if self.is_first:
            try:
                values = [find()]
            except InputError as error:
                values = [error]
        with _lost_peers_explained():
            dist.broadcast_object_list(values, src=0, device=self._message_device())
        if isinstance(values[0], InputError):
            raise values[0]
        first: Anything = values[0]
        return first

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients by their mean over all processes."""
        if self.count == 1:
            return
        gradients = [each.grad for each in parameters if each.grad is not None]
        message = torch.cat([gradient.flatten() for gradient in gradients])
        with _lost_peers_explained():
            dist.all_reduce(message)
        message /= self.count
        parts = torch.split(message, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def fewest_normalized(self, items: int) -> int:
        """Return how many items of a batch are normalized together, in the smallest share."""
        return items if self._has_common_statistics else max(1, items // self.count)

    def with_common_statistics(self, network: AnyModule) -> AnyModule:
        """Let batch normalization see the whole batch, on GPUs.

        On a CPU, PyTorch has no such layer: each process then normalizes by its own share.
        """
        if not self._has_common_statistics:
            return network
        converted: AnyModule = nn.SyncBatchNorm.convert_sync_batchnorm(  # type: ignore[no-untyped-call]
            network
        )
        return converted

    @property
    def _has_common_statistics(self) -> bool:
        return self.count > 1 and self._device.type == "cuda"

    def _message_device(self) -> torch.device:
        return self._device if self._device.type == "cuda" else torch.device("cpu")


@contextmanager
def _lost_peers_explained() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise InputError("Another process of this training ended; see its message.") from error
