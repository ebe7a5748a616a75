"""Whether another program has finished writing a file, as far as one can tell from outside."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

# a camera that took no frame for so long has stopped, or pauses
_SETTLED_S = 1.0


class Settling:
    """Watches one file, by a clock of this machine: that of a server may differ."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None
        self._since = 0.0

    def has_settled(self, status: os.stat_result) -> bool:
        """Tell whether size and time of the file have been the same for a second."""
        now = (status.st_size, status.st_mtime_ns)
        if now != self._last:
            self._last, self._since = now, time.monotonic()
        return time.monotonic() - self._since >= _SETTLED_S
