"""What is chosen in the Data widget is what trains, and what cannot train says why, in its row."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
import tifffile
import yaml
from click.testing import CliRunner
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points
from numpy.testing import assert_allclose, assert_array_equal
from qtpy.QtWidgets import QLabel, QTextEdit

from napari_dl4smlm.backend import (
    DataConfig,
    Localizations,
    MovieConfig,
    SimulatedMovie,
    SimulationConfig,
    open_frames,
    read_thunderstorm,
    write_thunderstorm,
)
from napari_dl4smlm.backend.acquisition.calibrated_tiff import calibrated_tiff
from napari_dl4smlm.backend.training.truth import Patch
from napari_dl4smlm.cli import main
from napari_dl4smlm.sample_data import filaments, pairs
from napari_dl4smlm.widgets.data import widget as data
from napari_dl4smlm.widgets.data.checks import check_movie
from napari_dl4smlm.widgets.data.events import Fault, Ready, SimulatedFrame, with_fault
from napari_dl4smlm.widgets.data.picture_view import PictureView
from napari_dl4smlm.widgets.data.pictures import Picture
from napari_dl4smlm.widgets.data.preview import previews, show_simulated
from napari_dl4smlm.widgets.data.training_source import Division
from napari_dl4smlm.widgets.data.widget import DataWidget
from napari_dl4smlm.widgets.layers import layers
from napari_dl4smlm.widgets.layers.localization_layers import PROCESSED
from napari_dl4smlm.widgets.session import Session
from napari_dl4smlm.widgets.sources.choices import MovieChoice, TableChoice
from napari_dl4smlm.widgets.sources.latest_run import LatestRun

pytestmark = pytest.mark.gui

TIMEOUT_MS = 120_000
N_FRAMES, HEIGHT, WIDTH = 6, 20, 24
PIXEL_SIZE_NM = 120.0
MOVIE, PAIRS, SIMULATION = range(3)


@pytest.fixture
def viewer():
    viewer = ViewerModel()
    yield viewer
    viewer.layers.clear()


@pytest.fixture
def widget(qtbot, viewer, monkeypatch):
    monkeypatch.setattr(data, "_SETTLED_MS", 10)
    widget = DataWidget(viewer)
    qtbot.addWidget(widget)
    yield widget
    widget.close_runs()


@pytest.fixture
def settle(qtbot, widget):
    """Wait until everything about the chosen data is known."""

    def settle():
        qtbot.waitUntil(lambda: not widget.is_busy)

    settle()
    return settle


@pytest.fixture
def use(widget, settle, viewer):
    """Press "Use for training" and return what the session has then."""

    def use():
        settle()
        assert widget._use.isEnabled(), widget._use.toolTip()
        widget._use.click()
        settle()
        return Session.of(viewer).data

    return use


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).poisson(50, (N_FRAMES, HEIGHT, WIDTH)).astype(np.uint16)


@pytest.fixture(scope="module")
def table():
    generator = np.random.default_rng(1)
    size_nm = np.array([HEIGHT, WIDTH]) * PIXEL_SIZE_NM
    # as many digits as a table has
    y_nm, x_nm = (generator.uniform(0, 1, (30, 2)) * size_nm).round(5).T
    return Localizations(np.sort(generator.integers(N_FRAMES, size=30)), y_nm, x_nm)


@pytest.fixture(scope="module")
def files(tmp_path_factory, pixels, table):
    folder = tmp_path_factory.mktemp("data")
    with calibrated_tiff(
        folder / "movie.tif", pixel_size_nm=PIXEL_SIZE_NM, nbytes=pixels.nbytes, information={}
    ) as write:
        for frame in pixels:
            write(frame)
    np.save(folder / "unscaled.npy", pixels)
    write_thunderstorm(folder / "positions.csv", table)
    np.save(folder / "images.npy", true_images(pixels, 4))
    for name, stack in (("raw", pixels), ("true", true_images(pixels, 2))):
        (folder / name).mkdir()
        for number, frame in enumerate(stack):
            tifffile.imwrite(folder / name / f"{number}.tif", frame)
    return folder


def true_images(pixels, factor):
    images = np.zeros((len(pixels), HEIGHT * factor, WIDTH * factor), np.float32)
    images[:, 5::9, 4::11] = 2
    return images


def movie_layer(pixels, **attributes):
    return Image(pixels, name="movie", **layers.movie_transform(PIXEL_SIZE_NM), **attributes)


def points_layer(table, **attributes):
    data, looks, _ = layers.table_layer_data(
        table, name="points", mark={"role": "ground truth", **attributes}
    )
    return Points(data, **looks)


def choose(widget, page, **sources):
    widget.choose(page)
    for name, source in sources.items():
        widget.page.boxes[name].set_value(source)


def visible_messages(widget):
    """Faults as the user sees them, with the title of the row above."""
    widget.show()
    texts = [label.text() for label in widget.findChildren(QLabel) if label.isVisible()]
    texts += [text.toPlainText() for text in widget.findChildren(QTextEdit) if text.isVisible()]
    return [text for text in texts if text.startswith("⚠")]


def positions_in(data, number):
    return data.truth.positions_nm(Patch(number, 0, 0, HEIGHT, WIDTH))


def assert_trains_on(source, pixels, table):
    with source.open(0) as data:
        assert_array_equal(data.frames.read(0, N_FRAMES), pixels)
        assert data.pixel_size_nm == pytest.approx(PIXEL_SIZE_NM)
        for number in range(N_FRAMES):
            here = table.in_frames(range(number, number + 1))
            assert_allclose(positions_in(data, number), here.positions_nm(), atol=1e-5)


def test_the_sample_data_can_be_used_without_touching_anything(viewer, widget, use):
    for layer in filaments():
        viewer.add_layer(Layer.create(*layer))
    source = use()
    assert source.movie_layer_name == "filaments"
    assert source.config is None
    assert source.summary == (
        "filaments + filaments: true positions\n60 frames · 64 × 64 · uint16 · 100 nm · ×8"
    )
    truth = layers.table_of(viewer.layers["filaments: true positions"])
    with source.open(0) as data:
        assert_array_equal(data.frames.read(0, 60), viewer.layers["filaments"].data)
        emitters = sum(data.truth.count_emitters(Patch(k, 0, 0, 64, 64)) for k in range(60))
        assert emitters == len(truth)
        assert len(data.validation_frames) == 12
    # 1258 emitters in 60 frames of (6.4 µm)²
    density = len(truth) / 60 / 6.4**2
    assert widget._facts.text().endswith(f"{density:.3g} /µm²")


def test_a_movie_of_others_is_told_as_it_was_simulated(third_party_data, widget, settle):
    folder = third_party_data / "deepstorm_demo1"
    choose(
        widget,
        MOVIE,
        movie=folder / "ArtificialDataset_demo1.tif",
        positions=folder / "positions_demo1.csv",
    )
    settle()
    # its makers: 4956 rows, 248 emitters per frame, 6.05 per µm²
    assert widget._facts.text() == (
        "20 frames · 64 × 64 · uint16 · 100 nm\n4,956 emitters · 248 in a frame · 6.05 /µm²"
    )


def test_files_give_what_the_command_line_would_open(widget, settle, use, files, pixels, table):
    choose(widget, MOVIE, movie=files / "movie.tif", positions=files / "positions.csv")
    source = use()
    assert source.config == DataConfig(
        movie=files / "movie.tif", localizations=files / "positions.csv"
    )
    assert (source.upsampling_factor, source.pixel_size_nm) == (8, PIXEL_SIZE_NM)
    assert source.movie_layer_name is None
    assert_trains_on(source, pixels, table)
    assert widget._in_use.toPlainText() == f"In use: {source.summary}"


def test_what_is_entered_becomes_part_of_the_config(widget, use, files):
    choose(widget, MOVIE, movie=files / "unscaled.npy", positions=files / "positions.csv")
    page = widget.movie_page
    page.pixel_size.set_value(130)
    page.upsampling.set_value(4)
    page.division._frames.set_value("0:5")
    page.division._validation.set_value("3:5")
    source = use()
    assert source.config == DataConfig(
        movie=files / "unscaled.npy",
        localizations=files / "positions.csv",
        pixel_size_nm=130,
        upsampling_factor=4,
        frames="0:5",
        validation_frames="3:5",
    )
    with source.open(0) as data:
        assert data.upsampling_factor == 4
        assert (data.training_frames, data.validation_frames) == ((0, 1, 2), (3, 4))


def test_layers_of_unchanged_files_count_as_these_files(viewer, widget, use, files):
    movie = layers.add_movie(
        viewer, open_frames(files / "movie.tif"), name="movie", path=files / "movie.tif"
    )
    table = read_thunderstorm(files / "positions.csv")
    points = viewer.add_layer(points_layer(table, path=str(files / "positions.csv")))
    expected = DataConfig(movie=files / "movie.tif", localizations=files / "positions.csv")
    assert use().config == expected
    assert Session.of(viewer).data.movie_layer_name == "movie"
    points.data = points.data[1:]
    source = use()
    assert source.config is None
    with source.open(0) as data:
        emitters = range(N_FRAMES)
        assert sum(len(positions_in(data, number)) for number in emitters) == len(table) - 1
    movie.data._frames.close()


def test_a_layer_with_other_pixels_than_its_file_is_not_that_file(viewer, use, files, pixels):
    changed = movie_layer(pixels + 1, metadata={layers.MARK: {"path": str(files / "movie.tif")}})
    table = read_thunderstorm(files / "positions.csv")
    assert MovieChoice.of(changed).in_file() is None
    same = movie_layer(pixels, metadata={layers.MARK: {"path": str(files / "movie.tif")}})
    assert MovieChoice.of(same).in_file().path == files / "movie.tif"
    assert TableChoice("t", files / "positions.csv", table[1:]).in_file(PIXEL_SIZE_NM) is None


def test_a_file_and_a_layer_make_a_source_together(viewer, widget, use, files, pixels, table):
    points = viewer.add_layer(points_layer(table))
    choose(widget, MOVIE, movie=files / "movie.tif", positions=points)
    source = use()
    assert source.config is None
    assert_trains_on(source, pixels, table)
    # the file is opened anew each time, and closed by whoever opened it
    with source.open(0) as first:
        pass
    with source.open(0) as second:
        second.frames.read(0, 1)
    with pytest.raises(ValueError, match="is closed"):
        first.frames.read(0, 1)


def test_the_pixel_size_of_a_layer_without_one_comes_from_its_file(
    viewer, widget, settle, use, files, pixels
):
    layer = Image(pixels, name="movie", metadata={layers.MARK: {"path": str(files / "movie.tif")}})
    choose(widget, MOVIE, movie=viewer.add_layer(layer), positions=files / "positions.csv")
    assert use().pixel_size_nm == PIXEL_SIZE_NM
    assert widget.movie_page.pixel_size.value() == PIXEL_SIZE_NM
    # it says nothing about another movie
    choose(widget, MOVIE, movie=files / "unscaled.npy")
    settle()
    assert widget.movie_page.pixel_size.value() is None
    assert widget._fault.field == "pixel_size_nm"


@pytest.mark.parametrize(
    ("raw", "images", "factor"), [("movie.tif", "images.npy", 4), ("raw", "true", 2)]
)
def test_pairs_of_files_or_folders_train(widget, use, files, pixels, raw, images, factor):
    choose(widget, PAIRS, raw=files / raw, images=files / images)
    source = use()
    assert source.config == DataConfig(pairs=(files / raw, files / images))
    assert source.upsampling_factor == factor
    assert_pairs(source, pixels, factor)


def test_pairs_of_layers_and_mixed_ones_train(viewer, widget, settle, use, files, pixels):
    raw = viewer.add_layer(movie_layer(pixels))
    images = viewer.add_image(true_images(pixels, 4), name="images")
    choose(widget, PAIRS, raw=raw, images=images)
    assert use().config is None
    assert_pairs(Session.of(viewer).data, pixels, 4)
    choose(widget, PAIRS, raw=raw, images=files / "images.npy")
    assert use().config is None
    assert_pairs(Session.of(viewer).data, pixels, 4)


def assert_pairs(source, pixels, factor):
    with source.open(0) as data:
        assert data.upsampling_factor == factor
        assert_array_equal(data.frames.read(0, N_FRAMES), pixels)
        shown = data.truth.render(Patch(1, 0, 0, HEIGHT, WIDTH), 0)
        assert_array_equal(shown, true_images(pixels, factor)[1] / 2)


@pytest.mark.parametrize("hot", [0, 100])
def test_the_emitters_of_true_images_are_counted(viewer, widget, settle, hot):
    layers = [Layer.create(*layer) for layer in pairs()]
    # one pixel may be brighter than all emitters
    maps = layers[1].data
    maps[0, 30, 30] += hot * maps.max()
    # each adds 1; eight frames from all of the movie are looked at
    expected = maps[[0, 8, 17, 25, 34, 42, 51, 59]].sum() / 8
    maps *= 40.5
    for layer in layers:
        viewer.add_layer(layer)
    widget.choose(PAIRS)
    settle()
    count = float(widget._facts.text().split("about ")[1].split()[0])
    assert count == pytest.approx(expected, rel=0.02)
    assert "×4" in widget._facts.text()


def shifted(table, **columns):
    return Localizations(**{**table.columns(), **columns})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: shifted(t, y_nm=t.y_nm + 2000), "lie outside of the field of view"),
        (lambda t: shifted(t, frame=t.frame + 3), "but movie.tif has 6 frames"),
        (lambda t: t[:0], "wrong.csv holds no localization"),
    ],
    ids=["outside", "longer than the movie", "empty"],
)
def test_a_wrong_table_is_refused_below_its_row(
    widget, settle, files, table, tmp_path, change, message
):
    write_thunderstorm(tmp_path / "wrong.csv", change(table))
    choose(widget, MOVIE, movie=files / "movie.tif", positions=tmp_path / "wrong.csv")
    settle()
    assert widget._fault.field == "positions"
    (shown,) = visible_messages(widget)
    assert message in shown
    assert not widget._use.isEnabled()
    assert message in widget._use.toolTip()
    # what is known about the movie is shown nevertheless
    assert "6 frames · 20 × 24 · uint16 · 120 nm" in widget._facts.text()
    choose(widget, MOVIE, positions=files / "positions.csv")
    settle()
    assert not visible_messages(widget)
    assert widget._use.isEnabled()


@pytest.mark.parametrize("mark", [{"model": "m"}, {"role": PROCESSED}])
def test_positions_that_may_be_those_of_a_network_are_not_chosen_by_themselves(
    viewer, widget, settle, pixels, table, mark
):
    viewer.add_layer(movie_layer(pixels))
    found = viewer.add_layer(points_layer(table, **mark))
    settle()
    assert widget.movie_page.boxes["positions"].value() is None
    assert not widget._use.isEnabled()
    truth = viewer.add_layer(points_layer(table))
    settle()
    assert widget.movie_page.boxes["positions"].value() is truth
    assert widget._use.isEnabled()
    assert not visible_messages(widget)

    choose(widget, MOVIE, positions=found)
    settle()
    # the user may want that
    assert widget._use.isEnabled()
    warnings = visible_messages(widget)
    assert [text.partition(":")[0] for text in warnings] == [
        "⚠ These localizations were found by the network 'm'. They are no ground truth"
    ] * ("model" in mark)
    choose(widget, MOVIE, positions=truth)
    settle()
    assert not visible_messages(widget)


def test_pixels_that_are_not_square_are_refused_as_such(viewer, widget, settle, files, pixels):
    attributes = {"scale": (1, 100, 150), "units": ("pixel", "nm", "nm"), "name": "oblong"}
    movie = viewer.add_image(pixels, **attributes)
    choose(widget, MOVIE, movie=movie, positions=files / "positions.csv")
    settle()
    assert widget._fault.field == "pixel_size_nm"
    (shown,) = visible_messages(widget)
    assert "The pixels of oblong are 100 nm high and 150 nm wide" in shown


def test_a_missing_pixel_size_is_asked_for_in_its_row(widget, settle, files):
    choose(widget, MOVIE, movie=files / "unscaled.npy", positions=files / "positions.csv")
    settle()
    assert widget._fault.field == "pixel_size_nm"
    assert "does not say how large its pixels are" in visible_messages(widget)[0]
    for wrong in (-3, 0):
        widget.movie_page.pixel_size.set_value(wrong)
        settle()
        assert f"{wrong} nm is no pixel size" in visible_messages(widget)[0]
    widget.movie_page.pixel_size.set_value(PIXEL_SIZE_NM)
    settle()
    assert widget._use.isEnabled()


def test_pairs_of_impossible_sizes_or_lengths_are_refused(viewer, widget, settle, files, pixels):
    odd = viewer.add_image(np.ones((N_FRAMES, 3 * HEIGHT, 3 * WIDTH)), name="odd")
    short = viewer.add_image(true_images(pixels, 2)[1:], name="short")
    choose(widget, PAIRS, raw=files / "movie.tif", images=odd)
    settle()
    assert widget._fault.field == "images"
    assert "Impossible upsampling" in visible_messages(widget)[0]
    choose(widget, PAIRS, images=short)
    settle()
    assert "movie.tif has 6 frames but short has 5" in visible_messages(widget)[0]
    choose(widget, PAIRS, images=files / "true")
    settle()
    assert "is a folder and" in visible_messages(widget)[0]


def test_images_that_are_black_are_refused(viewer, widget, settle, files, pixels):
    black = viewer.add_image(0 * true_images(pixels, 2), name="black")
    choose(widget, PAIRS, raw=files / "movie.tif", images=black)
    settle()
    assert "black has no pixel above 0" in visible_messages(widget)[0]
    assert not widget._use.isEnabled()
    assert Session.of(viewer).data is None


def test_a_colour_layer_is_refused_in_its_row(viewer, widget, settle, files):
    colour = viewer.add_image(np.zeros((HEIGHT, WIDTH, 3), np.uint8), rgb=True, name="photo")
    choose(widget, MOVIE, movie=colour, positions=files / "positions.csv")
    settle()
    assert widget._fault.field == "movie"
    assert "'photo' is in colour" in visible_messages(widget)[0]


@pytest.mark.parametrize(
    ("name", "content", "field"),
    [("movie", b"no TIFF", "movie"), ("positions", b"no,table\n1,2", "positions")],
)
def test_damaged_files_are_refused_in_their_rows(
    widget, settle, files, tmp_path, name, content, field
):
    (tmp_path / "damaged.tif").write_bytes(content)
    good = {"movie": files / "movie.tif", "positions": files / "positions.csv"}
    choose(widget, MOVIE, **(good | {name: tmp_path / "damaged.tif"}))
    settle()
    assert widget._fault.field == field
    assert visible_messages(widget)


def test_a_faulty_frame_range_unfolds_its_row(widget, settle, files):
    choose(widget, MOVIE, movie=files / "movie.tif", positions=files / "positions.csv")
    widget.movie_page.division._validation.set_value("4:99")
    settle()
    assert widget._fault.field == "validation_frames"
    assert "The frame range '4:99' cannot be used" in visible_messages(widget)[0]


def test_the_choices_follow_the_layers(viewer, widget, settle, pixels, table):
    movie = viewer.add_layer(movie_layer(pixels))
    viewer.add_layer(points_layer(table))
    settle()
    box = widget.movie_page.boxes["movie"]
    assert box.value() is movie
    assert widget._use.isEnabled()
    movie.name = "renamed"
    assert "renamed" in box._choice._combo.currentText()
    viewer.layers.remove(movie)
    settle()
    assert box.value() is None
    assert visible_messages(widget) == ["⚠ The layer 'renamed' was removed. Choose another."]
    assert not widget._use.isEnabled()


def test_a_source_outlives_its_layer(viewer, widget, use, pixels, table):
    viewer.add_layer(movie_layer(pixels))
    viewer.add_layer(points_layer(table))
    source = use()
    viewer.layers.clear()
    assert_trains_on(source, pixels, table)


def test_a_change_of_a_chosen_layer_is_looked_at(viewer, widget, settle, pixels, table):
    movie = viewer.add_layer(movie_layer(pixels))
    viewer.add_layer(points_layer(table))
    settle()
    movie.data = pixels[:3]
    settle()
    assert "but movie has 3 frames" in visible_messages(widget)[0]


def test_nothing_chosen_is_no_error_but_a_reason(widget, settle):
    settle()
    assert not visible_messages(widget)
    assert not widget._use.isEnabled()
    assert widget._use.toolTip() == "Choose a movie."


def test_a_movie_from_a_file_is_shown_with_its_true_positions(
    viewer, widget, settle, files, pixels, table
):
    choose(widget, MOVIE, movie=files / "movie.tif", positions=files / "positions.csv")
    settle()
    widget._show.click()
    settle()
    movie, points = viewer.layers
    assert_array_equal(movie.data[2], pixels[2])
    shown = layers.localizations_of(points, movie)
    assert_allclose(shown.positions_nm(), table.positions_nm())
    assert_array_equal(shown.frame, table.frame)
    # in nm from the corner of the movie, where napari draws it
    assert_allclose(points.data_to_world(points.data[0])[-2:], table.positions_nm()[0])
    assert layers.mark_of(points)["role"] == "ground truth"
    widget._show.click()
    settle()
    assert len(viewer.layers) == 2


def test_a_pair_is_shown_in_register(viewer, widget, settle, files):
    choose(widget, PAIRS, raw=files / "movie.tif", images=files / "images.npy")
    settle()
    widget._show.click()
    settle()
    movie, images = viewer.layers
    edges = [
        layer.data_to_world([0, *corner])
        for layer, corner in ((movie, (-0.5, -0.5)), (images, (-0.5, -0.5)))
    ]
    assert_allclose(edges[0], edges[1], atol=1e-9)
    assert_allclose(images.scale[-2:], PIXEL_SIZE_NM / 4)


def test_the_source_knows_the_layer_that_was_opened_for_it(viewer, widget, settle, use, files):
    choose(widget, MOVIE, movie=files / "movie.tif", positions=files / "positions.csv")
    settle()
    widget._show.click()
    settle()
    viewer.layers["movie"].name = "my movie"
    assert use().movie_layer_name == "my movie"


class Watched:
    """An array that notes which frames are read, and in which thread."""

    def __init__(self, pixels):
        self.shape, self.dtype, self.ndim = pixels.shape, pixels.dtype, 3
        self.pixels = pixels
        self.frames, self.threads = set(), set()

    def __getitem__(self, key):
        first = key[0] if isinstance(key, tuple) else key
        self.frames.update(np.atleast_1d(np.arange(self.shape[0])[first]).tolist())
        self.threads.add(threading.current_thread())
        return self.pixels[key]


def test_of_a_long_movie_few_frames_are_read(table):
    watched = Watched(
        np.broadcast_to(np.ones((1, HEIGHT, WIDTH), np.uint16), (1000, HEIGHT, WIDTH))
    )
    movie = MovieChoice(None, open_frames(watched))
    events = check_movie(
        movie,
        TableChoice("table", None, table),
        pixel_size_nm=PIXEL_SIZE_NM,
        upsampling_factor=None,
        division=Division(),
    )
    assert isinstance(list(events)[-1], Ready)
    # for the histogram, and for pictures of the middle and of the most crowded frame
    crowded = int(np.bincount(table.frame).argmax())
    assert watched.frames == {0, 143, 285, 428, 571, 714, 856, 999} | {500, crowded}


def test_pixels_are_read_off_the_gui_thread(viewer, widget, settle, pixels, table):
    watched = Watched(pixels)
    layer = viewer.add_layer(movie_layer(watched))
    choose(widget, MOVIE, movie=layer, positions=viewer.add_layer(points_layer(table)))
    watched.threads.clear()
    settle()
    assert watched.threads
    assert threading.current_thread() not in watched.threads


def test_only_what_was_asked_for_last_is_told(qtbot, widget):
    run = LatestRun(widget)
    told, gate = [], threading.Event()
    run.event_arrived.connect(told.append)

    def slow():
        gate.wait(120)
        yield "slow"

    run.start(slow)
    run.start(lambda: iter(["skipped"]))
    run.start(lambda: iter(["last"]))
    gate.set()
    qtbot.waitUntil(lambda: not run.is_running)
    assert told == ["last"]
    run.start(lambda: iter(["again"]))
    run.cancel()
    qtbot.waitUntil(lambda: not run.is_running)
    assert told == ["last"]


PARAMETERS = {
    "density": (1.0, 2.0),
    "structure": {"kind": "rings", "radius_nm": 70},
    "blinking": {"on_frames": 3},
    "photons": {"kind": "lognormal", "mean": 900},
    "psf": {"kind": "gaussian", "sigma_nm": 150},
    "background": {"photons": (5.0, 6.0)},
    "camera": {"em_gain": 200, "baseline": 150},
    "pixel_size_nm": 110,
}


def test_to_look_at_data_takes_no_pytorch(files):
    code = f"""
        import sys
        from pathlib import Path
        from napari_dl4smlm.backend.simulation.config import SimulationConfig
        from napari_dl4smlm.widgets.data.checks import check_movie, check_pairs
        from napari_dl4smlm.widgets.data.events import Ready
        from napari_dl4smlm.widgets.data.simulated import check_simulation
        from napari_dl4smlm.widgets.data.training_source import Division
        from napari_dl4smlm.widgets.sources.choices import MovieChoice, TableChoice
        files = Path({str(files)!r})
        movie = MovieChoice(files / "movie.tif")
        table = TableChoice("positions", files / "positions.csv")
        images = MovieChoice(files / "images.npy")
        rest = dict(pixel_size_nm=None, division=Division())
        for events in (
            check_movie(movie, table, upsampling_factor=None, **rest),
            check_pairs(movie, images, **rest),
            check_simulation(SimulationConfig(), upsampling_factor=None, seed=0, own=movie),
        ):
            *_, last = events
            assert isinstance(last, Ready), last
        assert "torch" not in sys.modules
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def brightest(picture):
    """Centre of the brightest pixel, (y, x) in camera pixels from the corner of the picture."""
    factor = max(picture.pixels.shape) / 32
    place = np.unravel_index(np.argmax(picture.pixels), picture.pixels.shape)
    return (np.array(place) + 0.5) / factor


