"""`dl4smlm predict`: from a movie and a model to an image and a table."""

from __future__ import annotations

import sys
import tempfile
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

from napari_dl4smlm.backend.available_cores import available_cores
from napari_dl4smlm.backend.config_file import build, read_config, write_config
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.events import (
    BatchPredicted,
    BatchReduced,
    FilesWritten,
    FramesArrived,
    FramesLeftOut,
    PartsDone,
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
from napari_dl4smlm.cli.workers import fellow_workers, stop_with_first_worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dl4smlm.backend.acquisition.frames import FrameStack


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
@click.option(
    "--follow",
    "is_growing",
    is_flag=True,
    help="predict a movie while it is being written: a TIFF, or a folder of TIFFs, one a frame",
)
@click.option(
    "--quiet-s",
    type=float,
    default=30.0,
    show_default=True,
    help="with --follow, seconds without a new frame after which the movie is over",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="processes on this machine that share the movie, and its cores or GPUs",
)
@click.option(
    "--shared",
    is_flag=True,
    help="share the movie with every process that runs this very command, also on other machines "
    "that see the same folder; run it again to go on after a crash",
)
@partial(config_file_options, which="the options from --device to --pixel-size-nm")
@report_errors
def predict(
    movie: Path,
    model_path: Path,
    out: Path | None,
    save_maps: bool,
    is_growing: bool,
    quiet_s: float,
    workers: int,
    shared: bool,
    config: Path | None,
    save_config: Path | None,
    **options: Any,
) -> None:
    """Turn a movie into a super-resolution image and a table of localizations.

    MOVIE is a TIFF, a .npy file or a folder of TIFFs. reconstruction.tif is the sum of all density
    maps; localizations.csv has the columns of ThunderSTORM, with frames counted from 1.
    """
    settings = build(PredictionConfig, read_config(config) | given(options, PredictionConfig))
    is_shared = shared or workers > 1
    if is_shared and (is_growing or save_maps):
        raise InputError(
            "Workers share neither a movie that is still being written nor density maps: leave out "
            "--follow and --save-maps, or --workers and --shared."
        )
    if save_config is not None:
        write_config(save_config, settings.model_dump(mode="json"))
    from napari_dl4smlm.backend.models.calibration import describe_columns
    from napari_dl4smlm.backend.models.device import select_device
    from napari_dl4smlm.backend.models.model_file import load_model
    from napari_dl4smlm.backend.prediction.output import predict_to_files
    from napari_dl4smlm.backend.prediction.result_folder import result_folder
    from napari_dl4smlm.backend.prediction.sharing.shared_prediction import predict_shared

    folder = out or result_folder(movie)
    model = load_model(model_path, device=select_device(settings.device))
    click.echo(describe_columns(model.card.calibration))
    stop = threading.Event()
    stop_with_first_worker(stop.set)
    with (
        stop_on_interrupt(stop.set),
        _open(movie, settings.pixel_size_nm, quiet_s if is_growing else None, stop) as frames,
    ):
        if is_shared:
            events = predict_shared(model, frames, folder, settings, stop=stop)
        else:
            events = predict_to_files(
                model, frames, folder, settings, save_maps=save_maps, stop=stop
            )
        with _fellows(workers, movie, model_path, folder, settings, stop):
            stopped = follow(events, title=model.card.architecture)
    if stopped:
        raise click.exceptions.Exit(INTERRUPTED)


@contextmanager
def _fellows(
    count: int,
    movie: Path,
    model_path: Path,
    folder: Path,
    settings: PredictionConfig,
    stop: threading.Event,
) -> Iterator[None]:
    """Let other processes share the movie, if there are to be any."""
    if count == 1:
        yield
        return
    import torch

    torch.set_num_threads(max(1, available_cores() // count))
    with tempfile.TemporaryDirectory() as temporary:
        config = Path(temporary) / "prediction.yaml"
        write_config(config, settings.model_dump(mode="json"))
        # a movie may be called as an option is
        words = ("--model", model_path, "--out", folder, "--config", config, "--", movie)
        with fellow_workers(count, ["predict", "--shared", *map(str, words)], stop):
            yield


def _open(
    movie: Path, pixel_size_nm: float | None, quiet_s: float | None, stop: threading.Event
) -> FrameStack:
    from napari_dl4smlm.backend.acquisition.frames import open_frames
    from napari_dl4smlm.backend.acquisition.growing_frames import open_growing_frames

    if quiet_s is None:
        return open_frames(movie, pixel_size_nm=pixel_size_nm)
    click.echo(f"Waiting for frames in {movie}.", err=True)
    try:
        return open_growing_frames(
            movie, pixel_size_nm=pixel_size_nm, quiet_s=quiet_s, wait_s=quiet_s, stop=stop
        )
    except InputError:
        if stop.is_set():
            # that no frame has come is not to be told as a fault then
            raise click.exceptions.Exit(INTERRUPTED) from None
        raise


def follow(events: Iterator[PredictionEvent], *, title: str) -> bool:
    """Print a prediction as it runs; return whether it was stopped before its end."""
    stopped = False
    keeps_up = True
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
                        f"Out of memory: going on with batches of {event.batch_size}, "
                        f"{event.streams} at a time, and tiles of "
                        f"{event.tile_size or 'the whole frame'}."
                    )
                case FramesArrived():
                    bar.total = event.n_frames
                    bar.set_postfix_str(f"{event.frames_behind:,} behind")
                    if event.keeps_up != keeps_up:
                        keeps_up = event.keeps_up
                        tqdm.write(_describe_pace(event), file=sys.stderr)
                case PartsDone():
                    # also that of the other workers
                    bar.update(event.frames_done - bar.n)
                case FramesLeftOut():
                    for reason in event.reasons:
                        tqdm.write(f"Warning: {reason}", file=sys.stderr)
                case PredictionStopped():
                    stopped = True
                    tqdm.write("Stopped; what is done is kept.")
                case FilesWritten():
                    tqdm.write(_describe_files(event))
    return stopped


def _describe_files(event: FilesWritten) -> str:
    if not event.paths:
        return "No frame was predicted, and nothing written."
    paths = ", ".join(map(str, event.paths))
    return f"{event.n_localizations:,} localizations. Written: {paths}"


def _describe_pace(event: FramesArrived) -> str:
    if event.keeps_up:
        return f"Keeping up again: {event.frames_behind:,} frames behind."
    return (
        f"Warning: {event.frames_per_second:.3g} frames per second come, which is more than are "
        f"predicted: {event.frames_behind:,} frames behind. None is lost; a smaller model or "
        "another device would keep up."
    )


def _describe_start(event: PredictionStarted) -> str:
    why = f" ({event.why})" if event.why else ""
    frames = f"{event.n_frames:,} frames" if event.n_frames else "frames as they come"
    line = (
        f"Predicting {frames} on {event.device} with {event.backend} in "
        f"{event.precision}{why}; image of {event.height} x {event.width} px."
    )
    return "\n".join([line, *(f"Warning: {warning}" for warning in event.warnings)])
