"""Writes what the user saves, in another thread, and says why something cannot be written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def written(path: Path, write: Callable[[], object]) -> Iterator[Path]:
    """Write to a path, and yield it; a stream for a worker.

    Raises
    ------
    InputError
        It cannot be written.
    """
    try:
        write()
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror or error}). If there was a file of that "
            "name, it is as it was. Make room, or choose another place."
        ) from error
    yield path
