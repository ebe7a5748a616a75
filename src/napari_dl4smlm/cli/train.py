"""`dl4smlm train`: from frames with truth to a model file."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

from napari_dl4smlm.backend.training.config import DataConfig, TrainingConfig, TrainingJob
from napari_dl4smlm.backend.training.events import (
    EpochFinished,
    StepFinished,
    TrainingEvent,
    TrainingFinished,
    TrainingStarted,
    TrainingStopped,
)
from napari_dl4smlm.cli.interrupts import INTERRUPTED, stop_on_interrupt
from napari_dl4smlm.cli.options import (
    build,
    config_file_options,
    config_options,
    given,
    read_config,
    report_errors,
    write_config,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


_DEFAULT_SIMULATION = "random emitters"


@click.command(
    epilog="Example: dl4smlm train --movie movie.tif --localizations positions.csv "
    "--pixel-size-nm 100 --out model.safetensors"
)
@config_options(DataConfig, TrainingConfig, skip=["simulation"])
@click.option(
    "--simulate",
    "simulation",
    is_flag=False,
    flag_value=_DEFAULT_SIMULATION,
    metavar="[FILE]",
    help="train on patches that are simulated as long as training lasts, of what a simulation.yaml "
    "says, or of random emitters",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="file for the best model; the last one goes to NAME.last.safetensors beside it"
    "  [default: model.safetensors]",
)
@click.option("--resume", is_flag=True, help="go on from the last model beside --out")
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
    job = _job(read_config(config), out, simulation, options)
    if save_config is not None:
        write_config(save_config, job.to_dict())
    from napari_dl4smlm.backend.training.data import open_training_data
    from napari_dl4smlm.backend.training.trainer import Trainer

    with suppress(OSError):  # the trainer says better what is wrong with a folder
        job.out.parent.mkdir(parents=True, exist_ok=True)
    with open_training_data(job.data, seed=job.training.seed) as data:
        trainer = Trainer(data, job.training, job.out, resume=resume)
        with stop_on_interrupt(trainer.stop):
            last = follow(trainer.events(), title=job.training.model)
    if isinstance(last, TrainingStopped):
        raise click.exceptions.Exit(INTERRUPTED)


def _job(
    saved: dict[str, Any], out: Path | None, simulation: str | None, options: dict[str, Any]
) -> TrainingJob:
    data = _section(saved, "data")
    asked_for = given(options, DataConfig)
    if simulation is not None:
        asked_for["simulation"] = _read_simulation(simulation)
    # a saved source must not stand beside the one that was asked for instead
    for source in (("movie", "localizations"), ("pairs",), ("simulation",)):
        if source[0] in asked_for:
            others = {"movie", "localizations", "pairs", "simulation"} - set(source)
            data = {name: value for name, value in data.items() if name not in others}
    values = saved | {
        "data": data | asked_for,
        "training": _section(saved, "training") | given(options, TrainingConfig),
    }
    return build(TrainingJob, values if out is None else values | {"out": out})


def _read_simulation(path: str) -> Any:
    if path == _DEFAULT_SIMULATION:
        return {}
    values = read_config(Path(path))
    # what simulate writes has the size and seed of its movie beside the simulation
    return values.get("simulation", values)


def _section(saved: dict[str, Any], name: str) -> dict[str, Any]:
    section = saved.get(name)
    return dict(section) if isinstance(section, dict) else {}


def follow(events: Iterator[TrainingEvent], *, title: str) -> TrainingEvent:
    """Print a training as it runs; return its last event."""
    seconds_left = 0.0
    # on a terminal only: a log file has the epoch lines
    with tqdm(desc=title, unit="step", disable=None, dynamic_ncols=True) as bar:
        for event in events:
            match event:
                case TrainingStarted():
                    bar.total = event.epochs * event.steps_per_epoch
                    bar.update((event.first_epoch - 1) * event.steps_per_epoch)
                    tqdm.write(_describe_start(event))
                case StepFinished():
                    seconds_left = event.seconds_left
                    bar.set_postfix(loss=f"{event.loss:.4g}", refresh=False)
                    bar.update()
                case EpochFinished():
                    tqdm.write(
                        f"epoch {event.epoch}: training loss {event.training_loss:.5g}, "
                        f"validation loss {event.validation_loss:.5g}"
                        + _describe_calibration(event)
                        + (" (best so far)" if event.is_best else "")
                        + f", {tqdm.format_interval(seconds_left)} left"
                    )
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
    return event


def _describe_calibration(event: EpochFinished) -> str:
    if event.calibration is None:
        return ""
    return f", Jaccard index {event.calibration.jaccard:.3f}"


def _describe_start(event: TrainingStarted) -> str:
    source = "simulated patches"
    if event.training_frames is not None:
        source = f"{event.training_frames} frames"
    lines = [
        f"Training {event.parameters:,} parameters on {source}, validating "
        f"on {event.validation_frames} frames; device {event.device}, {event.precision}."
    ]
    return "\n".join(lines + [f"Warning: {warning}" for warning in event.warnings])
