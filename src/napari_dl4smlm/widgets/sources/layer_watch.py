"""Tells when layers of a viewer come, go, get another name, or change what they show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Layer

_CHANGES = ("data", "scale", "translate", "units")


class LayerWatch:
    """Watches until it is closed.

    Parameters
    ----------
    viewer
        Whose layers are watched.
    on_list
        Called after a layer was added, removed or renamed.
    on_change
        Called with a layer after its data or its place have changed.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        on_list: Callable[[], None],
        on_change: Callable[[Layer], None],
    ) -> None:
        self._layers = viewer.layers
        self._on_list = on_list
        self._on_change = on_change
        self._layers.events.inserted.connect(self._inserted)
        self._layers.events.removed.connect(self._removed)
        for layer in self._layers:
            self._connect(layer)

    def close(self) -> None:
        """Watch no longer."""
        self._layers.events.inserted.disconnect(self._inserted)
        self._layers.events.removed.disconnect(self._removed)
        for layer in self._layers:
            self._disconnect(layer)

    def _inserted(self, event: Any) -> None:
        self._connect(event.value)
        self._on_list()

    def _removed(self, event: Any) -> None:
        self._disconnect(event.value)
        self._on_list()

    def _renamed(self, event: Any) -> None:
        self._on_list()

    def _changed(self, event: Any) -> None:
        self._on_change(event.source)

    def _connect(self, layer: Layer) -> None:
        layer.events.name.connect(self._renamed)
        for name in _CHANGES:
            layer.events[name].connect(self._changed)

    def _disconnect(self, layer: Layer) -> None:
        layer.events.name.disconnect(self._renamed)
        for name in _CHANGES:
            layer.events[name].disconnect(self._changed)
