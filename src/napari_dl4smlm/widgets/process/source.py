"""The localizations that are processed: those of a layer, or of a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table_content import FieldOfView, TableContent
from napari_dl4smlm.backend.localizations.table_file import open_table
from napari_dl4smlm.widgets.layers.layers import mark_of, table_of

if TYPE_CHECKING:
    from napari.layers import Points

    from napari_dl4smlm.backend.localizations.table import Localizations


class ReadTable(NamedTuple):
    """A table, and the file that holds exactly this one, if there is any."""

    content: TableContent
    path: Path | None


@dataclass(frozen=True, eq=False)
class TableSource:
    """Localizations, taken in the GUI thread and read in another one.

    Attributes
    ----------
    name
        Of the layer or the file, for what is made from it.
    path
        The file; of a layer, the one that it was read from.
    pixel_size_nm
        Camera pixel; ``None`` leaves it to the file.
    shown
        What the layer shows; ``None`` for a file.
    """

    name: str
    path: Path | None
    pixel_size_nm: float | None
    shown: Localizations | None = None

    @classmethod
    def of(cls, chosen: Points | Path, pixel_size_nm: float | None) -> TableSource:
        """Take what the user chose.

        Raises
        ------
        InputError
            The points are in pixels, or cannot be localizations.
        """
        if isinstance(chosen, Path):
            return cls(chosen.stem, chosen, pixel_size_nm)
        path = mark_of(chosen).get("path")
        return cls(chosen.name, Path(path) if path else None, pixel_size_nm, table_of(chosen))

    def read(self) -> ReadTable:
        """Return the table.

        That of a layer is read from its file if it is still the same: the file may know more, such
        as the field of view.

        Raises
        ------
        InputError
            As for :func:`.open_table`.
        """
        if self.path is not None:
            try:
                stored = open_table(self.path, pixel_size_nm=self.pixel_size_nm)
            except InputError:
                if self.shown is None:
                    raise
            else:
                if self.shown is None or _are_same(stored.localizations, self.shown):
                    return ReadTable(stored, self.path)
        assert self.shown is not None
        size_nm = self.pixel_size_nm
        field = None if size_nm is None else FieldOfView.around(self.shown, size_nm)
        return ReadTable(TableContent(self.shown, field), None)


def _are_same(stored: Localizations, shown: Localizations) -> bool:
    ours, theirs = stored.columns(), shown.columns()
    return (
        ours.keys() == theirs.keys()
        and len(stored) == len(shown)
        and all(np.array_equal(ours[name], theirs[name], equal_nan=True) for name in ours)
    )
