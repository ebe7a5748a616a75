"""Write files so that neither a crash nor a full disk can cost the user what was there before."""

from __future__ import annotations

import errno
import os
import re
import tempfile
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

# a prediction that goes on writes to its files more often, whatever else its machine does
_ABANDONED_S = 24 * 3600.0


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
    except OSError as error:
        if error.filename == str(temporary):
            # under the name that the user knows
            error.filename = str(target)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def naming_file(path: str | os.PathLike[str]) -> Iterator[None]:
    """Give the name of a file to what goes wrong while it is written, such as on a full disk.

    Raises
    ------
    OSError
        As in the block, with number, reason and file.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        # of a part that did not get through, NumPy says no more than how long it is
        reason = error.strerror or "only a part could be written"
        raise OSError(error.errno or errno.ENOSPC, reason, str(path)) from error


def remove_abandoned(path: str | os.PathLike[str]) -> None:
    """Remove what runs that were killed have left of a file that they were writing.

    Parameters
    ----------
    path
        The file that `atomic_file` was to write. Temporary files that were changed in the last 24
        hours stay: another process may be at work on them.
    """
    target = Path(path)
    # more than one number, where one atomic file was written inside another
    temporary = re.compile(rf"\.+{re.escape(target.name)}(\.[0-9a-f]{{32}}\.tmp)+")
    now = time.time()
    for file in target.parent.iterdir():
        # another process may do the same, and Windows keeps files that are open
        with suppress(OSError):
            if temporary.fullmatch(file.name) and now - file.stat().st_mtime > _ABANDONED_S:
                file.unlink()


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

    Raises
    ------
    InputError
        There is a folder in its place, which no file replaces.
    """
    old = Path(path)
    if not old.exists():
        return None
    if old.is_dir():
        raise InputError(f"{old} is a folder. Choose another name for the file.")
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
