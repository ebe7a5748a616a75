r"""A small network that learns alone, and from a teacher, at an equal cost of training.

    python benchmarks/distillation.py --teacher model.safetensors [--seeds 0 1 2] [--core-minutes 8]
    python benchmarks/distillation.py --teacher model.safetensors --equal steps
    python benchmarks/distillation.py --teacher model.safetensors --epochs 16 --lambda 4000
    python benchmarks/distillation.py --teacher model.safetensors --training-frames 0   # endless
    python benchmarks/distillation.py --teacher model.safetensors --training-frames 8 \
        --epochs 32 --lambda 4000 --alpha 0 --frames 20 --ways alone transfer --seeds 0 1 2

Every student has the same architecture, data and options, and learns in one of these ways:

    alone           from the truth
    hint            from hints of the teacher's features, then from the truth
    transfer        from the teacher's density maps and the truth
    hint+transfer   from hints, then from density maps and the truth

They train on the same frames, simulated once as in simulated_accuracy.py ("narrow"), and are tested
as there; teacher and students are scored on the same frames. --training-frames 0 simulates patches
as long as training lasts instead.

A core minute is a minute of processor time, on one thread. With --equal core-minutes (the default)
all ways take as many of them: what the teacher computes, for its test before the first step and in
every step, counts, so that its students take fewer steps. With --equal steps all take as many steps
as the student alone does in that time, and the core minutes tell what that costs; --epochs gives
their number, in epochs of 64 steps, instead of a time. The maps of the teacher are kept, so that
the transfer costs the less the more steps there are for each frame, and a plan for equal core
minutes, which is made from the first steps, gives it fewer than would fit. The time for one frame
of 64 x 64 px is the median over rounds in which teacher and student take turns, in processor time
of one thread, in float32. Models and scores go to --out; a model that is there already is not
trained again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from simulated_accuracy import STEPS_PER_EPOCH, TESTS, TOLERANCE_NM, TRAINING, film

from napari_dl4smlm.backend.evaluation.events import ScoringFinished
from napari_dl4smlm.backend.evaluation.score_model import score_model
from napari_dl4smlm.backend.evaluation.simulated import simulate_test_set
from napari_dl4smlm.backend.models.model_file import load_model
from napari_dl4smlm.backend.models.registry import (
    MODELS,
    create_model,
    operations_per_frame,
    parameter_count,
)
from napari_dl4smlm.backend.option_pairs import parse_options
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.simulation.config import MovieConfig
from napari_dl4smlm.backend.training.arithmetic import Arithmetic
from napari_dl4smlm.backend.training.config import DataConfig, DistillationConfig, TrainingConfig
from napari_dl4smlm.backend.training.data import open_training_data
from napari_dl4smlm.backend.training.division import split_frames
from napari_dl4smlm.backend.training.events import EpochFinished, StepFinished, TeacherTested
from napari_dl4smlm.backend.training.filmed import FilmedData
from napari_dl4smlm.backend.training.trainer import Trainer
from napari_dl4smlm.backend.training.truth import position_truth

if TYPE_CHECKING:
    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork
    from napari_dl4smlm.backend.training.data import TrainingData

WAYS: dict[str, dict[str, Any] | None] = {
    "alone": None,
    "hint": {"stages": "hint,transfer", "alpha": 1.0},
    "transfer": {"stages": "transfer"},
    "hint+transfer": {"stages": "hint,transfer"},
}
DATA_SEED = 2_000_000
TRIAL_STEPS = 8
FRAME_PX = 64


@dataclass(frozen=True)
class Cost:
    """Processor time in seconds, averaged over the stages of a way."""

    step: float
    validation: float
    teacher_test: float
    """Of one batch before the first step; an epoch's worth of them is tested."""

    def plan(self, seconds: float) -> tuple[int, int]:
        """Return the epochs, at least two, and the steps of each that fit into a time."""
        left = seconds - STEPS_PER_EPOCH * self.teacher_test
        epochs = round(left / (STEPS_PER_EPOCH * self.step + self.validation))
        if epochs > 2:
            return epochs, STEPS_PER_EPOCH
        steps = (seconds - 2 * self.validation) / (2 * self.step + self.teacher_test)
        return 2, max(1, int(steps))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--teacher", type=Path, required=True, help="model file")
    parser.add_argument("--out", type=Path, default=Path("distillation"))
    parser.add_argument("--student", choices=list(MODELS), default="fid_storm")
    parser.add_argument("--student-options", default="blocks=3,channels=32")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--core-minutes", type=float, default=8.0)
    parser.add_argument("--epochs", type=int, help="of 64 steps, for all ways")
    parser.add_argument("--equal", choices=["core-minutes", "steps"], default="core-minutes")
    parser.add_argument("--alpha", type=float, default=0.5)
    parser.add_argument("--no-attentive", action="store_true", help="follow the teacher alike")
    parser.add_argument("--hint-share", type=float, default=0.25)
    parser.add_argument("--loss", default="l1l2")
    parser.add_argument("--lambda", dest="lambda_", type=float, help="default: the loss's own")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="the highest")
    parser.add_argument("--training-frames", type=int, default=400, help="0: endless patches")
    parser.add_argument("--frames", type=int, default=40, help="of each test")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    print(f"{platform.processor() or platform.machine()}, one thread, torch {torch.__version__}")
    tests = {
        label: film(simulation, arguments.frames)
        for label, simulation in TESTS["densities"].items()
    }
    rows = [{"way": "teacher", **score(arguments.teacher, tests)}]
    plans: dict[str, tuple[int, int]] = {}
    for seed, way in itertools.product(arguments.seeds, arguments.ways):
        length = f"{arguments.equal}-{arguments.core_minutes:g}"
        if arguments.epochs is not None:
            length = f"epochs-{arguments.epochs}"
        path = arguments.out / f"{way}-{length}-{seed}.safetensors"
        log = path.with_suffix(".json")
        if path.exists() and log.exists():
            core_minutes = json.loads(log.read_text())["core_minutes"]
        else:
            counted = way if arguments.equal == "core-minutes" else "alone"
            if arguments.epochs is not None:
                plans[counted] = arguments.epochs, STEPS_PER_EPOCH
            elif counted not in plans:
                plans[counted] = plan(arguments, counted)
            core_minutes = train(arguments, way, seed, plans[counted], path)
        rows.append({"way": way, "seed": seed, "core_minutes": core_minutes, **score(path, tests)})
        log.write_text(json.dumps(rows[-1], indent=1))
    report(rows, list(tests))
    report_cost(load_model(arguments.teacher).network, student(arguments))