@pytest.fixture
def beads():
    """Two emitters in each of four frames, of which one is much brighter; (y, x) in pixels."""
    positions_px = np.array([[40.5, 70.5], [60.5, 90.5]])
    frames = np.full((4, 70, 100), 10, np.uint16)
    frames[:, 40, 70], frames[:, 60, 90] = 5000, 900
    y_nm, x_nm = np.tile(positions_px * 100, (4, 1)).T
    return frames, Localizations(np.repeat(np.arange(4), 2), y_nm, x_nm), positions_px


def test_a_part_with_emitters_is_shown_at_once_with_its_true_positions(
    viewer, widget, settle, beads
):
    frames, table, positions_px = beads
    movie = viewer.add_image(frames, name="beads", **layers.movie_transform(100))
    choose(widget, MOVIE, movie=movie, positions=viewer.add_layer(points_layer(table)))
    settle()
    plain, marked = widget._facts._pictures.pictures()
    assert (plain.caption, marked.caption) == ("frame 2", "true positions")
    assert plain.positions_px is None
    assert plain.pixels.shape == (64, 64)
    # all of them, in the order of the table, on the pixels that are bright
    values = [plain.pixels[int(y), int(x)] for y, x in marked.positions_px]
    assert values == [5000, 900]
    assert_allclose(np.diff(marked.positions_px, axis=0), np.diff(positions_px, axis=0))


