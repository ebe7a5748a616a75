"""`dl4smlm demo`: the whole way on data that it makes itself."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from napari_dl4smlm.backend.training.events import TrainingStopped
from napari_dl4smlm.cli import predict as prediction
from napari_dl4smlm.cli import train as training
from napari_dl4smlm.cli.interrupts import INTERRUPTED, stop_on_interrupt
from napari_dl4smlm.cli.options import report_errors

if TYPE_CHECKING:
    from napari_dl4smlm.backend.simulation.filaments import SimulatedMovie

_SEEDS = {"training": 1, "unseen": 2}


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    help="folder for everything that the demo makes",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps")
@click.option(
    "--epochs", type=click.IntRange(1), default=6, show_default=True, help="more take longer"
)
@click.option(
    "--frames",
    type=click.IntRange(2),
    default=500,
    show_default=True,
    help="frames of the movie to reconstruct",
)
@report_errors
def demo(out: Path, device: str, epochs: int, frames: int) -> None:
    """Train on a simulated movie and reconstruct another one.

    Blinking emitters on filaments are simulated twice. A FID-STORM network learns from the first
    movie, in a few minutes without a GPU, and reconstructs the second one, which it has not seen.
    Both come from the same simulator, so that the network meets what it was trained for: on a movie
    unlike its training data, expect less.
    """
    out.mkdir(parents=True, exist_ok=True)
    click.echo("Simulating two movies of emitters on filaments.")
    _simulate("training", out, n_frames=100)
    unseen = _simulate("unseen", out, n_frames=frames)
    _train(out, device, epochs)
    _predict(out, device)
    _report(out, unseen)


def _simulate(name: str, out: Path, *, n_frames: int) -> SimulatedMovie:
    from napari_dl4smlm.backend.acquisition.calibrated_tiff import calibrated_tiff
    from napari_dl4smlm.backend.atomic_file import atomic_file
    from napari_dl4smlm.backend.localizations.thunderstorm import write_thunderstorm
    from napari_dl4smlm.backend.simulation.filaments import FilamentMovieConfig, simulate_filaments

    config = FilamentMovieConfig(n_frames=n_frames)
    movie = simulate_filaments(config, seed=_SEEDS[name])
    with (
        atomic_file(out / f"{name}.tif") as temporary,
        calibrated_tiff(
            temporary,
            pixel_size_nm=config.pixel_size_nm,
            nbytes=movie.frames.nbytes,
            information=config.model_dump(mode="json"),
        ) as write,
    ):
        for frame in movie.frames:
            write(frame)
    write_thunderstorm(out / f"{name}-positions.csv", movie.truth)
    return movie


def _train(out: Path, device: str, epochs: int) -> None:
    from napari_dl4smlm.backend.training.config import DataConfig, TrainingConfig
    from napari_dl4smlm.backend.training.data import TrainingData
    from napari_dl4smlm.backend.training.trainer import Trainer

    sources = DataConfig(movie=out / "training.tif", localizations=out / "training-positions.csv")
    # the smallest of the published variants, and a higher rate than usual: this run is short
    config = TrainingConfig(
        model="fid_storm",
        model_options={"blocks": 5},
        device=device,
        epochs=epochs,
        patches_per_epoch=512,
        learning_rate=2e-3,
    )
    with TrainingData.open(sources, seed=0) as data:
        trainer = Trainer(data, config, out / "model.safetensors")
        with stop_on_interrupt(trainer.stop):
            last = training.follow(trainer.events(), title="training")
    if isinstance(last, TrainingStopped):
        raise click.exceptions.Exit(INTERRUPTED)


def _predict(out: Path, device: str) -> None:
    from napari_dl4smlm.backend.acquisition.frames import open_frames
    from napari_dl4smlm.backend.models.model_file import load_model
    from napari_dl4smlm.backend.prediction.config import PredictionConfig
    from napari_dl4smlm.backend.prediction.output import predict_to_files

    stop = threading.Event()
    with open_frames(out / "unseen.tif") as movie, stop_on_interrupt(stop.set):
        events = predict_to_files(
            load_model(out / "model.safetensors"),
            movie,
            out,
            PredictionConfig(device=device),
            stop=stop,
        )
        if prediction.follow(events, title="prediction"):
            raise click.exceptions.Exit(INTERRUPTED)


def _report(out: Path, unseen: SimulatedMovie) -> None:
    from napari_dl4smlm.backend.acquisition.frames import open_frames
    from napari_dl4smlm.backend.figures.triptych import draw_triptych
    from napari_dl4smlm.backend.localizations.density_map import render_density_map
    from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm
    from napari_dl4smlm.backend.metrics.detection import detection_scores

    found = read_thunderstorm(out / "localizations.csv")
    scores = detection_scores(found, unseen.truth, tolerance_nm=100)
    click.echo(
        f"Against the true positions, within 100 nm: Jaccard index {scores.jaccard:.2f}, recall "
        f"{scores.recall:.2f}, precision {scores.precision:.2f}, RMSE {scores.rmse_nm:.0f} nm."
    )
    with open_frames(out / "reconstruction.tif") as image:
        (reconstruction,) = image.read(0, 1)
    n_frames, height, width = unseen.frames.shape
    factor = reconstruction.shape[0] // height
    pixel_size_nm = 100.0
    truth = render_density_map(
        unseen.truth.positions_nm(),
        height=height,
        width=width,
        pixel_size_nm=pixel_size_nm,
        upsampling_factor=factor,
        sigma_px=1.0,
    )
    figure = draw_triptych(
        unseen.frames.mean(axis=0), reconstruction, pixel_size_nm=pixel_size_nm, truth=truth
    )
    path = out / "demo.png"
    figure.savefig(path, dpi=150)
    click.echo(f"Figure of {n_frames} frames: {path}")
