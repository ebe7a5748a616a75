"""A simulated frame beside one of the user's own movie, as layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image

from napari_dl4smlm.widgets.data.pictures import contrast
from napari_dl4smlm.widgets.layers.arrangement import (
    SIMULATION_PREVIEW,
    show_side_by_side,
)
from napari_dl4smlm.widgets.layers.layer_marks import MARK, mark_of, set_mark
from napari_dl4smlm.widgets.layers.placement import move, movie_transform

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_dl4smlm.widgets.data.events import SimulatedFrame


def previews(viewer: ViewerModel) -> dict[str, Image]:
    """Return the layers that are there: ``simulated``, ``own`` or both."""
    return {
        mark_of(layer)["part"]: layer
        for layer in reversed(viewer.layers)
        if mark_of(layer).get("role") == SIMULATION_PREVIEW
    }


def show_simulated(viewer: ViewerModel, simulated: SimulatedFrame) -> None:
    """Show both frames side by side in the grid, or update them.

    Both have the same contrast, that of the user's own movie: what is brighter there looks so.
    """
    there = previews(viewer)
    reference = simulated.frame if simulated.own_pixels is None else simulated.own_pixels
    limits = contrast(reference)
    size_nm = simulated.pixel_size_nm
    parts = {"simulated": ("simulated frame", simulated.frame, size_nm)}
    if simulated.own is not None:
        own_size_nm = simulated.own_pixel_size_nm or size_nm
        parts["own"] = (f"frame of {simulated.own_name}", simulated.own, own_size_nm)
    elif "own" in there:
        viewer.layers.remove(there["own"])
    for part, (name, frame, frame_size_nm) in parts.items():
        mark = {"role": SIMULATION_PREVIEW, "part": part, "contrast_limits": limits}
        place = movie_transform(frame_size_nm, ndim=2)
        if part in there:
            _update(there[part], name, frame, mark, place)
        else:
            metadata = {MARK: mark}
            layer = Image(frame, name=name, metadata=metadata, contrast_limits=limits, **place)
            viewer.add_layer(layer)
    if not there:
        show_side_by_side(viewer, list(previews(viewer).values()))


def _update(
    layer: Image, name: str, frame: NDArray[Any], mark: dict[str, Any], place: dict[str, Any]
) -> None:
    layer.data = frame
    layer.name = name
    move(layer, place)
    # as long as they would be the same, those that the user has set stay
    if mark_of(layer)["contrast_limits"] != mark["contrast_limits"]:
        layer.contrast_limits = mark["contrast_limits"]
    set_mark(layer, mark)
