"""Localizations as points layers, and back.

A layer of localizations that this package has made holds (frame, y, x) with y and x in nm from the
outer corner of camera pixel (0, 0) of its movie, whatever its transform is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Points
from napari.layers.base import ActionType

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.widgets.layers.arrangement import show_on_movie
from napari_dl4smlm.widgets.layers.layer_marks import (
    MARK,
    find_marked,
    find_result,
    mark_of,
    mark_on,
    set_mark,
)
from napari_dl4smlm.widgets.layers.placement import (
    AXIS_LABELS,
    TABLE_UNITS,
    frame_axis,
    index_in,
    move,
    on_same_place,
    positions_transform,
    require_pixel_size,
    world_positions_nm,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

PROCESSED = "processed localizations"
"""Role of a layer of what was made from other localizations."""

_FEATURES = ("photons", "sigma_nm", "background", "uncertainty_nm", "confidence")
_WHOLE_NUMBERS = {"id", "detections"}
# about a camera pixel, which a table does not tell
_TABLE_MARKER_NM = 100.0


def localizations_of(
    points_layer: Points, movie_layer: Image, *, pixel_size_nm: float | None = None
) -> Localizations:
    """Tell where the points of a layer are in a movie; those that are hidden are left out.

    Parameters
    ----------
    points_layer
        A localization table that was opened as a layer belongs to any movie: its positions count
        from the corner of this one, wherever the two layers lie. All other points are where they
        are seen. Points (y, x) need a feature ``frame``, counted from 0, or a movie of one frame.
    movie_layer
        The movie.
    pixel_size_nm
        Camera pixel; it wins over that of the layer.

    Returns
    -------
    Localizations
        With those features of the points that are columns of the table.

    Raises
    ------
    InputError
        The pixel size or the frames of the points are not known, or the points cannot be
        localizations: before the first frame, for example.
    """
    if _is_loose(points_layer):
        return table_of(points_layer)
    size_nm = require_pixel_size(movie_layer, pixel_size_nm)
    index = index_in(movie_layer, points_layer)
    frame = _frames_in(movie_layer, points_layer, index)
    return _localizations(points_layer, frame, (index[:, -2:] + 0.5) * size_nm)


def table_of(points_layer: Points) -> Localizations:
    """Return the points of a layer as a table, for a file; those that are hidden are left out.

    Parameters
    ----------
    points_layer
        A layer of localizations, or other points with a unit of length on the axes y and x. Those
        count from the world's origin, the outer corner of movies that this package adds. Their
        frame is the feature ``frame`` or the coordinate before y and x, and else 0.

    Raises
    ------
    InputError
        The points are in pixels, or cannot be localizations.
    """
    is_ours = bool(mark_of(points_layer))
    positions = points_layer.data[:, -2:] if is_ours else world_positions_nm(points_layer)
    if positions is None:
        raise InputError(
            f"The positions of the layer {points_layer.name!r} are in pixels, but a table needs "
            "nm. Set scale and units of the layer."
        )
    frame = _own_frames(points_layer)
    frame = np.zeros(len(positions)) if frame is None else frame
    return _localizations(points_layer, frame, positions)


def show_localizations(
    viewer: ViewerModel,
    source_layer: Image,
    localizations: Localizations,
    *,
    name: str,
    pixel_size_nm: float | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Points:
    """Show localizations on their movie, or update them.

    Parameters
    ----------
    viewer
        Where to show them.
    source_layer
        The movie; on a single image (y, x), the localizations of all frames are seen.
    localizations
        Positions in this movie. The other columns become features.
    name
        A points layer of this name that this package has made from the same movie layer and
        ``model_file`` is updated; looks are left alone.
    pixel_size_nm
        Camera pixel; it wins over that of the layer.
    metadata
        ``role``, ``model`` and the like, for the layer's mark. The role ``ground truth`` is drawn
        as rings, everything else as crosses.

    Raises
    ------
    InputError
        The pixel size is not known.
    """
    size_nm = require_pixel_size(source_layer, pixel_size_nm)
    mark = {**mark_on(source_layer, "localizations"), **(metadata or {})}
    content = _data_and_features(localizations, source_layer.ndim, frame_axis(source_layer))
    transform = positions_transform(source_layer, size_nm)
    layer = find_result(viewer, Points, name, source_layer.ndim, mark)
    if layer is None:
        show_on_movie(viewer, source_layer)
        looks = _looks(mark["role"], size_nm)
        return _add_points(viewer, content, name=name, mark=mark, **transform, **looks)
    _update_points(layer, content, mark, transform)
    return layer


def show_processed(
    viewer: ViewerModel,
    positions_layer: Points,
    localizations: Localizations,
    *,
    name: str,
    metadata: Mapping[str, Any],
) -> Points:
    """Show localizations where those are that they were made from, or update them.

    Parameters
    ----------
    viewer
        Where to show them.
    positions_layer
        What they were made from, with positions in nm; it is not changed.
    localizations
        Positions in the same coordinates.
    name
        A layer of this name and role is updated; looks are left alone.
    metadata
        For the layer's mark, beside the role ``processed localizations``.
    """
    mark = {"role": PROCESSED, **metadata}
    ndim = positions_layer.ndim
    content = _data_and_features(localizations, ndim, _axis_of_frames(positions_layer))
    transform = on_same_place(positions_layer)
    layer = find_marked(viewer, Points, name, ndim)
    # a table that was opened may happen to have this name
    if layer is None or mark_of(layer)["role"] != PROCESSED:
        looks = _looks(PROCESSED, _TABLE_MARKER_NM)
        return _add_points(viewer, content, name=name, mark=mark, **transform, **looks)
    _update_points(layer, content, mark, transform)
    return layer


def table_place() -> Points:
    """Return an empty layer that lies where tables from files do, with (frame, y, x) in nm."""
    return Points(np.empty((0, 3)), units=TABLE_UNITS, axis_labels=AXIS_LABELS)


def movie_place(movie_layer: Image, size_nm: float) -> Points:
    """Return an empty layer on a movie, with positions in nm from its outer corner."""
    transform = positions_transform(movie_layer, size_nm)
    return Points(np.empty((0, movie_layer.ndim)), **transform)


def _axis_of_frames(positions_layer: Points) -> int | None:
    """Return the axis that holds frames, of a layer that this package has made."""
    before = range(positions_layer.ndim - 2)
    if "frame" not in positions_layer.features:
        return before[-1] if before else None
    frame = np.asarray(positions_layer.features["frame"])
    return next((k for k in before if np.array_equal(positions_layer.data[:, k], frame)), None)


def _add_points(
    viewer: ViewerModel,
    content: tuple[NDArray[np.float64], dict[str, Any]],
    *,
    name: str,
    mark: dict[str, Any],
    **attributes: Any,
) -> Points:
    data, features = content
    layer = Points(data, name=name, metadata={MARK: mark}, **features, **attributes)
    return viewer.add_layer(layer)


def _update_points(
    layer: Points,
    content: tuple[NDArray[np.float64], dict[str, Any]],
    mark: dict[str, Any],
    transform: dict[str, Any],
) -> None:
    data, features = content
    # napari keeps those that are gone by then, and fails to recolour them
    layer.selected_data = set()
    # before the data, of which napari tells: nobody is to take them without some
    layer.shown = True
    layer.data = data
    for attribute, values in features.items():
        setattr(layer, attribute, values)
    set_mark(layer, mark)
    move(layer, transform)
    tell_changed(layer)


def tell_changed(layer: Points) -> None:
    """Tell those who take a layer as a table that it is another one.

    napari tells of the data, but neither of what is hidden nor, to them, of features that are set
    after the data.
    """
    layer.events.data(
        value=layer.data, action=ActionType.CHANGED, data_indices=(), vertex_indices=((),)
    )


def table_layer_data(
    localizations: Localizations, *, name: str, mark: Mapping[str, Any]
) -> tuple[NDArray[np.float64], dict[str, Any], str]:
    """Describe a points layer (frame, y, x) whose corner is the origin of the world.

    Parameters
    ----------
    localizations
        The table.
    name
        Of the layer.
    mark
        ``role`` and the like. With ``movie``, the name of the layer that it lies on, the table
        belongs to that movie; without, to any.

    Returns
    -------
    tuple
        Data, attributes and type of the layer, as napari takes them from readers.
    """
    data, features = _data_and_features(localizations, 3, 0)
    attributes = {
        "name": name,
        "metadata": {MARK: dict(mark)},
        "units": TABLE_UNITS,
        "axis_labels": AXIS_LABELS,
        **features,
        **_looks(mark["role"], _TABLE_MARKER_NM),
    }
    return data, attributes, "points"


def _is_loose(points_layer: Points) -> bool:
    mark = mark_of(points_layer)
    return bool(mark) and "movie" not in mark


def _own_frames(points_layer: Points) -> NDArray[Any] | None:
    if "frame" in points_layer.features:
        return np.asarray(points_layer.features["frame"])
    return np.rint(points_layer.data[:, -3]) if points_layer.ndim > 2 else None


def _frames_in(
    movie_layer: Image, points_layer: Points, index: NDArray[np.float64]
) -> NDArray[Any]:
    axis = frame_axis(movie_layer)
    if axis is not None and points_layer.ndim >= movie_layer.ndim - axis:
        return np.rint(index[:, axis])
    frame = _own_frames(points_layer)
    if frame is not None:
        return frame
    if axis is not None and movie_layer.data.shape[axis] > 1:
        raise InputError(
            f"The points of the layer {points_layer.name!r} have no frames, but the movie "
            f"{movie_layer.name!r} has. Give points with the axes (frame, y, x)."
        )
    return np.zeros(len(index))


def _localizations(
    points_layer: Points, frame: NDArray[Any], positions_nm: NDArray[Any]
) -> Localizations:
    # what is seen is what is meant
    shown = points_layer.shown
    features = points_layer.features[shown]
    # of the features of others, it is not known what they mean
    names = set(features) if mark_of(points_layer) else {*_FEATURES, *_WHOLE_NUMBERS}
    columns = {
        name: np.asarray(feature)
        for name, feature in features.items()
        if name in names and feature.dtype.kind in "iuf"
    }
    # a point that was added by hand has none of the whole numbers
    for name in _WHOLE_NUMBERS & columns.keys():
        if not np.isfinite(columns[name]).all():
            del columns[name]
    y_nm, x_nm = positions_nm[shown].T
    columns |= {"frame": frame[shown], "y_nm": y_nm, "x_nm": x_nm}
    return Localizations.from_columns(columns)


def _data_and_features(
    localizations: Localizations, ndim: int, axis: int | None
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Return coordinates with frames on the axis, and as attributes of the layer, the rest."""
    data = np.zeros((len(localizations), ndim))
    data[:, -2:] = localizations.positions_nm()
    columns = localizations.columns()
    del columns["y_nm"], columns["x_nm"]
    if axis is not None:
        data[:, axis] = localizations.frame
    # on other axes nobody would look for it later
    if axis == ndim - 3:
        del columns["frame"]
    return data, {
        "features": {name: column.astype(np.float64) for name, column in columns.items()},
        # of a point that the user adds; by default, napari makes up those of the last one
        "feature_defaults": dict.fromkeys(columns, np.nan),
    }


def _looks(role: str, marker_nm: float) -> dict[str, Any]:
    if role == "ground truth":
        ring = {"symbol": "disc", "face_color": "transparent", "border_color": "cyan"}
        return {**ring, "size": 2 * marker_nm, "border_width": 0.1}
    colour = "magenta" if role == PROCESSED else "yellow"
    return {"symbol": "cross", "face_color": colour, "border_width": 0.0, "size": marker_nm}
