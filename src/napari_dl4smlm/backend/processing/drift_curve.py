"""Where the sample was in every frame of a movie."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import scipy

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm, write_thunderstorm

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from numpy.typing import NDArray

_LONG = 3.0
"""Of typical distances between successive shifts: their slope says nothing about such a gap."""

_STRETCHES_TOLD = 3

_SHARE_TOLD = 0.05
"""Of the length of a curve: other movies of the same sample begin and end a few frames apart."""


@dataclass(frozen=True, eq=False)
class DriftCurve:
    """The shift of the sample in successive frames, against the first of them.

    Attributes
    ----------
    first_frame
        Number of the frame of the first value.
    y_nm, x_nm
        Shape (frames,): how far a molecule at rest appears from where it was in the first frame.
    unmeasured
        Long stretches in which nothing told the shift, if this is known.
    """

    first_frame: int
    y_nm: NDArray[np.float64]
    x_nm: NDArray[np.float64]
    unmeasured: tuple[range, ...] = ()

    @classmethod
    def through(
        cls, frame: NDArray[np.floating], shift_nm: NDArray[np.float64], *, frames: range
    ) -> DriftCurve:
        """Interpolate shifts with natural cubic splines.

        Beyond its ends a spline goes on straight for half of the typical distance between shifts.
        Over long gaps, its slope would add up what is mostly noise: they are bridged by straight
        lines, and before the first spline and after the last, the shift stays as it is there.

        Parameters
        ----------
        frame
            Shape (K,), rising: when the shifts were measured; at least one.
        shift_nm
            Shape (K, 2), order (y, x).
        frames
            The frames of the curve; at least one.
        """
        number = np.arange(frames.start, frames.stop)
        if len(frame) == 1:
            still = np.zeros(len(number))
            return cls(frames.start, still, still, (frames,))
        spacing = np.diff(frame)
        typical = float(np.median(spacing))
        shift = np.zeros((len(number), 2))
        is_near = np.zeros(len(number), bool)
        for run in np.split(np.arange(len(frame)), np.flatnonzero(spacing > _LONG * typical) + 1):
            distance = np.maximum(frame[run[0]] - number, number - frame[run[-1]])
            around = distance <= typical / 2
            shift[around] = _smooth(frame[run], shift_nm[run], number[around])
            is_near |= around
        for axis in shift.T:
            axis[~is_near] = np.interp(number[~is_near], number[is_near], axis[is_near])
        shift -= shift[0]
        ends = np.flatnonzero(np.diff(np.concatenate([[True], is_near, [True]])))
        unmeasured = tuple(
            range(frames.start + start, frames.start + stop)
            for start, stop in ends.reshape(-1, 2).tolist()
            if stop - start > (_LONG - 1) * typical
        )
        return cls(frames.start, shift[:, 0], shift[:, 1], unmeasured)

    @property
    def frames(self) -> range:
        """The frames whose shift is known."""
        return range(self.first_frame, self.first_frame + len(self.y_nm))

    @property
    def range_nm(self) -> tuple[float, float]:
        """Distance between the extreme shifts in y, and in x."""
        return float(np.ptp(self.y_nm)), float(np.ptp(self.x_nm))

    def __str__(self) -> str:
        y_nm, x_nm = self.range_nm
        text = f"{y_nm:.1f} nm in y, {x_nm:.1f} nm in x"
        ends = [
            each
            for each in self.unmeasured
            if each.start == self.frames.start or each.stop == self.frames.stop
        ]
        between = [each for each in self.unmeasured if each not in ends]
        told = [
            f"in frames {_some(gaps)}, where it is {what}"
            for gaps, what in ((between, "interpolated"), (ends, "kept as it was"))
            if gaps
        ]
        return text + ("; it could not be measured " + ", nor ".join(told) if told else "")

    def __add__(self, other: DriftCurve) -> DriftCurve:
        """Return the shift that was corrected in two steps, in the frames of both curves."""
        frames = range(
            min(self.frames.start, other.frames.start), max(self.frames.stop, other.frames.stop)
        )
        number = np.arange(frames.start, frames.stop)
        shift = self._at(number) + other._at(number)
        return DriftCurve(frames.start, shift[:, 0], shift[:, 1])

    def correct(self, localizations: Localizations) -> Localizations:
        """Put localizations where they would be without drift.

        Before the first frame of the curve and after its last, the shift is as in these.
        """
        shift = self._at(localizations.frame)
        return replace(
            localizations,
            y_nm=localizations.y_nm - shift[:, 0],
            x_nm=localizations.x_nm - shift[:, 1],
        )

    def covering(self, frames: range) -> DriftCurve:
        """Return the curve in all of some frames too, as it is in the nearest of its own.

        If these are more than a twentieth of its own before or after it, they are unmeasured.
        """
        start = min(frames.start, self.frames.start)
        stop = max(frames.stop, self.frames.stop)
        shift = self._at(np.arange(start, stop))
        added = (range(start, self.frames.start), range(self.frames.stop, stop))
        told = tuple(each for each in added if len(each) > _SHARE_TOLD * len(self.frames))
        return DriftCurve(start, shift[:, 0], shift[:, 1], (*self.unmeasured, *told))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the curve as a ThunderSTORM table with one row per frame, counted from 1."""
        write_thunderstorm(path, Localizations(np.asarray(self.frames), self.y_nm, self.x_nm))

    @classmethod
    def load(cls, path: Path) -> DriftCurve:
        """Read a curve that :meth:`save` wrote.

        Raises
        ------
        InputError
            The file is no such table, has no rows, or not exactly one for each of its frames.
        """
        table = read_thunderstorm(path).sorted_by_frame()
        if not len(table) or (np.diff(table.frame) != 1).any():
            raise InputError(
                f"{path} is not a drift curve: it needs one row for each of successive frames."
            )
        return cls(int(table.frame[0]), table.y_nm, table.x_nm)

    def _at(self, frame: NDArray[np.int64]) -> NDArray[np.float64]:
        place = (frame - self.first_frame).clip(0, len(self.y_nm) - 1)
        return np.column_stack([self.y_nm[place], self.x_nm[place]])


def _smooth(
    frame: NDArray[np.floating], shift_nm: NDArray[np.float64], number: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return a spline through shifts at some frames, straight beyond its ends."""
    if len(frame) == 1:
        return np.repeat(shift_nm, len(number), axis=0)
    spline = scipy.interpolate.CubicSpline(frame, shift_nm, bc_type="natural")
    inside = number.clip(frame[0], frame[-1])
    smooth: NDArray[np.float64] = spline(inside) + spline(inside, 1) * (number - inside)[:, None]
    return smooth


def _some(gaps: list[range]) -> str:
    told = ", ".join(f"{gap.start}:{gap.stop}" for gap in gaps[:_STRETCHES_TOLD])
    more = len(gaps) - _STRETCHES_TOLD
    others = f" and {more} other stretch{'es' if more > 1 else ''}"
    return told + others if more > 0 else told
