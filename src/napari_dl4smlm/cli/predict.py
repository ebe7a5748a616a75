"""`dl4smlm predict`: from a movie and a model to an image and a table."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

from napari_dl4smlm.backend.config_file import build, read_config, write_config
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.events import (
    BatchPredicted,
    BatchReduced,
    FilesWritten,
    PredictionEvent,
    PredictionStarted,
    PredictionStopped,
)
from napari_dl4smlm.cli.interrupts import INTERRUPTED, stop_on_interrupt
from napari_dl4smlm.cli.options import (
    config_file_options,
    config_options,
    given,
    report_errors,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command(epilog="Example: dl4smlm predict movie.tif --model model.safetensors --out result")
@click.argument("movie", type=click.Path(path_type=Path))
@click.option(
    "--model",
    "model_path",
    type=click.Path(path_type=Path),
    default=Path("model.safetensors"),
    show_default=True,
    help="model file that training wrote",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="folder for reconstruction.tif and localizations.csv; results of an earlier run in it are "
    "kept under another name  [default: NAME-prediction beside the movie]",
)
@config_options(PredictionConfig)
@click.option(
    "--save-maps",
    is_flag=True,
    help="also write every frame's density map, as density_maps.tif: large",
)
@config_file_options
@report_errors
def predict(
    movie: Path,
    model_path: Path,
    out: Path | None,
    save_maps: bool,
    config: Path | None,
    save_config: Path | None,
    **options: Any,
) -> None:
    """Turn a movie into a super-resolution image and a table of localizations.

    MOVIE is a TIFF, a .npy file or a folder of TIFFs. reconstruction.tif is the sum of all density
    maps; localizations.csv has the columns of ThunderSTORM, with frames counted from 1.
    """
    settings = build(PredictionConfig, read_config(config) | given(options, PredictionConfig))
    if save_config is not None:
        write_config(save_config, settings.model_dump(mode="json"))
    from napari_dl4smlm.backend.acquisition.frames import open_frames
    from napari_dl4smlm.backend.models.device import select_device
    from napari_dl4smlm.backend.models.model_file import load_model
    from napari_dl4smlm.backend.prediction.output import predict_to_files

    folder = out or movie.with_name(f"{movie.stem}-prediction")
    model = load_model(model_path, device=select_device(settings.device))
    with open_frames(movie, pixel_size_nm=settings.pixel_size_nm) as frames:
        stop = threading.Event()
        events = predict_to_files(model, frames, folder, settings, save_maps=save_maps, stop=stop)
        with stop_on_interrupt(stop.set):
            stopped = follow(events, title=model.card.architecture)
    if stopped:
        raise click.exceptions.Exit(INTERRUPTED)


def follow(events: Iterator[PredictionEvent], *, title: str) -> bool:
    """Print a prediction as it runs; return whether it was stopped before its end."""
    stopped = False
    with tqdm(desc=title, unit="frame", disable=None, dynamic_ncols=True) as bar:
        for event in events:
            match event:
                case PredictionStarted():
                    bar.total = event.n_frames
                    tqdm.write(_describe_start(event))
                case BatchPredicted():
                    bar.update(len(event.frames))
                case BatchReduced():
                    tqdm.write(
                        f"Out of memory: going on with batches of {event.batch_size} and tiles of "
                        f"{event.tile_size or 'the whole frame'}."
                    )
                case PredictionStopped():
                    stopped = True
                    tqdm.write("Stopped; what is done is kept.")
                case FilesWritten():
                    tqdm.write(
                        f"{event.n_localizations:,} localizations. Written: "
                        + ", ".join(str(path) for path in event.paths)
                    )
    return stopped


def _describe_start(event: PredictionStarted) -> str:
    line = (
        f"Predicting {event.n_frames:,} frames on {event.device}; image of {event.height} x "
        f"{event.width} px."
    )
    return "\n".join([line, *(f"Warning: {warning}" for warning in event.warnings)])
