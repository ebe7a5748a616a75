"""Which of several equal forms of a computation is the fastest here, found by trying."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from torch import Tensor

# what takes little time is tried more often, since other programs can spoil each of a few rounds
_FEWEST_ROUNDS, _MOST_ROUNDS = 3, 12
_ENOUGH_S = 0.25

_winners: dict[tuple[Hashable, ...], str] = {}
# threads that came to a case at the same time would slow each other down, and might not agree
_trial = threading.Lock()


def fastest(
    forms: Mapping[str, Callable[[Tensor], Tensor]], example: Tensor, *case: Hashable
) -> str:
    """Return the name of the fastest form.

    Parameters
    ----------
    forms
        Functions that give the same.
    example
        What they are tried with.
    *case
        What else the times depend on, such as the number of channels that come out. Each case, for
        each device, shape and type of the example and each number of threads, is tried once in the
        life of the process.
    """
    threads = torch.get_num_threads()
    key = (str(example.device), example.dtype, example.shape, threads, *case, *forms)
    with _trial:
        if key not in _winners:
            _winners[key] = _tried(forms, example)
        return _winners[key]


def _tried(forms: Mapping[str, Callable[[Tensor], Tensor]], example: Tensor) -> str:
    for form in forms.values():
        # the first run also pays for what is set up once
        _seconds(form, example)
    shortest = dict.fromkeys(forms, math.inf)
    began = time.perf_counter()
    for number in range(_MOST_ROUNDS):
        if number >= _FEWEST_ROUNDS and time.perf_counter() - began > _ENOUGH_S:
            break
        # in turns, so that whatever else the machine does slows down all of them
        for name, form in forms.items():
            shortest[name] = min(shortest[name], _seconds(form, example))
    return min(forms, key=shortest.__getitem__)


def _seconds(form: Callable[[Tensor], Tensor], example: Tensor) -> float:
    began = time.perf_counter()
    # reading a value waits for the device
    form(example).flatten()[-1].item()
    return time.perf_counter() - began
