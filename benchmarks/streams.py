"""Compare batches one after the other on all threads with batches side by side on one thread each.

    python benchmarks/streams.py MODEL [--sizes 64 128 256] [--pixels 1000000] [--repeats 3]

Runs whole predictions from a simulated TIFF movie to image and table, in turns, in float32, with
PyTorch and, if it is installed, with OpenVINO, and prints the median, smallest and largest time of
a frame by the clock for each way, and how many times faster than the first it was. *Overlapped* is
one network on all threads, while another batch is read or searched for peaks.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from unittest import mock

import tifffile
import torch
from plain import processor

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.models.compiled import is_openvino_installed
from napari_dl4smlm.backend.models.model_file import TrainedModel, load_model
from napari_dl4smlm.backend.prediction import predictor
from napari_dl4smlm.backend.prediction.backends.candidates import Candidate, build_network
from napari_dl4smlm.backend.prediction.backends.choice import Choice
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.memory import Portion, plan_portion
from napari_dl4smlm.backend.prediction.output import predict_to_files
from napari_dl4smlm.backend.simulation.config import MovieConfig
from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie

CPU = torch.device("cpu")
# networks at a time, and batches that are worked on at a time
WAYS = {"one after the other": (1, 1), "overlapped": (1, 2), "side by side": (0, 0)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64, 128, 256])
    parser.add_argument("--pixels", type=int, default=1_000_000, help="camera pixels of a movie")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print(
        f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}"
    )
    model = load_model(arguments.model)
    backends = ["torch", *(["openvino"] if is_openvino_installed() else [])]
    for size in arguments.sizes:
        n_frames = max(8, arguments.pixels // size**2)
        movie = SimulatedMovie(MovieConfig(frames=n_frames, height=size, width=size))
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "movie.tif"
            tifffile.imwrite(path, movie.frames(), photometric="minisblack")
            for backend in backends:
                print(f"{n_frames} frames of {size} x {size} px, {backend}")
                compare(model, Candidate(backend, "float32"), path, n_frames, arguments.repeats)


def compare(
    model: TrainedModel, candidate: Candidate, path: Path, n_frames: int, repeats: int
) -> None:
    """Measure all ways in turns and print a line for each."""
    ms: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(repeats):
        for way, taken in ms.items():
            taken.append(1e3 * seconds(model, candidate, path, way) / n_frames)
    first = statistics.median(ms["one after the other"])
    for way, taken in ms.items():
        median = statistics.median(taken)
        print(
            f"  {way:<20} {median:>8.2f} ms/frame ({min(taken):.2f} to {max(taken):.2f}), "
            f"{first / median:.2f} times",
            flush=True,
        )


def seconds(model: TrainedModel, candidate: Candidate, path: Path, way: str) -> float:
    """Return the time that a prediction takes, of which the preparation of the network is none."""
    networks, threads = (number or torch.get_num_threads() for number in WAYS[way])

    def plan(*arguments: object, **options: object) -> Portion:
        found = plan_portion(*arguments, **options)
        return Portion(found.batch_size, found.tile_size, networks)

    config = PredictionConfig(device="cpu", pixel_size_nm=100)
    with open_frames(path) as movie:
        portion = plan(model.network, CPU, height=movie.height, width=movie.width)
        at_a_time = min(torch.get_num_threads(), networks * portion.batch_size)
        network = build_network(candidate, model.network, CPU, at_a_time=at_a_time)
        choice = Choice(candidate, network)
        with (
            mock.patch.object(predictor, "plan_portion", plan),
            mock.patch.object(Portion, "threads", threads),
            # without the trial, which is made once for a long movie
            mock.patch.object(predictor.Predictor, "_choose_network", return_value=choice),
        ):
            events = predict_to_files(model, movie, path.parent / "results", config)
            next(events)
            began = time.perf_counter()
            for _ in events:
                pass
            return time.perf_counter() - began


if __name__ == "__main__":
    main()
