"""`dl4smlm quality`: how good a result is where the truth is not known."""

from __future__ import annotations

import dataclasses
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.cli.options import report_errors
from napari_dl4smlm.cli.score_table import as_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.metrics.measured import Measured

_PATH = click.Path(path_type=Path)
_WIDTH = 100


@click.command(
    epilog="Example: dl4smlm quality --localizations result/localizations.csv --movie movie.tif "
    "--image result/reconstruction.tif --figure quality.png"
)
@click.option("--localizations", type=_PATH, required=True, help="table of ThunderSTORM or Picasso")
@click.option("--movie", type=_PATH, required=True, help="the raw frames that were localized")
@click.option(
    "--image",
    type=_PATH,
    help="reconstruction of the same frames  [default: the localizations, drawn on a grid of an "
    "eighth of a pixel]",
)
@click.option("--pixel-size-nm", type=float, help="camera pixel, where the movie does not tell it")
@click.option(
    "--frames", help="frames that were localized, A:B from 0 with B excluded; default all"
)
@click.option(
    "--block-frames",
    type=int,
    help="frames in a row that go to the same half for the FRC; longer than a blink  "
    "[default: a twentieth of the frames]",
)
@click.option("--figure", type=_PATH, help="draw the curves and maps, as .png, .pdf or .svg")
@click.option("--json", is_flag=True, help="print one JSON object instead of a table")
@report_errors
def quality(
    localizations: Path,
    movie: Path,
    image: Path | None,
    pixel_size_nm: float | None,
    frames: str | None,
    block_frames: int | None,
    figure: Path | None,
    json: bool,
) -> None:
    """Measure resolution, precision and errors without ground truth.

    Each number is printed with its unit and with what it assumes. What cannot be measured says why.
    docs/quality.md explains when not to believe them.
    """
    from napari_dl4smlm.backend.acquisition.frames import open_frames, parse_frame_range
    from napari_dl4smlm.backend.evaluation.quality import measure_quality
    from napari_dl4smlm.backend.figures.figure_file import check_figure_path, save_figure
    from napari_dl4smlm.backend.figures.quality import draw_quality
    from napari_dl4smlm.backend.localizations.table_file import open_table

    if figure is not None:
        check_figure_path(figure)
    with open_frames(movie, pixel_size_nm=pixel_size_nm) as stack:
        if stack.pixel_size_nm is None:
            raise InputError(
                stack.pixel_size_fault()
                or f"{stack.name} does not tell its pixel size. Give --pixel-size-nm."
            )
        result = measure_quality(
            open_table(localizations, pixel_size_nm=stack.pixel_size_nm).localizations,
            stack,
            image=None if image is None else _read_image(image),
            frames=parse_frame_range(frames, stack.n_frames),
            block_frames=block_frames,
        )
    measured = result.measured()
    if json:
        click.echo(as_json({name: dataclasses.asdict(one) for name, one in measured.items()}))
    else:
        click.echo(_as_table(measured.values()))
    if figure is not None:
        save_figure(draw_quality(**vars(result)), figure)
        click.echo(f"Figure: {figure}", err=json)


def _read_image(path: Path) -> NDArray[np.floating]:
    from napari_dl4smlm.backend.acquisition.frames import open_frames

    with open_frames(path) as stack:
        if stack.n_frames != 1:
            raise InputError(
                f"{path} has {stack.n_frames} frames. Give a single image, a reconstruction.tif as "
                "predict writes it."
            )
        image: NDArray[np.floating] = stack.read(0, 1)[0]
    return image


def _as_table(measured: Iterable[Measured]) -> str:
    """Write label, value with unit, and the assumption or the reason why there is no value."""
    rows = [(one.label, one.text, one.problem or one.assumption) for one in measured]
    label_width, text_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    indent = " " * (label_width + text_width + 4)
    return "\n".join(
        textwrap.fill(
            f"{label:<{label_width}}  {text:>{text_width}}  {sentence}",
            _WIDTH,
            subsequent_indent=indent,
            drop_whitespace=True,
        )
        for label, text, sentence in rows
    )
