"""Compare one process on all cores with processes that share a movie, each on its part of them.

    python benchmarks/workers.py --model MODEL [--workers 1 2] [--frames 400] [--repeats 3]

Runs `dl4smlm predict --workers N` on a simulated movie of 64 x 64 px from a TIFF file, in turns, in
float32 with PyTorch, and prints median, smallest and largest time by the clock, and how many times
faster than the first number of workers it was. The start of the processes and the merging of their
parts are part of it. Images must be equal to rounding and tables row by row, or it stops.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
import torch
from plain import processor

from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm
from napari_dl4smlm.backend.simulation.config import MovieConfig
from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie

FRAME_PX = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{processor()}, {os.cpu_count()} cores, torch {torch.__version__}")
    movie = SimulatedMovie(
        MovieConfig(frames=arguments.frames, height=FRAME_PX, width=FRAME_PX)
    ).frames()
    seconds: dict[int, list[float]] = {workers: [] for workers in arguments.workers}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tifffile.imwrite(folder / "movie.tif", movie, photometric="minisblack")
        for turn in range(arguments.repeats):
            for workers, taken in seconds.items():
                out = folder / f"{workers}-{turn}"
                taken.append(predict(arguments.model, folder / "movie.tif", out, workers))
                check_equal(folder / f"{arguments.workers[0]}-0", out)
    report(seconds)


def predict(model: Path, movie: Path, out: Path, workers: int) -> float:
    """Return the seconds that a prediction takes."""
    began = time.perf_counter()
    subprocess.run(
        [
            *(sys.executable, "-m", "napari_dl4smlm.cli", "predict", movie),
            *("--model", model, "--out", out, "--workers", str(workers)),
            *("--device", "cpu", "--pixel-size-nm", "100"),
            *("--backend", "torch", "--precision", "float32"),
        ],
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - began


def check_equal(first: Path, second: Path) -> None:
    images = [tifffile.imread(folder / "reconstruction.tif") for folder in (first, second)]
    np.testing.assert_allclose(*images, rtol=0, atol=1e-4 * images[0].max())
    tables = [read_thunderstorm(folder / "localizations.csv") for folder in (first, second)]
    np.testing.assert_array_equal(tables[0].frame, tables[1].frame)
    np.testing.assert_allclose(tables[0].positions_nm(), tables[1].positions_nm(), atol=0.1)


def report(seconds: dict[int, list[float]]) -> None:
    medians = {workers: statistics.median(taken) for workers, taken in seconds.items()}
    first = next(iter(medians.values()))
    print(f"{'workers':>7} {'seconds':>8} {'min':>7} {'max':>7} {'times faster':>13}")
    for workers, taken in seconds.items():
        print(
            f"{workers:>7} {medians[workers]:>8.1f} {min(taken):>7.1f} {max(taken):>7.1f} "
            f"{first / medians[workers]:>13.2f}"
        )


if __name__ == "__main__":
    main()
