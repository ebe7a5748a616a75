"""Movies, images and previews as layers in register; also the door to all that knows layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from napari.utils.colormaps import Colormap

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.widgets.layers.arrangement import (
    TRAINING_PREVIEW,
    show_on_movie,
    show_side_by_side,
)
from napari_dl4smlm.widgets.layers.calibration import calibrate
from napari_dl4smlm.widgets.layers.layer_marks import (
    MARK,
    find_marked,
    find_result,
    mark_of,
    mark_on,
    set_mark,
)
from napari_dl4smlm.widgets.layers.lazy_frames import LazyFrames
from napari_dl4smlm.widgets.layers.localization_layers import (
    localizations_of,
    show_localizations,
    table_layer_data,
    table_of,
)
from napari_dl4smlm.widgets.layers.placement import (
    drawn_transform,
    move,
    movie_transform,
    pixel_sides_nm,
    pixel_size_nm,
    upsampled_transform,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from napari.components import ViewerModel
    from napari.layers import Layer, Points
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.training.events import Preview

__all__ = [
    "MARK",
    "add_movie",
    "calibrate",
    "contrast_of_density",
    "frames_of",
    "localizations_of",
    "mark_of",
    "movie_transform",
    "pixel_sides_nm",
    "pixel_size_nm",
    "show_drawn",
    "show_error_map",
    "show_image",
    "show_localizations",
    "show_previews",
    "table_layer_data",
    "table_of",
    "training_previews",
    "upsampled_transform",
]

# nothing is drawn where both agree, so that the movie is seen
_TOO_BRIGHT_TO_TOO_DARK = Colormap(
    [[0.15, 0.45, 1.0], [0.0, 0.0, 0.0], [1.0, 0.3, 0.1]], name="image too bright – too dark"
)

# a few hot pixels or bright beads must not turn the rest black
_PERCENTILE = 99.9
# of a preview beside the truth: what a network that has learned nothing yet puts out is not to look
# like emitters, and what one puts out that has just begun to is to be seen
_MOST_BRIGHTENED = 5
_PIXELS_FOR_CONTRAST = 2**22
# so that the names of three previews fit side by side into a window of 1280 pixels
_NAME_PT = 7


def frames_of(layer: Image) -> FrameStack:
    """Open the movie that a layer shows, without reading its pixels.

    Parameters
    ----------
    layer
        Axes (frame, y, x) or (y, x), of any array type; of a pyramid, the finest level counts.

    Returns
    -------
    FrameStack
        With the layer's name, `pixel_size_nm` and `pixel_sides_nm`. Closing it leaves the layer as
        it is.

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
    frames.pixel_sides_nm = pixel_sides_nm(layer)
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
        **movie_transform(frames.pixel_size_nm or frames.pixel_sides_nm),
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
        An image layer of this name that this package has made from the same movie layer and
        ``model_file`` is updated: only its pixels, its place and, unless the user has set it, its
        contrast change.
    metadata
        ``role``, ``model`` and the like, for the layer's mark.
    """
    mark = {**mark_on(source_layer, "super-resolution image"), **(metadata or {})}
    transform = upsampled_transform(source_layer, factor, ndim=image.ndim)
    layer = find_result(viewer, Image, name, image.ndim, mark)
    if layer is not None:
        _update_image(layer, image, contrast_of_density(image), transform, mark)
        return layer
    new = _new_image(
        image,
        contrast_of_density(image),
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


def show_drawn(
    viewer: ViewerModel,
    positions_layer: Points,
    image: NDArray[Any],
    *,
    pixel_nm: float,
    corner_nm: tuple[float, float],
    limits: tuple[float, float],
    name: str,
    metadata: Mapping[str, Any],
) -> Image:
    """Show an image that was drawn of localizations on these, or update it.

    Parameters
    ----------
    viewer
        With a new layer it gets a scale bar.
    positions_layer
        Where localizations in nm are.
    image
        Shape (y, x).
    pixel_nm
        Pixel of the image.
    corner_nm
        Position at which it begins, (y, x).
    limits
        Contrast, as `contrast_of_density` finds it; that of the user stays.
    name
        An image layer of this name that this package has made is updated.
    metadata
        For the layer's mark.
    """
    mark = {"role": "super-resolution image", **metadata}
    transform = drawn_transform(positions_layer, pixel_nm, corner_nm)
    layer = find_marked(viewer, Image, name, image.ndim)
    if layer is not None:
        _update_image(layer, image, limits, transform, mark)
        return layer
    looks = {"name": name, "colormap": "inferno", "blending": "additive"}
    layer = viewer.add_layer(_new_image(image, limits, transform, mark, **looks))
    show_on_movie(viewer, layer)
    _show_scale_bar(viewer, layer)
    return layer


def show_error_map(
    viewer: ViewerModel,
    movie_layer: Layer,
    difference: NDArray[Any],
    *,
    limit: float,
    metadata: Mapping[str, Any],
) -> Image:
    """Show where a movie is brighter, red, or darker, blue, than an image of it; or update that.

    Parameters
    ----------
    viewer
        Where to show it.
    movie_layer
        The movie.
    difference
        Shape (Y, X), in counts.
    limit
        Difference with the full colour.
    metadata
        For the layer's mark, beside the role ``error map``.
    """
    name = f"error map: {movie_layer.name}"
    mark = {**mark_on(movie_layer, "error map"), **metadata}
    transform = upsampled_transform(movie_layer, 1, ndim=2)
    layer = find_result(viewer, Image, name, 2, mark)
    if layer is not None:
        _update_image(layer, difference, (-limit, limit), transform, mark)
        return layer
    looks = {"name": name, "colormap": _TOO_BRIGHT_TO_TOO_DARK, "blending": "additive"}
    layer = viewer.add_layer(_new_image(difference, (-limit, limit), transform, mark, **looks))
    show_on_movie(viewer, movie_layer)
    return layer


def show_previews(
    viewer: ViewerModel,
    source_layer: Layer | None,
    preview: Preview,
    factor: int,
    *,
    pixel_size_nm: float | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Iterator[None]:
    """Show a validation frame, its ground truth and the prediction side by side, or update them.

    Of a distillation, the prediction is the student's, and the teacher's is beside it.

    Parameters
    ----------
    viewer
        With new layers its grid is switched on and all others are hidden; it is left alone when
        they are updated. Previews of a training with a teacher replace those of one without.
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

    Yields
    ------
    None
        When all is prepared, and after each picture, since napari takes some tenths of a second for
        a new layer: the window may answer in between. The pictures are to be shown to the end. A
        layer that the user has removed comes back when all of them are gone, not before; if that
        was before all were there, the others go too. One that has another name by now is updated
        as well.
    """
    if source_layer is None:
        source_layer = Image(preview.frame, **movie_transform(pixel_size_nm, ndim=2))
    place = upsampled_transform(source_layer, 1, ndim=2, corner_px=preview.corner_px)
    frame = Image(preview.frame, **place)
    fine = upsampled_transform(frame, factor)
    _, brightest = contrast_of_density(preview.truth)
    has_teacher = preview.teacher is not None
    common = {
        "role": TRAINING_PREVIEW,
        "has_teacher": has_teacher,
        "frame_number": preview.frame_number,
        **(metadata or {}),
    }
    for layer in _previews_by_part(viewer, has_teacher=not has_teacher).values():
        viewer.layers.remove(layer)
    yield
    there = _previews_by_part(viewer, has_teacher=has_teacher)
    images = {"frame": preview.frame, **_maps_of(preview)}
    for number, (part, image) in enumerate(images.items()):
        if part == "frame":
            limits, transform = _contrast_of_counts(image), place
        else:
            low, high = contrast_of_density(image)
            limits, transform = (low, max(high, brightest / _MOST_BRIGHTENED)), fine
        mark = {**common, "part": part}
        if part in there:
            _update_image(there[part], image, limits, transform, mark)
        elif not there:
            new = _previews_by_part(viewer, has_teacher=has_teacher)
            if len(new) < number:
                # removed meanwhile: those to come would be all there is until the last epoch
                for layer in new.values():
                    viewer.layers.remove(layer)
                return
            _add_preview(viewer, _new_image(image, limits, transform, mark, **_looks(part, factor)))
        yield
    if not there and (shown := training_previews(viewer, has_teacher=has_teacher)):
        # of four pictures in two rows, each is larger
        show_side_by_side(viewer, shown, rows=2 if has_teacher else 1)
        _show_scale_bar(viewer, frame)


def _maps_of(preview: Preview) -> dict[str, NDArray[np.float32]]:
    """Return the density maps of a preview in the order in which they are shown."""
    if preview.teacher is None:
        return {"ground truth": preview.truth, "prediction": preview.prediction}
    return {
        "teacher": preview.teacher,
        "student": preview.prediction,
        "ground truth": preview.truth,
    }


def training_previews(viewer: ViewerModel, *, has_teacher: bool) -> list[Image]:
    """Return the previews of trainings with, or without, a teacher."""
    wanted = {"role": TRAINING_PREVIEW, "has_teacher": has_teacher}
    return [layer for layer in viewer.layers if wanted.items() <= mark_of(layer).items()]


def _previews_by_part(viewer: ViewerModel, *, has_teacher: bool) -> dict[str, Image]:
    """Return previews but not the copies that the user made of them, which come later."""
    previews = training_previews(viewer, has_teacher=has_teacher)
    return {mark_of(layer)["part"]: layer for layer in reversed(previews)}


def _add_preview(viewer: ViewerModel, layer: Image) -> None:
    # in a cell of the grid, nothing else tells what is shown
    layer.name_overlay.visible = True
    layer.name_overlay.font_size = _NAME_PT
    # until all are there and have a cell each
    layer.visible = False
    viewer.add_layer(layer)


def _looks(part: str, factor: int) -> dict[str, str]:
    if part == "frame":
        return {"name": "raw frame (preview)", "colormap": "gray"}
    return {"name": f"{part} ×{factor} (preview)", "colormap": "inferno"}


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


def contrast_of_density(image: NDArray[Any]) -> tuple[float, float]:
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
