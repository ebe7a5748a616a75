"""Drift that was measured before, such as on the beads of another colour."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from napari_dl4smlm.backend.processing.drift_curve import DriftCurve

if TYPE_CHECKING:
    from napari_dl4smlm.backend.localizations.table import Localizations


class SavedDrift(BaseModel, frozen=True, extra="forbid"):
    """The drift of an earlier correction of the same movie."""

    kind: Literal["saved_drift"] = Field("saved_drift", description="a drift curve from a file")
    path: Path = Field(title="File", description=".drift.csv that an earlier correction wrote")

    def estimate(self, localizations: Localizations) -> DriftCurve:
        """Return the drift of the file, in the frames of the localizations too.

        Raises
        ------
        InputError
            As for :meth:`.DriftCurve.load`.
        """
        curve = DriftCurve.load(self.path)
        if not len(localizations):
            return curve
        frame = localizations.frame
        return curve.covering(range(int(frame.min()), int(frame.max()) + 1))

    def __str__(self) -> str:
        return f"drift of {self.path}"
