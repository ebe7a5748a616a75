"""Drift from beads, or from other things in the sample that always shine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import scipy
from pydantic import BaseModel, Field, FiniteFloat

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.processing.drift_curve import DriftCurve
from napari_dl4smlm.backend.processing.segments import Segments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.localizations.table import Localizations

_ROUNDS = 3

_LARGEST_ERROR = 4.0
"""Over the median error; of normally distributed positions, one in 60 000 is farther off."""


class Fiducials(BaseModel, frozen=True, extra="forbid"):
    """Drift that is read off fiducials, which are told by where they are.

    What is within the radius of a position is taken for that fiducial, so that the radius must hold
    all of its drift. Molecules nearby do no harm as long as the fiducial is seen more often. Where
    one is lost, the others go on; where all are, drift is interpolated, and kept at the ends of the
    movie.
    """

    kind: Literal["fiducials"] = Field("fiducials", description="beads at known positions")
    positions_nm: Annotated[tuple[tuple[FiniteFloat, FiniteFloat], ...], Field(min_length=1)] = (
        Field(title="Positions", description="of each fiducial, y and x in nm")
    )
    radius_nm: float = Field(
        500.0,
        gt=0,
        allow_inf_nan=False,
        title="Radius",
        description="around each position, in nm; all of the drift must fit in",
    )
    segment_frames: int = Field(
        20, ge=1, title="Segment", description="frames whose positions are averaged"
    )

    def estimate(self, localizations: Localizations) -> DriftCurve:
        """Estimate the drift of a table that has rows.

        Raises
        ------
        InputError
            No localization is near one of the positions, or two share one.
        """
        number = self._fiducial_of(localizations)
        seen = localizations[number >= 0]
        number = number[number >= 0]
        segments = Segments.cut(seen, self.segment_frames)
        segment = np.empty(len(seen), np.intp)
        for k, rows in enumerate(segments.rows):
            segment[rows] = k
        frame, motion = _follow(seen, number, segment)
        frames = range(int(localizations.frame.min()), int(localizations.frame.max()) + 1)
        return DriftCurve.through(frame, motion, frames=frames)

    def __str__(self) -> str:
        n = len(self.positions_nm)
        return f"drift by {n} fiducial{'s' if n > 1 else ''}"

    def _fiducial_of(self, localizations: Localizations) -> NDArray[np.intp]:
        """Return which fiducial each localization belongs to, or -1."""
        tree = scipy.spatial.cKDTree(np.array(self.positions_nm))
        if tree.query_pairs(2 * self.radius_nm):
            raise InputError(
                f"Two fiducials are less than 2 x {self.radius_nm:g} nm apart. Leave one out, or "
                "choose a smaller radius."
            )
        _, number = tree.query(localizations.positions_nm(), distance_upper_bound=self.radius_nm)
        number = np.where(number < len(self.positions_nm), number, -1)
        for k, (y_nm, x_nm) in enumerate(self.positions_nm):
            if not (number == k).any():
                raise InputError(
                    f"There is no localization within {self.radius_nm:g} nm of the fiducial at "
                    f"y {y_nm:g}, x {x_nm:g} nm. Correct its position."
                )
        return number


def _follow(
    seen: Localizations, number: NDArray[np.intp], segment: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean frames of segments in which fiducials are seen, and their motion there.

    Parameters
    ----------
    seen
        Localizations near the fiducials.
    number, segment
        Which fiducial each is near to, and when.
    """
    positions = seen.positions_nm()
    n_segments = int(segment.max()) + 1
    kept = np.ones(len(seen), bool)
    for _ in range(_ROUNDS):
        place, count = _medians(positions[kept], number[kept], segment[kept], n_segments)
        rest, motion = _common_motion(place, count)
        measured = count.any(axis=0)
        n_kept = np.bincount(segment[kept], minlength=n_segments)
        mean_frame = np.bincount(segment[kept], seen.frame[kept], n_segments) / n_kept.clip(min=1)
        error = np.linalg.norm(positions - rest[number] - motion[segment], axis=1)
        typical = [np.median(error[kept & (number == k)]) for k in range(len(rest))]
        # without any noise, rounding errors would be large
        kept = error <= _LARGEST_ERROR * np.array(typical).clip(min=0.01)[number]
    return mean_frame[measured], motion[measured]


def _medians(
    positions: NDArray[np.float64],
    number: NDArray[np.intp],
    segment: NDArray[np.intp],
    n_segments: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the median positions of each fiducial in each segment, and how many there are.

    There are none where it is seen less than half as often as usual: it is lost, and what is found
    in its place is something else.
    """
    n_fiducials = int(number.max()) + 1
    place = np.zeros((n_fiducials, n_segments, 2))
    count = np.zeros((n_fiducials, n_segments))
    key = number * n_segments + segment
    order = np.argsort(key, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(key[order])) + 1)
    for rows in groups:
        where = number[rows[0]], segment[rows[0]]
        place[where] = np.median(positions[rows], axis=0)
        count[where] = len(rows)
    usual = [np.median(each[each > 0]) for each in count]
    count[count < np.array(usual)[:, None] / 2] = 0
    return place, count


def _common_motion(
    place: NDArray[np.float64], count: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tell the position of things at rest from the motion that they share.

    Both are those for which the squares of position_b + motion_s - place_bs, weighted with the
    counts, have the smallest sum over things b and segments s.

    Parameters
    ----------
    place
        Where a thing is seen in a segment, shape (things, segments, 2).
    count
        How often it is seen there, shape (things, segments).

    Returns
    -------
    NDArray
        Positions, shape (things, 2).
    NDArray
        Motion, shape (segments, 2); meaningless where nothing is seen.
    """
    share = count / count.sum(axis=0).clip(min=1)
    centre = np.einsum("bs,bsk->sk", share, place)
    # for the positions alone: with them given, the best motion is the mean of what is left
    system = np.diag(count.sum(axis=1)) - share @ count.T
    right = np.einsum("bs,bsk->bk", count, place - centre)
    position = np.linalg.lstsq(system, right)[0]
    return position, centre - share.T @ position
