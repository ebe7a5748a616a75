"""What the user drops on a choice of files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qtpy.QtGui import QDropEvent


def dropped_file(event: QDropEvent, *, folders: bool = False) -> Path | None:
    """Return the one file, or folder where that may be chosen, that is dragged; else nothing."""
    data = event.mimeData()
    urls = [] if data is None else data.urls()
    if len(urls) != 1 or not urls[0].isLocalFile():
        return None
    path = Path(urls[0].toLocalFile())
    return path if folders or not path.is_dir() else None