def test_a_frame_without_emitters_is_not_what_is_shown(viewer, widget, settle, beads):
    frames, table, _ = beads
    movie = viewer.add_image(frames, name="beads", **layers.movie_transform(100))
    only_last = viewer.add_layer(points_layer(table.in_frames(range(3, 4))))
    choose(widget, MOVIE, movie=movie, positions=only_last)
    settle()
    plain, marked = widget._facts._pictures.pictures()
    assert plain.caption == "frame 3"
    assert len(marked.positions_px) == 2


def test_the_true_image_lies_beside_its_frame(viewer, widget, settle):
    frames = np.full((3, 32, 32), 10, np.uint16)
    frames[:, 5, 20] = 999
    images = np.zeros((3, 128, 128), np.float32)
    images[:, 22, 82] = 1
    choose(
        widget,
        PAIRS,
        raw=viewer.add_image(frames, name="frames"),
        images=viewer.add_image(images, name="images"),
    )
    settle()
    frame, truth = widget._facts._pictures.pictures()
    assert truth.caption == "true image ×4"
    assert np.abs(brightest(frame) - brightest(truth)).max() < 0.5


def test_the_simulated_frame_is_seen_beside_the_users_own_in_the_same_gray(
    viewer, widget, settle, pixels
):
    viewer.add_layer(movie_layer(pixels))
    widget.choose(SIMULATION)
    settle()
    simulated, own = widget._facts._pictures.pictures()
    assert (simulated.caption, own.caption) == ("simulated", "your movie")
    assert simulated.limits == own.limits
    assert_allclose(own.limits, np.percentile(pixels, (0.1, 99.9)))
    widget.simulation_page.form.set_values({"density": 0.1})
    settle()
    assert widget._facts._pictures.pictures()[0].pixels.sum() < simulated.pixels.sum()


