"""Command-line options made from config models, and configs made from what the user gave."""

from __future__ import annotations

import errno
import types
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import click

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.option_pairs import parse_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

_OPTION_NAMES = {
    "lambda_": "--lambda",
    "upsampling_factor": "--upsampling",
    "keep_maps": "--save-maps",
}


# what a user can mend by making room
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
            what = f"{error.filename or 'file'}: {error.strerror or error}"
            if error.errno in _NO_ROOM:
                what += ". Make room, or choose another folder."
            raise CommandError(what) from error
        except MemoryError as error:
            reason = f" ({error})" if str(error) else ""
            raise CommandError(
                f"The memory does not suffice{reason}. Close other programs, crop the movie, or "
                "use another machine."
            ) from error

    return reporting


def config_options(
    *models: type[BaseModel], skip: Iterable[str] = (), flags: Mapping[str, str] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command one option for each field of some config models.

    The options have no default of their own: what the user does not give is absent, so that it
    cannot override a config file; the help shows the model's default. A field's option is called
    as the field is, unless ``flags`` has another name for it.
    """
    skipped = set(skip)
    named = _OPTION_NAMES | dict(flags or {})

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for model in reversed(models):
            for name, field in reversed(model.model_fields.items()):
                if name not in skipped:
                    flag = named.get(name, "--" + name.replace("_", "-"))
                    command = _option(name, flag, field)(command)
        return command

    return decorate


def config_file_options(
    command: Callable[..., None], which: str = "these options"
) -> Callable[..., None]:
    """Give a command ``--config`` to read its options from YAML, and ``--save-config`` to write."""
    path = click.Path(path_type=Path)
    save = click.option(
        "--save-config", type=path, help=f"write {which}, as they are in this run, as YAML"
    )
    read = click.option(
        "--config",
        type=path,
        help=f"YAML with any of {which}, as --save-config writes it; options given here win",
    )
    return read(save(command))


def tolerance_option(default_nm: float) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command ``--tolerance-nm``, within which a localization has found its emitter."""
    return click.option(
        "--tolerance-nm",
        type=float,
        default=default_nm,
        show_default=True,
        help="largest distance between a localization and its emitter",
    )


def border_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``--border-nm``, the rim in which nothing counts."""
    return click.option(
        "--border-nm",
        type=float,
        default=0.0,
        show_default=True,
        help="rim of the field in which nothing is counted as found, spurious or missed",
    )(command)


def _option(
    name: str, flag: str, field: FieldInfo
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    kind = _bare_type(field.annotation)
    help_text = field.description or ""
    has_default = not field.is_required() and field.default_factory is None
    if has_default and field.default not in (None, False):
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
    try:
        return parse_options(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}, such as blocks=5.", param=parameter) from error


def given(values: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Pick the options of one config model that the user gave."""
    return {
        model.model_fields[name].alias or name: value
        for name, value in values.items()
        if name in model.model_fields and value is not None
    }
