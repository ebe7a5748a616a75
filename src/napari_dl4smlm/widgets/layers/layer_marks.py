"""Which layers this package has made, and what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

MARK = "napari_dl4smlm"
"""Key in a layer's metadata; the value is a dict with ``role``, ``movie``, ``model`` and so on."""


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
