"""What a form takes from a field of a config: its title, its unit, its default and its type."""

from __future__ import annotations

import re
import types
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

_UNITS = {
    # before those that it ends like
    "um_per_um2": "µm/µm²",
    "per_um2": "/µm²",
    "nm": "nm",
    "um": "µm",
    "minutes": "min",
}
# the clause of a description that says what is used where nothing is entered
_DEFAULT = re.compile(r"(?:^|[;,]? )(?:by )?default:? (.+)$")


def unit_of(name: str) -> str:
    """Return the unit that a field has in its name; empty where it has none."""
    ends = (unit for suffix, unit in _UNITS.items() if f"_{name}".endswith(f"_{suffix}"))
    return next(ends, "")


def title_of(name: str, field: FieldInfo) -> str:
    """Return the title of a field, or else its name without the unit."""
    if field.title:
        return field.title
    suffix = next((suffix for suffix in _UNITS if name.endswith(f"_{suffix}")), "")
    words = name.removesuffix(f"_{suffix}").replace("_", " ")
    return words[0].upper() + words[1:]


def about(field: FieldInfo) -> str:
    """Return the description of a field, without its default if that may be empty."""
    text = field.description or ""
    return _DEFAULT.sub("", text) if is_optional(field) else text


def empty_text(field: FieldInfo) -> str:
    """Return what it means that an optional field is empty, as far as its description says it."""
    described = _DEFAULT.search(field.description or "")
    return f"auto: {described[1]}" if described else "not set"


def is_optional(field: FieldInfo) -> bool:
    """Tell whether a field may be empty."""
    return types_of(field.annotation)[1]


def types_of(annotation: Any) -> tuple[list[Any], bool]:
    """Return the types that a value may have, and whether it may be None."""
    if get_origin(annotation) is Annotated:
        return types_of(get_args(annotation)[0])
    if get_origin(annotation) not in (Union, types.UnionType):
        return [annotation], False
    parts = [part for part in get_args(annotation) if part is not type(None)]
    kinds = [kind for part in parts for kind in types_of(part)[0]]
    return kinds, len(parts) < len(get_args(annotation))


def nested_models(field: FieldInfo) -> dict[str, type[BaseModel]]:
    """Return the configs that a field may hold by the kind that tells them apart."""
    kinds = [kind for kind in types_of(field.annotation)[0] if _is_model(kind)]
    if not field.discriminator:
        return {kind.__name__: kind for kind in kinds}
    return {kind.model_fields[str(field.discriminator)].default: kind for kind in kinds}


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and get_origin(kind) is None and issubclass(kind, BaseModel)
