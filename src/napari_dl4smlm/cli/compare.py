"""`dl4smlm compare`: which of several models is best for these data on this machine."""

from __future__ import annotations

import dataclasses
import json as json_format
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

from napari_dl4smlm.backend.config_file import build
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.cli.interrupts import INTERRUPTED, stop_on_interrupt
from napari_dl4smlm.cli.options import (
    border_option,
    config_options,
    given,
    report_errors,
    tolerance_option,
)
from napari_dl4smlm.cli.recorded import RecordingCommand, given_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_dl4smlm.backend.evaluation.comparison.columns import Column
    from napari_dl4smlm.backend.evaluation.comparison.events import (
        ComparisonEvent,
        ComparisonStarted,
    )
    from napari_dl4smlm.backend.evaluation.comparison.result import Comparison
    from napari_dl4smlm.backend.evaluation.comparison.table import Cell, ComparisonTable

_PATH = click.Path(path_type=Path)
_MARKS = {"best": "*", "among the best": "~", "": ""}


@click.command(
    cls=RecordingCommand,
    epilog="Example: dl4smlm compare fid.safetensors deep.safetensors --movie movie.tif "
    "--localizations positions.csv --report comparison.html",
)
@click.argument("models", type=_PATH, nargs=-1, metavar="MODEL...")
@click.option(
    "--movie", type=_PATH, required=True, help="TIFF, .npy or folder of TIFFs with the raw frames"
)
@click.option(
    "--localizations",
    type=_PATH,
    help="table of the true positions in the movie; without it, what can be measured without truth "
    "is compared",
)
@click.option(
    "--device",
    "devices",
    multiple=True,
    default=("auto",),
    show_default=True,
    help="where to time the models, may be given several times; the scores come from the first",
)
@click.option(
    "--frames",
    help="frames to compare on, A:B from 0 with B excluded; default all that trained no model",
)
@tolerance_option(100.0)
@border_option
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="batches to be timed, after one that is not",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="of the frames that are drawn for the intervals",
)
@config_options(PredictionConfig, skip=["device", "frames"])
@click.option("--json", is_flag=True, help="print one JSON object instead of a table")
@click.option(
    "--out",
    type=_PATH,
    help="folder for comparison.csv, comparison.json and figures; older ones are kept aside",
)
@click.option(
    "--report", type=_PATH, help="one .html file with all of it, for reading and printing"
)
@click.pass_context
@report_errors
def compare(
    context: click.Context,
    models: tuple[Path, ...],
    movie: Path,
    localizations: Path | None,
    devices: tuple[str, ...],
    tolerance_nm: float,
    border_nm: float,
    repeats: int,
    seed: int,
    json: bool,
    out: Path | None,
    report: Path | None,
    **options: Any,
) -> None:
    """Compare models on one movie: accuracy with intervals, speed, memory and size.

    All are scored on the same frames, which trained none of them. A model is marked as best only
    if it is better than every other one by more than chance. docs/comparison.md explains how to
    read the numbers.
    """
    settings = build(PredictionConfig, given(options, PredictionConfig))
    settings = settings.model_copy(update={"device": devices[0]})
    from napari_dl4smlm.backend.acquisition.frames import open_frames
    from napari_dl4smlm.backend.evaluation.comparison.candidates import open_candidates
    from napari_dl4smlm.backend.evaluation.comparison.compare import compare_models
    from napari_dl4smlm.backend.evaluation.comparison.output import make_folder
    from napari_dl4smlm.backend.localizations.table_file import open_table
    from napari_dl4smlm.backend.report.page import check_report_path

    candidates = open_candidates(models)
    if out is not None:
        make_folder(out)
    if report is not None:
        check_report_path(report)
    stop = threading.Event()
    with open_frames(movie, pixel_size_nm=settings.pixel_size_nm) as frames:
        truth = None
        if localizations is not None:
            truth = open_table(localizations, pixel_size_nm=frames.pixel_size_nm).localizations
        events = compare_models(
            candidates,
            frames,
            truth,
            settings,
            devices=devices,
            tolerance_nm=tolerance_nm,
            border_nm=border_nm,
            seed=seed,
            repeats=repeats,
            stop=stop,
        )
        with stop_on_interrupt(stop.set):
            comparison, failure = _follow(events)
    if comparison is not None:
        read = [("movie", movie), *([("true positions", localizations)] if localizations else [])]
        _show(
            comparison, json=json, out=out, report=report, read=read, command=given_command(context)
        )
    if failure is not None:
        raise failure
    if stop.is_set():
        raise click.exceptions.Exit(INTERRUPTED)


