"""Apply the steps of a processing, one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dl4smlm.backend.processing.config import Selection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from napari_dl4smlm.backend.localizations.table import Localizations
    from napari_dl4smlm.backend.processing.config import Step
    from napari_dl4smlm.backend.processing.drift_curve import DriftCurve


@dataclass(frozen=True, eq=False)
class StepApplied:
    """A step has been done.

    Attributes
    ----------
    step
        Which.
    n_before
        Localizations that went in.
    localizations
        What came out; the table that went in is as it was.
    drift
        What a correction of drift has taken off; none for other steps and for a table without rows.
    """

    step: Step
    n_before: int
    localizations: Localizations
    drift: DriftCurve | None = None


def apply_steps(localizations: Localizations, steps: Iterable[Step]) -> Iterator[StepApplied]:
    """Apply steps in order; each is done when the iterator is asked for it.

    Parameters
    ----------
    localizations
        The table; it is not changed.
    steps
        What to do.

    Yields
    ------
    StepApplied
        One for every step. The last one holds the result.

    Raises
    ------
    InputError
        A step cannot be applied, such as a filter of a column that there is not.
    """
    for step in steps:
        n_before = len(localizations)
        drift = None
        if isinstance(step, Selection):
            localizations = step.apply(localizations)
        elif n_before:
            drift = step.estimate(localizations)
            localizations = drift.correct(localizations)
        yield StepApplied(step, n_before, localizations, drift)


def total_drift(applied: Iterable[StepApplied]) -> DriftCurve | None:
    """Return the sum of all drifts that were corrected; none if there was no correction."""
    total: DriftCurve | None = None
    for each in applied:
        if each.drift is not None:
            total = each.drift if total is None else total + each.drift
    return total
