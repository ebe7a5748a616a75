"""What the marks of a comparison's table say, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dl4smlm.backend.evaluation.comparison.columns import SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dl4smlm.backend.evaluation.comparison.columns import Column
    from napari_dl4smlm.backend.evaluation.comparison.table import ComparisonTable


def verdicts(table: ComparisonTable) -> Iterator[str]:
    """Say in words what the marks of the table say, model by model."""
    undecided = [
        column.label
        for column in tested_columns(table)
        if not any(cell.standing for cell in table.cells(column.name).values())
    ]
    for label in table.labels:
        held: dict[str, list[str]] = {"best": [], "among the best": []}
        for column in table.columns:
            standing = table.cells(column.name)[label].standing
            if standing:
                held[standing].append(column.label)
        parts = [f"{standing} in {', '.join(where)}" for standing, where in held.items() if where]
        yield f"{label} is {'; '.join(parts) or 'nowhere told to be among the best'}."
    if undecided:
        yield f"No model can be told from the best one in {', '.join(undecided)}."


def tested_columns(table: ComparisonTable) -> list[Column]:
    """Take the columns in which a difference may be chance, and something tells whether it is."""
    return [
        column
        for column in table.columns
        if column not in SIZE.columns
        and any(cell.behind and cell.behind.interval for cell in table.cells(column.name).values())
    ]
