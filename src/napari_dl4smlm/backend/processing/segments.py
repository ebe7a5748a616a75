"""Stretches of a movie in which drift is measured as if there were none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.localizations.table import Localizations


@dataclass(frozen=True, eq=False)
class Segments:
    """Localizations cut into stretches of equally many frames; stretches without any are left out.

    The last stretch is up to one and a half times as long, or down to half as long.

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
        # of a rest of a few frames, one localization in error would bend the end of the curve
        n_segments = max(1, _n_segments(last - first + 1, segment_frames))
        number = ((frame[order] - first) // segment_frames).clip(max=n_segments - 1)
        rows = np.split(order, np.flatnonzero(np.diff(number)) + 1)
        positions = localizations.positions_nm()
        return cls(
            range(first, last + 1),
            [positions[part] for part in rows],
            rows,
            np.array([frame[part].mean() for part in rows]),
        )

    @classmethod
    def to_compare(
        cls,
        localizations: Localizations,
        segment_frames: int | None,
        *,
        most: int,
        least_localizations: int,
    ) -> Segments:
        """Cut a table that has rows into segments whose images tell the drift between them.

        Parameters
        ----------
        localizations
            The table.
        segment_frames
            Length of a segment; by default such that there are ``most``, or fewer of more
            localizations.
        most
            Segments, where their length is not given.
        least_localizations
            In a segment, on average, where its length is not given.

        Raises
        ------
        InputError
            There would be only one segment, with which nothing can be compared.
        """
        n_localizations, n_frames = len(localizations), int(np.ptp(localizations.frame)) + 1
        if n_frames == 1:
            raise InputError(
                f"All {n_localizations:,} localizations lie in frame {localizations.frame[0]}, "
                "counted from 0: one frame has no drift. Leave out its correction."
            )
        if segment_frames is None:
            n_segments = min(most, n_localizations // least_localizations)
            if n_segments < 2:
                raise InputError(
                    f"{n_localizations:,} localizations are too few to tell drift from, which "
                    f"takes at least {2 * least_localizations:,}. Correct it before filters leave "
                    "out so many, use beads or a saved drift, or leave out the correction."
                )
            segment_frames = -(-n_frames // n_segments)
        if _n_segments(n_frames, segment_frames) < 2:
            raise InputError(
                f"Segments of {segment_frames:,} frames are too long to tell drift in "
                f"{n_frames:,} frames: at least two are compared. Choose at most "
                f"{n_frames // 2:,} frames."
            )
        return cls.cut(localizations, segment_frames)


def _n_segments(n_frames: int, segment_frames: int) -> int:
    """Count segments, of which a rest is one if it is at least half as long as the others."""
    return (2 * n_frames + segment_frames) // (2 * segment_frames)