def test_pictures_are_drawn_pixel_by_pixel_with_their_marks(qtbot):
    view = PictureView()
    qtbot.addWidget(view)
    pixels = np.zeros((4, 4))
    pixels[0, 3], pixels[2, 1] = 100, 50
    marked = Picture("marked", np.zeros((4, 4)), (0.0, 1.0), np.array([[2.0, 2.0]]))
    view.show_pictures([Picture("plain", pixels, (0.0, 100.0)), marked])
    view.resize(206, 10)
    view.show()
    image = view.grab().toImage()
    # each is 100 px wide, with a gap of 6
    places = [(x, y) for y in (12, 62) for x in (12, 37, 87)]
    assert [image.pixelColor(*place).value() for place in places] == [0, 0, 255, 0, 127, 0]
    cyan = [
        (x, y)
        for x in range(106, 206)
        for y in range(100)
        if image.pixelColor(x, y).blue() > 200 > image.pixelColor(x, y).red()
    ]
    # a circle of two pixels, around the middle
    distance = np.hypot(*(np.array(cyan) - (155.5, 49.5)).T)
    assert distance == pytest.approx(50, abs=1.5)
    view.show_pictures([])
    assert not view.isVisible()


def test_data_from_positions_or_a_simulation_train_at_any_upsampling(
    viewer, widget, use, files, pixels, table
):
    choose(widget, MOVIE, movie=files / "movie.tif", positions=files / "positions.csv")
    from_files = use()
    movie = viewer.add_layer(movie_layer(pixels))
    choose(widget, MOVIE, movie=movie, positions=viewer.add_layer(points_layer(table)))
    from_layers = use()
    widget.choose(SIMULATION)
    simulated = use()
    for source, in_file in ((from_files, True), (from_layers, False), (simulated, True)):
        for factor in (4, 8, 1):
            other = source.at_upsampling(factor)
            assert other.upsampling_factor == factor
            assert other.summary == source.summary.replace("×8", f"×{factor}")
            assert (other.movie_layer_name, other.pixel_size_nm) == (
                source.movie_layer_name,
                source.pixel_size_nm,
            )
            if in_file:
                assert (other.config.upsampling_factor or 8) == factor
                assert other.config.model_copy(update={"upsampling_factor": None}) == source.config
            with other.open(0) as opened:
                assert opened.upsampling_factor == factor
            # and back
            assert other.at_upsampling(8).summary == source.summary


