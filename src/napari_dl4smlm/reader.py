"""Localization tables as napari opens them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.picasso import HDF5_SUFFIXES, may_be_picasso
from napari_dl4smlm.backend.localizations.table_file import open_table
from napari_dl4smlm.widgets.layers.layers import table_layer_data

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from napari_dl4smlm.backend.localizations.table import Localizations


def get_reader(
    path: str | Sequence[str],
) -> Callable[[str | Sequence[str]], list[tuple[Any, ...]]] | None:
    """Return `read_tables` if the files can be tables of localizations.

    A table that has no column of frames, such as the points that napari itself saves, and an HDF5
    file without localizations are left to other readers.
    """
    return read_tables if all(map(_may_be_table, _paths(path))) else None


def read_tables(path: str | Sequence[str]) -> list[tuple[Any, ...]]:
    """Read tables of ThunderSTORM or Picasso as points (frame, y, x) in nm, a layer for each.

    The origin is the outer corner of camera pixel (0, 0), and that of the world for movies that
    this package adds. Frames count from 0.

    Raises
    ------
    InputError
        A file is not a table in nm or µm, or one in camera pixels that tells their size; or it is
        an HDF5 file and h5py is not installed.
    """
    return [
        table_layer_data(
            _read(path),
            name=path.stem,
            mark={"role": "localizations", "path": str(path)},
        )
        for path in _paths(path)
    ]


def _read(path: Path) -> Localizations:
    try:
        return open_table(path).localizations
    except InputError as error:
        # if it cannot be read with any pixel size either, that says why
        open_table(path, pixel_size_nm=1.0)
        # the Data widget reads no HDF5
        widgets = "Process" if path.suffix.lower() in HDF5_SUFFIXES else "Data or Process"
        raise InputError(
            f"{path} is in camera pixels and does not tell their size. Choose the file in the "
            f"widget {widgets} (Plugins › DL4SMLM) and enter the camera pixel there."
        ) from error


def _paths(path: str | Sequence[str]) -> list[Path]:
    return [Path(path)] if isinstance(path, str) else [Path(each) for each in path]


def _may_be_table(path: Path) -> bool:
    is_picasso = path.suffix.lower() in HDF5_SUFFIXES
    return may_be_picasso(path) if is_picasso else _has_frames(path)


def _has_frames(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as lines:
        header = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    return "frame" in header.lower()
