"""Save figures for papers and slides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl

from napari_dl4smlm.backend.atomic_file import atomic_file, check_folder, set_aside
from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    import os

    from matplotlib.figure import Figure

FIGURE_SUFFIXES = (".png", ".pdf", ".svg")

# what journals ask of images with text in them
_DOTS_PER_INCH = 300


def check_figure_path(path: str | os.PathLike[str]) -> None:
    """Make sure, before a figure is drawn, that it can be saved.

    Raises
    ------
    InputError
        The suffix is not one of ``FIGURE_SUFFIXES``, or the folder does not exist or cannot be
        written to.
    """
    path = Path(path)
    if path.suffix.lower() not in FIGURE_SUFFIXES:
        raise InputError(
            f"A figure cannot be saved as {path.name!r}: choose a name that ends in "
            f"{', '.join(FIGURE_SUFFIXES[:-1])} or {FIGURE_SUFFIXES[-1]}."
        )
    check_folder(path.parent)


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure in the format that the suffix of the path tells.

    Parameters
    ----------
    figure
        Any figure.
    path
        A ``.png`` of 300 dots per inch, ``.pdf`` or ``.svg``; an older file is kept under another
        name.

    Raises
    ------
    InputError
        As for :func:`check_figure_path` and :func:`.set_aside`.
    """
    check_figure_path(path)
    path = Path(path)
    # TrueType, since many journals refuse the Type 3 fonts that are matplotlib's default
    with atomic_file(path) as temporary, mpl.rc_context({"pdf.fonttype": 42}):
        figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=_DOTS_PER_INCH)
        set_aside(path)
