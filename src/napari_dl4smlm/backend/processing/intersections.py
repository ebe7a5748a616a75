"""Drift from how many localizations of a stretch of the movie meet those of the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, Field

from napari_dl4smlm.backend.processing.drift_curve import DriftCurve
from napari_dl4smlm.backend.processing.segments import Segments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.localizations.table import Localizations

_SEGMENTS = 100
_LEAST_LOCALIZATIONS = 200

_ROW = 2**32
"""Between the keys of cells in successive rows; there are fewer columns than half of this."""


class Intersections(BaseModel, frozen=True, extra="forbid"):
    """Adaptive intersection maximization (AIM).

    The field is divided into square cells. Each segment of the movie is shifted to where most of
    its localizations share a cell with one of a reference, starting from the shift of the segment
    before. The reference is all earlier segments as they have been corrected, and in a second round
    all the others. (In the publication it is first the first segment alone, of which few
    localizations may come back, and then everything, the segment itself included.)

    References
    ----------
    H. Ma et al., Sci. Adv. 10, eadm7765 (2024), doi:10.1126/sciadv.adm7765
    """

    kind: Literal["aim"] = Field("aim", description="adaptive intersection maximization")
    segment_frames: int | None = Field(
        None,
        ge=1,
        title="Segment",
        description="frames between which drift is neglected; default: a hundredth of the movie, "
        f"more where that has fewer than {_LEAST_LOCALIZATIONS} localizations",
    )
    cell_nm: float = Field(
        20.0,
        gt=0,
        allow_inf_nan=False,
        title="Cell",
        description="side of a cell in nm; about the precision of the localizations",
    )
    max_step_nm: float = Field(
        60.0,
        gt=0,
        allow_inf_nan=False,
        title="Largest step",
        description="drift from one segment to the next, in nm",
    )

    def estimate(self, localizations: Localizations) -> DriftCurve:
        """Estimate the drift of a table that has rows.

        Raises
        ------
        InputError
            The localizations are too few or lie in one segment.
        """
        segments = Segments.to_compare(
            localizations,
            self.segment_frames,
            most=_SEGMENTS,
            least_localizations=_LEAST_LOCALIZATIONS,
        )
        drift_nm = self._against_earlier(segments.positions_nm)
        drift_nm = self._against_others(segments.positions_nm, drift_nm)
        return DriftCurve.through(segments.mean_frame, drift_nm, frames=segments.frames)

    def __str__(self) -> str:
        return "drift by adaptive intersection maximization"

    def _against_earlier(self, positions_nm: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        reference = self._cells(positions_nm[0])
        drift_nm = np.zeros((len(positions_nm), 2))
        for k in range(1, len(positions_nm)):
            shift_nm = self._shift_onto(reference, positions_nm[k] - drift_nm[k - 1])
            drift_nm[k] = drift_nm[k - 1] - shift_nm
            reference = reference.with_more(self._cells(positions_nm[k] - drift_nm[k]))
        return drift_nm

    def _against_others(
        self, positions_nm: list[NDArray[np.float64]], drift_nm: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        corrected = [part - drift for part, drift in zip(positions_nm, drift_nm, strict=True)]
        everything = self._cells(np.concatenate(corrected))
        improved = drift_nm.copy()
        for k, part in enumerate(corrected):
            own = self._cells(part)
            # a segment meets itself best where it is, whatever the drift
            others = everything.count.copy()
            others[np.searchsorted(everything.key, own.key)] -= own.count
            improved[k] -= self._shift_onto(_Cells(everything.key, others), part)
        return improved

    def _cells(self, positions_nm: NDArray[np.float64]) -> _Cells:
        row, column = np.floor(positions_nm / self.cell_nm).astype(np.int64).T
        return _Cells(*np.unique(row * _ROW + column, return_counts=True))

    def _shift_onto(
        self, reference: _Cells, positions_nm: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return by how many nm (y, x) the positions must move to meet most of the reference."""
        cells = self._cells(positions_nm)
        reach = int(np.ceil(self.max_step_nm / self.cell_nm))
        steps = np.arange(-reach, reach + 1)
        meetings = [
            _meetings(reference, _Cells(cells.key + dy * _ROW, cells.count), steps) for dy in steps
        ]
        return _centre(np.array(meetings, float)) * self.cell_nm


@dataclass(frozen=True, eq=False)
class _Cells:
    """How many localizations there are in cells, whose keys rise."""

    key: NDArray[np.int64]
    count: NDArray[np.int64]

    def with_more(self, others: _Cells) -> _Cells:
        place = np.searchsorted(self.key, others.key)
        known = self.key[place.clip(max=len(self.key) - 1)] == others.key
        count = self.count.copy()
        count[place[known]] += others.count[known]
        new = ~known
        return _Cells(
            np.insert(self.key, place[new], others.key[new]),
            np.insert(count, place[new], others.count[new]),
        )


def _meetings(reference: _Cells, cells: _Cells, steps: NDArray[np.int64]) -> list[int]:
    """Count the localizations that share a cell, for each of successive steps along a row."""
    # an end that nothing reaches, so that every place is one of the array
    key = np.append(reference.key, np.iinfo(np.int64).max)
    count = np.append(reference.count, 0)
    place = np.searchsorted(key, cells.key + steps[0])
    meetings = []
    for step in steps:
        meet = key[place] == cells.key + step
        meetings.append(int((np.minimum(count[place], cells.count) * meet).sum()))
        # of the next cell along the row
        place += meet
    return meetings


def _centre(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the phase of the image's first harmonics as a distance (y, x) from its middle.

    Like a centroid, but an even background does not pull it towards the middle.
    """
    n = len(image)
    wave = np.exp(2j * np.pi * (np.arange(n) - n // 2) / n)
    phase = np.angle([image.sum(axis=1) @ wave, image.sum(axis=0) @ wave])
    centre: NDArray[np.float64] = phase * n / (2 * np.pi)
    return centre