def student(arguments: argparse.Namespace) -> SuperResolutionNetwork:
    options = parse_options(arguments.student_options)
    return create_model(arguments.student, **options).eval()


def plan(arguments: argparse.Namespace, way: str) -> tuple[int, int]:
    """Return the epochs, and the steps of each, that a way can take in the core minutes."""
    with open_data(arguments.training_frames) as data, TemporaryDirectory() as folder:
        trial = Path(folder) / "trial.safetensors"
        cost = measure(data, training_config(arguments, 0), distillation(arguments, way), trial)
    print(f"{way}: {cost}", flush=True)
    return cost.plan(60 * arguments.core_minutes)


def train(
    arguments: argparse.Namespace, way: str, seed: int, length: tuple[int, int], path: Path
) -> float:
    """Train one student; return the core minutes that it took."""
    epochs, steps = length
    config = with_length(training_config(arguments, seed), epochs, steps)
    with open_data(arguments.training_frames) as data:
        began = time.process_time()
        trainer = Trainer(data, config, path, distillation=distillation(arguments, way))
        for event in trainer.events():
            if isinstance(event, EpochFinished) and event.calibration is not None:
                print(
                    f"  epoch {event.epoch} ({event.stage}): "
                    f"{time.process_time() - began:.0f} core s, validation loss "
                    f"{event.validation_loss:.5f}, Jaccard {event.calibration.jaccard:.3f}",
                    flush=True,
                )
    core_minutes = (time.process_time() - began) / 60
    print(f"{path.stem}: {epochs * steps} steps in {core_minutes:.2f} core minutes", flush=True)
    return core_minutes


def training_config(arguments: argparse.Namespace, seed: int) -> TrainingConfig:
    return TrainingConfig(
        model=arguments.student,
        model_options=parse_options(arguments.student_options),
        loss=arguments.loss,
        **({} if arguments.lambda_ is None else {"lambda": arguments.lambda_}),
        device="cpu",
        seed=seed,
        schedule="cosine",
        early_stopping=None,
        learning_rate=arguments.learning_rate,
    )


def distillation(arguments: argparse.Namespace, way: str) -> DistillationConfig | None:
    values = WAYS[way]
    if values is None:
        return None
    defaults = {
        "alpha": arguments.alpha,
        "hint_share": arguments.hint_share,
        "attentive": not arguments.no_attentive,
    }
    return DistillationConfig(teacher=arguments.teacher, **defaults | values)


def with_length(config: TrainingConfig, epochs: int, steps: int) -> TrainingConfig:
    return config.model_copy(
        update={"epochs": epochs, "patches_per_epoch": steps * config.batch_size}
    )


def open_data(n_frames: int) -> TrainingData:
    """Open the frames that all students train on."""
    simulation = TRAINING["narrow"]
    if n_frames == 0:
        return open_training_data(DataConfig(simulation=simulation), seed=DATA_SEED)
    # frames of which each is an acquisition of its own, none of which is in the tests
    frames, emitters = simulate_test_set(
        MovieConfig(
            frames=n_frames, height=FRAME_PX, width=FRAME_PX, seed=DATA_SEED, simulation=simulation
        )
    )
    truth = position_truth(frames, emitters, upsampling_factor=8)
    training, validation = split_frames(
        range(n_frames), validation_fraction=min(0.2, 24 / n_frames), seed=DATA_SEED
    )
    return FilmedData(frames, truth, 8, frames.pixel_size_nm, training, validation)


