"""The image and the localizations of one prediction, as layers on its movie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_dl4smlm.widgets.layers.layers import show_image, show_localizations
from napari_dl4smlm.widgets.layers.localization_layers import tell_changed
from napari_dl4smlm.widgets.predict.picker import PointPicker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari.components import ViewerModel
    from napari.layers import Image, Points
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.localizations.table import Localizations


class PredictionOverlays:
    """Layers that the user may rename, edit and remove at any time; what was removed stays away.

    Parameters
    ----------
    viewer
        Where to show them.
    movie_layer
        What they lie on; it may be removed from the viewer.
    model_path
        Its name tells the layers of different models apart.
    upsampling_factor
        Fine pixels per camera pixel.

    Attributes
    ----------
    picked
        Emitted with the number of a localization in the table when the user has picked its point.
    """

    picked = Signal(int)

    def __init__(
        self, viewer: ViewerModel, movie_layer: Image, *, model_path: Path, upsampling_factor: int
    ) -> None:
        self._viewer = viewer
        self._movie_layer = movie_layer
        # named now, since the movie may get another name while it is predicted; what it is comes
        # first and which model last, since napari's list shows the two ends of a long name
        data = f"{movie_layer.name} ({model_path.stem})"
        self._image_name = f"prediction ×{upsampling_factor}: {data}"
        self._points_name = f"localizations: {data}"
        self._factor = upsampling_factor
        self._mark: dict[str, Any] = {
            "movie": movie_layer.name,
            "model": model_path.stem,
            "model_file": str(model_path),
        }
        self._image: Image | None = None
        self._points: Points | None = None
        self._picker: PointPicker | None = None
        self._positions: NDArray[np.float64] = np.empty((0, 2))
        self._rows: NDArray[np.intp] | None = None

    @property
    def has_image(self) -> bool:
        """Whether there is an image, or was until the user removed it."""
        return self._image is not None

    def describe(self, origin: Mapping[str, Any]) -> None:
        """Note where the results come from in the layers that are shown from now on."""
        self._mark["origin"] = dict(origin)

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
        """Show the localizations, which were computed with this camera pixel.

        Those that are in the viewer stay as the user has left them: some may be deleted.
        """
        if self._points is not None and self._points in self._viewer.layers:
            return
        self.close()
        self._points = show_localizations(
            self._viewer,
            self._movie_layer,
            localizations,
            name=self._points_name,
            pixel_size_nm=pixel_size_nm,
            metadata=self._mark,
        )
        self._positions = localizations.positions_nm()
        self._picker = PointPicker(self._viewer, self._points, localizations, self.picked.emit)
        self._show_rows()

    def show_only(self, rows: NDArray[np.intp]) -> None:
        """Hide the points of all other rows of the table."""
        self._rows = rows
        self._show_rows()

    def set_image_visible(self, is_visible: bool) -> None:
        """Show or hide the image, if there is one."""
        if self._image is not None:
            self._image.visible = is_visible

    def set_localizations_visible(self, is_visible: bool) -> None:
        """Show or hide the localizations, if there are any."""
        if self._points is not None:
            self._points.visible = is_visible

    def highlight(self, row: int) -> None:
        """Select the point of a row of the table, and show its frame."""
        if self._picker is not None:
            self._picker.show(row)

    def close(self) -> None:
        """Tell no longer what the user picks."""
        if self._picker is not None:
            self._picker.close()
            self._picker = None

    def _show_rows(self) -> None:
        points, rows, positions = self._points, self._rows, self._positions
        if points is None or rows is None:
            return
        is_shown = np.arange(len(points.data)) >= len(positions)
        if np.array_equal(points.data[: len(positions), -2:], positions):
            is_shown[rows] = True
        else:
            # the user has deleted or moved some: they are no longer numbered like the rows
            is_shown[:] = True
        if not np.array_equal(points.shown, is_shown):
            points.shown = is_shown
            tell_changed(points)
