"""Stretches of a movie in which drift is measured as if there were none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.localizations.table import Localizations


@dataclass(frozen=True, eq=False)
class Segments:
    """Localizations cut into stretches of equally many frames; stretches without any are left out.

    Attributes
    ----------
    frames
        From the first frame with localizations to the last.
    positions_nm
        Of each segment, shape (N, 2), order (y, x).
    rows
        Of each segment, the rows of the table.
    mean_frame
        Shape (K,): when the localizations of each segment were seen, on average.
    """

    frames: range
    positions_nm: list[NDArray[np.float64]]
    rows: list[NDArray[np.intp]]
    mean_frame: NDArray[np.float64]

    @classmethod
    def cut(cls, localizations: Localizations, segment_frames: int) -> Segments:
        """Cut a table that has rows."""
        frame = localizations.frame
        order = np.argsort(frame, kind="stable")
        first, last = int(frame[order[0]]), int(frame[order[-1]])
        number = (frame[order] - first) // segment_frames
        rows = np.split(order, np.flatnonzero(np.diff(number)) + 1)
        positions = localizations.positions_nm()
        return cls(
            range(first, last + 1),
            [positions[part] for part in rows],
            rows,
            np.array([frame[part].mean() for part in rows]),
        )


def frames_for(localizations: Localizations, n_segments: int, least_localizations: int) -> int:
    """Return the length of segments such that there are so many, or fewer of more localizations.

    Parameters
    ----------
    localizations
        A table with rows.
    n_segments
        Most segments.
    least_localizations
        In a segment, on average.
    """
    n_segments = max(1, min(n_segments, len(localizations) // least_localizations))
    n_frames = int(np.ptp(localizations.frame)) + 1
    return -(-n_frames // n_segments)