def test_true_images_leave_no_choice_of_the_upsampling(widget, use, files):
    choose(widget, PAIRS, raw=files / "movie.tif", images=files / "images.npy")
    assert use().at_upsampling is None


def test_a_movie_that_trains_stays_readable_when_its_layer_is_removed(
    viewer, widget, settle, use, files, pixels, table
):
    choose(widget, MOVIE, movie=files / "movie.tif", positions=files / "positions.csv")
    settle()
    widget._show.click()
    settle()
    # positions that are in no file keep the layer's own frames in use
    points = viewer.add_layer(points_layer(table))
    choose(widget, MOVIE, movie=viewer.layers["movie"], positions=points)
    source = use()
    assert source.config is None
    viewer.layers.clear()
    assert_trains_on(source, pixels, table)


def test_the_form_makes_the_simulation_that_trains(widget, use):
    widget.choose(SIMULATION)
    widget.simulation_page.form.set_values(PARAMETERS)
    widget.simulation_page.upsampling.set_value(4)
    config = SimulationConfig.model_validate(PARAMETERS)
    source = use()
    assert source.config == DataConfig(simulation=config, upsampling_factor=4)
    assert source.summary == "simulation · rings · 1 to 2 emitters/µm²\n110 nm · ×4"
    with source.open(0) as data:
        assert data.upsampling_factor == 4
        assert data.validation.frames.shape == (24, 64, 64)


