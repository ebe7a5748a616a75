"""The image and the points of what is left, as layers where the localizations are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_dl4smlm.widgets.layers.layer_marks import mark_of
from napari_dl4smlm.widgets.layers.layers import show_drawn
from napari_dl4smlm.widgets.layers.localization_layers import show_processed

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer, Points

    from napari_dl4smlm.widgets.process.processing import Drawn, Processed

# what was found by a network still was after some steps
_PASSED_ON = ("movie", "movie_id", "model", "model_file")


class ProcessedLayers:
    """Layers that the user may rename, and remove, at any time; what was removed stays away.

    Parameters
    ----------
    viewer
        Where to show them.
    place
        Where the localizations are; it may be removed from the viewer.
    name
        Of the localizations.
    """

    def __init__(self, viewer: ViewerModel, place: Points, name: str) -> None:
        self._viewer = viewer
        self._place = place
        self._source_name = name
        self._name = f"{name} processed"
        self._image: Image | None = None
        self._points: Points | None = None

    @property
    def are_shown(self) -> bool:
        """Whether any of them is in the viewer."""
        return any(layer in self._viewer.layers for layer in (self._image, self._points))

    def belong_to(self, place: Points, name: str) -> bool:
        """Tell whether they are those of a source; a table from a file may get another place."""
        is_from_file = self._place not in self._viewer.layers and place not in self._viewer.layers
        return self._source_name == name and (place is self._place or is_from_file)

    def move_to(self, place: Points) -> None:
        """Show the next results elsewhere."""
        self._place = place

    def show_image(self, drawn: Drawn) -> None:
        """Show the image, or update it."""
        if self._is_removed(self._image):
            return
        self._image = show_drawn(
            self._viewer,
            self._place,
            drawn.image,
            pixel_nm=drawn.pixel_nm,
            corner_nm=drawn.corner_nm,
            limits=drawn.limits,
            name=f"{self._name}: image" if self._image is None else self._image.name,
            metadata=self._mark(),
        )
        self._image.visible = True

    def show_points(self, processed: Processed) -> None:
        """Show the points, or update them."""
        if self._is_removed(self._points):
            return
        self._points = show_processed(
            self._viewer,
            self._place,
            processed.content.localizations,
            name=self._name if self._points is None else self._points.name,
            metadata={**self._mark(), "steps": processed.config.to_dict()["steps"]},
        )

    def hide_image(self) -> None:
        """Hide an image that is of something else."""
        if self._image is not None:
            self._image.visible = False

    def drop_points(self) -> None:
        """Remove points that are of something else."""
        points, self._points = self._points, None
        if points is not None and points in self._viewer.layers:
            self._viewer.layers.remove(points)

    def bring_back(self) -> None:
        """Show again what the user removed, since it is wanted now."""
        self._image = None if self._is_removed(self._image) else self._image
        self._points = None if self._is_removed(self._points) else self._points

    def _mark(self) -> dict[str, Any]:
        return {key: value for key, value in mark_of(self._place).items() if key in _PASSED_ON}

    def _is_removed(self, layer: Layer | None) -> bool:
        return layer is not None and layer not in self._viewer.layers
