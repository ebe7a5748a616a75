"""simulation.yaml, as `dl4smlm simulate` writes and reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml
from pydantic import ValidationError

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.simulation.config import MovieConfig
from napari_dl4smlm.cli.options import write_config
from napari_dl4smlm.widgets.forms.config_faults import faults_of

if TYPE_CHECKING:
    from pathlib import Path


def read_simulation(path: Path) -> MovieConfig:
    """Read a simulation, with size and seed of its movie where the file has them.

    Raises
    ------
    InputError
        The file cannot be read, or holds something else.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path.name} cannot be read: {error}".replace("\n", " ")) from error
    if not isinstance(values, dict):
        raise InputError(f"{path.name} does not hold named values such as 'density: 2'.")
    try:
        # the parameters of a simulation may also stand alone
        return MovieConfig.model_validate(
            values if "simulation" in values else {"simulation": values}
        )
    except ValidationError as error:
        faults = [
            f"{'.'.join(str(part) for part in place) or 'values'}: {message}"
            for place, message in faults_of(error)
        ]
        raise InputError(f"{path.name}: {'; '.join(faults)}") from error


def write_simulation(path: Path, config: MovieConfig) -> None:
    """Write a simulation that `dl4smlm simulate --config` films and `train --simulate` learns.

    An older file of that name is kept aside.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    try:
        write_config(path, config.to_dict())
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