def test_an_impossible_simulation_says_why(widget, settle):
    widget.choose(SIMULATION)
    form = widget.simulation_page.form
    form.set_values({"psf": {"kind": "gaussian", "sigma_nm": 9000}})
    settle()
    assert "the light of an emitter reaches" in visible_messages(widget)[0]
    form._rows.editors["density"]._low.set_value(-1)
    settle()
    (shown,) = visible_messages(widget)
    assert "-1 is below 0" in shown
    assert not widget._use.isEnabled()


def test_a_simulated_frame_is_shown_beside_one_of_the_users_movie(viewer, widget, settle, pixels):
    frames = np.zeros((5, 100, 90), np.uint16)
    frames[2, 18:82, 13:77] = np.random.default_rng(3).poisson(300, (64, 64))
    viewer.add_image(frames, name="mine", **layers.movie_transform(100))
    widget.choose(SIMULATION)
    settle()
    assert set(widget._facts._histogram._movies) == {"simulated", "your movie"}
    widget._show.click()
    shown = previews(viewer)
    simulated, own = shown["simulated"], shown["own"]
    assert viewer.canvas.grid.enabled
    assert_array_equal(own.data, frames[2, 18:82, 13:77])
    assert_array_equal(simulated.extent.world, own.extent.world)
    assert_allclose(own.contrast_limits, np.percentile(frames, (0.1, 99.9)))
    assert_allclose(simulated.contrast_limits, own.contrast_limits)
    own.contrast_limits = (0, 77)
    expected = SimulatedMovie(MovieConfig(frames=1)).frame(0)
    assert_array_equal(simulated.data, expected)
    n_layers = len(viewer.layers)
    widget.simulation_page.form.set_values({"density": 0.1})
    settle()
    sparse = SimulatedMovie(MovieConfig(frames=1, simulation=SimulationConfig(density=0.1)))
    assert_array_equal(previews(viewer)["simulated"].data, sparse.frame(0))
    widget._show.click()
    settle()
    assert not np.array_equal(simulated.data, sparse.frame(0))
    assert previews(viewer) == shown
    assert own.contrast_limits == [0, 77]
    assert len(viewer.layers) == n_layers
    # neither is offered as a movie
    assert len(widget.simulation_page.boxes["own"]._layers) == 1


