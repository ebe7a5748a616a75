"""Images of several models and the truth side by side, in one range of colours."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from napari.layers import Image

from napari_dl4smlm.widgets.layers.arrangement import COMPARED, show_on_movie, show_side_by_side
from napari_dl4smlm.widgets.layers.layer_marks import MARK, find_marked, mark_of, set_mark
from napari_dl4smlm.widgets.layers.placement import move, pixel_size_nm, upsampled_transform

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari.components import ViewerModel
    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.evaluation.comparison.common_grid import CommonGrid

_DENSITIES = "inferno"
_DIFFERENCES = "RdBu_r"
# with more images in a row, cells would be narrow
_LONGEST_ROW = 3

_TRUTH, _MEAN = "ground truth", "raw mean"


def model_layer_name(label: str) -> str:
    """Name the layer of a model, which may be called as the truth is."""
    return _name(f"{label} (model)" if label in (_TRUTH, _MEAN) else label)


def show_compared(
    viewer: ViewerModel,
    movie_layer: Layer,
    grid: CommonGrid,
    mean_frame: NDArray[Any],
    *,
    factor: int,
    differences: bool,
    metadata: Mapping[str, Any],
) -> Iterator[Image]:
    """Show the truth and each model in a cell of the grid, or update them, one after the other.

    All share contrast and colours, which stay linked: what is changed for one is changed for all.
    A second row, if it is wanted, has the mean of the raw frames and what each model has too much,
    red, or too little, blue. Without truth, that mean is in its place.

    Parameters
    ----------
    viewer
        In the end its grid is switched on, and all other layers are hidden.
    movie_layer
        What the images lie on; it may be removed from the viewer.
    grid
        The images.
    mean_frame
        Shape (Y, X), in counts.
    factor
        Pixels of the grid per camera pixel.
    differences
        Whether the second row is wanted.
    metadata
        For the layers' marks.

    Yields
    ------
    Image
        Each layer, in the order of the cells: napari takes a while to show it, and the window can
        be used in between.
    """
    mark = {"role": COMPARED, "movie": movie_layer.name, **metadata}
    rows = _pictures(movie_layer, grid, mean_frame, factor, differences=differences)
    alike: dict[str, list[Image]] = {}
    for picture in chain.from_iterable(rows):
        layer = _show(viewer, picture, mark)
        alike.setdefault(picture.colormap, []).append(layer)
        yield layer
    layers = [layer for layer in chain.from_iterable(alike.values()) if layer in viewer.layers]
    for linked in alike.values():
        viewer.layers.link_layers(linked, ("contrast_limits", "gamma", "colormap"))
    _order(viewer, layers)
    one_row = 1 if len(layers) <= _LONGEST_ROW else -1
    show_side_by_side(viewer, layers, rows=one_row if len(rows) == 1 else len(rows))
    if pixel_size_nm(movie_layer) is not None:
        viewer.canvas.overlays.scale_bar.visible = True


def hide_compared(viewer: ViewerModel, movie_layer: Layer) -> None:
    """Leave the grid, and show the movie again."""
    show_on_movie(viewer, movie_layer)
    for layer in viewer.layers:
        if mark_of(layer).get("role") == COMPARED:
            layer.visible = False


class _Picture(NamedTuple):
    name: str
    image: NDArray[Any]
    transform: dict[str, Any]
    limits: tuple[float, float]
    colormap: str


def _pictures(
    movie_layer: Layer,
    grid: CommonGrid,
    mean_frame: NDArray[Any],
    factor: int,
    *,
    differences: bool,
) -> list[list[_Picture]]:
    """Arrange what is shown in rows."""
    fine = upsampled_transform(movie_layer, factor, ndim=2)
    coarse = upsampled_transform(movie_layer, 1, ndim=2)
    low, high = float(mean_frame.min()), float(mean_frame.max())
    mean = _Picture(
        _name(_MEAN),
        mean_frame,
        coarse,
        (low, high if high > low else low + 1),
        "gray",
    )
    reach = grid.largest_difference
    models = [
        _Picture(model_layer_name(label), image, fine, (0.0, grid.brightest), _DENSITIES)
        for label, image in grid.images.items()
    ]
    errors = [
        _Picture(_name(f"{label} − truth"), image, fine, (-reach, reach), _DIFFERENCES)
        for label, image in grid.differences.items()
    ]
    if grid.truth is None:
        return [[mean, *models]]
    truth = _Picture(_name(_TRUTH), grid.truth, fine, (0.0, grid.brightest), _DENSITIES)
    return [[truth, *models], [mean, *errors]] if differences else [[truth, *models]]


def _name(what: str) -> str:
    # what it shows comes first: a narrow cell of the grid shows the start of a name
    return f"{what} (compared)"


def _show(viewer: ViewerModel, picture: _Picture, mark: dict[str, Any]) -> Image:
    layer = find_marked(viewer, Image, picture.name, 2)
    if layer is not None:
        layer.data = picture.image
        layer.contrast_limits = picture.limits
        move(layer, picture.transform)
        set_mark(layer, mark)
        return layer
    new = Image(
        picture.image,
        rgb=False,
        name=picture.name,
        metadata={MARK: mark},
        contrast_limits=picture.limits,
        colormap=picture.colormap,
        **picture.transform,
    )
    # nothing else tells which cell of the grid is which
    new.name_overlay.visible = True
    return viewer.add_layer(new)


def _order(viewer: ViewerModel, layers: list[Image]) -> None:
    """Bring layers into the order of their cells, which is that of the viewer."""
    places = [viewer.layers.index(layer) for layer in layers]
    if places == sorted(places):
        return
    for layer in layers:
        viewer.layers.move(viewer.layers.index(layer), len(viewer.layers))
