"""Write files so that neither a crash nor a full disk can cost the user what was there before."""

from __future__ import annotations

import os
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write to a temporary file beside ``path`` that replaces it only when it is complete.

    Parameters
    ----------
    path
        The file to create or replace.

    Yields
    ------
    Path
        The temporary file for the caller to write. It is flushed to disk and renamed to ``path``
        when the block ends, and removed when the block raises: ``path`` is then as it was before.
    """
    target = Path(path)
    # unlike any other, so that two runs that write the same file, maybe from two machines, do not
    # mix their bytes
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        # "r+b", since Windows refuses to flush a handle that cannot write
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def set_aside(path: str | os.PathLike[str]) -> Path | None:
    """Rename an existing file so that a new one can take its place without losing it.

    Parameters
    ----------
    path
        The file about to be written.

    Returns
    -------
    Path or None
        Where the old file is now, for example ``model.previous.safetensors``; ``None`` if there
        was no old file. Earlier files set aside are kept and counted: ``model.previous-2...``.
    """
    old = Path(path)
    if not old.exists():
        return None
    count = 1
    while True:
        suffix = ".previous" if count == 1 else f".previous-{count}"
        kept = old.with_name(f"{old.stem}{suffix}{old.suffix}")
        if not kept.exists():
            old.rename(kept)
            return kept
        count += 1


def check_folder(folder: str | os.PathLike[str]) -> None:
    """Make sure, before long work starts, that its results can be written to a folder.

    Raises
    ------
    InputError
        The folder does not exist, is not a folder, or nothing can be written to it.
    """
    place = Path(folder)
    if not place.is_dir():
        raise InputError(f"There is no folder {place}. Create it, or choose another one.")
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"0")
    except OSError as error:
        raise InputError(
            f"Nothing can be written to {place} ({error.strerror}). Choose another folder, or free "
            "space."
        ) from error