def test_pixels_of_other_size_than_those_of_the_users_movie_are_told(viewer, widget, settle):
    viewer.add_image(np.ones((5, 70, 70), np.uint16), name="mine", **layers.movie_transform(160))
    widget.choose(SIMULATION)
    settle()
    assert "mine has pixels of 160 nm, the simulation of 100 nm" in visible_messages(widget)[0]
    # a warning, no refusal
    assert widget._use.isEnabled()


def test_a_preview_that_was_removed_comes_back():
    viewer = ViewerModel()
    frame = SimulatedFrame("", np.eye(64), 100.0)
    show_simulated(viewer, frame)
    viewer.layers.clear()
    show_simulated(viewer, frame)
    assert [layer.name for layer in viewer.layers] == ["simulated frame"]


def test_the_command_line_films_what_the_widget_saved_and_the_widget_loads_it(widget, tmp_path):
    page = widget.simulation_page
    page.form.set_values(PARAMETERS)
    page.save(tmp_path / "mine.yaml")
    out = tmp_path / "out"
    arguments = ["simulate", "--config", str(tmp_path / "mine.yaml"), "--frames", "3"]
    result = CliRunner().invoke(main, [*arguments, "--out", str(out)])
    assert result.exit_code == 0, result.output
    config = MovieConfig(frames=3, simulation=SimulationConfig.model_validate(PARAMETERS))
    with open_frames(out / "frames.tif") as frames:
        assert_array_equal(frames.read(0, 3), SimulatedMovie(config).frames())
    page.form.set_values(SimulationConfig().model_dump())
    page.load(out / "simulation.yaml")
    assert page.form.build() == config.simulation
    (tmp_path / "again.yaml").write_text("mine")
    page.save(tmp_path / "again.yaml")
    assert (tmp_path / "again.previous.yaml").read_text() == "mine"
    saved = yaml.safe_load((tmp_path / "again.yaml").read_text())
    assert saved == yaml.safe_load((out / "simulation.yaml").read_text())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "does not hold named values"),
        ("a: [", "cannot be read"),
        ("density: -1", "simulation.density: -1 is below 0"),
        ("simulation: {colour: red}", "simulation.colour: Extra inputs are not permitted"),
    ],
)
def test_a_file_that_is_no_simulation_is_refused_below_the_buttons(
    widget, tmp_path, monkeypatch, text, message
):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    monkeypatch.setattr(
        "napari_dl4smlm.widgets.data.simulation_page.QFileDialog.getOpenFileName",
        lambda *_: (str(path), ""),
    )
    widget.choose(SIMULATION)
    before = widget.simulation_page.form.values()
    widget.simulation_page._load()
    assert message in visible_messages(widget)[0]
    assert widget.simulation_page.form.values() == before


