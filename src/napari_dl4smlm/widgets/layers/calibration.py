"""Gives a movie its pixel size, so that the scale bar is right and results in nm lie on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dl4smlm.widgets.layers.layer_marks import mark_of
from napari_dl4smlm.widgets.layers.placement import is_in_pixels, pixel_pitch

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from numpy.typing import NDArray


def calibrate(viewer: ViewerModel, movie_layer: Layer, size_nm: float) -> None:
    """Set scale and units of a movie, and of the results that lie on it.

    Whatever lay on the movie still does: the plane of the world is measured in nm instead of in
    pixels. Where it was in pixels, whose origin is the centre of a pixel, its outer corner becomes
    the origin, as for the movies that this package adds. Rotation, shear and flips stay.

    Parameters
    ----------
    viewer
        It shows all layers and a scale bar.
    movie_layer
        Its last two axes are y and x.
    size_nm
        Camera pixel.
    """
    growth = size_nm / pixel_pitch(movie_layer)
    shift = np.full(2, size_nm / 2 if is_in_pixels(movie_layer) else 0.0)
    units = movie_layer.units[-2:]
    for layer in viewer.layers:
        lies_on_movie = mark_of(layer).get("movie") == movie_layer.name
        if layer is movie_layer or (lies_on_movie and layer.units[-2:] == units):
            _grow(layer, growth, shift)
    viewer.canvas.overlays.scale_bar.visible = True
    viewer.fit_to_view()


def _grow(layer: Layer, growth: NDArray[np.float64], shift: NDArray[np.float64]) -> None:
    """Take a layer from w to ``growth * w + shift`` in the plane of the world, which is in nm."""
    before = layer.ndim - 2
    factors = np.r_[np.ones(before), growth]
    affine = layer.affine.affine_matrix.copy()
    # what follows the translation of the layer: growth and linear part commute in the plane
    affine[:-1, -1] *= factors
    moved = np.linalg.solve(affine[:-1, :-1], np.r_[np.zeros(before), shift])
    layer.affine = affine
    layer.translate = layer.translate * factors + moved
    layer.scale = layer.scale * factors
    layer.units = (*layer.units[:-2], "nm", "nm")
