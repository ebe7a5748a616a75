"""What is seen together: frames side by side, or a result on its movie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dl4smlm.widgets.layers.layer_marks import mark_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari.components import ViewerModel
    from napari.layers import Layer

_FILLED_SHARE = 0.95

TRAINING_PREVIEW = "preview"
SIMULATION_PREVIEW = "simulation preview"
COMPARED = "compared"
"""Roles of layers that belong side by side, and would hide a movie if they lay on it."""


def show_side_by_side(viewer: ViewerModel, layers: Collection[Layer], *, rows: int = 1) -> None:
    """Give each layer a cell of the grid, and hide all others, which would take one.

    Parameters
    ----------
    viewer
        Its grid is switched on.
    layers
        In the order of the viewer.
    rows
        Of the grid; -1 for about as many as columns.
    """
    for layer in viewer.layers:
        layer.visible = layer in layers
    viewer.canvas.grid.shape = (rows, -1)
    viewer.canvas.grid.enabled = True
    _fit_to_view(viewer, layers)


def show_on_movie(viewer: ViewerModel, movie_layer: Layer) -> None:
    """Leave the grid, so that layers of a movie lie on it, and show the movie."""
    if viewer.canvas.grid.enabled:
        viewer.canvas.grid.enabled = False
        for layer in viewer.layers:
            if mark_of(layer).get("role") in {TRAINING_PREVIEW, SIMULATION_PREVIEW, COMPARED}:
                layer.visible = False
        movie_layer.visible = True
        viewer.fit_to_view()


def _fit_to_view(viewer: ViewerModel, layers: Collection[Layer]) -> None:
    """Fill the view with some layers.

    What `ViewerModel.fit_to_view` would do, did it not fail for images in a viewer of movies.
    """
    start, end = viewer.layers.get_extent(list(layers)).world[:, -2:]
    viewer.scene.camera.center = tuple((start + end) / 2)
    cell = np.array(viewer.canvas.viewbox_size(viewer.layers))
    viewer.scene.camera.zoom = _FILLED_SHARE * float(np.min(cell / (end - start)))