def test_a_fault_ends_a_stream():
    def stream():
        yield 1
        MovieChoice.of(Image(np.zeros((5, 5, 3)), rgb=True))

    from napari_dl4smlm.widgets.data.events import about

    def refused():
        with about("movie"):
            yield from stream()

    *events, fault = with_fault(refused())
    assert events == [1]
    assert isinstance(fault, Fault)
    assert fault.field == "movie"


def no_thread_is_left():
    return not any(thread.name.startswith("dl4smlm") for thread in threading.enumerate())


class Slow(Watched):
    """An array whose pixels the other threads get only when they may."""

    def __init__(self, pixels):
        super().__init__(pixels)
        self.wanted, self.may_go_on = threading.Event(), threading.Event()

    def __getitem__(self, key):
        if threading.current_thread() is not threading.main_thread():
            self.wanted.set()
            assert self.may_go_on.wait(TIMEOUT_MS / 1000)
        return super().__getitem__(key)


@pytest.mark.parametrize("what", ["dock", "viewer"])
def test_closing_while_data_are_looked_at_leaves_no_thread(
    make_napari_viewer, qtbot, pixels, table, what
):
    viewer, slow = make_napari_viewer(show=True), Slow(pixels)
    viewer.add_layer(points_layer(table))
    viewer.add_layer(movie_layer(slow))
    widget = DataWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Data")
    qtbot.waitUntil(slow.wanted.is_set)
    told = []
    widget.checked.connect(lambda: told.append(True))

    if what == "dock":
        viewer.window.remove_dock_widget(widget)
    else:
        viewer.close()
    slow.may_go_on.set()

    qtbot.waitUntil(no_thread_is_left)
    assert told == []
    if what == "dock":
        qtbot.waitUntil(lambda: not widget.is_busy)
        assert not widget._use.isEnabled()
        # and it works again where it is shown again
        viewer.window.add_dock_widget(widget, name="Data")
        qtbot.waitUntil(lambda: bool(told))
        assert widget._use.isEnabled()


def histogram_colour(widget):
    corner = widget._facts._histogram.pixmap().toImage().pixelColor(0, 0)
    return corner.red(), corner.green(), corner.blue()


def test_in_a_real_viewer_the_widget_works_until_it_is_closed(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    widget = DataWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Data")
    for layer in filaments():
        viewer.add_layer(Layer.create(*layer))
    qtbot.waitUntil(lambda: not widget.is_busy)
    assert widget._use.isEnabled(), widget._use.toolTip()
    assert max(histogram_colour(widget)) < 100
    viewer.theme = "light"
    qtbot.waitUntil(lambda: not widget.is_busy)
    assert min(histogram_colour(widget)) > 150
    widget.choose(SIMULATION)
    qtbot.waitUntil(lambda: not widget.is_busy)
    widget._show.click()
    assert len(viewer.layers) == 4
    viewer.window.remove_dock_widget(widget)
    widget.close_runs()
    viewer.layers.remove("filaments")
