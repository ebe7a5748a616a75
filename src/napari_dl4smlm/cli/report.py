"""`dl4smlm report`: a prediction on one page."""

from __future__ import annotations

from pathlib import Path

import click

from napari_dl4smlm.cli.options import report_errors
from napari_dl4smlm.cli.recorded import RecordingCommand, given_command

_PATH = click.Path(path_type=Path)


@click.command(
    cls=RecordingCommand,
    epilog="Example: dl4smlm report result --movie movie.tif --model model.safetensors",
)
@click.argument("result", type=_PATH)
@click.option("--movie", type=_PATH, required=True, help="the raw frames that were predicted")
@click.option("--model", type=_PATH, help="the model file, to tell what it was trained on")
@click.option("--out", type=_PATH, help="the .html file  [default: report.html in the folder]")
@click.pass_context
@report_errors
def report(
    context: click.Context, result: Path, movie: Path, model: Path | None, out: Path | None
) -> None:
    """Write a report of a prediction, as one HTML file for reading and printing.

    RESULT is the folder that predict wrote. The report shows the image, measures resolution,
    precision and errors as far as that is possible without ground truth, and tells which files,
    versions and machine it comes from.
    """
    from napari_dl4smlm.backend.acquisition.frames import open_frames
    from napari_dl4smlm.backend.models.model_file import read_card
    from napari_dl4smlm.backend.report.page import check_report_path
    from napari_dl4smlm.backend.report.prediction import open_result, write_prediction_report
    from napari_dl4smlm.backend.report.provenance import record_provenance

    opened = open_result(result)
    path = out or result / "report.html"
    check_report_path(path)
    card = None if model is None else read_card(model)
    files = [("movie", movie), *([("model", model)] if model else []), *opened.files]
    with open_frames(movie) as frames:
        provenance = record_provenance(files, command=given_command(context))
        write_prediction_report(path, opened, frames, card, provenance)
    click.echo(f"Report: {path}")
