"""Couples the points of a layer with the rows of a table: what is picked in one is in the other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.components import ViewerModel
    from napari.layers import Points
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.localizations.table import Localizations

# a hand that clicks is not quite still
_STILL_PX = 3


class PointPicker:
    """Watches until it is closed.

    Points and rows belong together by their positions: the user may delete, add and move points.

    Parameters
    ----------
    viewer
        It shows the layer, from which the user may remove it.
    layer
        Its last two coordinates are those of the table, in nm.
    table
        What the layer was made from.
    on_pick
        Called with the number of a row in the table when the user has picked its point: by a
        click, or as napari selects points.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        layer: Points,
        table: Localizations,
        on_pick: Callable[[int], None],
    ) -> None:
        self._viewer = viewer
        self._layer = layer
        self._positions = table.positions_nm()
        self._on_pick = on_pick
        self._is_showing = False
        layer.selected_data.events.active.connect(self._on_selected)
        layer.mouse_drag_callbacks.append(self._on_press)

    def close(self) -> None:
        """Watch no longer."""
        self._layer.selected_data.events.active.disconnect(self._on_selected)
        self._layer.mouse_drag_callbacks.remove(self._on_press)

    def show(self, row: int) -> None:
        """Select the point of a row, if it is there, and show its frame."""
        viewer, layer = self._viewer, self._layer
        index = _same_place(layer.data[:, -2:], self._positions[row], row)
        if index is None or layer not in viewer.layers:
            return
        # napari marks selected points of selected layers only
        viewer.layers.selection.active = layer
        self._is_showing = True
        layer.selected_data = {index}
        self._is_showing = False
        position = layer.data_to_world(layer.data[index])
        first_axis = viewer.dims.ndim - layer.ndim
        for axis in viewer.dims.not_displayed:
            if axis >= first_axis:
                viewer.dims.set_point(axis, position[axis - first_axis])

    def _on_selected(self, index: int | None) -> None:
        if self._is_showing or index is None or index >= len(self._layer.data):
            return
        row = _same_place(self._positions, self._layer.data[index, -2:], index)
        if row is not None:
            self._on_pick(row)

    def _on_press(self, layer: Points, event: Any) -> Iterator[None]:
        """Select the point under a click; the mode that moves the view does not do so itself."""
        if layer.mode != "pan_zoom" or event.button != 1:
            return
        pressed_at = event.pos
        yield
        while event.type == "mouse_move":
            yield
        if math.dist(pressed_at, event.pos) > _STILL_PX:
            return
        index = layer.get_value(
            event.position,
            view_direction=event.view_direction,
            dims_displayed=event.dims_displayed,
            world=True,
        )
        if index is not None:
            layer.selected_data = {index}


def _same_place(
    positions: NDArray[np.float64], wanted: NDArray[np.float64], likely: int
) -> int | None:
    """Return where a position is among others; of several, the likely one."""
    same = np.flatnonzero((positions == wanted).all(axis=1))
    if likely in same:
        return likely
    return int(same[0]) if len(same) else None
