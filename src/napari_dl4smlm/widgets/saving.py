"""Asks where to save, writes it in another thread, and says why something cannot be written."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog

from napari_dl4smlm.backend.acquisition.tiff_folder import TIFF_SUFFIXES
from napari_dl4smlm.backend.atomic_file import set_aside
from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qtpy.QtWidgets import QWidget

_MOVIE_SUFFIXES = (*TIFF_SUFFIXES, ".npy")
_NOT_IN_FILE_NAMES = r'[<>:"/\\|?*]'


def file_stem(movie_name: str) -> str:
    """Make the start of a file's name from that of a movie, of which ``0.5 nM`` may be a part."""
    path = Path(re.sub(_NOT_IN_FILE_NAMES, "_", movie_name))
    return path.stem if path.suffix.lower() in _MOVIE_SUFFIXES else path.name


def ask_for_file(parent: QWidget, title: str, suggested: Path, kinds: str) -> Path | None:
    """Let the user name a file to be written; whoever writes it keeps an older one aside.

    Parameters
    ----------
    parent, title
        Of the dialog.
    suggested
        Its suffix is added to a name without any of those in ``kinds``.
    kinds
        What the dialog offers, such as ``Tables (*.csv *.hdf5)``.
    """
    # it would ask about the name before the suffix is added
    unasked = QFileDialog.Option.DontConfirmOverwrite
    chosen, _ = QFileDialog.getSaveFileName(parent, title, str(suggested), kinds, options=unasked)
    if not chosen:
        return None
    path = Path(chosen)
    has_suffix = path.suffix.lower() in re.findall(r"\*(\.\w+)", kinds)
    return path if has_suffix else path.with_name(path.name + suggested.suffix)


@contextmanager
def older_kept(path: Path) -> Iterator[None]:
    """Keep an older file aside while a new one is written, and put it back if that fails."""
    older = set_aside(path)
    try:
        yield
    except BaseException:
        if older is not None:
            older.replace(path)
        raise


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
