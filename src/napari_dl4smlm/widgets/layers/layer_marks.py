"""Which layers this package has made, and what they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.components import ViewerModel
    from napari.layers import Layer

MARK = "napari_dl4smlm"
"""Key in a layer's metadata; the value is a dict with ``role``, ``movie``, ``model`` and so on."""

# names are no proof: another movie may be called alike, or a model in another folder
_SAME_ORIGIN = ("movie_id", "model_file")


def mark_of(layer: Layer) -> dict[str, Any]:
    """Return what this package noted about a layer; nothing about the layers of others."""
    return dict(layer.metadata.get(MARK, {}))


def set_mark(layer: Layer, mark: dict[str, Any]) -> None:
    """Note something else about a layer; other metadata remain."""
    layer.metadata = {**layer.metadata, MARK: mark}


def find_marked(viewer: ViewerModel, kind: type[Any], name: str, ndim: int) -> Any:
    """Return the layer of this kind, name and number of axes, or ``None``; only a marked one."""
    for layer in viewer.layers:
        if isinstance(layer, kind) and layer.name == name and layer.ndim == ndim and mark_of(layer):
            return layer
    return None


def find_result(
    viewer: ViewerModel, kind: type[Any], name: str, ndim: int, mark: Mapping[str, Any]
) -> Any:
    """Return the layer of the last result of the same movie layer and model, or ``None``.

    Parameters
    ----------
    viewer, kind, ndim
        As for `find_marked`.
    name
        As it was given; napari may have numbered it, since a result of others had it already.
    mark
        That of the new result.
    """
    numbered = re.compile(re.escape(name) + r"( \[\d+\])?")
    for layer in viewer.layers:
        noted = mark_of(layer)
        if (
            isinstance(layer, kind)
            and layer.ndim == ndim
            and noted
            and numbered.fullmatch(layer.name)
            and all(noted.get(key) == mark.get(key) for key in _SAME_ORIGIN)
        ):
            return layer
    return None


def mark_on(source_layer: Layer, role: str) -> dict[str, Any]:
    """Note what lies on which movie; its name is for people, and may be that of another one."""
    return {"role": role, "movie": source_layer.name, "movie_id": str(source_layer.unique_id)}