def _follow(events: Iterator[ComparisonEvent]) -> tuple[Comparison | None, InputError | None]:
    """Show a comparison as it runs, on standard error.

    Returns
    -------
    tuple
        What it found, if anything, and what a model failed of. The models before that one are not
        lost.
    """
    comparison: Comparison | None = None
    try:
        for so_far in _found(events):
            comparison = so_far
    except InputError as error:
        if comparison is not None:
            warning = f"Not all models were compared. {error}"
            warnings = (*comparison.warnings, warning)
            comparison = dataclasses.replace(comparison, warnings=warnings)
        return comparison, error
    return comparison, None


def _found(events: Iterator[ComparisonEvent]) -> Iterator[Comparison | None]:
    """Yield what is found so far whenever there is more of it."""
    from napari_dl4smlm.backend.evaluation.comparison.events import (
        ComparisonFinished,
        ComparisonStarted,
        ComparisonStopped,
        FramesPredicted,
        ImagesScored,
        ModelCompared,
        SpeedMeasured,
    )

    with tqdm(unit="frame", disable=None, dynamic_ncols=True) as bar:
        for event in events:
            match event:
                case ComparisonStarted():
                    tqdm.write(_describe_start(event), file=sys.stderr)
                    bar.total = event.n_frames * len(event.labels)
                case FramesPredicted():
                    bar.set_description(event.label)
                    models_done = bar.n // event.n_frames
                    bar.update(models_done * event.n_frames + event.frames_done - bar.n)
                case ImagesScored():
                    bar.set_postfix_str(f"images {event.done}/{event.n_comparisons}")
                case SpeedMeasured():
                    bar.set_postfix_str(f"timed on {event.speed.device}")
                case ModelCompared(model, so_far):
                    bar.set_postfix_str("")
                    for warning in model.warnings:
                        tqdm.write(f"Warning: {warning}", file=sys.stderr)
                    yield so_far
                case ComparisonStopped(stopped):
                    tqdm.write(_describe_stop(stopped), file=sys.stderr)
                    yield stopped
                case ComparisonFinished(finished):
                    yield finished


def _describe_start(event: ComparisonStarted) -> str:
    count = len(event.labels)
    models = f"{count} models" if count > 1 else "1 model"
    line = f"Comparing {models} on {event.n_frames:,} frames; device {event.device}."
    return "\n".join([line, *(f"Warning: {warning}" for warning in event.warnings)])


def _describe_stop(comparison: Comparison | None) -> str:
    if comparison is None:
        return "Stopped before the first model was done."
    return f"Stopped; this is the comparison of {len(comparison.models)} of the models."


def _show(
    comparison: Comparison,
    *,
    json: bool,
    out: Path | None,
    report: Path | None,
    read: Sequence[tuple[str, Path]],
    command: str,
) -> None:
    """Print a comparison, and write the files that were asked for."""
    from napari_dl4smlm.backend.evaluation.comparison.drawing import draw_comparison
    from napari_dl4smlm.backend.evaluation.comparison.output import describe, save_comparison
    from napari_dl4smlm.backend.evaluation.comparison.table import tabulate
    from napari_dl4smlm.backend.report.comparison import write_comparison_report
    from napari_dl4smlm.backend.report.provenance import record_provenance

    table = tabulate(comparison)
    click.echo(
        json_format.dumps(describe(comparison, table), indent=1) if json else _as_text(table)
    )
    figures = list(draw_comparison(comparison, table)) if out or report else []
    written: list[Path] = []
    if out is not None:
        written += save_comparison(out, comparison, table, figures)
    if report is not None:
        files = [(f"model {m.label}", m.path) for m in comparison.models if m.path is not None]
        provenance = record_provenance([*read, *files], command=command)
        write_comparison_report(report, comparison, table, figures, provenance)
        written.append(report)
    if written:
        click.echo("Written: " + ", ".join(str(path) for path in written), err=True)


def _as_text(table: ComparisonTable) -> str:
    """Write one line for each number, one column for each model."""
    rows: list[tuple[str, list[str]]] = [("", list(table.labels))]
    for section in table.sections:
        rows.append((section.group.title, []))
        rows += [
            (f"  {column.title}", [_cell_text(column, cell) for cell in section.cells[column.name]])
            for column in section.group.columns
        ]
    label_width = max(len(label) for label, _ in rows)
    widths = [
        max(len(texts[number]) for _, texts in rows if texts) for number in range(len(table.labels))
    ]
    lines = [
        "  ".join(
            [f"{label:<{label_width}}"]
            + [f"{text:>{width}}" for text, width in zip(texts, widths, strict=False)]
        ).rstrip()
        for label, texts in rows
    ]
    legend = (
        "In brackets: 95 % interval; of times, the fastest and the slowest batch.  "
        "* best, by more than chance  ~ among the best"
    )
    return "\n".join([*lines, legend])


def _cell_text(column: Column, cell: Cell) -> str:
    if cell.value is None:
        return "not measured"
    text = column.text(cell.value)
    if cell.interval is not None:
        text += f" [{column.text(cell.interval.low)}, {column.text(cell.interval.high)}]"
    return f"{text} {_MARKS[cell.standing] or ' '}"
