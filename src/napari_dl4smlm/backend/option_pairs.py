"""Named options as one line of text, such as ``blocks=5,channels=32``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping


def parse_options(text: str) -> dict[str, Any]:
    """Read what :func:`options_text` and the command line write.

    Raises
    ------
    ValueError
        A part is not of the form key=value.
    """
    values = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        key, equals, value = pair.partition("=")
        try:
            values[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            equals = ""
        if not equals:
            raise ValueError(f"{pair!r} is not of the form key=value")
    return values


def options_text(options: Mapping[str, Any]) -> str | None:
    """Write options as one line; None where that line would be read back otherwise."""
    text = ",".join(f"{key}={_scalar(value)}" for key, value in options.items())
    try:
        read = parse_options(text)
    except ValueError:
        return None
    # 1, 1.0 and True are equal, but not the same option
    return text if repr(read) == repr(dict(options)) else None


def _scalar(value: Any) -> str:
    text: str = yaml.safe_dump(value, allow_unicode=True, width=float("inf"))
    return text.removesuffix("...\n").strip()
