"""Measure whether the memory of a prediction grows with the length of the movie.

Predicts a short and a long movie, each in a process of its own, with image, table and peaks, and
prints the peak memory of each:

    python benchmarks/prediction_memory.py --frames 200 20000 [--size 64] [--model MODEL]
    python benchmarks/prediction_memory.py --size 256 --model-options blocks=1,channels=4
    python benchmarks/prediction_memory.py --backend auto --precision auto --frames 5000 20000

Both are predicted with PyTorch in float32, if nothing else is asked for: with ``auto`` the backends
are compared before a long movie, which loads them all, and not before a short one.

Without --model the network has random weights, which changes neither its memory nor its speed, but
how many localizations it finds: give a trained one for a table of a realistic size.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PIXEL_SIZE_NM = 100.0
DENSITY = 0.6
SCRIPT = """
import resource, sys
from napari_dl4smlm.backend import PredictionConfig, load_model, open_frames, predict_to_files
model, movie, out, backend, precision = sys.argv[1:]
config = PredictionConfig(device="cpu", backend=backend, precision=precision)
with open_frames(movie, pixel_size_nm=100.0) as frames:
    for event in predict_to_files(load_model(model), frames, out, config):
        pass
print(event.n_localizations, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--frames", type=int, nargs=2, default=(200, 20_000))
    parser.add_argument("--size", type=int, default=64, help="side of the frames in camera pixels")
    parser.add_argument("--model", type=Path, help="model file; default: FID-STORM, random weights")
    parser.add_argument("--model-options", default="", help="of the network with random weights")
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--precision", default="float32")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = arguments.model or save_random_model(
            folder / "model.safetensors", arguments.model_options
        )
        peaks = [
            measure(folder, model, n_frames, arguments.size, arguments.backend, arguments.precision)
            for n_frames in arguments.frames
        ]
    print(
        f"growth from {arguments.frames[0]} to {arguments.frames[1]} frames: "
        f"{100 * (peaks[1] / peaks[0] - 1):+.1f} %"
    )


def save_random_model(path: Path, options: str) -> Path:
    """Save an untrained network that finds some localizations all the same."""
    import torch

    from napari_dl4smlm.backend.acquisition.normalization import Normalization
    from napari_dl4smlm.backend.models.model_file import ModelCard, save_model
    from napari_dl4smlm.backend.models.registry import create_model
    from napari_dl4smlm.backend.option_pairs import parse_options

    torch.manual_seed(0)
    network = create_model("fid_storm", **parse_options(options))
    card = ModelCard(
        architecture=network.name,
        options=network.options,
        upsampling_factor=network.upsampling_factor,
        pixel_size_nm=100.0,
        normalization=Normalization(offset=140, scale=40, background=140, brightest=600),
        density_amplitude=50.0,
        training={},
        history=[],
    )
    save_model(path, network, card)
    return path


def measure(
    folder: Path, model: Path, n_frames: int, size: int, backend: str, precision: str
) -> float:
    """Return the peak memory in MiB of predicting so many frames."""
    movie = folder / f"{n_frames}.npy"
    write_movie(movie, n_frames, size)
    began = time.perf_counter()
    out = folder / f"out-{n_frames}"
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT, model, movie, out, backend, precision],
        check=True,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - began
    n_localizations, peak_mib = finished.stdout.split()
    print(
        f"{n_frames:>7} frames: peak {float(peak_mib):.0f} MiB, {n_localizations} localizations, "
        f"{1000 * seconds / n_frames:.1f} ms/frame",
        flush=True,
    )
    return float(peak_mib)


def write_movie(path: Path, n_frames: int, size: int) -> None:
    """Write frames of Gaussian spots to disk without holding them in memory."""
    from napari_dl4smlm.backend.simulation.config import MovieConfig
    from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie

    block = SimulatedMovie(
        MovieConfig(
            frames=100,
            height=size,
            width=size,
            simulation={"density": DENSITY, "pixel_size_nm": PIXEL_SIZE_NM},
        )
    ).frames()
    movie = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.uint16, shape=(n_frames, size, size)
    )
    for start in range(0, n_frames, len(block)):
        stop = min(start + len(block), n_frames)
        movie[start:stop] = block[: stop - start]
    movie.flush()


if __name__ == "__main__":
    main()
