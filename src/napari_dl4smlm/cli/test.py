"""`dl4smlm test`: a model on frames that did not train it."""

from __future__ import annotations

import csv
import dataclasses
import math
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

from napari_dl4smlm.backend.atomic_file import atomic_file, check_folder, set_aside
from napari_dl4smlm.backend.config_file import build, read_config
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.evaluation.events import (
    SampleScored,
    ScoringEvent,
    ScoringFinished,
    ScoringStarted,
    ScoringStopped,
)
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.simulation.config import MovieConfig
from napari_dl4smlm.cli.interrupts import INTERRUPTED, stop_on_interrupt
from napari_dl4smlm.cli.options import (
    border_option,
    config_options,
    given,
    report_errors,
    tolerance_option,
)
from napari_dl4smlm.cli.score_table import as_json, as_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.evaluation.scores import SampleScores, ScoreSummary
    from napari_dl4smlm.backend.localizations.table import Localizations
    from napari_dl4smlm.backend.models.model_file import ModelCard

_PATH = click.Path(path_type=Path)
_OWN_SIMULATION = "that of the training"


@click.command(
    epilog="Example: dl4smlm test --model model.safetensors --movie movie.tif --localizations "
    "positions.csv --out scores.csv"
)
@click.option(
    "--model",
    "model_path",
    type=_PATH,
    default=Path("model.safetensors"),
    show_default=True,
    help="model file that training wrote",
)
@click.option("--movie", type=_PATH, help="TIFF, .npy or folder of TIFFs with the raw frames")
@click.option(
    "--localizations", type=_PATH, help="ThunderSTORM CSV with the true positions in the movie"
)
@click.option(
    "--pairs",
    nargs=2,
    type=_PATH,
    help="instead of a movie: raw frames and true images, two stacks, or two folders paired by "
    "name; nothing is detected then",
)
@click.option(
    "--simulate",
    "simulation",
    is_flag=False,
    flag_value=_OWN_SIMULATION,
    metavar="[FILE]",
    help="instead of a movie: simulate frames of what a simulation.yaml says, or of what trained "
    "the model, or else of random emitters",
)
@click.option(
    "--frames-simulated",
    type=click.IntRange(min=1),
    help=f"how many  [default: {MovieConfig().frames}]",
)
@click.option("--seed", type=click.IntRange(min=0), help="of the simulation  [default: 0]")
@click.option(
    "--frames",
    help="frames to test on, A:B from 0 with B excluded; default all that did not train the model",
)
@click.option(
    "--pixel-size-nm", type=float, help="camera pixel; by default read from the movie's metadata"
)
@tolerance_option(100.0)
@border_option
@config_options(PredictionConfig, skip=["frames", "pixel_size_nm"])
@click.option(
    "--out", type=_PATH, help="CSV for the scores of every frame, with frames counted from 0"
)
@click.option("--json", is_flag=True, help="print one JSON object instead of a table")
@report_errors
def test(
    model_path: Path,
    movie: Path | None,
    localizations: Path | None,
    pairs: tuple[Path, Path] | None,
    simulation: str | None,
    frames_simulated: int | None,
    seed: int | None,
    tolerance_nm: float,
    border_nm: float,
    out: Path | None,
    json: bool,
    **options: Any,
) -> None:
    """Score a model on frames whose truth is known and that did not train it.

    Frames that trained the model are left out; the training movie is known again, whatever its file
    is called. The density map of every frame is compared with its emitters, drawn as Gaussians of
    one fine pixel. The image is the sum of all maps, scaled to the sum of its truth; with --pairs,
    every map is scaled as well. The emptier a frame, the closer to 1 its structural similarity is,
    whatever is predicted: compare it between models only.
    """
    _require_one_test_set(movie, localizations, pairs, simulation)
    if simulation is None:
        useless = {"--frames-simulated": frames_simulated, "--seed": seed}
        _refuse("Without --simulate nothing is simulated", useless)
    else:
        useless = {"--frames": options["frames"], "--pixel-size-nm": options["pixel_size_nm"]}
        _refuse("A simulation has its own pixel size, and every frame is tested", useless)
    settings = build(PredictionConfig, given(options, PredictionConfig))
    if out is not None:
        check_folder(out.parent)
    from napari_dl4smlm.backend.evaluation.score_model import score_model
    from napari_dl4smlm.backend.models.device import select_device
    from napari_dl4smlm.backend.models.model_file import load_model

    model = load_model(model_path, device=select_device(settings.device))
    simulated = _movie_config(simulation, model.card, frames=frames_simulated, seed=seed)
    stop = threading.Event()
    with _open_test_set(movie, localizations, pairs, simulated, settings) as (frames, truth):
        events = score_model(
            model,
            frames,
            truth,
            settings,
            tolerance_nm=tolerance_nm,
            border_nm=border_nm,
            stop=stop,
        )
        with stop_on_interrupt(stop.set):
            samples, summary = _follow(events, title=model.card.architecture)
    if out is not None:
        _write_samples(out, samples)
    click.echo(_summary_as_json(summary, samples) if json else _summary_as_table(summary))
    if stop.is_set():
        raise click.exceptions.Exit(INTERRUPTED)


