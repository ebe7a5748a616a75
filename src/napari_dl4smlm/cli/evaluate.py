"""`dl4smlm evaluate`: localizations and reconstruction against the truth."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.cli.options import border_option, report_errors, tolerance_option
from napari_dl4smlm.cli.score_table import as_json, as_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@click.command(
    epilog="Example: dl4smlm evaluate --predicted result/localizations.csv --truth positions.csv "
    "--pixel-size-nm 100 --tolerance-nm 100"
)
@click.option(
    "--predicted", type=click.Path(path_type=Path), required=True, help="ThunderSTORM table"
)
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    required=True,
    help="ThunderSTORM table of the true positions",
)
@click.option(
    "--pixel-size-nm",
    type=float,
    help="camera pixel in nm; needed for tables in pixels, and with --image",
)
@tolerance_option(250.0)
@border_option
@click.option(
    "--field-nm",
    type=(float, float),
    default=None,
    help="height and width of the field of view, which --border-nm needs",
)
@click.option("--frames", help="frames to evaluate, A:B from 0 with B excluded; default all")
@click.option(
    "--image",
    type=click.Path(path_type=Path),
    help="reconstruction to compare with the true positions, drawn with one fine pixel of blur",
)
@click.option("--json", is_flag=True, help="print one JSON object instead of a table")
@report_errors
def evaluate(
    predicted: Path,
    truth: Path,
    pixel_size_nm: float | None,
    tolerance_nm: float,
    border_nm: float,
    field_nm: tuple[float, float] | None,
    frames: str | None,
    image: Path | None,
    json: bool,
) -> None:
    """Compare localizations with the true positions, frame by frame.

    Every localization is paired with at most one emitter of the same frame, such that as many as
    possible are paired. Emitters of frames that were not predicted count as missed, and frames that
    trained the model tell nothing about it: leave both out with --frames.
    """
    from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm
    from napari_dl4smlm.backend.metrics.detection import detection_scores
    from napari_dl4smlm.cli.chosen_frames import choose_frames

    found, emitters = (
        read_thunderstorm(path, pixel_size_nm=pixel_size_nm) for path in (predicted, truth)
    )
    tables, emitters = choose_frames(frames, {str(predicted): found}, emitters)
    scores = dataclasses.asdict(
        detection_scores(
            tables[str(predicted)],
            emitters,
            tolerance_nm=tolerance_nm,
            border_nm=border_nm,
            field_of_view_nm=field_nm,
        )
    )
    if image is not None:
        scores |= _image_scores(image, emitters.positions_nm(), pixel_size_nm)
    if json:
        click.echo(as_json(scores))
    else:
        click.echo(as_table({name: [value] for name, value in scores.items()}))


def _image_scores(
    path: Path, positions_nm: NDArray[np.float64], pixel_size_nm: float | None
) -> dict[str, float]:
    from napari_dl4smlm.backend.acquisition.frames import open_frames
    from napari_dl4smlm.backend.evaluation.scores import score_image
    from napari_dl4smlm.backend.localizations.density_map import render_density_map

    if pixel_size_nm is None:
        raise InputError("Comparing an image needs the camera's pixel: give --pixel-size-nm.")
    with open_frames(path) as stack:
        if stack.pixel_size_nm is None or stack.n_frames != 1:
            raise InputError(
                f"{path} is not a single image with a pixel size. Give a reconstruction.tif as "
                "predict writes it."
            )
        factor = round(pixel_size_nm / stack.pixel_size_nm)
        if factor < 1 or abs(factor * stack.pixel_size_nm / pixel_size_nm - 1) > 0.01:
            raise InputError(
                f"The pixels of {path} are {stack.pixel_size_nm:g} nm wide, which is no whole part "
                f"of {pixel_size_nm:g} nm. Check --pixel-size-nm."
            )
        (prediction,) = stack.read(0, 1)
    truth = render_density_map(
        positions_nm,
        height=prediction.shape[0] // factor,
        width=prediction.shape[1] // factor,
        pixel_size_nm=pixel_size_nm,
        upsampling_factor=factor,
        sigma_px=1.0,
    )
    return dataclasses.asdict(score_image(prediction, truth))
