"""Where pixels and positions are in napari's world: scale, translate and units of layers.

Convention: napari puts the centre of pixel (0, 0) at a layer's ``translate``, while positions count
from the outer corner of that pixel. A movie of known pixel size p that this package adds is
therefore moved by p / 2: its outer corner is the origin of the world, and a table in nm lies on it
with scale 1 and translate 0, though it does not tell p. Whatever is computed from a movie of other
origin lies on that movie, wherever it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.transforms import Affine, CompositeAffine

from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    import pint
    from napari.layers import Image, Layer, Points
    from numpy.typing import ArrayLike, NDArray

TABLE_UNITS = ("pixel", "nm", "nm")
AXIS_LABELS = ("t", "y", "x")


def pixel_size_nm(layer: Layer) -> float | None:
    """Tell the side of a layer's pixels in nm.

    Parameters
    ----------
    layer
        Its last two axes are y and x.

    Returns
    -------
    float or None
        From scale, units and, if it has one, affine transform. ``None`` if the unit is no length,
        such as pixels, or if height and width of a pixel differ by more than 1 %.
    """
    sides = pixel_sides_nm(layer)
    if sides is None:
        return None
    height, width = sides
    return width if abs(height - width) <= 0.01 * width else None


def pixel_sides_nm(layer: Layer) -> tuple[float, float] | None:
    """Tell height and width of a layer's pixels in nm; nothing if the unit is no length."""
    factors = _nm_per_unit(layer)
    if factors is None:
        return None
    height, width = pixel_pitch(layer, factors).tolist()
    return height, width


def pixel_pitch(layer: Layer, factors: ArrayLike = (1.0, 1.0)) -> NDArray[np.float64]:
    """Return height and width of a layer's pixels in its own units, or those times factors."""
    plane = np.asarray(factors)[:, None] * _to_world(layer).linear_matrix[-2:, -2:]
    pitch: NDArray[np.float64] = np.hypot(*plane)
    return pitch


def is_in_pixels(layer: Layer) -> bool:
    """Tell whether y and x of a layer are counted in anything but a unit of length."""
    return _nm_per_unit(layer) is None


def require_pixel_size(movie_layer: Layer, given_nm: float | None) -> float:
    """Return the pixel size that was given or, without one, that of the layer.

    Raises
    ------
    InputError
        Neither is known.
    """
    size_nm = pixel_size_nm(movie_layer) if given_nm is None else given_nm
    if size_nm is None:
        raise InputError(
            f"The pixel size of the layer {movie_layer.name!r} is not known, so that positions in "
            "nm have no place on it. Give the pixel size in nm."
        )
    return size_nm


def movie_transform(
    pixel_size_nm: float | tuple[float, float] | None, *, ndim: int = 3
) -> dict[str, Any]:
    """Place a movie with its outer corner at the origin of the world, in nm.

    Parameters
    ----------
    pixel_size_nm
        Camera pixel, or height and width of one that is not square; without it, the unit is the
        pixel and the origin, as usual in napari, its centre.
    ndim
        3 for (frame, y, x), 2 for (y, x).

    Returns
    -------
    dict
        ``scale``, ``translate``, ``units`` and ``axis_labels`` of the layer.
    """
    sides, corner, unit = np.ones(2), np.zeros(2), "pixel"
    if pixel_size_nm is not None:
        sides = np.broadcast_to(pixel_size_nm, 2)
        corner, unit = sides / 2, "nm"
    return {
        "scale": (1.0, *sides.tolist())[-ndim:],
        "translate": (0.0, *corner.tolist())[-ndim:],
        "units": ("pixel", unit, unit)[-ndim:],
        "axis_labels": AXIS_LABELS[-ndim:],
    }


def upsampled_transform(
    layer: Layer, factor: float, *, ndim: int | None = None, corner_px: tuple[int, int] = (0, 0)
) -> dict[str, Any]:
    """Place an image with finer pixels on a layer, so that both cover the same area.

    Parameters
    ----------
    layer
        The coarse one; its last two axes are y and x.
    factor
        Fine pixels per coarse pixel, on the last two axes.
    ndim
        Axes of the image: the last ones of ``layer``, and by default all of them.
    corner_px
        Row and column of the coarse pixel at which an image of a part of the area begins.

    Returns
    -------
    dict
        ``scale``, ``translate``, ``rotate``, ``shear``, ``affine``, ``units`` and ``axis_labels``.
    """
    # the outer edge of either layer is half a pixel of its own before the centre of its pixel 0
    start = np.add(corner_px, 0.5 / factor - 0.5)
    return _resampled(layer, step=1 / factor, start=start, ndim=ndim or layer.ndim)


def positions_transform(movie_layer: Layer, pixel_size_nm: float) -> dict[str, Any]:
    """Place points with y and x in nm from the outer corner of a movie on the layer of the movie.

    Returns
    -------
    dict
        As `upsampled_transform`, for points with as many axes as the movie.
    """
    return _resampled(
        movie_layer, step=1 / pixel_size_nm, start=np.full(2, -0.5), ndim=movie_layer.ndim
    )


