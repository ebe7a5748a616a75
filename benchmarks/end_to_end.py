"""Compare whole predictions, from a TIFF file to image and table, with plain implementations.

    python benchmarks/end_to_end.py MODEL... [--frames 200] [--size 64] [--threads 1] [--repeats 3]

The movie is simulated, with a density that is printed. In one run and in turns, with the same
threads:

- plain: what the published scripts do. Frame by frame: read a page, normalize, enlarge by nearest
  neighbour if the network works on the fine grid, predict in float32 layer by layer, add up, and
  find the maxima of 3 x 3 pixels with scipy.
- ours: `predict_to_files`, with each backend and precision that there is here, without the trial
  that a long movie begins with. Whether its localizations would be accepted, the last column tells.

Of a long movie, plain takes too long: it predicts `--plain-frames` of them. Prints, per model and
variant: median, smallest and largest time per frame; how many times faster than plain it is; the
share of the time in which no network runs, from a run of the network alone on the same frames; and
the Jaccard index of the localizations with those of torch in float32, within one fine pixel. The
time is that of the processor with one thread, and that of the clock with more.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
import tifffile
import torch
from plain import ON_THE_FRAMES, add_machine_options, measure, plain_network, set_up
from scipy.ndimage import maximum_filter
from torch import nn

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm
from napari_dl4smlm.backend.metrics.detection import detection_scores
from napari_dl4smlm.backend.models.compiled import is_openvino_installed, openvino_precisions
from napari_dl4smlm.backend.models.model_file import TrainedModel, load_model
from napari_dl4smlm.backend.models.prepared import available_precisions
from napari_dl4smlm.backend.prediction.backends.candidates import (
    REFERENCE,
    Candidate,
    build_network,
)
from napari_dl4smlm.backend.prediction.backends.choice import Choice
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.memory import plan_portion
from napari_dl4smlm.backend.prediction.output import predict_to_files
from napari_dl4smlm.backend.prediction.predictor import Predictor
from napari_dl4smlm.backend.simulation.config import MovieConfig
from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dl4smlm.backend.localizations.table import Localizations

CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--plain-frames", type=int, default=20)
    parser.add_argument("--size", type=int, default=64, help="side of the frames in camera pixels")
    parser.add_argument("--repeats", type=int, default=3)
    add_machine_options(parser)
    arguments = parser.parse_args()
    clock = set_up(arguments)
    size = arguments.size
    movie = SimulatedMovie(MovieConfig(frames=arguments.frames, height=size, width=size))
    field_um = size * movie.config.simulation.pixel_size_nm / 1e3
    density = len(movie.truth) / arguments.frames / field_um**2
    print(f"{arguments.frames} frames of {size} x {size} px, {density:.1f} emitters per um2")
    print(
        f"{'':<24} {'ms/frame':>9} {'min':>8} {'max':>8} {'x plain':>8} {'no network':>11} "
        f"{'Jaccard':>8}"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "movie.tif"
        tifffile.imwrite(path, movie.frames(), photometric="minisblack")
        for model_path in arguments.models:
            compare(load_model(model_path), path, arguments, clock)


def compare(
    model: TrainedModel, path: Path, arguments: argparse.Namespace, clock: Callable[[], float]
) -> None:
    """Measure all variants of a model and print a line for each."""
    candidates = [Candidate("torch", bits) for bits in available_precisions(CPU)]
    candidates = [candidate for candidate in candidates if candidate.precision != "float64"]
    if is_openvino_installed():
        candidates += [Candidate("openvino", bits) for bits in openvino_precisions()]
    plain_frames = min(arguments.plain_frames, arguments.frames)
    n_frames = {"plain": plain_frames}
    runs: dict[str, Callable[[], object]] = {"plain": plain_prediction(model, path, plain_frames)}
    for candidate in candidates:
        for label, make in ((str(candidate), whole), (f"{candidate} alone", network_alone)):
            runs[label] = make(model, path, candidate)
            n_frames[label] = arguments.frames
    seconds = measure(runs, arguments.repeats, clock)
    per_frame = {
        label: sorted(1e3 * value / n_frames[label] for value in values)
        for label, values in seconds.items()
    }
    median = {label: statistics.median(values) for label, values in per_frame.items()}
    expected = found_by(path, REFERENCE)
    print(model.card.architecture)
    for label, values in per_frame.items():
        if label.endswith("alone"):
            continue
        rest = ""
        if label != "plain":
            tolerance_nm = 100.0 / model.card.upsampling_factor
            found = found_by(path, next(each for each in candidates if str(each) == label))
            agreement = detection_scores(found, expected, tolerance_nm=tolerance_nm).jaccard
            outside = 1 - median[f"{label} alone"] / median[label]
            rest = f"{100 * outside:>10.0f}% {agreement:>8.3f}"
        print(
            f"  {label:<22} {median[label]:>9.2f} {values[0]:>8.2f} {values[-1]:>8.2f} "
            f"{median['plain'] / median[label]:>8.2f} {rest}",
            flush=True,
        )


def plain_prediction(model: TrainedModel, path: Path, n_frames: int) -> Callable[[], object]:
    card = model.card
    plain = plain_network(model.network)
    factor = card.upsampling_factor
    is_enlarged = card.architecture not in ON_THE_FRAMES
    if is_enlarged:
        plain.enlarge = nn.Identity()

    @torch.inference_mode()
    def run() -> object:
        total, rows = 0.0, []
        with tifffile.TiffFile(path) as tif:
            for number in range(n_frames):
                frame = tif.pages[number].asarray().astype(np.float32)
                frame = (frame - card.normalization.offset) / card.normalization.scale
                if is_enlarged:
                    frame = np.kron(frame, np.ones((factor, factor)))
                tensor = torch.from_numpy(frame.astype(np.float32))[None, None]
                density = plain(tensor)[0, 0].numpy() / card.density_amplitude
                density = np.maximum(density, 0)
                total = total + density
                is_peak = (density == maximum_filter(density, 3)) & (density > 0.05)
                rows.append(np.argwhere(is_peak))
        return total, rows

    return run


def whole(model: TrainedModel, path: Path, candidate: Candidate) -> Callable[[], object]:
    config = PredictionConfig(device="cpu", pixel_size_nm=100)
    folder = folder_of(path, candidate)
    choice = Choice(candidate, build_network(candidate, model.network, CPU))

    def run() -> object:
        # without the trial, which is made once for a long movie
        patch = mock.patch.object(Predictor, "_choose_network", return_value=choice)
        with patch, open_frames(path) as movie:
            return [*predict_to_files(model, movie, folder, config)][-1]

    return run


def network_alone(model: TrainedModel, path: Path, candidate: Candidate) -> Callable[[], object]:
    network = build_network(candidate, model.network, CPU)
    with open_frames(path) as movie:
        counts = movie.read(0, movie.n_frames)
        size = {"height": movie.height, "width": movie.width}
        value_bytes = 2 if candidate.precision.endswith("16") else 4
        portion = plan_portion(model.network, CPU, **size, value_bytes=value_bytes)
    frames = torch.from_numpy(model.card.normalization.apply(counts))[:, None]

    @torch.inference_mode()
    def run() -> object:
        for batch in frames.split(portion.batch_size):
            network(batch)

    return run


def folder_of(path: Path, candidate: Candidate) -> Path:
    return path.with_name(str(candidate).replace(" ", "-"))


def found_by(path: Path, candidate: Candidate) -> Localizations:
    return read_thunderstorm(folder_of(path, candidate) / "localizations.csv")


if __name__ == "__main__":
    main()
