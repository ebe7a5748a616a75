"""Accuracy on simulated frames of random emitters, after a given amount of training.

Trains on patches that are simulated as training goes on, and tests on frames simulated with other
seeds: 100 nm pixels, sigma 130 nm, 500-2,000 photons, background 10-50 photons per pixel, read
noise of 1 electron; 40 frames of 64 x 64 px at each density, each with a background of its own.

    python benchmarks/simulated_accuracy.py [--models …] [--seeds 0 1 2] [--core-minutes 8]
    python benchmarks/simulated_accuracy.py --core-minutes 1 2 4 8      # against training time
    python benchmarks/simulated_accuracy.py --training broad --tests mismatch
    python benchmarks/simulated_accuracy.py --tests isolated            # against the bound

A core minute is a minute of processor time, on one thread: 8 of them are 4 minutes on 2 cores. The
number of steps that fits into them is measured first; the learning rate falls along a cosine that
ends with the last step. The threshold is the one that training calibrated on its own validation
frames. Models and scores go to --out; a model that is there already is not trained again.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.metrics.detection import detection_scores
from napari_dl4smlm.backend.metrics.precision import localization_bound_nm
from napari_dl4smlm.backend.models.model_file import load_model
from napari_dl4smlm.backend.models.registry import MODELS
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.events import BatchPredicted
from napari_dl4smlm.backend.prediction.predictor import Predictor
from napari_dl4smlm.backend.simulation.config import MovieConfig
from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie
from napari_dl4smlm.backend.training.config import DataConfig, TrainingConfig
from napari_dl4smlm.backend.training.data import open_training_data
from napari_dl4smlm.backend.training.events import EpochFinished, StepFinished
from napari_dl4smlm.backend.training.trainer import Trainer

if TYPE_CHECKING:
    from napari_dl4smlm.backend.training.data import TrainingData

Simulation = dict[str, Any]

EASY: Simulation = {
    "psf": {"kind": "gaussian", "sigma_nm": 130},
    "photons": {"kind": "uniform", "low": 500, "high": 2000},
    "background": {"photons": [10, 50]},
}
TRAINING: dict[str, Simulation] = {
    "narrow": EASY | {"density": [0.5, 3.2]},
    "broad": {
        "density": [0.5, 3.2],
        "psf": {"kind": "gaussian", "sigma_nm": [85, 180]},
        "photons": {"kind": "uniform", "low": [150, 600], "high": [600, 2500]},
        "background": {"photons": [5, 160]},
    },
}
TESTS: dict[str, dict[str, Simulation]] = {
    "densities": {f"{density} per µm²": EASY | {"density": density} for density in (1, 2, 3)},
    "mismatch": {
        "as trained (narrow)": EASY | {"density": 1},
        "sigma - 30 %": EASY | {"density": 1, "psf": {"kind": "gaussian", "sigma_nm": 91}},
        "sigma + 30 %": EASY | {"density": 1, "psf": {"kind": "gaussian", "sigma_nm": 169}},
        "photons / 3": EASY
        | {"density": 1, "photons": {"kind": "uniform", "low": 167, "high": 667}},
        "background x 3": EASY | {"density": 1, "background": {"photons": [30, 150]}},
    },
    "isolated": {
        f"{photons} photons, background {background}": EASY
        | {
            "density": 0.15,
            "photons": {"kind": "uniform", "low": photons, "high": photons},
            "background": {"photons": background},
        }
        for photons, background in ((500, 50), (500, 10), (1000, 30), (2000, 50), (2000, 10))
    },
}
TEST_SEED = 1_000_000
TOLERANCE_NM = 100.0
STEPS_PER_EPOCH = 64
ALONE_NM = 1000.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, default=Path("simulated-accuracy"))
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=["fid_storm"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--core-minutes", nargs="+", type=float, default=[8.0])
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="the highest")
    parser.add_argument("--training", choices=list(TRAINING), default="narrow")
    parser.add_argument("--tests", nargs="+", choices=list(TESTS), default=["densities"])
    parser.add_argument("--frames", type=int, default=40, help="of each test")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    print(f"{platform.processor() or platform.machine()}, one thread, torch {torch.__version__}")
    for minutes in arguments.core_minutes:
        for name in arguments.models:
            for seed in arguments.seeds:
                path = arguments.out / f"{name}-{arguments.training}-{minutes:g}core-min-{seed}"
                model_path = path.with_suffix(f"{path.suffix}.safetensors")
                if not model_path.exists():
                    train(
                        TrainingConfig(
                            model=name,
                            device="cpu",
                            seed=seed,
                            schedule="cosine",
                            learning_rate=arguments.learning_rate,
                        ),
                        TRAINING[arguments.training],
                        minutes,
                        model_path,
                    )
                for kind in arguments.tests:
                    rows = score(model_path, TESTS[kind], kind, arguments.frames)
                    report(f"{path.name} {kind}", rows)
                    log = model_path.with_name(f"{path.name}-{kind}.json")
                    log.write_text(json.dumps(rows, indent=1))


def train(config: TrainingConfig, simulation: Simulation, minutes: float, path: Path) -> None:
    """Train for so many minutes of processor time."""
    with open_training_data(DataConfig(simulation=simulation), seed=config.seed) as data:
        step, validation = cost(data, config, path.with_name(f"{path.stem}-trial.safetensors"))
        steps = (60 * minutes - validation) / step
        epochs = max(1, round(60 * minutes / (STEPS_PER_EPOCH * step + validation)))
        steps_per_epoch = STEPS_PER_EPOCH if epochs > 1 else max(1, int(steps))
        config = config.model_copy(
            update={"epochs": epochs, "patches_per_epoch": steps_per_epoch * config.batch_size}
        )
        began, began_computing = time.monotonic(), time.process_time()
        for event in Trainer(data, config, path).events():
            if isinstance(event, EpochFinished) and event.calibration is not None:
                print(
                    f"  epoch {event.epoch}: {time.process_time() - began_computing:.0f} core s, "
                    f"validation loss {event.validation_loss:.5f}, Jaccard "
                    f"{event.calibration.jaccard:.3f}, {100 * event.share_waited:.1f} % waiting",
                    flush=True,
                )
    print(
        f"{path.name}: {epochs * steps_per_epoch} steps in "
        f"{(time.process_time() - began_computing) / 60:.1f} core minutes, "
        f"{(time.monotonic() - began) / 60:.1f} minutes by the clock"
    )


def cost(data: TrainingData, config: TrainingConfig, path: Path) -> tuple[float, float]:
    """Measure the processor time of a step and of a validation, in seconds."""
    trial = config.model_copy(update={"epochs": 1, "patches_per_epoch": 8 * config.batch_size})
    steps, after = [], 0.0
    for event in Trainer(data, trial, path).events():
        if isinstance(event, StepFinished):
            steps.append(time.process_time())
        if isinstance(event, EpochFinished):
            after = time.process_time()
    # the first step also pays for what is set up once
    return (steps[-1] - steps[0]) / (len(steps) - 1), after - steps[-1]


def score(
    path: Path, tests: dict[str, Simulation], kind: str, n_frames: int
) -> list[dict[str, Any]]:
    """Detect the emitters of every test, and compare with the truth."""
    rows = []
    for label, simulation in tests.items():
        count = n_frames if kind != "isolated" else 5 * n_frames
        frames, truth = film(simulation, count)
        found = detect(path, frames)
        if kind == "isolated":
            found, truth = alone(found, truth)
        scores = detection_scores(found, truth, tolerance_nm=TOLERANCE_NM)
        row = {"test": label, **asdict(scores), "emitters": len(truth)}
        if kind == "isolated":
            row["bound_nm"] = bound_nm(simulation)
        rows.append(row)
    return rows


def film(simulation: Simulation, count: int) -> tuple[np.ndarray, Localizations]:
    """Simulate frames, each of them an acquisition of its own."""
    movies = [
        SimulatedMovie(
            MovieConfig(
                frames=1, height=64, width=64, seed=TEST_SEED + number, simulation=simulation
            )
        )
        for number in range(count)
    ]
    truth = [
        Localizations(np.full(len(movie.truth), number), movie.truth.y_nm, movie.truth.x_nm)
        for number, movie in enumerate(movies)
    ]
    return np.stack([movie.frame(0) for movie in movies]), Localizations.concatenate(truth)


def detect(path: Path, frames: np.ndarray) -> Localizations:
    """Detect emitters with a model at its own threshold."""
    movie = open_frames(frames, pixel_size_nm=100.0)
    predictor = Predictor(load_model(path), movie, PredictionConfig(device="cpu"))
    return Localizations.concatenate(
        event.localizations for event in predictor.events() if isinstance(event, BatchPredicted)
    )


def alone(found: Localizations, truth: Localizations) -> tuple[Localizations, Localizations]:
    """Keep emitters that are far from all others and from the border, and what is near them."""
    positions = truth.positions_nm()
    same_frame = truth.frame[:, None] == truth.frame
    distance = np.linalg.norm(positions[:, None] - positions, axis=2)
    near = (distance < ALONE_NM) & same_frame
    inside = ((positions > ALONE_NM) & (positions < 6400 - ALONE_NM)).all(axis=1)
    chosen = truth[(near.sum(axis=1) == 1) & inside]
    to_chosen = np.linalg.norm(found.positions_nm()[:, None] - chosen.positions_nm(), axis=2)
    belongs = (to_chosen < ALONE_NM / 2) & (found.frame[:, None] == chosen.frame)
    return found[belongs.any(axis=1)], chosen


def bound_nm(simulation: Simulation) -> float:
    """Lateral Cramér-Rao bound, averaged over positions within a pixel."""
    offsets = (np.arange(5) + 0.5) / 5
    bounds = [
        localization_bound_nm(
            simulation["photons"]["low"],
            background=simulation["background"]["photons"],
            psf_sigma_nm=simulation["psf"]["sigma_nm"],
            pixel_size_nm=100.0,
            read_noise=1.0,
            offset_px=(y, x),
        )
        for y in offsets
        for x in offsets
    ]
    return float(np.sqrt(np.mean(np.sum(np.square(bounds), axis=1))))


def report(title: str, rows: list[dict[str, Any]]) -> None:
    print(f"{title}\n  {'test':<30} Jaccard  precision  recall  RMSE nm  per axis  bias y, x nm")
    for row in rows:
        line = (
            f"  {row['test']:<30} {row['jaccard']:>7.3f}  {row['precision']:>9.3f}  "
            f"{row['recall']:>6.3f}  {row['rmse_nm']:>7.1f}  {row['rmse_nm'] / 2**0.5:>8.1f}  "
            f"{row['bias_y_nm']:>+5.2f}, {row['bias_x_nm']:>+5.2f}"
        )
        if "bound_nm" in row:
            ratio = row["rmse_nm"] / row["bound_nm"]
            line += f"  {ratio:.2f} x bound of {row['bound_nm']:.1f} nm, {row['emitters']} emitters"
        print(line, flush=True)


if __name__ == "__main__":
    main()