def drawn_transform(
    positions_layer: Layer, pixel_nm: float, corner_nm: tuple[float, float]
) -> dict[str, Any]:
    """Place an image (y, x) of localizations on the layer of these.

    Parameters
    ----------
    positions_layer
        Its last two axes are y and x in nm.
    pixel_nm
        Pixel of the image.
    corner_nm
        Position at which the image begins, (y, x).

    Returns
    -------
    dict
        As `upsampled_transform`.
    """
    # the centre of the first pixel
    start = np.add(corner_nm, pixel_nm / 2)
    return _resampled(positions_layer, step=pixel_nm, start=start, ndim=2)


def frame_axis(movie_layer: Image) -> int | None:
    """Return the axis of frames: the one beyond y and x that is longer than 1, or the last."""
    lengths = movie_layer.data.shape[: movie_layer.ndim - 2]
    long = [axis for axis, length in enumerate(lengths) if length > 1]
    return (long or [len(lengths) - 1])[0] if lengths else None


def on_same_place(layer: Layer) -> dict[str, Any]:
    """Return the transform of a layer, for another one with as many axes."""
    return _resampled(layer, step=1.0, start=np.zeros(2), ndim=layer.ndim)


def index_in(movie_layer: Layer, points_layer: Points) -> NDArray[np.float64]:
    """Return the points as indices of the movie that is seen below them.

    Returns
    -------
    NDArray
        Shape (points, axes of the movie); not rounded, and 0 on axes that the points do not have.
    """
    return seen_in(movie_layer, points_layer, points_layer.data)


def seen_in(layer: Layer, other: Layer, places: NDArray[Any]) -> NDArray[np.float64]:
    """Return places of another layer as indices of the layer that is seen below them.

    Parameters
    ----------
    layer
        What the indices are of.
    other, places
        A layer, and indices of it, shape (N, its axes).

    Returns
    -------
    NDArray
        Shape (N, axes of the layer); not rounded, and 0 on axes that the other one does not have.
    """
    world = _apply(_to_world(other), places)
    in_layer = np.zeros((len(world), layer.ndim))
    # napari aligns the axes at the last one
    for axis in range(-min(layer.ndim, other.ndim), 0):
        # where units cannot be compared, napari too takes the numbers as they are
        factor = _conversion(other.units[axis], layer.units[axis])
        in_layer[:, axis] = world[:, axis] * (1.0 if factor is None else factor)
    return _apply(_to_world(layer).inverse, in_layer)


def world_positions_nm(points_layer: Points) -> NDArray[np.float64] | None:
    """Return y and x of points in nm of the world, shape (N, 2); ``None`` without such a unit."""
    factors = _nm_per_unit(points_layer)
    return None if factors is None else _in_world(points_layer)[:, -2:] * factors


def move(layer: Layer, transform: dict[str, Any]) -> None:
    """Place a layer anew; what is the same already is left alone, since napari would redraw."""
    for name, value in transform.items():
        if not np.array_equal(np.asarray(getattr(layer, name)), np.asarray(value)):
            setattr(layer, name, value)


def _resampled(
    layer: Layer, *, step: float, start: NDArray[np.float64], ndim: int
) -> dict[str, Any]:
    """Place index j of a new layer at ``start + step * j`` of another, on the last two axes."""
    before = ndim - 2
    old = _own_transform(layer).set_slice(list(range(-ndim, 0)))
    return {
        "scale": old.scale * ([1.0] * before + [step] * 2),
        "translate": old([0.0] * before + [*start]),
        "rotate": old.rotate,
        "shear": old.shear,
        "affine": layer.affine.affine_matrix[-ndim - 1 :, -ndim - 1 :],
        "units": layer.units[-ndim:],
        "axis_labels": layer.axis_labels[-ndim:],
    }


def _own_transform(layer: Layer) -> CompositeAffine:
    return CompositeAffine(
        scale=layer.scale, translate=layer.translate, rotate=layer.rotate, shear=layer.shear
    )


def _to_world(layer: Layer) -> Affine:
    """Return the transform from indices to the world, in the units of the layer."""
    return Affine(affine_matrix=layer.affine.affine_matrix @ _own_transform(layer).affine_matrix)


def _in_world(points_layer: Points) -> NDArray[np.float64]:
    return _apply(_to_world(points_layer), points_layer.data)


def _apply(transform: Affine, points: NDArray[Any]) -> NDArray[np.float64]:
    # napari drops the first axis of one point
    return np.asarray(transform(points), dtype=np.float64).reshape(points.shape)


def _nm_per_unit(layer: Layer) -> NDArray[np.float64] | None:
    """Return the factors for y and x, if both have a unit of length."""
    factors = [_conversion(unit, "nm") for unit in layer.units[-2:]]
    return None if None in factors else np.array(factors, dtype=np.float64)


def _conversion(unit: pint.Unit, target: pint.Unit | str) -> float | None:
    """Return how many of the target one unit is, or nothing where they cannot be compared."""
    return float((1 * unit).to(target).magnitude) if unit.is_compatible_with(target) else None
