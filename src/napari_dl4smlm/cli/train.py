"""`dl4smlm train`: from frames with truth to a model file."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

from napari_dl4smlm.backend.config_file import build, read_config, write_config
from napari_dl4smlm.backend.models.calibration import describe_columns
from napari_dl4smlm.backend.training.config import DataConfig, TrainingConfig, TrainingJob
from napari_dl4smlm.backend.training.events import (
    EpochFinished,
    StepFinished,
    TeacherTested,
    TrainingEvent,
    TrainingFinished,
    TrainingStarted,
    TrainingStopped,
)
from napari_dl4smlm.cli.config_sections import section
from napari_dl4smlm.cli.interrupts import INTERRUPTED, stop_on_interrupt
from napari_dl4smlm.cli.options import (
    config_file_options,
    config_options,
    given,
    report_errors,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic import BaseModel

    from napari_dl4smlm.backend.training.config import DistillationConfig

_DEFAULT_SIMULATION = "random emitters"
_OF_FRAMES = {"frames", "validation_frames", "pixel_size_nm"}


def run_options(default_out: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of every training that no config has."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        resume = click.option(
            "--resume", is_flag=True, help="go on from the last model beside --out"
        )
        out = click.option(
            "--out",
            type=click.Path(path_type=Path),
            help="file for the best model; the last one goes to NAME.last.safetensors beside it"
            f"  [default: {default_out}]",
        )
        simulate = click.option(
            "--simulate",
            "simulation",
            is_flag=False,
            flag_value=_DEFAULT_SIMULATION,
            metavar="[FILE]",
            help="train on patches that are simulated as long as training lasts, of what a "
            "simulation.yaml says, or of random emitters",
        )
        return simulate(out(resume(command)))

    return decorate


@click.command(
    epilog="Example: dl4smlm train --movie movie.tif --localizations positions.csv "
    "--pixel-size-nm 100 --out model.safetensors"
)
@config_options(DataConfig, TrainingConfig, skip=["simulation"])
@run_options("model.safetensors")
@config_file_options
@report_errors
def train(
    out: Path | None,
    resume: bool,
    simulation: str | None,
    config: Path | None,
    save_config: Path | None,
    **options: Any,
) -> None:
    """Train a network on frames whose emitters are known.

    Give a movie with a table of positions (--movie, --localizations), pairs of raw and true images
    (--pairs), or neither and --simulate. Ctrl-C ends training after the step under way; the best
    and the last model are then on disk, and --resume goes on from there.
    """
    values = job_values(read_config(config), out, simulation, options)
    job = build(TrainingJob, values)
    run_job(job, resume=resume, save_config=save_config)


def run_job(
    job: TrainingJob,
    *,
    resume: bool,
    save_config: Path | None,
    distillation: DistillationConfig | None = None,
) -> None:
    """Save the job, train, and print how it goes; Ctrl-C ends it in an orderly way."""
    # of processes that train together, one writes and speaks
    is_first = os.environ.get("RANK", "0") == "0"
    if save_config is not None and is_first:
        write_config(save_config, job.to_dict())
    from napari_dl4smlm.backend.training.data import open_training_data
    from napari_dl4smlm.backend.training.trainer import Trainer

    with suppress(OSError):  # the trainer says better what is wrong with a folder
        job.out.parent.mkdir(parents=True, exist_ok=True)
    with open_training_data(job.data, seed=job.training.seed) as data:
        trainer = Trainer(data, job.training, job.out, distillation=distillation, resume=resume)
        with stop_on_interrupt(trainer.stop):
            events = trainer.events()
            last = follow(events, title=job.training.model) if is_first else deque(events, 1)[0]
    if isinstance(last, TrainingStopped):
        raise click.exceptions.Exit(INTERRUPTED)


def job_values(
    saved: dict[str, Any],
    out: Path | None,
    simulation: str | None,
    options: dict[str, Any],
    **more: type[BaseModel],
) -> dict[str, Any]:
    """Merge a saved job with the options that were given, which win.

    Parameters
    ----------
    saved
        What a config file holds.
    out, simulation, options
        What was given: ``--out``, ``--simulate``, and the fields of the configs.
    **more
        The configs of sections beside ``data`` and ``training``, by the section's name.
    """
    data = section(saved, "data")
    asked_for = given(options, DataConfig)
    if simulation is not None:
        asked_for["simulation"] = _read_simulation(simulation)
    # a saved source must not stand beside the one that was asked for instead
    for source in (("movie", "localizations"), ("pairs",), ("simulation",)):
        if source[0] in asked_for:
            others = {"movie", "localizations", "pairs", "simulation"} - set(source)
            if source == ("simulation",):
                others |= _OF_FRAMES
            data = {name: value for name, value in data.items() if name not in others}
    models: dict[str, type[BaseModel]] = {"training": TrainingConfig, **more}
    sections = {
        name: section(saved, name) | given(options, model) for name, model in models.items()
    }
    values = saved | {"data": data | asked_for, **sections}
    return values if out is None else values | {"out": out}


def _read_simulation(path: str) -> Any:
    if path == _DEFAULT_SIMULATION:
        return {}
    values = read_config(Path(path))
    # what simulate writes has the size and seed of its movie beside the simulation
    return values.get("simulation", values)


def follow(events: Iterator[TrainingEvent], *, title: str) -> TrainingEvent:
    """Print a training as it runs; return its last event."""
    seconds_left = 0.0
    calibration = None
    # on a terminal only: a log file has the epoch lines
    with tqdm(desc=title, unit="step", disable=None, dynamic_ncols=True) as bar:
        for event in events:
            match event:
                case TrainingStarted():
                    bar.total = event.epochs * event.steps_per_epoch
                    bar.update((event.first_epoch - 1) * event.steps_per_epoch)
                    tqdm.write(_describe_start(event))
                case TeacherTested():
                    bar.set_postfix(teacher=f"{event.patches}/{event.total}", refresh=False)
                    bar.update(0)
                    if event.patches == event.total:
                        tqdm.write(f"The teacher was tested on {event.total:,} patches.")
                case StepFinished():
                    seconds_left = event.seconds_left
                    bar.set_postfix(loss=f"{event.loss:.4g}", refresh=False)
                    bar.update()
                case EpochFinished():
                    left = tqdm.format_interval(seconds_left)
                    tqdm.write(f"{_describe_epoch(event)}, {left} left")
                    if event.is_best:
                        calibration = event.calibration
                case TrainingStopped():
                    tqdm.write(
                        f"Stopped in epoch {event.epoch}. Best model: {event.best_path}, last "
                        f"model: {event.last_path} (go on with --resume)."
                    )
                case TrainingFinished():
                    tqdm.write(
                        f"Finished after epoch {event.epoch}: {event.reason}. Best model: "
                        f"{event.best_path} (epoch {event.best_epoch}, validation loss "
                        f"{event.best_validation_loss:.5g})."
                    )
                    if calibration is not None:
                        tqdm.write(describe_columns(calibration))
    return event


def _describe_epoch(event: EpochFinished) -> str:
    stage = "" if event.stage == "training" else f" ({event.stage})"
    found = ""
    if event.calibration is not None:
        found = f", Jaccard index {event.calibration.jaccard:.3f}"
    return (
        f"epoch {event.epoch}{stage}: training loss {event.training_loss:.5g}, "
        f"validation loss {event.validation_loss:.5g}{found}"
        + (" (best so far)" if event.is_best else "")
    )


def _describe_start(event: TrainingStarted) -> str:
    source = "simulated patches"
    if event.training_frames is not None:
        source = f"{event.training_frames} frames"
    lines = [
        f"Training {event.parameters:,} parameters on {source}, validating "
        f"on {event.validation_frames} frames; device {event.device}, {event.precision}."
    ]
    return "\n".join(lines + [f"Warning: {warning}" for warning in event.warnings])
