"""The image and the localizations of one prediction, as layers on its movie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_dl4smlm.widgets.layers.layers import show_image, show_localizations

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Points
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.localizations.table import Localizations


class PredictionOverlays:
    """Layers that the user may rename, and remove, at any time; what was removed stays away.

    Parameters
    ----------
    viewer
        Where to show them.
    movie_layer
        What they lie on; it may be removed from the viewer.
    model_name
        Tells the layers of different models apart.
    upsampling_factor
        Fine pixels per camera pixel.
    """

    def __init__(
        self, viewer: ViewerModel, movie_layer: Image, *, model_name: str, upsampling_factor: int
    ) -> None:
        self._viewer = viewer
        self._movie_layer = movie_layer
        # named now, since the movie may get another name while it is predicted
        self._image_name = f"{movie_layer.name}: prediction ×{upsampling_factor} ({model_name})"
        self._points_name = f"{movie_layer.name}: localizations ({model_name})"
        self._factor = upsampling_factor
        self._mark = {"model": model_name, "movie": movie_layer.name}
        self._image: Image | None = None
        self._points: Points | None = None

    def show_image(self, image: NDArray[Any]) -> None:
        """Show the sum of the density maps, shape (f Y, f X), or update it."""
        if self._image is not None and self._image not in self._viewer.layers:
            return
        name = self._image_name if self._image is None else self._image.name
        self._image = show_image(
            self._viewer,
            self._movie_layer,
            image,
            factor=self._factor,
            name=name,
            metadata=self._mark,
        )

    def show_localizations(self, localizations: Localizations, pixel_size_nm: float) -> None:
        """Show the localizations, which were computed with this camera pixel."""
        self._points = show_localizations(
            self._viewer,
            self._movie_layer,
            localizations,
            name=self._points_name,
            pixel_size_nm=pixel_size_nm,
            metadata=self._mark,
        )

    def set_visible(self, *, image: bool, localizations: bool) -> None:
        """Show or hide the layers that are there."""
        for layer, is_visible in ((self._image, image), (self._points, localizations)):
            if layer is not None:
                layer.visible = is_visible

    def highlight(self, number: int) -> None:
        """Select one of the localizations, and show its frame."""
        points, viewer = self._points, self._viewer
        if points is None or points not in viewer.layers or number >= len(points.data):
            return
        # napari marks selected points of selected layers only
        viewer.layers.selection.active = points
        points.selected_data = {number}
        position = points.data_to_world(points.data[number])
        first_axis = viewer.dims.ndim - points.ndim
        for axis in viewer.dims.not_displayed:
            if axis >= first_axis:
                viewer.dims.set_point(axis, position[axis - first_axis])
