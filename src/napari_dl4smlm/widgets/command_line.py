"""What to type in a terminal for what the forms say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from napari_dl4smlm.backend.config_file import write_config
from napari_dl4smlm.backend.option_pairs import options_text
from napari_dl4smlm.backend.simulation.config import SimulationConfig
from napari_dl4smlm.backend.training.config import DistillationJob
from napari_dl4smlm.cli.compare import compare
from napari_dl4smlm.cli.distill import distill
from napari_dl4smlm.cli.predict import predict
from napari_dl4smlm.cli.train import train
from napari_dl4smlm.widgets.shell import command_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click

    from napari_dl4smlm.backend.prediction.config import PredictionConfig
    from napari_dl4smlm.backend.training.config import TrainingJob


class _NoOptionError(Exception):
    """A value cannot be given on the command line."""


def train_command(job: TrainingJob) -> str:
    """Write the command that runs a training, with or without a teacher, from whichever folder.

    Options that have their default are left out. A job that options cannot express, such as one
    with a simulation of its own, is read from the file that :func:`config_file` names.
    """
    file = config_file(job)
    words = _train_options(job) if file is None else ["--config", str(file)]
    command = distill if isinstance(job, DistillationJob) else train
    return command_text([str(command.name), *words])


def config_file(job: TrainingJob) -> Path | None:
    """Name the YAML file that :func:`train_command` reads; None where options say it all.

    It lies beside the model; :func:`save_job` writes it.
    """
    try:
        _train_options(job)
    except _NoOptionError:
        return job.out.absolute().with_suffix(".yaml")
    return None


def save_job(job: TrainingJob, path: Path) -> None:
    """Write a job as YAML that ``--config`` of its command reads; an older file is kept aside."""
    values: dict[str, Any] = _absolute(job).to_dict()
    write_config(path, values)


def predict_command(
    movie: Path, model: Path, out: Path, config: PredictionConfig, *, follows: bool = False
) -> str:
    """Write the command that runs a prediction, from whichever folder.

    Options that have their default are left out.

    Parameters
    ----------
    movie
        TIFF, .npy or folder of TIFFs.
    model
        The model file.
    out
        Folder for the results.
    config
        What else the user decided.
    follows
        Whether the movie is still being written.
    """
    files = [str(movie.absolute()), "--model", str(model.absolute()), "--out", str(out.absolute())]
    follow = ["--follow"] if follows else []
    return command_text(["predict", *files, *follow, *_options(config, predict)])


def compare_command(
    models: Sequence[Path],
    movie: Path,
    localizations: Path | None,
    devices: Sequence[str],
    options: BaseModel,
) -> str:
    """Write the command that compares models, from whichever folder.

    Options that have their default are left out.

    Parameters
    ----------
    models
        Their files.
    movie
        TIFF, .npy or folder of TIFFs.
    localizations
        Table of the true positions, if there is one.
    devices
        Where the models are timed.
    options
        What else the user decided, by the names of the options.
    """
    words = [*(str(model.absolute()) for model in models), "--movie", str(movie.absolute())]
    if localizations is not None:
        words += ["--localizations", str(localizations.absolute())]
    if list(devices) != ["auto"]:
        words += [word for device in devices for word in ("--device", device)]
    return command_text([str(compare.name), *words, *_options(options, compare)])


def _train_options(job: TrainingJob) -> list[str]:
    job = _absolute(job)
    if isinstance(job, DistillationJob):
        command, teaching = distill, _options(job.distillation, distill)
    else:
        command, teaching = train, []
    data, training = _options(job.data, command), _options(job.training, command)
    return [*teaching, *data, *training, "--out", str(job.out)]


def _options(config: BaseModel, command: click.Command) -> list[str]:
    """Return the options of a command for what differs from the defaults of a config."""
    options = {option.name: option for option in command.params}
    words = []
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if value != field.get_default(call_default_factory=True):
            words += _option(options[name], value)
    return words


def _option(option: click.Parameter, value: Any) -> list[str]:
    flag = option.opts[0]
    if isinstance(value, bool):
        return [flag if value else option.secondary_opts[0]]
    if value == SimulationConfig():
        return [flag]
    if isinstance(value, tuple):
        return [flag, *map(str, value)]
    if isinstance(value, dict) and option.multiple:
        return [word for pair in value.items() for word in (flag, ":".join(pair))]
    text = options_text(value) if isinstance(value, dict) else value
    # an option that is absent leaves the default, and cannot replace it by nothing
    if text is None or isinstance(text, BaseModel):
        raise _NoOptionError
    return [flag, str(text)]


def _absolute(value: Any) -> Any:
    """Make all paths in a config absolute."""
    if isinstance(value, Path):
        return value.absolute()
    if isinstance(value, BaseModel):
        return value.model_copy(update={name: _absolute(part) for name, part in value})
    if isinstance(value, tuple):
        return tuple(map(_absolute, value))
    return value
