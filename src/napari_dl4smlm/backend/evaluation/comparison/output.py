"""A comparison in files: a table, all numbers as JSON, and figures."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dl4smlm.backend.atomic_file import atomic_file, check_folder, set_aside
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.evaluation.comparison.scores import CONFIDENCE, RESAMPLES
from napari_dl4smlm.backend.figures.figure_file import save_figure

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from pydantic import JsonValue

    from napari_dl4smlm.backend.evaluation.comparison.drawing import DrawnFigure
    from napari_dl4smlm.backend.evaluation.comparison.result import ComparedModel, Comparison
    from napari_dl4smlm.backend.evaluation.comparison.table import Cell, ComparisonTable

TABLE = "comparison.csv"
NUMBERS = "comparison.json"


def make_folder(folder: str | os.PathLike[str]) -> None:
    """Create the folder for the results, before the work begins.

    Raises
    ------
    InputError
        It cannot be created or written to.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"The folder {folder} cannot be created ({error.strerror}). Choose another one."
        ) from error
    check_folder(folder)


def save_comparison(
    folder: str | os.PathLike[str],
    comparison: Comparison,
    table: ComparisonTable,
    figures: Iterable[DrawnFigure],
) -> list[Path]:
    """Write table, numbers and figures; files of an earlier comparison are kept aside.

    Parameters
    ----------
    folder
        It exists.
    comparison, table, figures
        Of one comparison.

    Returns
    -------
    list of Path
        ``comparison.csv`` with one row for each model, ``comparison.json`` with all numbers, and
        one PNG for each figure.
    """
    folder = Path(folder)
    write_table(folder / TABLE, table)
    with atomic_file(folder / NUMBERS) as temporary:
        text = json.dumps(describe(comparison, table), indent=1, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")
        set_aside(folder / NUMBERS)
    paths = [folder / TABLE, folder / NUMBERS]
    for drawn in figures:
        path = folder / f"{drawn.name}.png"
        save_figure(drawn.figure, path)
        paths.append(path)
    return paths


def write_table(path: str | os.PathLike[str], table: ComparisonTable) -> None:
    """Write ``comparison.csv`` under any name; a file of that name is kept aside."""
    with atomic_file(path) as temporary:
        temporary.write_text(table_text(table), encoding="utf-8", newline="")
        set_aside(path)


def table_text(table: ComparisonTable) -> str:
    """Write one row for each model: every value and the ends of its interval, as CSV."""
    names = [
        name
        for column in table.columns
        for name in (column.name, f"{column.name}_low", f"{column.name}_high")
    ]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["model", *names])
    for label in table.labels:
        row: list[str | float] = [label]
        for column in table.columns:
            cell = table.cells(column.name)[label]
            values = (_finite(cell.value), *_ends(cell))
            row += ["" if value is None else value for value in values]
        writer.writerow(row)
    return text.getvalue()


def describe(comparison: Comparison, table: ComparisonTable) -> dict[str, JsonValue]:
    """Tell everything in what JSON can hold; unknown and infinite numbers are ``None``."""
    data = comparison.data
    return {
        "data": {
            "movie": data.movie,
            "n_frames": data.n_frames,
            "height": data.height,
            "width": data.width,
            "frames": list(data.frames),
            "pixel_size_nm": data.pixel_size_nm,
            "upsampling_factor": data.upsampling_factor,
            "n_emitters": data.n_emitters,
        },
        "settings": {
            "tolerance_nm": data.tolerance_nm,
            "border_nm": data.border_nm,
            "seed": comparison.seed,
            "confidence": CONFIDENCE,
            "resamples": RESAMPLES,
            "repeats": comparison.repeats,
            "devices": list(comparison.devices),
        },
        "warnings": list(comparison.warnings),
        "columns": {
            column.name: {
                "label": column.label,
                "unit": column.unit,
                "better": column.better,
                "assumption": column.assumption,
            }
            for column in table.columns
        },
        "models": [_describe_model(model, table) for model in comparison.models],
    }


def _describe_model(model: ComparedModel, table: ComparisonTable) -> dict[str, JsonValue]:
    return {
        "label": model.label,
        "file": None if model.path is None else str(model.path),
        "architecture": model.card.architecture,
        "weights_sha256": model.card.weights_sha256,
        "upsampling_factor": model.card.upsampling_factor,
        "threshold": model.threshold,
        "computed_with": model.computed_with,
        "n_localizations": len(model.localizations),
        "speeds": [
            {
                "device": speed.device,
                "batch_size": speed.batch_size,
                "tile_size": speed.tile_size,
                "streams": speed.streams,
            }
            for speed in model.speeds
        ],
        "scores": {
            column.name: _describe_cell(table.cells(column.name)[model.label])
            for column in table.columns
        },
    }


def _describe_cell(cell: Cell) -> dict[str, JsonValue]:
    low, high = _ends(cell)
    behind = cell.behind
    described: dict[str, JsonValue] = {
        "value": _finite(cell.value),
        "low": low,
        "high": high,
        "standing": cell.standing,
        "problem": cell.problem,
        "behind_best": None,
    }
    if behind is not None:
        described["behind_best"] = {
            "value": _finite(behind.value),
            "low": None if behind.interval is None else _finite(behind.interval.low),
            "high": None if behind.interval is None else _finite(behind.interval.high),
        }
    return described


def _ends(cell: Cell) -> tuple[float | None, float | None]:
    if cell.interval is None:
        return None, None
    return cell.interval.low, cell.interval.high


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
