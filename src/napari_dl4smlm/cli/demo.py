"""`dl4smlm demo`: the whole way on data that it makes itself."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from napari_dl4smlm.backend.config_file import write_config
from napari_dl4smlm.backend.simulation.config import MovieConfig, SimulationConfig
from napari_dl4smlm.backend.training.events import TrainingStopped
from napari_dl4smlm.cli import predict as prediction
from napari_dl4smlm.cli import train as training
from napari_dl4smlm.cli.interrupts import INTERRUPTED, stop_on_interrupt
from napari_dl4smlm.cli.options import CommandError, report_errors
from napari_dl4smlm.cli.simulate import write_movie

if TYPE_CHECKING:
    from napari_dl4smlm.backend.localizations.table import Localizations
    from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie

TOLERANCE_NM = 100.0

# a module that runs in a process of its own, since this room knows no window
_WINDOW = "napari_dl4smlm.widgets.demo"
_QT_BINDINGS = ("PyQt6", "PySide6", "PyQt5", "PySide2")

SAMPLE = SimulationConfig.model_validate(
    {
        "density": 1.5,
        "structure": {"kind": "filaments", "length_um_per_um2": [1.5, 2.5]},
        "photons": {"kind": "uniform", "low": 800, "high": 2500},
        "psf": {"kind": "gaussian", "sigma_nm": 120, "spread": 0.05},
        "background": {"photons": [15, 25]},
    }
)
"""Microtubules, crowded enough that spots overlap in every frame."""


@click.command()
@click.option(
    "--gui/--headless",
    default=None,
    help="train in napari, or do all of it without a window  [default: in napari if it can open]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    help="folder for everything that the demo makes",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps")
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    default=1.25,
    show_default=True,
    help="of training; more give a better network",
)
@click.option(
    "--frames",
    type=click.IntRange(2),
    default=500,
    show_default=True,
    help="frames of the movie to reconstruct",
)
@report_errors
def demo(gui: bool | None, out: Path, device: str, minutes: float, frames: int) -> None:
    """Train on simulated frames and reconstruct a movie.

    With a display, napari opens with a sample movie and a network that learns from it. The rest
    is about the demo without a window, and so are the other options.

    A movie of blinking emitters on filaments is simulated. A FID-STORM network learns from frames
    that are simulated while it trains, a little more than a minute long without a GPU, and
    reconstructs the movie, which it has not seen. Its localizations are scored beside those of a
    classical detector that fits a Gaussian to every spot. Training frames and movie come from the
    same simulator, so that the network meets what it was trained for: on a movie unlike its
    training data, expect less.
    """
    obstacle = _obstacle_to_window()
    if gui and obstacle is not None:
        raise CommandError(f"{obstacle} Without a window: dl4smlm demo --headless.")
    if obstacle is None and gui is not False:
        _open_window()
    else:
        _run_headless(out, device, minutes, frames)


def _obstacle_to_window() -> str | None:
    """Return why napari cannot open here, as far as can be told without opening it."""
    if sys.platform == "linux" and not any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    ):
        return "There is no display: neither DISPLAY nor WAYLAND_DISPLAY is set."
    if not any(map(find_spec, _QT_BINDINGS)):
        return 'No Qt binding is installed: pip install "napari-dl4smlm[all]".'
    return None


def _open_window() -> None:
    click.echo("Opening napari. Without a window: dl4smlm demo --headless.")
    code = subprocess.run([sys.executable, "-m", _WINDOW], check=False).returncode
    if code:
        raise CommandError(
            f"napari ended with exit code {code}; what it wrote stands above. Without a window: "
            "dl4smlm demo --headless."
        )


def _run_headless(out: Path, device: str, minutes: float, frames: int) -> None:
    from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie

    config = MovieConfig(frames=frames, seed=1, simulation=SAMPLE)
    movie = SimulatedMovie(config)
    movie_folder = out / "movie"
    movie_folder.mkdir(parents=True, exist_ok=True)
    click.echo(f"Simulating {frames} frames of emitters on filaments.")
    write_movie(movie, movie_folder)
    write_config(movie_folder / "simulation.yaml", config.to_dict())
    _train(out, device, minutes)
    _predict(out, device)
    _report(out, movie)


def _train(out: Path, device: str, minutes: float) -> None:
    from napari_dl4smlm.backend.training.config import DataConfig, TrainingConfig
    from napari_dl4smlm.backend.training.data import open_training_data
    from napari_dl4smlm.backend.training.trainer import Trainer

    config = TrainingConfig(
        model="fid_storm",
        # the smallest of the published variants: this run is short
        model_options={"blocks": 5},
        device=device,
        # the time alone ends it
        epochs=10_000,
        max_minutes=minutes,
        patches_per_epoch=1024,
        learning_rate=2e-3,
        schedule="cosine",
    )
    with open_training_data(DataConfig(simulation=SAMPLE), seed=0) as data:
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
    with open_frames(out / "movie" / "frames.tif") as movie, stop_on_interrupt(stop.set):
        events = predict_to_files(
            load_model(out / "model.safetensors"),
            movie,
            out / "result",
            PredictionConfig(device=device),
            stop=stop,
        )
        if prediction.follow(events, title="prediction"):
            raise click.exceptions.Exit(INTERRUPTED)


def _report(out: Path, movie: SimulatedMovie) -> None:
    from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm

    click.echo(
        f"Of {len(movie.truth):,} emitters in the movie, within {TOLERANCE_NM:g} nm:\n\n"
        "                 found  spurious  Jaccard  recall  precision  RMSE"
    )
    _score("FID-STORM", read_thunderstorm(out / "result" / "localizations.csv"), movie)
    _score("Gaussian fits", _classical(out, movie), movie)
    click.echo(f"\nFigure: {_draw(out, movie)}")


def _classical(out: Path, movie: SimulatedMovie) -> Localizations:
    """Detect the emitters one by one, as programs without a network do, and write the table."""
    from napari_dl4smlm.backend.localizations.spot_detection import detect_spots
    from napari_dl4smlm.backend.localizations.thunderstorm import write_thunderstorm

    camera = movie.scene.camera
    found = detect_spots(
        camera.to_photons(movie.frames()),
        pixel_size_nm=SAMPLE.pixel_size_nm,
        psf_sigma_nm=120.0,
        read_noise=camera.read_noise_photons,
        excess_noise=camera.variance_per_photon,
    )
    folder = out / "classical"
    folder.mkdir(exist_ok=True)
    write_thunderstorm(folder / "localizations.csv", found)
    return found


def _score(name: str, found: Localizations, movie: SimulatedMovie) -> None:
    from napari_dl4smlm.backend.metrics.detection import detection_scores

    scores = detection_scores(found, movie.truth, tolerance_nm=TOLERANCE_NM)
    # neither is known where nothing was found
    precision = "none" if math.isnan(scores.precision) else f"{scores.precision:.2f}"
    rmse = "none" if math.isnan(scores.rmse_nm) else f"{scores.rmse_nm:>2.0f} nm"
    click.echo(
        f"{name:<14} {scores.true_positives:>7,}  {scores.false_positives:>8,}  "
        f"{scores.jaccard:>7.2f}  {scores.recall:>6.2f}  {precision:>9}  {rmse}"
    )


def _draw(out: Path, movie: SimulatedMovie) -> Path:
    from napari_dl4smlm.backend.acquisition.frames import open_frames
    from napari_dl4smlm.backend.figures.figure_file import save_figure
    from napari_dl4smlm.backend.figures.triptych import draw_triptych
    from napari_dl4smlm.backend.localizations.density_map import render_density_map

    with open_frames(out / "result" / "reconstruction.tif") as image:
        (reconstruction,) = image.read(0, 1)
    height, width = movie.config.height, movie.config.width
    truth = render_density_map(
        movie.truth.positions_nm(),
        height=height,
        width=width,
        pixel_size_nm=SAMPLE.pixel_size_nm,
        upsampling_factor=reconstruction.shape[0] // height,
        sigma_px=1.0,
    )
    figure = draw_triptych(
        movie.frames().mean(axis=0),
        reconstruction,
        pixel_size_nm=SAMPLE.pixel_size_nm,
        truth=truth,
    )
    path = out / "demo.png"
    save_figure(figure, path)
    return path
