"""Does the steps in another thread, and none twice: what is before a changed step is kept."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.processing.column_histogram import column_histogram
from napari_dl4smlm.backend.processing.config import ProcessingConfig
from napari_dl4smlm.backend.processing.pipeline import apply_steps, total_drift
from napari_dl4smlm.backend.processing.rendering import drawn_region, render_localizations
from napari_dl4smlm.backend.processing.saved_drift import SavedDrift
from napari_dl4smlm.widgets.layers.layers import contrast_of_density

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.localizations.table import Localizations
    from napari_dl4smlm.backend.localizations.table_content import TableContent
    from napari_dl4smlm.backend.processing.column_histogram import ColumnHistogram
    from napari_dl4smlm.backend.processing.config import Step
    from napari_dl4smlm.backend.processing.drift_curve import DriftCurve
    from napari_dl4smlm.backend.processing.pipeline import StepApplied
    from napari_dl4smlm.backend.processing.rendering import Rendering
    from napari_dl4smlm.widgets.process.source import ReadTable, TableSource


_MOST_KEPT = 8
"""Tables of a million rows, of which each takes about 60 MB."""

_MOST_PIXELS_SHOWN = 2**26


class RowJob(NamedTuple):
    """What one row of the list of steps asks for.

    Attributes
    ----------
    step
        What to do; ``None`` for a row that is switched off, or not filled in yet.
    column
        Of which a histogram is wanted, as it is before the step.
    """

    step: Step | None
    column: str | None = None


@dataclass(frozen=True, eq=False)
class TableRead:
    """The table is known."""

    table: ReadTable


@dataclass(frozen=True, eq=False)
class RowReached:
    """All steps before a row are done.

    Attributes
    ----------
    number
        Of the row.
    columns
        Those that there are.
    histogram
        Of the column that the row asked for, if there is such a column.
    """

    number: int
    columns: list[str]
    histogram: ColumnHistogram | None


@dataclass(frozen=True, eq=False)
class RowDone:
    """The step of a row is done."""

    number: int
    applied: StepApplied


@dataclass(frozen=True)
class RowFailed:
    """The step of a row cannot be done; those after it are not tried."""

    number: int
    message: str


@dataclass(frozen=True, eq=False)
class Processed:
    """All steps are done.

    Attributes
    ----------
    table
        What was read.
    content
        What is left of it.
    config
        How.
    drift
        What was corrected in all.
    """

    table: ReadTable
    content: TableContent
    config: ProcessingConfig
    drift: DriftCurve | None


@dataclass(frozen=True, eq=False)
class Drawn:
    """The image of what is left.

    Attributes
    ----------
    image
        Shape (y, x).
    pixel_nm
        Its pixel.
    corner_nm
        Where it begins, (y, x).
    limits
        Contrast.
    """

    image: NDArray[np.float32]
    pixel_nm: float
    corner_nm: tuple[float, float]
    limits: tuple[float, float]


@dataclass(frozen=True)
class NotDrawn:
    """There is no image of what is left."""

    message: str


@dataclass(frozen=True, eq=False)
class _Kept:
    """A step that was done, on what, and when its file was written, if it has one."""

    before: Localizations
    step: Step
    written: int
    applied: StepApplied


class Processing:
    """One table and its steps; `events` runs in one thread at a time."""

    def __init__(self) -> None:
        self._source: TableSource | None = None
        self._table: ReadTable | None = None
        self._kept: list[_Kept] = []

    def events(
        self, source: TableSource, jobs: Sequence[RowJob], rendering: Rendering | None
    ) -> Iterator[object]:
        """Read the table, do all steps in order, and draw what is left.

        Parameters
        ----------
        source
            The table; it is read once.
        jobs
            One for each row.
        rendering
            How to draw; ``None`` for no image.

        Yields
        ------
        TableRead, RowReached, RowDone, RowFailed, Processed, Drawn, NotDrawn
            What has been done. No step is done before the next event is asked for.

        Raises
        ------
        InputError
            The table cannot be read.
        """
        table = self._read(source)
        yield TableRead(table)
        localizations = table.content.localizations
        done: list[StepApplied] = []
        for number, job in enumerate(jobs):
            yield RowReached(number, list(localizations.columns()), _histogram(localizations, job))
            if job.step is None:
                continue
            try:
                applied = self._apply(localizations, job.step)
            except InputError as error:
                yield RowFailed(number, str(error))
                return
            yield RowDone(number, applied)
            done.append(applied)
            localizations = applied.localizations
        config = ProcessingConfig(steps=tuple(each.step for each in done))
        if rendering is not None:
            config = config.model_copy(update={"render": rendering})
        content = replace(table.content, localizations=localizations)
        yield Processed(table, content, config, total_drift(done))
        if rendering is not None:
            yield _draw(content, rendering)

    def _read(self, source: TableSource) -> ReadTable:
        if self._table is None or source is not self._source:
            self._kept = []
            self._source, self._table = source, None
            self._table = source.read()
        return self._table

    def _apply(self, before: Localizations, step: Step) -> StepApplied:
        """Do a step, unless that was done lately."""
        written = _written(step)
        for kept in self._kept:
            if kept.before is before and kept.step == step and kept.written == written:
                self._kept.remove(kept)
                break
        else:
            (applied,) = apply_steps(before, [step])
            kept = _Kept(before, step, written, applied)
        # the last one is the one that was used last
        self._kept = [*self._kept[1 - _MOST_KEPT :], kept]
        return kept.applied


def _written(step: Step) -> int:
    """Return when the file of a step was changed; 0 for a step without one."""
    if isinstance(step, SavedDrift):
        # that there is none is said when it is read
        with suppress(OSError):
            return step.path.stat().st_mtime_ns
    return 0


def _histogram(localizations: Localizations, job: RowJob) -> ColumnHistogram | None:
    if job.column is None or job.column not in localizations.columns():
        return None
    return column_histogram(localizations, job.column)


def _draw(content: TableContent, rendering: Rendering) -> Drawn | NotDrawn:
    field_nm = None if content.field is None else content.field.size_nm
    region = drawn_region(content.localizations, rendering, field_nm)
    height, width = (side / rendering.pixel_nm for side in (region.height_nm, region.width_nm))
    if height * width > _MOST_PIXELS_SHOWN:
        return NotDrawn(
            f"The image would have {height:,.0f} x {width:,.0f} px, too many to follow changes. "
            "Choose larger pixels to see it; it can be saved as it is."
        )
    try:
        image = render_localizations(content.localizations, rendering, field_nm=field_nm)
    except InputError as error:
        return NotDrawn(str(error))
    corner_nm = (region.top_nm, region.left_nm)
    return Drawn(image, rendering.pixel_nm, corner_nm, contrast_of_density(image))
