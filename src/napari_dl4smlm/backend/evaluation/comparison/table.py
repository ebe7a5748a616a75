"""The table of a comparison, and which model is best in each of its columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_dl4smlm.backend.evaluation.comparison.columns import (
    DETECTION,
    IMAGES,
    SIZE,
    quality_group,
    speed_group,
)
from napari_dl4smlm.backend.evaluation.comparison.scores import Interval, difference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_dl4smlm.backend.evaluation.comparison.columns import Better, Column, ColumnGroup
    from napari_dl4smlm.backend.evaluation.comparison.result import Comparison
    from napari_dl4smlm.backend.evaluation.comparison.scores import Difference, Score

Standing = Literal["best", "among the best", ""]


@dataclass(frozen=True)
class Cell:
    """One number of one model.

    Attributes
    ----------
    value
        ``None`` where it cannot be told.
    interval
        ``None`` where nothing tells how sure the value is.
    standing
        ``"best"``: better than every other model, and the interval of each difference excludes 0.
        ``"among the best"``: has the best value, or cannot be told from the model that has it,
        while another one can. Empty for all models where nothing tells them apart.
    behind
        This model minus the one with the best value; ``None`` for that one itself, and where no
        direction is better.
    problem
        Why there is no value, where that is known.
    """

    value: float | None
    interval: Interval | None
    standing: Standing
    behind: Difference | None
    problem: str


@dataclass(frozen=True)
class Section:
    """The numbers in columns that belong together.

    Attributes
    ----------
    group
        What they are about.
    cells
        By the name of the column, one cell for each model in their order.
    """

    group: ColumnGroup
    cells: dict[str, tuple[Cell, ...]]


@dataclass(frozen=True)
class ComparisonTable:
    """All numbers of a comparison.

    Attributes
    ----------
    labels
        The models.
    sections
        Detection, image or what can be measured without truth, then cost and speed.
    """

    labels: tuple[str, ...]
    sections: tuple[Section, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, from left to right."""
        return tuple(column for section in self.sections for column in section.group.columns)

    def cells(self, name: str) -> dict[str, Cell]:
        """Return the cells of one column by the label of the model."""
        (cells,) = (section.cells[name] for section in self.sections if name in section.cells)
        return dict(zip(self.labels, cells, strict=True))


def tabulate(comparison: Comparison) -> ComparisonTable:
    """Put the scores of all models side by side."""
    labels = tuple(model.label for model in comparison.models)
    return ComparisonTable(
        labels,
        tuple(
            Section(group, {column.name: _cells(comparison, column) for column in group.columns})
            for group in _groups(comparison)
        ),
    )


def _groups(comparison: Comparison) -> list[ColumnGroup]:
    quality = comparison.models[0].quality
    accuracy = [DETECTION, IMAGES] if quality is None else [quality_group(quality.measured())]
    return [*accuracy, SIZE, *map(speed_group, comparison.devices)]


def _cells(comparison: Comparison, column: Column) -> tuple[Cell, ...]:
    scores = {model.label: model.scores[column.name] for model in comparison.models}
    behind = _behind_best(scores, column.better)
    standings = _standings(behind)
    return tuple(
        Cell(
            value=None if np.isnan(score.value) else score.value,
            interval=_within(score.interval(), column.limits),
            standing=standings.get(label, ""),
            behind=behind.get(label),
            problem=comparison.models[number].problems.get(column.name, ""),
        )
        for number, (label, score) in enumerate(scores.items())
    )


def _within(interval: Interval | None, limits: tuple[float, float]) -> Interval | None:
    """End an interval where what the number can be ends; Student's t knows no such limits."""
    if interval is None:
        return None
    return Interval(max(interval.low, limits[0]), min(interval.high, limits[1]))


def _behind_best(scores: Mapping[str, Score], better: Better) -> dict[str, Difference | None]:
    """Subtract the best score from each known one; the best itself has ``None``."""
    if better == "closer to 0":
        scores = {label: abs(score) for label, score in scores.items()}
    known = {label: score for label, score in scores.items() if not np.isnan(score.value)}
    if not known or better == "":
        return {}
    choose = max if better == "higher" else min
    best = choose(known, key=lambda label: known[label].value)
    return {
        label: None if label == best else difference(score, known[best])
        for label, score in known.items()
    }


def _standings(behind: Mapping[str, Difference | None]) -> dict[str, Standing]:
    """Tell who is best: alone, or together with those whose difference may be chance."""
    leading = [
        label for label, apart in behind.items() if apart is None or not apart.is_significant
    ]
    # nobody is told apart from the best, or nobody is there to be better than
    if len(leading) == len(behind):
        return {}
    standing: Standing = "best" if len(leading) == 1 else "among the best"
    return dict.fromkeys(leading, standing)
