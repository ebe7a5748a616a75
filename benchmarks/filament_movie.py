"""Reconstruct a movie of crowded filaments, and compare the sum image with the true positions.

The movie has the statistics measured on the acquisition published with Deep-STORM: 361 frames of
64 x 64 px of 100 nm, 225 emitters a frame on filaments, sigma 110 nm within 3 %, 1,000-2,000
photons, 20 background photons per pixel, an EMCCD with 2 counts per photon and a baseline of 100.
FID-STORM trains on patches of other filaments, simulated as training goes on:

    python benchmarks/filament_movie.py [--core-minutes 30] [--seeds 0] [--lengths 1.15 2.5 4]

30 core minutes are 15 minutes on 2 cores. The acquisition itself has 1.15 um of filament per um2:
the length of the skeleton of its reconstruction. Emitters lie farther apart on longer filaments.
Prints, for each length, against the true positions drawn with one fine
pixel of blur: the correlation, the NMSE after both are scaled to the same sum, and the shift at
which they fit best; and the scores of the localizations, frame by frame, within 100 nm.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from simulated_accuracy import Simulation, train

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.figures.figure_file import save_figure
from napari_dl4smlm.backend.figures.triptych import draw_triptych
from napari_dl4smlm.backend.localizations.density_map import render_density_map
from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm
from napari_dl4smlm.backend.metrics.detection import detection_scores
from napari_dl4smlm.backend.metrics.image import nmse, pearson
from napari_dl4smlm.backend.models.model_file import load_model
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.output import predict_to_files
from napari_dl4smlm.backend.simulation.config import MovieConfig
from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie
from napari_dl4smlm.backend.training.config import TrainingConfig

FRAMES, SIDE_PX, PIXEL_NM, EMITTERS = 361, 64, 100.0, 225
FACTOR = 8
ACQUISITION: Simulation = {
    "psf": {"kind": "gaussian", "sigma_nm": 110, "spread": 0.03},
    "photons": {"kind": "uniform", "low": 1000, "high": 2000},
    "background": {"photons": 20},
    "camera": {"em_gain": 300, "electrons_per_count": 150, "read_noise": 50, "baseline": 100},
}
TRAINING: Simulation = ACQUISITION | {
    "density": [2, 8],
    "structure": {"kind": "filaments", "length_um_per_um2": [1, 4]},
}
MOVIE_SEED = 2_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, default=Path("filament-movie"))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--core-minutes", type=float, default=30.0)
    parser.add_argument("--lengths", nargs="+", type=float, default=[1.15, 2.5, 4.0])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for seed in arguments.seeds:
        path = arguments.out / f"fid-{arguments.core_minutes:g}core-min-{seed}.safetensors"
        if not path.exists():
            config = TrainingConfig(device="cpu", seed=seed, schedule="cosine", learning_rate=2e-3)
            train(config, TRAINING, arguments.core_minutes, path)
        for length in arguments.lengths:
            movie = film(length)
            print(f"{length:g} um per um2, {len(movie.truth) / FRAMES:.1f} emitters a frame")
            compare(movie, path, arguments.out / f"{path.stem}-{length:g}")


def film(length_um_per_um2: float) -> SimulatedMovie:
    """Simulate the first movie, by rising seed, that has as many emitters as it should."""
    simulation = ACQUISITION | {
        "density": EMITTERS / (SIDE_PX * PIXEL_NM / 1000) ** 2,
        "structure": {"kind": "filaments", "length_um_per_um2": length_um_per_um2},
    }
    for seed in itertools.count(MOVIE_SEED):
        movie = SimulatedMovie(
            MovieConfig(
                frames=FRAMES, height=SIDE_PX, width=SIDE_PX, seed=seed, simulation=simulation
            )
        )
        # how much of the filaments lies inside of the field is a matter of chance
        if abs(len(movie.truth) / FRAMES - EMITTERS) < 0.02 * EMITTERS:
            return movie
    raise AssertionError


def compare(movie: SimulatedMovie, model: Path, folder: Path) -> None:
    frames = movie.frames()
    with open_frames(frames, pixel_size_nm=PIXEL_NM) as stack:
        for _ in predict_to_files(load_model(model), stack, folder, PredictionConfig(device="cpu")):
            pass
    with open_frames(folder / "reconstruction.tif") as image:
        (reconstruction,) = image.read(0, 1)
    truth = render_density_map(
        movie.truth.positions_nm(),
        height=SIDE_PX,
        width=SIDE_PX,
        pixel_size_nm=PIXEL_NM,
        upsampling_factor=FACTOR,
        sigma_px=1.0,
    )
    shift_y, shift_x = shift_nm(reconstruction, truth)
    print(
        f"{model.stem}: correlation {pearson(reconstruction, truth):.3f}, NMSE "
        f"{nmse(reconstruction, truth, scale='sum'):.1f} %, shift {shift_y:+.2f}, {shift_x:+.2f} "
        f"nm, sum {reconstruction.sum() / truth.sum():.2f} of the emitters"
    )
    scores = asdict(
        detection_scores(
            read_thunderstorm(folder / "localizations.csv"), movie.truth, tolerance_nm=100.0
        )
    )
    print("  " + ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))
    figure = draw_triptych(frames.mean(axis=0), reconstruction, pixel_size_nm=PIXEL_NM, truth=truth)
    save_figure(figure, folder / "filaments.png")


def shift_nm(image: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Return by how much an image lies below and to the right of a reference.

    From the top of their cross-correlation, by a parabola through it and its neighbours.
    """
    spectra = [np.fft.rfft2(picture - picture.mean()) for picture in (image, reference)]
    correlation = np.fft.irfft2(spectra[0] * spectra[1].conj(), s=image.shape)
    top = np.unravel_index(int(correlation.argmax()), correlation.shape)
    shifts = []
    for axis in (0, 1):
        before, at, after = (
            correlation[tuple((k + (step if a == axis else 0)) % n for a, (k, n) in places)]
            for step in (-1, 0, 1)
            for places in [list(enumerate(zip(top, correlation.shape, strict=True)))]
        )
        side = correlation.shape[axis]
        whole = (int(top[axis]) + side // 2) % side - side // 2
        shifts.append(whole + 0.5 * (before - after) / (before - 2 * at + after))
    return shifts[0] * PIXEL_NM / FACTOR, shifts[1] * PIXEL_NM / FACTOR


if __name__ == "__main__":
    main()
