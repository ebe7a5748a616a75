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


@dataclass(frozen=True, eq=False)
class DriftCurve:
    """The shift of the sample in successive frames, against the first of them.

    Attributes
    ----------
    first_frame
        Number of the frame of the first value.
    y_nm, x_nm
        Shape (frames,): how far a molecule at rest appears from where it was in the first frame.
    """

    first_frame: int
    y_nm: NDArray[np.float64]
    x_nm: NDArray[np.float64]

    @classmethod
    def through(
        cls, frame: NDArray[np.floating], shift_nm: NDArray[np.float64], *, frames: range
    ) -> DriftCurve:
        """Interpolate shifts with a natural cubic spline, and go on straight beyond the last.

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
            shift = np.zeros((len(number), 2))
        else:
            spline = scipy.interpolate.CubicSpline(frame, shift_nm, bc_type="natural")
            inside = number.clip(frame[0], frame[-1])
            shift = spline(inside) + spline(inside, 1) * (number - inside)[:, None]
            shift -= shift[0]
        return cls(frames.start, shift[:, 0], shift[:, 1])

    @property
    def frames(self) -> range:
        """The frames whose shift is known."""
        return range(self.first_frame, self.first_frame + len(self.y_nm))

    @property
    def range_nm(self) -> tuple[float, float]:
        """Distance between the extreme shifts in y, and in x."""
        return float(np.ptp(self.y_nm)), float(np.ptp(self.x_nm))

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
