"""How many cores of the processor this process may use."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Return the number of cores; a job scheduler may leave this process fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
