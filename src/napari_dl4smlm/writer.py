"""Points layers as localization tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Points

from napari_dl4smlm.backend.localizations.thunderstorm import write_thunderstorm
from napari_dl4smlm.widgets.layers.layers import table_of

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray


def write_points(path: str, data: NDArray[Any], attributes: dict[str, Any]) -> list[str]:
    """Write a points layer as a ThunderSTORM table.

    Parameters
    ----------
    path
        The file to create or replace.
    data, attributes
        The layer, as napari hands it to writers; see `table_of` for its origin.

    Raises
    ------
    InputError
        The points are in pixels, or the file cannot be written.
    """
    write_thunderstorm(path, table_of(Points(data, **attributes)))
    return [path]
