"""What a config refuses, in the words of its form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dl4smlm.widgets.forms.field_terms import nested_models, title_of

if TYPE_CHECKING:
    from pydantic import BaseModel

    from napari_dl4smlm.backend.config_file import Fault


def field_at(model: type[BaseModel], key: int | str) -> str | None:
    """Return the name of the field that pydantic calls by its name or by its alias."""
    for name, field in model.model_fields.items():
        if key in (name, field.alias):
            return name
    return None


def titled(model: type[BaseModel], fault: Fault) -> str:
    """Return a message that names the field by its title, after those of the groups around it."""
    loc, message = fault
    titles = []
    inside: type[BaseModel] | None = model
    while loc and inside is not None and (name := field_at(inside, loc[0])) is not None:
        field = inside.model_fields[name]
        titles.append(title_of(name, field))
        loc = loc[1:]
        kinds = nested_models(field)
        if field.discriminator and loc:
            inside, loc = kinds.get(str(loc[0])), loc[1:]
        else:
            inside = next(iter(kinds.values()), None)
    return ": ".join([*([" › ".join(titles)] if titles else []), message])
