"""Configs on disk: YAML that is written with a run, read again, and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from napari_dl4smlm.backend.atomic_file import atomic_file, set_aside
from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Config = TypeVar("Config", bound=BaseModel)

Fault = tuple[tuple[int | str, ...], str]
"""Where a value is refused, as pydantic's `loc`, and why."""


class _Loader(yaml.SafeLoader):
    """Leaves ranges such as 10:20 as they are; YAML 1.1 takes them for numbers to the base 60."""

    def construct_int(self, node: yaml.ScalarNode) -> int | str:
        return node.value if ":" in node.value else self.construct_yaml_int(node)

    def construct_float(self, node: yaml.ScalarNode) -> float | str:
        return node.value if ":" in node.value else self.construct_yaml_float(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_float)


def read_config(path: Path | None) -> dict[str, Any]:
    """Read a YAML config; nothing where there is no path.

    Raises
    ------
    InputError
        The file is missing or is not YAML with named values.
    """
    if path is None:
        return {}
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"The config {path} cannot be read: {error}".replace("\n", " ")) from error
    if not isinstance(values, dict):
        raise InputError(f"The config {path} does not hold named values such as 'density: 2'.")
    return values


def write_config(path: Path, values: Mapping[str, Any]) -> None:
    """Write a YAML config that :func:`read_config` reads back; an older file is kept aside.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    text = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
    try:
        set_aside(path)
        with atomic_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"The config {path} cannot be written ({error.strerror or error}). Choose another "
            "folder, or free space."
        ) from error


def build(model: type[Config], values: Mapping[str, Any]) -> Config:
    """Make a config, or raise one InputError that names each faulty value."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError(
            "; ".join(
                f"{'.'.join(map(str, place)) or model.__name__}: {message}"
                for place, message in faults_of(error)
            )
        ) from error


def faults_of(error: ValidationError) -> list[Fault]:
    """Return what a config refuses, with messages of one line each."""
    return [
        (
            fault["loc"],
            fault["msg"].removeprefix("Value error, ")
            + ("" if fault["type"] in ("value_error", "missing") else f" (got {fault['input']!r})"),
        )
        for fault in error.errors()
    ]