def measure(
    data: TrainingData, config: TrainingConfig, taught: DistillationConfig | None, path: Path
) -> Cost:
    """Measure the processor time of steps, validations and the test of the teacher."""
    hint_share = 0.0
    if taught is not None and taught.stages == "hint,transfer":
        hint_share = taught.hint_share
    steps: dict[str, list[float]] = {}
    validations: dict[str, float] = {}
    tests = []
    # with two stages, an epoch for each
    trainer = Trainer(data, with_length(config, 2, TRIAL_STEPS), path, distillation=taught)
    for event in trainer.events():
        now = time.process_time()
        match event:
            case TeacherTested():
                tests.append(now)
            case StepFinished() if event.epoch == 2 or event.stage == "hint":
                steps.setdefault(event.stage, []).append(now)
            case EpochFinished() if event.stage in steps:
                validations[event.stage] = now - steps[event.stage][-1]

    def average(seconds: dict[str, float]) -> float:
        (last,) = (value for stage, value in seconds.items() if stage != "hint")
        return hint_share * seconds.get("hint", 0.0) + (1 - hint_share) * last

    return Cost(
        step=average({stage: pace(times) for stage, times in steps.items()}),
        validation=average(validations),
        teacher_test=pace(tests) if tests else 0.0,
    )


def pace(times: list[float]) -> float:
    # the first of its kind also pays for what is set up once
    return (times[-1] - times[0]) / (len(times) - 1)


def score(path: Path, tests: dict[str, Any]) -> dict[str, Any]:
    """Score a model on every test, at its own threshold."""
    config = PredictionConfig(device="cpu", pixel_size_nm=100.0)
    scores = {}
    for label, (frames, truth) in tests.items():
        *_, finished = score_model(
            load_model(path), frames, truth, config, tolerance_nm=TOLERANCE_NM
        )
        assert isinstance(finished, ScoringFinished)
        assert finished.summary.detection is not None
        scores[label] = {
            "jaccard": finished.summary.detection.jaccard,
            "rmse_nm": finished.summary.detection.rmse_nm,
            "nmse_percent": finished.summary.per_sample["map_nmse_percent"].mean,
        }
    return {"scores": scores}


def report(rows: list[dict[str, Any]], labels: list[str]) -> None:
    """Print, for each test, the mean over seeds and the standard deviation."""
    ways = list(dict.fromkeys(row["way"] for row in rows))
    for label in labels:
        print(f"\n{label:<16} {'Jaccard':>16} {'RMSE nm':>16} {'NMSE %':>16}  core minutes")
        for way in ways:
            of_way = [row for row in rows if row["way"] == way]
            cells = [
                mean_and_spread([row["scores"][label][name] for row in of_way], digits)
                for name, digits in (("jaccard", 3), ("rmse_nm", 1), ("nmse_percent", 1))
            ]
            minutes = [row["core_minutes"] for row in of_way if "core_minutes" in row]
            took = mean_and_spread(minutes, 2) if minutes else ""
            print(f"{way:<16} " + " ".join(f"{cell:>16}" for cell in cells) + f"  {took}")


def mean_and_spread(values: list[float], digits: int) -> str:
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"


def report_cost(teacher: SuperResolutionNetwork, student: SuperResolutionNetwork) -> None:
    """Print the size of both networks, and the time that a frame takes."""
    networks = {"teacher": teacher, "student": student}
    times = milliseconds_per_frame(list(networks.values()))
    print(f"\n{'':<16} parameters  GFLOP per frame  ms per frame")
    for (name, network), milliseconds in zip(networks.items(), times, strict=True):
        flop = 2 * operations_per_frame(network, FRAME_PX, FRAME_PX)
        size = f"{parameter_count(network):>10,}  {flop / 1e9:>15.2f}"
        print(f"{name:<16} {size}  {milliseconds:>12.2f}")


@torch.inference_mode()
def milliseconds_per_frame(networks: list[SuperResolutionNetwork], rounds: int = 30) -> list[float]:
    """Measure processor time, the networks taking turns."""
    frames = torch.randn(1, 1, FRAME_PX, FRAME_PX)
    arithmetic = Arithmetic(torch.device("cpu"))
    networks = [arithmetic.place(network) for network in networks]
    times: list[list[float]] = [[] for _ in networks]
    for turn in range(rounds + 3):
        for network, taken in zip(networks, times, strict=True):
            began = time.process_time()
            arithmetic.density(network, frames)
            # the first turns set up
            if turn >= 3:
                taken.append(1e3 * (time.process_time() - began))
    return [float(np.median(taken)) for taken in times]


if __name__ == "__main__":
    main()
