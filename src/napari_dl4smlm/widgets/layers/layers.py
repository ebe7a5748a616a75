"""Movies, images and previews as layers in register; also the door to all that knows layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.widgets.layers.arrangement import (
    TRAINING_PREVIEW,
    show_on_movie,
    show_side_by_side,
)
from napari_dl4smlm.widgets.layers.calibration import calibrate
from napari_dl4smlm.widgets.layers.layer_marks import MARK, find_marked, mark_of, set_mark
from napari_dl4smlm.widgets.layers.lazy_frames import LazyFrames
from napari_dl4smlm.widgets.layers.localization_layers import (
    localizations_of,
    show_localizations,
    table_layer_data,
    table_of,
)
from napari_dl4smlm.widgets.layers.placement import (
    move,
    movie_transform,
    pixel_size_nm,
    upsampled_transform,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari.components import ViewerModel
    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.training.events import Preview

__all__ = [
    "MARK",
    "add_movie",
    "calibrate",
    "frames_of",
    "localizations_of",
    "mark_of",
    "movie_transform",
    "pixel_size_nm",
    "show_image",
    "show_localizations",
    "show_previews",
    "table_layer_data",
    "table_of",
    "upsampled_transform",
]

# a few hot pixels or bright beads must not turn the rest black
_PERCENTILE = 99.9
_PIXELS_FOR_CONTRAST = 2**22


def frames_of(layer: Image) -> FrameStack:
    """Open the movie that a layer shows, without reading its pixels.

    Parameters
    ----------
    layer
        Axes (frame, y, x) or (y, x), of any array type; of a pyramid, the finest level counts.

    Returns
    -------
    FrameStack
        With the layer's name and `pixel_size_nm`. Closing it leaves the layer as it is.

    Raises
    ------
    InputError
        The layer is in colour, or not a movie for other reasons that `open_frames` tells.
    """
    if layer.rgb:
        raise InputError(
            f"The layer {layer.name!r} is in colour. Choose a movie with one value per pixel: "
            "split the layer into its channels and take one."
        )
    pixels = layer.data[0] if layer.multiscale else layer.data
    try:
        frames = open_frames(pixels, pixel_size_nm=pixel_size_nm(layer))
    except InputError as error:
        raise InputError(f"The layer {layer.name!r} is no movie: {error}") from error
    frames.name = layer.name
    return frames


def add_movie(
    viewer: ViewerModel, frames: FrameStack, *, name: str, path: Path | None = None
) -> Image:
    """Show a movie; its frames are read when they are looked at.

    Parameters
    ----------
    viewer
        Gets a scale bar if the pixel size is known.
    frames
        The movie; it is closed once nobody can read the layer any more.
    name
        Of the layer.
    path
        The file or folder, noted in the layer's mark.
    """
    mark = {"role": "movie"} if path is None else {"role": "movie", "path": str(path)}
    layer = viewer.add_image(
        LazyFrames(frames),
        name=name,
        metadata={MARK: mark},
        contrast_limits=_contrast_of_counts(_some_frames(frames)),
        **movie_transform(frames.pixel_size_nm),
    )
    _show_scale_bar(viewer, layer)
    return layer


def show_image(
    viewer: ViewerModel,
    source_layer: Layer,
    image: NDArray[Any],
    *,
    factor: float,
    name: str,
    metadata: Mapping[str, Any] | None = None,
) -> Image:
    """Show an image on the movie that it was made from, or update it.

    Parameters
    ----------
    viewer
        With a new layer it leaves the grid, and gets a scale bar if the pixel size is known.
    source_layer
        The movie.
    image
        Shape (f Y, f X), or (frame, f Y, f X).
    factor
        Fine pixels per camera pixel, f.
    name
        An image layer of this name that this package has made is updated: only its pixels, its
        place and, unless the user has set it, its contrast change.
    metadata
        ``role``, ``model`` and the like, for the layer's mark.
    """
    mark = {"role": "super-resolution image", "movie": source_layer.name, **(metadata or {})}
    transform = upsampled_transform(source_layer, factor, ndim=image.ndim)
    layer = find_marked(viewer, Image, name, image.ndim)
    if layer is not None:
        _update_image(layer, image, _contrast_of_density(image), transform, mark)
        return layer
    new = _new_image(
        image,
        _contrast_of_density(image),
        transform,
        mark,
        name=name,
        colormap="inferno",
        blending="additive",
    )
    layer = viewer.add_layer(new)
    show_on_movie(viewer, source_layer)
    _show_scale_bar(viewer, layer)
    return layer


def show_previews(
    viewer: ViewerModel,
    source_layer: Layer | None,
    preview: Preview,
    factor: int,
    *,
    pixel_size_nm: float | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> list[Image]:
    """Show a validation frame, its ground truth and the prediction side by side, or update them.

    Parameters
    ----------
    viewer
        With new layers its grid is switched on and all others are hidden; it is left alone when
        they are updated.
    source_layer
        The movie that the frame is from; ``None`` if it is simulated or not shown.
    preview
        What to show.
    factor
        Fine pixels per camera pixel.
    pixel_size_nm
        Camera pixel of a frame without ``source_layer``.
    metadata
        ``model`` and the like, for the layers' marks.

    Returns
    -------
    list of Image
        Those of the three layers that are in the viewer. One that the user has removed comes back
        when all three are gone, not before; one that has another name by now is updated as well.
    """
    if source_layer is None:
        source_layer = Image(preview.frame, **movie_transform(pixel_size_nm, ndim=2))
    place = upsampled_transform(source_layer, 1, ndim=2, corner_px=preview.corner_px)
    frame = Image(preview.frame, **place)
    fine = upsampled_transform(frame, factor)
    pictures = (
        ("frame", preview.frame, _contrast_of_counts(preview.frame), place),
        ("ground truth", preview.truth, _contrast_of_density(preview.truth), fine),
        ("prediction", preview.prediction, _contrast_of_density(preview.prediction), fine),
    )
    common = {"role": TRAINING_PREVIEW, "frame_number": preview.frame_number, **(metadata or {})}
    # of a layer and the copies that the user made of it, the first is updated
    there = {mark_of(layer)["part"]: layer for layer in reversed(_previews(viewer))}
    for part, image, limits, transform in pictures:
        mark = {**common, "part": part}
        if part in there:
            _update_image(there[part], image, limits, transform, mark)
        elif not there:
            looks = _preview_looks(part, factor)
            viewer.add_layer(_new_image(image, limits, transform, mark, **looks))
    if not there:
        show_side_by_side(viewer, _previews(viewer))
        _show_scale_bar(viewer, frame)
    return _previews(viewer)


def _previews(viewer: ViewerModel) -> list[Image]:
    return [layer for layer in viewer.layers if mark_of(layer).get("role") == TRAINING_PREVIEW]


def _preview_looks(part: str, factor: int) -> dict[str, str]:
    if part == "frame":
        return {"name": "preview: frame", "colormap": "gray"}
    return {"name": f"preview: {part} ×{factor}", "colormap": "inferno"}


def _new_image(
    image: NDArray[Any],
    limits: tuple[float, float],
    transform: dict[str, Any],
    mark: dict[str, Any],
    **looks: Any,
) -> Image:
    metadata = {MARK: {**mark, "contrast_limits": limits}}
    return Image(image, rgb=False, metadata=metadata, contrast_limits=limits, **transform, **looks)


def _update_image(
    layer: Image,
    image: NDArray[Any],
    limits: tuple[float, float],
    transform: dict[str, Any],
    mark: dict[str, Any],
) -> None:
    noted = mark_of(layer).get("contrast_limits")
    layer.data = image
    move(layer, transform)
    # once they are other than noted, the user has set them
    if noted is not None and np.array_equal(layer.contrast_limits, noted):
        noted = layer.contrast_limits = limits
    set_mark(layer, {**mark, "contrast_limits": noted})


def _contrast_of_density(image: NDArray[Any]) -> tuple[float, float]:
    """Return contrast limits from the pixels that hold something; most hold nothing."""
    # whole rows, since a stride along them would miss some columns altogether
    rows = image.reshape(-1, image.shape[-1])[:: max(1, image.size // _PIXELS_FOR_CONTRAST)]
    positive = rows[rows > 0]
    return (0.0, float(np.percentile(positive, _PERCENTILE)) if positive.size else 1.0)


def _contrast_of_counts(pixels: NDArray[Any]) -> tuple[float, float]:
    low, high = np.percentile(pixels, (100 - _PERCENTILE, _PERCENTILE)).tolist()
    return (low, high if high > low else low + 1)


def _some_frames(frames: FrameStack) -> NDArray[Any]:
    numbers = sorted({0, len(frames) // 2, len(frames) - 1})
    return np.stack([frames.read(number, number + 1) for number in numbers])


def _show_scale_bar(viewer: ViewerModel, layer: Layer) -> None:
    if pixel_size_nm(layer) is not None:
        viewer.canvas.overlays.scale_bar.visible = True
