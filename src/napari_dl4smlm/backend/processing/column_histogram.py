"""How the values of a column are distributed, to see where to cut."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.localizations.table import Localizations

_BINS = 100
_SHARE_LEFT_OUT = 0.005


@dataclass(frozen=True, eq=False)
class ColumnHistogram:
    """The known values of a column.

    Attributes
    ----------
    column
        Its name.
    edges
        Shape (bins + 1,). They leave out the lowest and the highest values, one in two hundred
        each, if these are far from the others; the first and last bins hold them all the same.
        Empty if no value is known.
    counts
        Shape (bins,).
    """

    column: str
    edges: NDArray[np.float64]
    counts: NDArray[np.intp]


def column_histogram(localizations: Localizations, column: str) -> ColumnHistogram:
    """Count the values of a column; NaN and infinity do not count.

    Raises
    ------
    InputError
        There is no such column; the message suggests one.
    """
    values = localizations.column(column)
    known = values[np.isfinite(values)]
    if not known.size:
        return ColumnHistogram(column, np.empty(0), np.empty(0, np.intp))
    low, high = np.quantile(known, [_SHARE_LEFT_OUT, 1 - _SHARE_LEFT_OUT])
    span = (high - low) / 4
    # where the rest is near, an axis that ends at the extremes hides nothing
    low, high = max(known.min(), low - span), min(known.max(), high + span)
    edges = _edges(float(low), float(high), is_whole=known.dtype.kind in "iu")
    counts, _ = np.histogram(known.clip(edges[0], edges[-1]), edges)
    return ColumnHistogram(column, edges, counts)


def _edges(low: float, high: float, *, is_whole: bool) -> NDArray[np.float64]:
    if is_whole:
        # as many whole numbers in each bin: otherwise the histogram would be ragged
        width = max(1, math.ceil((high - low + 1) / _BINS))
        return np.arange(math.floor(low) - 0.5, high + width, width)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, _BINS + 1)
