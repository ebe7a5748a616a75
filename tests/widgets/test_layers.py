"""Layers lie on what they were made from, wherever that is, and leave the user's settings alone."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Image, Points
from napari.utils._proxies import PublicOnlyProxy
from numpy.testing import assert_allclose, assert_array_equal

from napari_dl4smlm.backend import InputError, Localizations, open_frames, render_density_map
from napari_dl4smlm.backend.training.events import Preview
from napari_dl4smlm.widgets.layers import layers
from napari_dl4smlm.widgets.layers.lazy_frames import LazyFrames
from napari_dl4smlm.widgets.sources.layer_watch import LayerWatch

HEIGHT, WIDTH = 20, 24
EMITTER_PX = np.array([7.3, 15.9])  # (y, x) from the outer corner, in camera pixels

PLACES = {
    "in pixels": {},
    "in nm": {"scale": (160, 160), "units": ("nm", "nm")},
    "in µm, somewhere": {"scale": (0.1, 0.1), "translate": (12.3, -4.5), "units": ("um", "um")},
    "rotated by 30°": {"scale": (100, 100), "rotate": 30, "units": ("nm", "nm")},
    "rotated and sheared": {"scale": (2, 2), "rotate": 200, "shear": (0.3,), "translate": (5, 6)},
    "flipped": {"scale": (-100, 100), "units": ("nm", "nm")},
    "with an affine": {"scale": (100, 100), "affine": np.array([[0, -2, 7], [2, 0, 9], [0, 0, 1]])},
}


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def movie(viewer):
    """A movie of 3 frames and 100 nm pixels that this package shows."""
    pixels = np.random.default_rng(0).poisson(50, (3, HEIGHT, WIDTH)).astype(np.uint16)
    return layers.add_movie(viewer, open_frames(pixels, pixel_size_nm=100), name="movie")


def spot(factor):
    """The emitter as an image on the grid of that factor; the centroid is its position."""
    return render_density_map(
        EMITTER_PX[None],
        height=HEIGHT,
        width=WIDTH,
        pixel_size_nm=1,
        upsampling_factor=factor,
        sigma_px=1,
    )


def centroid_in_world(layer):
    """Where the spot in the last two axes of an image layer is seen."""
    image = np.asarray(layer.data).reshape(-1, *layer.data.shape[-2:])[0]
    index = [np.average(grid, weights=image) for grid in np.indices(image.shape)]
    return np.array(layer.data_to_world([0.0] * (layer.ndim - 2) + index))[-2:]


def emitters(n=1, **columns):
    """The emitter in the first frame, and others at random."""
    positions = np.random.default_rng(1).uniform(0, [HEIGHT, WIDTH], (n, 2)) * 100
    positions[0] = EMITTER_PX * 100
    return Localizations(np.arange(n) % 3, positions[:, 0], positions[:, 1], **columns)


def source(place, *, ndim):
    """A layer with the spot, of one frame if it has 3 axes."""
    if ndim == 2:
        return Image(spot(1), name="source", **place)
    place = dict(place)
    for name, of_time in (("scale", 2.0), ("translate", 30.0), ("units", "second")):
        if name in place:
            place[name] = (of_time, *place[name])
    if "rotate" in place:
        angle = np.deg2rad(place["rotate"])
        place["rotate"] = np.eye(3)
        place["rotate"][1:, 1:] = [
            [np.cos(angle), -np.sin(angle)],
            [np.sin(angle), np.cos(angle)],
        ]
    if "shear" in place:
        place["shear"] = (0, 0, *place["shear"])
    return Image(spot(1)[None], name="source", **place)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_an_emitter_lies_on_its_spot(viewer, factor, place, ndim):
    movie = viewer.add_layer(source(place, ndim=ndim))
    found = emitters()
    image = layers.show_image(viewer, movie, spot(factor), factor=factor, name="image")
    points = layers.show_localizations(viewer, movie, found, name="points", pixel_size_nm=100)

    seen = centroid_in_world(movie)
    a_pixel = np.abs(np.subtract(movie.data_to_world([1] * ndim), movie.data_to_world([0] * ndim)))
    tolerance = 0.05 * a_pixel[-2:].max()
    assert np.abs(centroid_in_world(image) - seen).max() < tolerance
    assert np.abs(points.data_to_world(points.data[0])[-2:] - seen).max() < tolerance
    assert image.units == movie.units[-2:]
    assert points.units == movie.units


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_fine_pixels_cover_what_their_coarse_pixels_cover(place):
    coarse = source(place, ndim=2)
    fine = Image(spot(8), **layers.upsampled_transform(coarse, 8))
    for corner in ((0, 0), (0, WIDTH), (HEIGHT, WIDTH), (HEIGHT, 0)):
        outer_corner = coarse.data_to_world(np.array(corner) - 0.5)
        assert_allclose(fine.data_to_world(8 * np.array(corner) - 0.5), outer_corner)


def test_a_table_in_nm_lies_on_a_movie_in_um_with_its_corner_at_the_origin(viewer):
    in_um = {"scale": (1, 0.1, 0.1), "translate": (0, 0.05, 0.05), "units": ("pixel", "um", "um")}
    movie = viewer.add_image(spot(1)[None], **in_um)
    data, attributes, _ = layers.table_layer_data(emitters(), name="t", mark={"role": "x"})
    table = viewer.add_points(data, **attributes)
    # napari shows both in the smaller unit
    assert [str(unit) for unit in viewer.layers.units] == ["pixel", "nanometer", "nanometer"]
    seen = centroid_in_world(movie) * 1000
    assert_allclose(table.data_to_world(table.data[0])[-2:], seen, atol=5)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("ndim", [2, 3])
def test_shown_localizations_are_found_again_in_the_movie(viewer, place, ndim):
    movie = Image(np.zeros((3, HEIGHT, WIDTH)[-ndim:]), name="movie")
    for name, value in layers.upsampled_transform(source(place, ndim=ndim), 1).items():
        setattr(movie, name, value)
    viewer.add_layer(movie)
    shown = emitters(9, photons=np.arange(9.0), confidence=np.ones(9), id=np.arange(9) + 5)
    points = layers.show_localizations(viewer, movie, shown, name="points", pixel_size_nm=100)
    for found in (
        layers.localizations_of(points, movie, pixel_size_nm=100),
        layers.table_of(points),
    ):
        assert found.columns().keys() == shown.columns().keys()
        for name, values in shown.columns().items():
            assert_allclose(getattr(found, name), values, rtol=0, atol=1e-6)


def test_frames_of_a_movie_with_a_plane_axis_are_found_on_theirs(viewer):
    movie = viewer.add_image(np.zeros((3, 1, HEIGHT, WIDTH)), name="t, z, y, x")
    points = layers.show_localizations(viewer, movie, emitters(9), name="p", pixel_size_nm=100)
    assert_array_equal(points.data[:, :2], np.column_stack([emitters(9).frame, np.zeros(9)]))
    assert_array_equal(layers.table_of(points).frame, emitters(9).frame)
    found = layers.localizations_of(points, movie, pixel_size_nm=100)
    assert_array_equal(found.frame, emitters(9).frame)


def test_points_drawn_on_a_movie_are_where_they_are_seen(movie):
    # the centre of pixel (4, 5) of frame 2, once in nm and once in µm
    in_nm = Points([[2, 450, 550]], units=("pixel", "nm", "nm"), name="nm")
    in_um = Points([[2, 0.45, 0.55]], units=("pixel", "um", "um"), name="um")
    as_drawn = Points(
        [[2, 4, 5]], scale=movie.scale, translate=movie.translate, units=movie.units, name="px"
    )
    for points in (in_nm, in_um, as_drawn):
        found = layers.localizations_of(points, movie)
        assert found.frame.tolist() == [2]
        assert_allclose(found.positions_nm(), [[450, 550]], rtol=1e-12)


def test_points_in_pixels_on_a_movie_in_pixels_take_the_pixel_size_given():
    movie = Image(np.zeros((3, HEIGHT, WIDTH)))
    found = layers.localizations_of(Points([[1, 4, 5.25]]), movie, pixel_size_nm=80)
    assert_allclose(found.positions_nm(), [[4.5 * 80, 5.75 * 80]])


def test_a_table_that_was_opened_counts_from_the_corner_of_any_movie():
    data, attributes, _ = layers.table_layer_data(
        emitters(4), name="table", mark={"role": "localizations"}
    )
    table = Points(data, **attributes)
    elsewhere = Image(
        np.zeros((3, HEIGHT, WIDTH)),
        scale=(1, 0.1, 0.1),
        translate=(0, 8000, 9000),
        units=("pixel", "um", "um"),
    )
    for movie in (elsewhere, Image(np.zeros((3, HEIGHT, WIDTH)))):
        found = layers.localizations_of(table, movie)
        assert_array_equal(found.positions_nm(), emitters(4).positions_nm())
        assert_array_equal(found.frame, emitters(4).frame)


def test_localizations_of_a_movie_keep_their_place_when_part_of_it_is_cut_out(viewer, movie):
    points = layers.show_localizations(viewer, movie, emitters(), name="points")
    part = Image(
        np.asarray(movie.data)[:, 5:, 10:],
        **layers.upsampled_transform(movie, 1) | {"translate": movie.data_to_world((0, 5, 10))},
    )
    found = layers.localizations_of(points, part)
    assert_allclose(found.positions_nm(), [(EMITTER_PX - (5, 10)) * 100])


def test_a_point_added_by_hand_costs_no_more_than_the_ids(viewer, movie):
    shown = emitters(3, photons=np.ones(3), id=np.arange(3))
    points = layers.show_localizations(viewer, movie, shown, name="points")
    points.add([1, 450, 550])
    found = layers.localizations_of(points, movie)
    assert_allclose(found.positions_nm()[-1], [450, 550])
    assert_array_equal(found.photons, [1, 1, 1, np.nan])
    assert found.id is None


def test_other_features_than_numbers_are_left_out(viewer, movie):
    points = layers.show_localizations(viewer, movie, emitters(2, photons=[5, 6]), name="points")
    points.features = {**points.features, "cell": ["a", "b"], "area": [1.5, 2.5]}
    assert set(layers.table_of(points).columns()) == {"frame", "y_nm", "x_nm", "photons", "area"}


def test_no_points_are_no_localizations(movie):
    none = Points(np.empty((0, 3)), ndim=3, units=("pixel", "nm", "nm"))
    assert len(layers.localizations_of(none, movie)) == 0
    assert len(layers.table_of(none)) == 0


def test_points_without_frames_belong_to_a_single_frame_only():
    points = Points([[4, 5]], name="spots")
    one_frame = Image(np.zeros((1, HEIGHT, WIDTH)))
    assert layers.localizations_of(points, one_frame, pixel_size_nm=100).frame.tolist() == [0]
    movie = Image(np.zeros((3, HEIGHT, WIDTH)), name="movie")
    with pytest.raises(InputError, match="'spots' have no frames, but the movie 'movie' has"):
        layers.localizations_of(points, movie, pixel_size_nm=100)


def test_without_a_pixel_size_nothing_in_nm_is_shown_or_read(viewer):
    movie = viewer.add_image(np.zeros((3, HEIGHT, WIDTH)), name="plain")
    with pytest.raises(InputError, match="pixel size of the layer 'plain' is not known"):
        layers.show_localizations(viewer, movie, emitters(), name="points")
    with pytest.raises(InputError, match="pixel size of the layer 'plain' is not known"):
        layers.localizations_of(Points([[0, 1, 1]]), movie)
    with pytest.raises(InputError, match="'spots' are in pixels"):
        layers.table_of(Points([[0, 1, 1]], name="spots"))


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ({"scale": (160, 160), "units": ("nm", "nm")}, 160),
        ({"scale": (0.107, 0.107), "units": ("um", "um")}, 107),
        ({"scale": (0.1, 0.1), "units": ("um", "um"), "rotate": 33}, 100),
        ({"scale": (-100, 100), "units": ("nm", "nm")}, 100),
        ({"scale": (50, 50), "units": ("nm", "nm"), "affine": np.diag([2, 2, 1])}, 100),
        ({"scale": (100, 0.1), "units": ("nm", "um")}, 100),
        ({"scale": (100, 102), "units": ("nm", "nm")}, None),
        ({"scale": (100, 100)}, None),
    ],
)
def test_the_pixel_size_comes_from_scale_and_units(place, expected):
    found = layers.pixel_size_nm(Image(np.zeros((4, 5)), **place))
    assert found == (expected if expected is None else pytest.approx(expected, rel=1e-12))


def test_a_dask_movie_is_opened_and_no_frame_of_it_computed():
    computed = []

    def frame(block_info):
        computed.append(block_info[None]["chunk-location"][0])
        return np.full((1, 1, 6, 7), computed[-1], np.uint16)

    movie = da.map_blocks(frame, chunks=((1,) * 50, 1, 6, 7), dtype=np.uint16, meta=np.empty(0))
    layer = Image(
        movie,
        name="dask",
        scale=(1, 1, 0.1, 0.1),
        units=("s", "um", "um", "um"),
        contrast_limits=(0, 50),
    )
    computed.clear()
    with layers.frames_of(layer) as frames:
        assert frames.shape == (50, 6, 7)
        assert (frames.name, frames.pixel_size_nm) == ("dask", pytest.approx(100))
        assert computed == []
        assert_array_equal(frames.read(20, 22)[:, 0, 0], [20, 21])
        assert sorted(computed) == [20, 21]


def test_the_finest_level_of_a_pyramid_is_the_movie():
    pyramid = Image([np.zeros((3, 40, 50)), np.zeros((3, 20, 25))], multiscale=True)
    assert layers.frames_of(pyramid).shape == (3, 40, 50)


def test_a_layer_in_colour_is_no_movie():
    with pytest.raises(InputError, match="'photo' is in colour"):
        layers.frames_of(Image(np.zeros((20, 20, 3)), rgb=True, name="photo"))


def test_a_movie_begins_at_the_origin_of_the_world_and_has_a_scale_bar_in_nm(viewer, movie):
    assert movie.data_to_world((0, -0.5, -0.5)) == (0, 0, 0)
    assert viewer.canvas.overlays.scale_bar.visible
    assert [str(unit) for unit in viewer.layers.units] == ["pixel", "nanometer", "nanometer"]
    assert layers.pixel_size_nm(movie) == 100


def test_a_movie_of_unknown_pixel_size_is_shown_in_pixels(viewer):
    frames = open_frames(np.zeros((2, 8, 8), np.uint8))
    movie = layers.add_movie(viewer, frames, name="movie", path=Path("a.tif"))
    assert layers.pixel_size_nm(movie) is None
    assert layers.mark_of(movie) == {"role": "movie", "path": "a.tif"}
    assert not viewer.canvas.overlays.scale_bar.visible


def test_the_frames_of_a_movie_are_read_when_they_are_looked_at(viewer):
    class Recorder:
        shape = (1000, 8, 9)
        dtype = np.dtype(np.uint16)

        def __init__(self):
            self.read = []

        def __getitem__(self, frames):
            self.read.append(range(1000)[frames])
            return np.stack([np.full((8, 9), number, np.uint16) for number in self.read[-1]])

    recorder = Recorder()
    movie = layers.add_movie(viewer, open_frames(recorder), name="movie")
    viewer.dims.set_point(0, 777)
    assert movie.get_value((777, 3, 3), world=True) == 777
    assert sum(map(len, recorder.read)) < 10
    # closing what was opened to compute with must not blind the layer
    layers.frames_of(movie).close()
    viewer.dims.set_point(0, 778)
    assert movie.get_value((778, 3, 3), world=True) == 778


@pytest.mark.parametrize(
    "key",
    [
        3,
        -1,
        np.int64(2),
        slice(None),
        slice(1, 4),
        slice(4, 1),
        slice(None, None, 2),
        slice(None, None, -1),
        (2, slice(1, 3)),
        (slice(1, 3), slice(None), 4),
        (slice(1, 4, 2), 2),
        (Ellipsis, 0),
        Ellipsis,
    ],
    ids=str,
)
def test_frames_are_indexed_like_an_array(key):
    array = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)
    assert_array_equal(LazyFrames(open_frames(array))[key], array[key])


def test_the_contrast_ends_at_the_999th_of_a_thousand_positive_pixels(viewer, movie):
    image = np.zeros((HEIGHT * 8, WIDTH * 8))
    image.flat[: 2 * 1001 : 2] = np.arange(1001) + 1.0
    layer = layers.show_image(viewer, movie, image, factor=8, name="image")
    assert layer.contrast_limits == [0, pytest.approx(1000)]
    assert (layer.colormap.name, layer.blending) == ("inferno", "additive")


def test_an_empty_image_can_be_shown(viewer, movie):
    layer = layers.show_image(viewer, movie, np.zeros((HEIGHT, WIDTH)), factor=1, name="image")
    assert layer.contrast_limits == [0, 1]


def test_an_update_keeps_what_the_user_has_set(viewer, movie):
    layer = layers.show_image(viewer, movie, spot(4), factor=4, name="image")
    layer.colormap, layer.opacity, layer.visible, layer.gamma = "green", 0.3, False, 0.7
    layer.metadata["mine"] = 1
    again = layers.show_image(
        viewer, movie, 9 * spot(4), factor=4, name="image", metadata={"model": "FID-STORM"}
    )
    assert again is layer
    assert len(viewer.layers) == 2
    assert (layer.colormap.name, layer.opacity, layer.visible, layer.gamma) == (
        *("green", 0.3, False),
        0.7,
    )
    assert_array_equal(layer.data, 9 * spot(4))
    assert layer.metadata["mine"] == 1
    assert layers.mark_of(layer)["model"] == "FID-STORM"


def test_the_contrast_follows_the_image_until_the_user_sets_it(viewer, movie):
    layer = layers.show_image(viewer, movie, spot(4), factor=4, name="image")
    before = layer.contrast_limits[1]
    layers.show_image(viewer, movie, 100 * spot(4), factor=4, name="image")
    assert layer.contrast_limits[1] == pytest.approx(100 * before)
    layer.contrast_limits = (0, 0.5)
    for brighter in (200, 300):
        layers.show_image(viewer, movie, brighter * spot(4), factor=4, name="image")
        assert layer.contrast_limits == [0, 0.5]


def test_an_update_follows_a_movie_that_was_moved(viewer, movie):
    layer = layers.show_image(viewer, movie, spot(4), factor=4, name="image")
    points = layers.show_localizations(viewer, movie, emitters(), name="points")
    movie.translate = (0, 1000, 2000)
    layers.show_image(viewer, movie, spot(2), factor=2, name="image")
    layers.show_localizations(viewer, movie, emitters(), name="points")
    expected = EMITTER_PX * 100 + (950, 1950)
    assert_allclose(centroid_in_world(layer), expected, atol=1)
    assert_allclose(points.data_to_world(points.data[0])[-2:], expected)


@pytest.mark.parametrize("kind", ["renamed", "removed", "of others"])
def test_a_result_layer_that_is_no_longer_ours_is_not_written_to(viewer, movie, kind):
    if kind == "of others":
        kept = viewer.add_image(spot(1), name="image")
    else:
        kept = layers.show_image(viewer, movie, spot(1), factor=1, name="image")
    if kind == "renamed":
        kept.name = "epoch 7"
    elif kind == "removed":
        viewer.layers.remove(kept)
    new = layers.show_image(viewer, movie, 2 * spot(1), factor=1, name="image")
    assert new is not kept
    assert new in viewer.layers
    assert_array_equal(kept.data, spot(1))


@pytest.mark.parametrize("count", [2, 40])
def test_more_or_fewer_localizations_keep_the_looks_that_the_user_chose(viewer, movie, count):
    points = layers.show_localizations(
        viewer, movie, emitters(20, photons=np.ones(20)), name="points"
    )
    points.symbol, points.opacity = "ring", 0.4
    points.selected_data = {19}
    new = emitters(count, sigma_nm=np.full(count, 120.0))
    assert layers.show_localizations(viewer, movie, new, name="points") is points
    assert len(points.data) == count
    # napari fails to recolour selected points that are gone
    points.current_face_color = "red"
    points.current_face_color = "yellow"
    assert list(points.features) == ["sigma_nm"]
    assert points.opacity == 0.4
    assert {str(symbol) for symbol in points.symbol[:2]} == {"ring"}
    assert len(np.unique(points.face_color, axis=0)) == 1
    assert len(np.unique(points.size)) == 1


def preview(brightness=1.0, corner_px=(0, 0)):
    frame = spot(1) * 1000 + 100
    prediction = brightness * spot(8)
    return Preview(frame, spot(8), prediction, frame_number=17, corner_px=corner_px)


def show_previews(viewer, source, preview, factor, **options):
    """Show all pictures, and return their layers."""
    for _ in layers.show_previews(viewer, source, preview, factor, **options):
        pass
    return layers.training_previews(viewer, has_teacher=preview.teacher is not None)


def test_previews_come_one_by_one_and_are_shown_together(viewer, movie):
    pictures = layers.show_previews(viewer, movie, preview(), 8)
    for number in range(4):
        next(pictures)
        previews = layers.training_previews(viewer, has_teacher=False)
        assert len(previews) == number
        # until each has a cell of its own
        assert movie.visible
        assert not viewer.canvas.grid.enabled
        assert not any(layer.visible for layer in previews)

    assert list(pictures) == []
    assert viewer.canvas.grid.enabled
    assert all(layer.visible for layer in previews)
    assert not movie.visible

    updates = layers.show_previews(viewer, movie, preview(brightness=3), 8)
    for _ in range(3):
        next(updates)
        assert_array_equal(previews[2].data, spot(8))
    assert len(list(updates)) == 1
    assert_array_equal(previews[2].data, 3 * spot(8))


@pytest.mark.parametrize(
    ("shown", "removed"), [(1, slice(None)), (2, slice(None)), (3, slice(None)), (2, slice(1))]
)
def test_previews_that_are_removed_while_they_are_made_come_back_with_the_next(
    viewer, movie, shown, removed
):
    pictures = layers.show_previews(viewer, movie, preview(), 8)
    for _ in range(1 + shown):
        next(pictures)
    for layer in layers.training_previews(viewer, has_teacher=False)[removed]:
        viewer.layers.remove(layer)
    assert list(pictures) == []
    assert list(viewer.layers) == [movie]
    assert not viewer.canvas.grid.enabled

    assert len(show_previews(viewer, movie, preview(), 8)) == 3
    assert viewer.canvas.grid.enabled


def test_a_map_that_is_almost_empty_is_not_made_to_look_like_emitters(viewer, movie):
    def brightest_shown(brightness):
        _, truth, prediction = show_previews(viewer, movie, preview(brightness), 8)
        assert prediction.contrast_limits[0] == 0
        return prediction.contrast_limits[1] / truth.contrast_limits[1]

    assert brightest_shown(0.001) == pytest.approx(0.2)
    assert brightest_shown(0.5) == pytest.approx(0.5)
    assert brightest_shown(3) == pytest.approx(3)


def test_previews_lie_side_by_side_and_in_register_with_the_movie(viewer, movie):
    shown = show_previews(viewer, movie, preview(), 8, metadata={"model": "FID-STORM"})
    in_order = sorted(
        shown,
        key=lambda layer: viewer.canvas.grid.position(viewer.layers.index(layer), viewer.layers),
    )
    assert [layer.name for layer in in_order] == [
        "raw frame (preview)",
        "ground truth ×8 (preview)",
        "prediction ×8 (preview)",
    ]
    assert viewer.canvas.grid.actual_shape(viewer.layers) == (1, 3)
    assert not movie.visible
    for layer in shown[1:]:
        assert_allclose(centroid_in_world(layer), EMITTER_PX * 100, atol=5)
    assert layers.mark_of(shown[0])["frame_number"] == 17
    # the frame has an offset of 100 counts, which is black
    assert [layer.contrast_limits[0] for layer in in_order] == [pytest.approx(100, abs=1), 0, 0]


def test_a_result_leaves_the_grid_of_previews_and_lies_on_its_movie(viewer, movie):
    previews = show_previews(viewer, movie, preview(), 8)
    image = layers.show_image(viewer, movie, spot(8), factor=8, name="image")
    assert not viewer.canvas.grid.enabled
    assert movie.visible
    assert image.visible
    assert not any(layer.visible for layer in previews)
    # what the user chooses from now on stays
    viewer.canvas.grid.enabled = True
    layers.show_image(viewer, movie, 2 * spot(8), factor=8, name="image")
    assert viewer.canvas.grid.enabled


@pytest.mark.parametrize("of_movie", [True, False])
def test_a_preview_of_a_part_lies_on_that_part(viewer, movie, of_movie):
    source, pixel_nm = (movie, None) if of_movie else (None, 100)
    shown = show_previews(viewer, source, preview(corner_px=(20, 7)), 8, pixel_size_nm=pixel_nm)
    expected = np.add(EMITTER_PX, (20, 7)) * 100
    for layer in shown[1:]:
        assert_allclose(centroid_in_world(layer), expected, atol=5)
    # the part fills its cell, whatever else there is in the viewer
    outer = np.subtract(shown[0].data_to_world((HEIGHT, WIDTH)), shown[0].data_to_world((0, 0)))
    cell = viewer.canvas.viewbox_size(viewer.layers)
    assert viewer.scene.camera.zoom == pytest.approx(0.95 * np.min(cell / np.abs(outer)), rel=0.02)
    assert_allclose(viewer.scene.camera.center[-2:], shown[1].extent.world.mean(axis=0), atol=20)
    show_previews(viewer, source, preview(corner_px=(0, 1)), 8, pixel_size_nm=pixel_nm)
    assert_allclose(centroid_in_world(shown[2]), np.add(EMITTER_PX, (0, 1)) * 100, atol=5)


def test_previews_of_a_distillation_show_the_teacher_too(viewer, movie):
    distilled = replace(preview(), teacher=2 * spot(8))
    shown = show_previews(viewer, movie, distilled, 8)
    cells = {
        layer.name: viewer.canvas.grid.position(viewer.layers.index(layer), viewer.layers)
        for layer in shown
    }
    assert cells == {
        "raw frame (preview)": (0, 0),
        "teacher ×8 (preview)": (0, 1),
        "student ×8 (preview)": (1, 0),
        "ground truth ×8 (preview)": (1, 1),
    }
    assert_array_equal(shown[1].data, 2 * spot(8))
    assert all(layer.name_overlay.visible for layer in shown)
    # updated in place
    assert show_previews(viewer, movie, replace(distilled, teacher=spot(8)), 8) == shown
    assert_array_equal(shown[1].data, spot(8))


def test_previews_of_one_kind_of_training_replace_those_of_the_other(viewer, movie):
    first = show_previews(viewer, movie, preview(), 8)
    data, attributes, _ = first[2].as_layer_data_tuple()
    kept = viewer.add_layer(Image(data.copy(), **attributes | {"name": "epoch 1"}))
    second = show_previews(viewer, movie, replace(preview(), teacher=spot(8)), 8)
    assert len(second) == 4
    assert list(viewer.layers) == [movie, kept, *second]
    # what the user made is left, but not in a cell
    assert not kept.visible
    viewer.layers.remove(kept)
    third = show_previews(viewer, movie, preview(), 8)
    assert list(viewer.layers) == [movie, *third]
    assert viewer.canvas.grid.actual_shape(viewer.layers) == (1, 3)


def test_previews_of_simulated_frames_need_no_movie(viewer):
    shown = show_previews(viewer, None, preview(), 8, pixel_size_nm=130)
    assert viewer.canvas.overlays.scale_bar.visible
    assert [layers.pixel_size_nm(layer) for layer in shown] == [130, 130 / 8, 130 / 8]
    for layer in shown[1:]:
        assert_allclose(centroid_in_world(layer), EMITTER_PX * 130, atol=5)


def test_previews_are_updated_whatever_the_user_does_to_them(viewer, movie):
    frame, truth, prediction = show_previews(viewer, movie, preview(), 8)
    prediction.name = "mine"
    prediction.colormap = "green"
    viewer.layers.remove(truth)
    viewer.canvas.grid.enabled = False
    shown = show_previews(viewer, movie, preview(brightness=3), 8)
    assert shown == [frame, prediction]
    assert_array_equal(prediction.data, 3 * spot(8))
    assert (prediction.name, prediction.colormap.name) == ("mine", "green")
    assert not viewer.canvas.grid.enabled
    for layer in shown:
        viewer.layers.remove(layer)
    assert len(show_previews(viewer, movie, preview(), 8)) == 3


def test_a_copy_of_a_preview_stays_as_it_was(viewer, movie):
    *_, prediction = show_previews(viewer, movie, preview(), 8)
    data, attributes, _ = prediction.as_layer_data_tuple()
    kept = viewer.add_layer(Image(data.copy(), **attributes | {"name": "epoch 1"}))
    show_previews(viewer, movie, preview(brightness=3), 8)
    assert_array_equal(kept.data, spot(8))
    assert_array_equal(prediction.data, 3 * spot(8))


def test_all_of_it_works_on_the_viewer_as_widgets_get_it(viewer):
    proxy = PublicOnlyProxy(viewer)
    frames = open_frames(np.ones((3, HEIGHT, WIDTH), np.uint8), pixel_size_nm=100)
    movie = layers.add_movie(proxy, frames, name="movie")
    for _ in range(2):
        layers.show_image(proxy, movie, spot(2), factor=2, name="image")
        points = layers.show_localizations(proxy, movie, emitters(4), name="points")
        show_previews(proxy, movie, preview(), 8)
    assert len(viewer.layers) == 6
    assert_array_equal(layers.frames_of(movie).read(0, 3), 1)
    assert_allclose(layers.localizations_of(points, movie).y_nm, emitters(4).y_nm)


def test_the_file_of_a_movie_is_closed_once_nobody_can_read_its_layer(viewer, tmp_path):
    pixels = np.ones((3, HEIGHT, WIDTH), np.uint8)
    tifffile.imwrite(tmp_path / "movie.tif", pixels, photometric="minisblack")
    frames = open_frames(tmp_path / "movie.tif")
    other = viewer.add_image(pixels)
    movie = layers.add_movie(viewer, frames, name="movie")
    of_a_run = layers.frames_of(movie)
    viewer.layers.remove(movie)
    # napari holds the layer that was selected last until another one is
    viewer.layers.selection.active = other
    del movie
    gc.collect()
    assert_array_equal(of_a_run.read(2, 3), 1)
    of_a_run.close()
    gc.collect()
    with pytest.raises(InputError, match=r"movie\.tif is closed"):
        frames.read(0, 1)


def test_localizations_that_were_hidden_are_shown_when_there_are_new_ones(viewer, movie):
    points = layers.show_localizations(viewer, movie, emitters(5), name="points")
    points.shown = [True, False, False, True, False]
    layers.show_localizations(viewer, movie, emitters(4), name="points")
    assert_array_equal(points.shown, [True] * 4)


def test_points_that_are_hidden_are_in_no_table(viewer, movie):
    shown = emitters(4, photons=np.arange(4.0), id=np.arange(4))
    points = layers.show_localizations(viewer, movie, shown, name="points")
    points.shown = [True, False, False, True]
    drawn = Points(points.data, scale=points.scale, units=points.units, shown=points.shown)
    for table in (
        layers.table_of(points),
        layers.localizations_of(points, movie),
        layers.table_of(drawn),
    ):
        assert_array_equal(table.frame, [0, 0])
        assert_allclose(table.positions_nm(), shown.positions_nm()[[0, 3]])
    assert_array_equal(layers.table_of(points).photons, [0, 3])
    assert_array_equal(layers.table_of(points).id, [0, 3])


def test_who_watches_a_layer_gets_the_new_localizations_with_all_that_belongs_to_them(
    viewer, movie
):
    points = layers.show_localizations(
        viewer, movie, emitters(4, photons=np.ones(4)), name="points"
    )
    points.shown = [True, False, False, True]
    taken = []
    watch = LayerWatch(viewer, lambda: None, lambda layer: taken.append(layers.table_of(layer)))
    new = emitters(5, photons=np.arange(5.0))
    layers.show_localizations(viewer, movie, new, name="points")
    watch.close()
    assert_array_equal(taken[-1].photons, new.photons)
    assert_allclose(taken[-1].positions_nm(), new.positions_nm())


@pytest.mark.parametrize("other", ["movie", "model"])
def test_a_result_of_another_movie_or_model_that_is_called_alike_has_layers_of_its_own(
    viewer, movie, other
):
    def show(factor, n, movie, model_file):
        mark = {"metadata": {"model_file": model_file}, "name": "result"}
        image = layers.show_image(viewer, movie, spot(factor), factor=factor, **mark)
        mark["name"] = "points"
        return image, layers.show_localizations(viewer, movie, emitters(n), **mark)

    first = show(2, 3, movie, "m.safetensors")
    if other == "model":
        others = movie, "other/m.safetensors"
    else:
        viewer.layers.remove(movie)
        frames = open_frames(np.ones((3, HEIGHT, WIDTH), np.uint16), pixel_size_nm=100)
        others = layers.add_movie(viewer, frames, name="movie"), "m.safetensors"
    second = show(4, 5, *others)

    assert [layer.name for layer in second] == ["result [1]", "points [1]"]
    assert first[0].data.shape == spot(2).shape
    assert len(first[1].data) == 3
    # another run finds each of them
    assert show(4, 6, *others) == second
    assert show(2, 2, movie, "m.safetensors") == first
    assert len(second[1].data) == 6


def test_a_layer_that_is_no_movie_is_named():
    channels = Image(np.zeros((2, 3, HEIGHT, WIDTH)), name="cells")
    with pytest.raises(InputError, match=r"'cells' is no movie: .* 2 x 3 x 20 x 24"):
        layers.frames_of(channels)


def test_pixels_that_are_not_square_are_said_to_be_known(viewer):
    attributes = {"scale": (1, 0.1, 0.15), "units": ("pixel", "um", "um"), "name": "oblong"}
    layer = Image(np.ones((3, HEIGHT, WIDTH), np.uint16), **attributes)
    frames = layers.frames_of(layer)
    assert frames.pixel_size_nm is None
    assert "oblong are 100 nm high and 150 nm wide" in frames.pixel_size_fault()
    assert frames.with_pixel_size(100).pixel_size_fault() is None

    # those of a file are as high and wide in the viewer, with the corner at the origin
    shown = layers.add_movie(viewer, frames, name="shown")
    assert layers.pixel_sides_nm(shown) == pytest.approx((100, 150))
    assert_allclose(shown.data_to_world((0, -0.5, -0.5)), (0, 0, 0), atol=1e-9)
    in_pixels = layers.frames_of(Image(np.ones((3, HEIGHT, WIDTH)), scale=(1, 1, 2)))
    assert in_pixels.pixel_size_fault() is None


def test_an_error_map_of_another_movie_of_the_same_name_is_another_layer(viewer, movie):
    def show(layer, value):
        difference = np.full((HEIGHT, WIDTH), value)
        return layers.show_error_map(viewer, layer, difference, limit=1, metadata={})

    first = show(movie, 1.0)
    frames = open_frames(np.ones((3, HEIGHT, WIDTH), np.uint16), pixel_size_nm=100)
    viewer.layers.remove(movie)
    other = layers.add_movie(viewer, frames, name=movie.name)
    second = show(other, 2.0)
    assert (first.data.max(), second.data.max()) == (1, 2)
    assert show(other, 3.0) is second
    assert show(movie, 4.0) is first


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_a_movie_is_calibrated_with_all_that_lies_on_it(viewer, place, ndim):
    movie = viewer.add_layer(source(place, ndim=ndim))
    image = layers.show_image(viewer, movie, spot(8), factor=8, name="image")
    points = layers.show_localizations(viewer, movie, emitters(), name="p", pixel_size_nm=100)
    layers.calibrate(viewer, movie, 130)

    assert layers.pixel_size_nm(movie) == pytest.approx(130)
    assert layers.pixel_size_nm(image) == pytest.approx(130 / 8)
    seen = centroid_in_world(movie)
    tolerance = 0.05 * 130
    assert np.abs(centroid_in_world(image) - seen).max() < tolerance
    assert np.abs(points.data_to_world(points.data[0])[-2:] - seen).max() < tolerance
    assert [str(unit) for unit in viewer.layers.units[-2:]] == ["nanometer"] * 2
    assert viewer.canvas.overlays.scale_bar.visible
    assert np.sign(movie.scale[-2:]).tolist() == np.sign(image.scale).tolist()


def test_calibrated_movies_lie_where_this_package_would_show_them(viewer, movie):
    plain = viewer.add_image(np.zeros((3, HEIGHT, WIDTH)))
    layers.calibrate(viewer, plain, 100)
    assert_allclose(plain.data_to_world((0, -0.5, -0.5)), 0, atol=1e-9)
    # one of 100 nm per pixel, which are 160 nm indeed
    layers.calibrate(viewer, movie, 160)
    assert_allclose(movie.translate, [0, 80, 80])
    assert_allclose(plain.translate, [0, 50, 50])


def test_calibration_leaves_what_lies_elsewhere_alone(viewer):
    first = viewer.add_image(np.zeros((3, HEIGHT, WIDTH)), name="first")
    second = viewer.add_image(np.zeros((3, HEIGHT, WIDTH)), name="second")
    image = layers.show_image(viewer, second, spot(2), factor=2, name="image")
    layers.calibrate(viewer, first, 100)
    assert [layers.pixel_size_nm(layer) for layer in (second, image)] == [None, None]
    assert_allclose(image.scale, [0.5, 0.5])