def _require_one_test_set(
    movie: Path | None,
    localizations: Path | None,
    pairs: tuple[Path, Path] | None,
    simulation: str | None,
) -> None:
    sources = [movie is not None or localizations is not None, pairs, simulation]
    if sum(bool(source) for source in sources) != 1:
        raise InputError(
            "Give one test set: --movie with --localizations, or --pairs, or --simulate."
        )
    if (movie is None) != (localizations is None):
        missing = "--movie" if movie is None else "--localizations"
        raise InputError(f"A movie and its true positions belong together; give {missing} too.")


def _refuse(why: str, useless: Mapping[str, object]) -> None:
    given_all_the_same = [name for name, value in useless.items() if value is not None]
    if given_all_the_same:
        raise InputError(f"{why}: leave out {' and '.join(given_all_the_same)}.")


def _movie_config(
    simulation: str | None, card: ModelCard, *, frames: int | None, seed: int | None
) -> MovieConfig | None:
    if simulation is None:
        return None
    values: dict[str, Any]
    if simulation == _OWN_SIMULATION:
        values = {"simulation": card.training.get("simulation") or {}}
    else:
        values = read_config(Path(simulation))
        # what simulate writes has the size and seed of its movie beside the simulation
        values = values if "simulation" in values else {"simulation": values}
    given_here = {"frames": frames, "seed": seed}
    return build(MovieConfig, values | {k: v for k, v in given_here.items() if v is not None})


@contextmanager
def _open_test_set(
    movie: Path | None,
    localizations: Path | None,
    pairs: tuple[Path, Path] | None,
    simulated: MovieConfig | None,
    settings: PredictionConfig,
) -> Iterator[tuple[FrameStack, Localizations | FrameStack]]:
    from napari_dl4smlm.backend.acquisition.frames import open_frames
    from napari_dl4smlm.backend.evaluation.simulated import simulate_test_set
    from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm
    from napari_dl4smlm.backend.training.pairs import open_pair

    if simulated is not None:
        yield simulate_test_set(simulated)
    elif pairs is not None:
        raw, images = open_pair(*pairs, pixel_size_nm=settings.pixel_size_nm)
        with raw, images:
            yield raw, images
    else:
        assert movie is not None  # checked before, which mypy cannot see
        assert localizations is not None
        with open_frames(movie, pixel_size_nm=settings.pixel_size_nm) as frames:
            yield frames, read_thunderstorm(localizations, pixel_size_nm=frames.pixel_size_nm)


def _follow(
    events: Iterator[ScoringEvent], *, title: str
) -> tuple[list[SampleScores], ScoreSummary]:
    """Show a test as it runs, on standard error; return what it found."""
    samples: list[SampleScores] = []
    with tqdm(desc=title, unit="frame", disable=None, dynamic_ncols=True) as bar:
        for event in events:
            match event:
                case ScoringStarted():
                    bar.total = event.n_samples
                    tqdm.write(_describe_start(event), file=sys.stderr)
                case SampleScored():
                    samples.append(event.scores)
                    bar.update()
                case ScoringStopped(summary):
                    tqdm.write("Stopped; these are the scores so far.", file=sys.stderr)
                case ScoringFinished(summary):
                    pass
    return samples, summary


def _describe_start(event: ScoringStarted) -> str:
    line = f"Testing on {event.n_samples:,} frames; device {event.device}."
    return "\n".join([line, *(f"Warning: {warning}" for warning in event.warnings)])


def _write_samples(path: Path, samples: Sequence[SampleScores]) -> None:
    """Write one row per frame; an older file is kept under another name."""
    rows = [
        {"frame": sample.frame, "is_validation": int(sample.is_validation)}
        | {name: "" if math.isnan(value) else value for name, value in sample.values().items()}
        for sample in samples
    ]
    with atomic_file(path) as temporary:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        set_aside(path)


def _summary_as_json(summary: ScoreSummary, samples: Sequence[SampleScores]) -> str:
    return as_json(
        {
            "summary": dataclasses.asdict(summary),
            "samples": [dataclasses.asdict(sample) for sample in samples],
        }
    )


def _summary_as_table(summary: ScoreSummary) -> str:
    """Write scores of all frames together beside mean and standard deviation of single frames."""
    together = dataclasses.asdict(summary.image)
    if summary.detection is not None:
        together = dataclasses.asdict(summary.detection) | together
    rows = {}
    for name in [*summary.per_sample, *dataclasses.asdict(summary.image)]:
        spread = summary.per_sample.get(name)
        rows[name] = [
            together.get(name),
            None if spread is None else spread.mean,
            None if spread is None else spread.standard_deviation,
        ]
    return as_table(rows, head=["all frames", "mean", "± SD"])
