"""Localization tables as napari opens them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm
from napari_dl4smlm.widgets.layers.layers import table_layer_data

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


def get_reader(
    path: str | Sequence[str],
) -> Callable[[str | Sequence[str]], list[tuple[Any, ...]]] | None:
    """Return `read_tables` if the files can be tables of localizations.

    A table that has no column of frames, such as the points that napari itself saves, is left to
    other readers.
    """
    return read_tables if all(map(_has_frames, _paths(path))) else None


def read_tables(path: str | Sequence[str]) -> list[tuple[Any, ...]]:
    """Read ThunderSTORM tables as points (frame, y, x) in nm, a layer for each.

    The origin is the outer corner of camera pixel (0, 0), and that of the world for movies that
    this package adds. Frames count from 0.

    Raises
    ------
    InputError
        A file is not a table in nm or µm.
    """
    return [
        table_layer_data(
            read_thunderstorm(path),
            name=path.stem,
            mark={"role": "localizations", "path": str(path)},
        )
        for path in _paths(path)
    ]


def _paths(path: str | Sequence[str]) -> list[Path]:
    return [Path(path)] if isinstance(path, str) else [Path(each) for each in path]


def _has_frames(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as lines:
        header = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    return "frame" in header.lower()
