"""Command-line options made from config models, and configs made from what the user gave."""

from __future__ import annotations

import types
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import click
import yaml
from pydantic import BaseModel, ValidationError

from napari_dl4smlm.backend.atomic_file import atomic_file, set_aside
from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic.fields import FieldInfo

Config = TypeVar("Config", bound=BaseModel)

_OPTION_NAMES = {
    "lambda_": "--lambda",
    "upsampling_factor": "--upsampling",
    "keep_maps": "--save-maps",
}


class CommandError(click.ClickException):
    """One line on standard error and exit code 2."""

    exit_code = 2


def report_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Turn what the user can mend into one line, and leave defects their traceback."""

    @wraps(command)
    def reporting(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except InputError as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{error.filename or 'file'}: {error.strerror or error}") from error

    return reporting


def config_options(
    *models: type[BaseModel], skip: Iterable[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command one option for each field of some config models.

    The options have no default of their own: what the user does not give is absent, so that it
    cannot override a config file; the help shows the model's default.
    """
    skipped = set(skip)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for model in reversed(models):
            for name, field in reversed(model.model_fields.items()):
                if name not in skipped:
                    command = _option(name, field)(command)
        return command

    return decorate


def config_file_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``--config`` to read its options from YAML, and ``--save-config`` to write."""
    path = click.Path(path_type=Path)
    save = click.option("--save-config", type=path, help="write the options of this run as YAML")
    read = click.option(
        "--config",
        type=path,
        help="YAML with any of these options, as --save-config writes it; options given here win",
    )
    return read(save(command))


def _option(name: str, field: FieldInfo) -> Callable[[Callable[..., None]], Callable[..., None]]:
    flag = _OPTION_NAMES.get(name, "--" + name.replace("_", "-"))
    kind = _bare_type(field.annotation)
    help_text = field.description or ""
    if field.default not in (None, False) and field.default_factory is None:
        help_text += f"  [default: {field.default}]"
    if kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=help_text)
    if get_origin(kind) is dict:
        return click.option(flag, name, callback=_parse_pairs, metavar="K=V,…", help=help_text)
    if get_origin(kind) is tuple:
        return click.option(
            flag, name, nargs=2, default=None, type=click.Path(path_type=Path), help=help_text
        )
    return click.option(flag, name, default=None, type=_click_type(kind), help=help_text)


def _bare_type(annotation: Any) -> Any:
    """Strip ``Annotated`` and ``| None``."""
    if get_origin(annotation) is Annotated:
        return _bare_type(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        (only,) = (part for part in get_args(annotation) if part is not type(None))
        return _bare_type(only)
    return annotation


def _click_type(kind: Any) -> Any:
    if get_origin(kind) is Literal:
        return click.Choice([str(choice) for choice in get_args(kind)])
    if kind is Path:
        return click.Path(path_type=Path)
    return {int: click.INT, float: click.FLOAT}.get(kind, click.STRING)


def _parse_pairs(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> dict[str, Any] | None:
    del context
    if text is None:
        return None
    values = {}
    for pair in text.split(","):
        key, equals, value = pair.partition("=")
        if not equals:
            raise click.BadParameter(
                f"{pair!r} is not of the form key=value, such as blocks=5.", param=parameter
            )
        values[key.strip()] = yaml.safe_load(value)
    return values


def given(values: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Pick the options of one config model that the user gave."""
    return {
        model.model_fields[name].alias or name: value
        for name, value in values.items()
        if name in model.model_fields and value is not None
    }


def build(model: type[Config], values: Mapping[str, Any]) -> Config:
    """Make a config, or raise one InputError that names each faulty value."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError(
            "; ".join(
                f"{'.'.join(str(part) for part in fault['loc']) or model.__name__}: "
                f"{fault['msg'].removeprefix('Value error, ')}"
                + ("" if fault["type"] == "value_error" else f" (got {fault['input']!r})")
                for fault in error.errors()
            )
        ) from error


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
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"The config {path} cannot be read: {error}".replace("\n", " ")) from error
    if not isinstance(values, dict):
        raise InputError(f"The config {path} does not hold named values such as 'epochs: 20'.")
    return values


def write_config(path: Path, values: Mapping[str, Any]) -> None:
    """Write a YAML config that :func:`read_config` reads back; an older file is kept aside."""
    set_aside(path)
    with atomic_file(path) as temporary:
        temporary.write_text(
            yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
