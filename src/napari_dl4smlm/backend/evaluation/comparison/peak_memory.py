"""The most memory that a piece of work took."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

_LINUX_RESET = Path("/proc/self/clear_refs")
_LINUX_STATUS = Path("/proc/self/status")
# the value that sets the peak back to the present size, see proc_pid_clear_refs(5)
_RESET_PEAK = "5"


def watch_peak(device: torch.device) -> Callable[[], int | None]:
    """Start to watch the memory.

    Returns
    -------
    callable
        Tells, when it is called after the work, the largest number of bytes since now. On a CUDA
        device, of what PyTorch allocated there; on a CPU under Linux, of the whole process, Python
        and its libraries included. ``None`` elsewhere: other systems do not let a process set its
        peak back, so that the peak of an earlier and larger model would be told.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return lambda: torch.cuda.max_memory_allocated(device)
    if device.type != "cpu":
        return lambda: None
    try:
        _LINUX_RESET.write_text(_RESET_PEAK)
    except OSError:
        return lambda: None
    return _peak_of_process


def _peak_of_process() -> int | None:
    with suppress(OSError):
        match = re.search(r"^VmHWM:\s*(\d+) kB$", _LINUX_STATUS.read_text(), flags=re.MULTILINE)
        if match:
            return 1024 * int(match[1])
    return None
