"""simulation.yaml, as `dl4smlm simulate` writes and reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dl4smlm.backend.config_file import build, read_config
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.simulation.config import MovieConfig

if TYPE_CHECKING:
    from pathlib import Path


def read_simulation(path: Path) -> MovieConfig:
    """Read a simulation, with size and seed of its movie where the file has them.

    Raises
    ------
    InputError
        The file cannot be read, or holds something else.
    """
    values = read_config(path)
    try:
        # the parameters of a simulation may also stand alone
        return build(MovieConfig, values if "simulation" in values else {"simulation": values})
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error
