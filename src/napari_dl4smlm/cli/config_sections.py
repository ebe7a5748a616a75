"""The sections of a YAML config, such as `training`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping


def section(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a copy of a section; an empty one where there is none.

    Raises
    ------
    InputError
        There is something else in its place: options given beside it would hide that.
    """
    found = values.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InputError(
            f"`{name}` in the config must hold named values, not {found!r}. Write one value a "
            "line below it, indented, such as 'seed: 1'."
        )
    return dict(found)
