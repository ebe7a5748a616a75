"""Any file of localizations, opened and saved by its kind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.picasso import (
    HDF5_SUFFIXES,
    check_can_write,
    is_hdf5,
    read_picasso,
    write_picasso,
)
from napari_dl4smlm.backend.localizations.table_content import FieldOfView, TableContent
from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm, write_thunderstorm

if TYPE_CHECKING:
    import os


def open_table(path: str | os.PathLike[str], *, pixel_size_nm: float | None = None) -> TableContent:
    """Open a table of localizations, whatever its name is: ThunderSTORM CSV or Picasso HDF5.

    Parameters
    ----------
    path
        The file.
    pixel_size_nm
        Camera pixel; it wins over that of the file. A CSV table does not tell it.

    Returns
    -------
    TableContent
        With the field of view where the pixel size is known. That of a CSV table is the smallest
        that holds all localizations.

    Raises
    ------
    InputError
        As for :func:`.read_thunderstorm` and :func:`.read_picasso`.
    """
    path = Path(path)
    if is_hdf5(path):
        return read_picasso(path, pixel_size_nm=pixel_size_nm)
    localizations = read_thunderstorm(path, pixel_size_nm=pixel_size_nm)
    field = None if pixel_size_nm is None else FieldOfView.around(localizations, pixel_size_nm)
    return TableContent(localizations, field)


def save_table(path: str | os.PathLike[str], content: TableContent) -> None:
    """Save a table of localizations; the suffix of its name tells in which format.

    Parameters
    ----------
    path
        A ``.csv`` becomes a ThunderSTORM table, which has neither field nor history; an ``.hdf5``
        or ``.h5`` a Picasso table with its YAML, which needs the field.
    content
        The table.

    Raises
    ------
    InputError
        There is no format of this suffix, or as for :func:`.write_thunderstorm` and
        :func:`.write_picasso`.
    """
    check_can_save(path, content)
    if Path(path).suffix.lower() in HDF5_SUFFIXES:
        write_picasso(path, content)
    else:
        write_thunderstorm(path, content.localizations)


def check_can_save(path: str | os.PathLike[str], content: TableContent) -> None:
    """Make sure that a table can be saved in the format that the suffix tells.

    Raises
    ------
    InputError
        There is no format of this suffix, or it needs more than there is.
    """
    suffix = Path(path).suffix.lower()
    if suffix in HDF5_SUFFIXES:
        check_can_write(path, content)
    elif suffix != ".csv":
        raise InputError(
            f"{path} has no suffix of a table. Call it .csv, for ThunderSTORM, or "
            f"{' or '.join(HDF5_SUFFIXES)}, for Picasso."
        )


def files_of(path: Path) -> list[Path]:
    """Return the files that a table of this name consists of."""
    is_picasso = path.suffix.lower() in HDF5_SUFFIXES
    return [path, path.with_suffix(".yaml")] if is_picasso else [path]
