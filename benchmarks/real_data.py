"""Train each network for the same time on 16 frames of the Deep-STORM demo data, and score it.

Trains with default options on frames 1-16 of the simulated acquisition published with Deep-STORM
(20 frames of 64 x 64 px, 6 emitters/µm²), validates on frames 17-20, and reconstructs the movie of
microtubules beside it, for which no truth is given:

    python benchmarks/real_data.py DATA/deepstorm_demo1 --out OUT [--models …] [--minutes 15]

Prints one row for each network: what it detects in frames 17-20 within 100 nm at the default
threshold. Nothing is trained on these frames, but they choose the best epoch, and the default
threshold was chosen with them in view. Times are wall-clock times: compare networks of one run
only, on a machine that does nothing else, with --epochs 1000 so that the time alone ends training.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np
import torch

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.figures.triptych import draw_triptych
from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm
from napari_dl4smlm.backend.metrics.detection import DetectionScores, detection_scores
from napari_dl4smlm.backend.models.model_file import load_model
from napari_dl4smlm.backend.models.registry import MODELS
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.output import predict_to_files
from napari_dl4smlm.backend.training.config import DataConfig, TrainingConfig
from napari_dl4smlm.backend.training.data import open_training_data
from napari_dl4smlm.backend.training.events import EpochFinished, TrainingFinished
from napari_dl4smlm.backend.training.trainer import Trainer

PIXEL_SIZE_NM = 100.0
VALIDATION = range(16, 20)
TOLERANCE_NM = 100.0
COLUMNS = (
    "network       epochs  minutes  Jaccard  precision  recall  RMSE nm  bias y, x nm   ms/frame"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("data", type=Path, help="folder deepstorm_demo1")
    parser.add_argument("--out", type=Path, default=Path("real-data"))
    parser.add_argument("--minutes", type=float, default=15.0, help="training time per network")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=["fid_storm"])
    parser.add_argument(
        "--epochs", type=int, default=TrainingConfig().epochs, help="many: the time alone decides"
    )
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(
        f"{platform.processor() or platform.machine()}, {arguments.threads} threads, torch "
        f"{torch.__version__}, at most {arguments.minutes:g} minutes of training each"
    )
    rows = []
    for name in arguments.models:
        folder = arguments.out / name
        folder.mkdir(parents=True, exist_ok=True)
        row = train(name, arguments.data, folder, arguments.minutes, arguments.epochs)
        row |= validate(arguments.data, folder)
        row["ms_per_frame"] = reconstruct_microtubules(arguments.data, folder)
        rows.append({"network": name} | row)
        (arguments.out / "scores.json").write_text(json.dumps(rows, indent=1))
    print(COLUMNS)
    for row in rows:
        print(
            f"{row['network']:<13} {row['epochs']:>6}  {row['minutes']:>7.1f}  "
            f"{row['jaccard']:>7.3f}  {row['precision']:>9.3f}  {row['recall']:>6.3f}  "
            f"{row['rmse_nm']:>7.1f}  {row['bias_y_nm']:>+5.2f}, {row['bias_x_nm']:>+5.2f}  "
            f"{row['ms_per_frame']:>9.1f}"
        )


def train(name: str, data: Path, folder: Path, minutes: float, epochs: int) -> dict[str, float]:
    """Train with default options but for the time; return epochs and minutes."""
    sources = DataConfig(
        movie=data / "ArtificialDataset_demo1.tif",
        localizations=data / "positions_demo1.csv",
        pixel_size_nm=PIXEL_SIZE_NM,
        validation_frames=f"{VALIDATION.start}:{VALIDATION.stop}",
    )
    config = TrainingConfig(model=name, device="cpu", max_minutes=minutes, epochs=epochs)
    began = time.monotonic()
    with open_training_data(sources, seed=config.seed) as training_data:
        for event in Trainer(training_data, config, folder / "model.safetensors").events():
            if isinstance(event, EpochFinished):
                print(
                    f"{name} epoch {event.epoch}: {(time.monotonic() - began) / 60:.1f} min, "
                    f"training {event.training_loss:.5f}, validation {event.validation_loss:.5f}",
                    flush=True,
                )
    assert isinstance(event, TrainingFinished)
    return {"epochs": event.epoch, "minutes": (time.monotonic() - began) / 60}


def validate(data: Path, folder: Path) -> dict[str, float]:
    """Score the detections in the validation frames."""
    config = PredictionConfig(device="cpu", frames=f"{VALIDATION.start}:{VALIDATION.stop}")
    model = load_model(folder / "model.safetensors")
    movie_path = data / "ArtificialDataset_demo1.tif"
    with open_frames(movie_path, pixel_size_nm=PIXEL_SIZE_NM) as movie:
        for _ in predict_to_files(model, movie, folder / "validation", config):
            pass
    found = read_thunderstorm(folder / "validation" / "localizations.csv")
    truth = read_thunderstorm(data / "positions_demo1.csv").in_frames(VALIDATION)
    scores: DetectionScores = detection_scores(found, truth, tolerance_nm=TOLERANCE_NM)
    wanted = ("jaccard", "precision", "recall", "rmse_nm", "bias_y_nm", "bias_x_nm")
    return {name: getattr(scores, name) for name in wanted}


def reconstruct_microtubules(data: Path, folder: Path) -> float:
    """Reconstruct the movie without truth, draw it, and return milliseconds per frame."""
    model = load_model(folder / "model.safetensors")
    path = data / "testStack_frames1-60_unlabelled.tif"
    with open_frames(path, pixel_size_nm=PIXEL_SIZE_NM) as movie:
        began = time.perf_counter()
        for _ in predict_to_files(
            model, movie, folder / "microtubules", PredictionConfig(device="cpu")
        ):
            pass
        seconds = time.perf_counter() - began
        mean = movie.read(0, movie.n_frames).mean(axis=0)
        n_frames = movie.n_frames
    with open_frames(folder / "microtubules" / "reconstruction.tif") as image:
        (reconstruction,) = image.read(0, 1)
    figure = draw_triptych(np.asarray(mean), reconstruction, pixel_size_nm=PIXEL_SIZE_NM)
    figure.savefig(folder / "microtubules.png", dpi=150)
    return 1000 * seconds / n_frames


if __name__ == "__main__":
    main()
