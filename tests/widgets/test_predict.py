"""The Predict widget shows what the backend predicts, whatever the user does meanwhile."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import threading
from typing import ClassVar

import numpy as np
import pytest
import tifffile
import torch
from click.testing import CliRunner
from napari.components import ViewerModel
from napari.utils._proxies import PublicOnlyProxy
from numpy.testing import assert_allclose, assert_array_equal

pytest.importorskip("pytestqt")

from qtpy.QtCore import QSettings
from qtpy.QtWidgets import QApplication

from napari_dl4smlm.backend import (
    PredictionConfig,
    load_model,
    open_frames,
    predict_to_files,
    read_thunderstorm,
    render_density_map,
    save_model,
)
from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.models.model_file import Calibration, ModelCard
from napari_dl4smlm.backend.models.network import SuperResolutionNetwork, enlarge
from napari_dl4smlm.backend.models.registry import MODELS
from napari_dl4smlm.cli import main
from napari_dl4smlm.widgets.layers.layers import add_movie, mark_of
from napari_dl4smlm.widgets.predict.files import result_folders
from napari_dl4smlm.widgets.predict.terms import duration
from napari_dl4smlm.widgets.predict.widget import PredictWidget
from napari_dl4smlm.widgets.run_state import RunState
from napari_dl4smlm.widgets.session import Session

pytestmark = pytest.mark.gui

# far above what anything here takes, so that a busy machine fails no test
TIMEOUT_MS = 60_000

FACTOR, HEIGHT, WIDTH, N_FRAMES = 2, 20, 24, 6
PIXEL_NM = 100.0


class NearestNetwork(SuperResolutionNetwork):
    """Its density map is the frame, each camera pixel shared between its fine pixels.

    With ``allowed``, every batch waits for a permit, so that tests know how far a run is.
    """

    name = "nearest"
    allowed: ClassVar[threading.Semaphore | None] = None

    def __init__(self, *, upsampling_factor):
        super().__init__(upsampling_factor)
        self.enlarge = enlarge(upsampling_factor, "nearest")

    def _density(self, frames):
        # on the device "meta" the predictor only measures its memory
        if self.allowed is not None and not frames.is_meta:
            assert self.allowed.acquire(timeout=TIMEOUT_MS / 1000)
        return self.enlarge(frames) / self.upsampling_factor**2

    def _layers(self):
        return (self.enlarge,)


@pytest.fixture(autouse=True)
def nearest_is_a_model(monkeypatch):
    monkeypatch.setitem(MODELS, NearestNetwork.name, NearestNetwork)


@pytest.fixture(autouse=True)
def own_settings(tmp_path):
    """No test sees, or changes, what the user predicted lately."""
    folder = str(tmp_path / "settings")
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, folder)


@pytest.fixture
def permits(monkeypatch):
    """Predictions wait for these."""
    allowed = threading.Semaphore(0)
    monkeypatch.setattr(NearestNetwork, "allowed", allowed)
    yield allowed
    allowed.release(100)


@pytest.fixture
def spots_nm():
    """Where the emitter of each frame is, (y, x) from the outer corner."""
    inside = np.array([HEIGHT - 10, WIDTH - 10])
    return (5 + inside * np.random.default_rng(2).random((N_FRAMES, 2))) * PIXEL_NM


@pytest.fixture
def pixels(spots_nm):
    """One emitter per frame, in counts of 100 per emitter."""
    maps = [
        render_density_map(
            spot[None],
            height=HEIGHT,
            width=WIDTH,
            pixel_size_nm=PIXEL_NM,
            upsampling_factor=1,
            sigma_px=1,
        )
        for spot in spots_nm
    ]
    return np.float32(100 * np.stack(maps))


@pytest.fixture
def make_model(tmp_path, pixels):
    """Saves a model; the arguments go to its card."""

    def make(name="model.safetensors", **changes):
        fields = {
            "architecture": NearestNetwork.name,
            "options": {},
            "upsampling_factor": FACTOR,
            "pixel_size_nm": PIXEL_NM,
            "normalization": Normalization(
                offset=0, scale=1, background=0, brightest=float(np.percentile(pixels, 99.9))
            ),
            "density_amplitude": 100.0,
            "training": {},
            "history": [],
        }
        path = tmp_path / name
        card = ModelCard.model_validate(fields | changes)
        save_model(path, NearestNetwork(upsampling_factor=FACTOR), card)
        return path

    return make


@pytest.fixture
def movie_file(tmp_path, pixels):
    path = tmp_path / "movie.tif"
    micrometres = {"axes": "TYX", "unit": "um"}
    tifffile.imwrite(
        path,
        pixels,
        imagej=True,
        metadata=micrometres,
        resolution=(1000 / PIXEL_NM, 1000 / PIXEL_NM),
    )
    return path


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def movie(viewer, pixels):
    return add_movie(viewer, open_frames(pixels, pixel_size_nm=PIXEL_NM), name="movie")


@pytest.fixture
def open_widget(qtbot):
    """Opens the widget in a viewer."""
    opened = []

    def make(viewer):
        # as napari gives it to widgets
        widget = PredictWidget(PublicOnlyProxy(viewer))
        opened.append(widget)
        qtbot.addWidget(widget)
        return widget

    yield make
    for widget in opened:
        widget._worker.close(TIMEOUT_MS / 1000)
        widget.close()


@pytest.fixture
def widget(open_widget, viewer):
    return open_widget(viewer)


@pytest.fixture
def choose(qtbot):
    """Chooses a model and waits until it was read."""

    def choose(widget, path):
        widget._model.set_value(path)
        qtbot.waitUntil(lambda: widget._model.card is not None, timeout=TIMEOUT_MS)

    return choose


@pytest.fixture
def run(qtbot, choose):
    """Predicts, and waits for the end."""

    def run(widget, model, **options):
        choose(widget, model)
        widget._form.set_values(options)
        widget._start.click()
        wait_for_end(qtbot, widget)

    return run


def wait_for_end(qtbot, widget):
    qtbot.waitUntil(lambda: not widget._state.is_active, timeout=TIMEOUT_MS)


def start_slowly(widget, qtbot, permits, n_batches):
    """Start a run of one frame per batch, and hold it after some of them."""
    widget._form.set_values({"batch_size": 1})
    permits.release(n_batches)
    widget._start.click()
    bar = widget._progress._bar
    qtbot.waitUntil(lambda: bar.value() == n_batches, timeout=TIMEOUT_MS)


def result_layers(viewer):
    roles = [mark_of(layer).get("role") for layer in viewer.layers]
    by_role = dict(zip(roles, viewer.layers, strict=True))
    return by_role.get("super-resolution image"), by_role.get("localizations")


def centroid_in_world(layer, image):
    index = [np.average(grid, weights=image) for grid in np.indices(image.shape)]
    return np.array(layer.data_to_world([0.0] * (layer.ndim - 2) + index))[-2:]


def predicted_to(folder, model, source, config=None):
    with open_frames(source) as frames:
        list(predict_to_files(load_model(model), frames, folder, config))
    return folder


# what is predicted


def test_image_and_points_of_a_layer_lie_on_its_emitters(
    make_napari_viewer, open_widget, run, make_model, pixels, spots_nm
):
    viewer = make_napari_viewer()
    movie = viewer.add_image(
        pixels, name="movie", scale=(1, 0.1, 0.1), translate=(0, 3, -5), units=("s", "um", "um")
    )
    widget = open_widget(viewer)

    run(widget, make_model())

    image, points = result_layers(viewer)
    assert widget._state is RunState.DONE
    assert image.blending == "additive"
    # within 0.05 camera pixels of 0.1 µm
    assert_allclose(
        centroid_in_world(image, image.data), centroid_in_world(movie, pixels.sum(0)), atol=0.005
    )
    seen = np.array([points.data_to_world(point) for point in points.data])
    table = widget._results._result.localizations
    assert_allclose(seen[:, -2:], table.positions_nm() / 1000 - 0.05 + [3, -5])
    # sharing a pixel equally moves the centroid of the peak by up to half a camera pixel
    assert_allclose(table.positions_nm(), spots_nm, atol=60)
    assert_array_equal(seen[:, 0], np.arange(N_FRAMES))
    assert len(widget._results._table.shown_rows()) == len(points.data) == N_FRAMES
    assert_allclose(image.data.sum(), N_FRAMES, rtol=1e-4)


def test_what_is_saved_equals_what_predict_to_files_writes(
    widget, movie, run, make_model, movie_file, qtbot, tmp_path
):
    model = make_model()
    run(widget, model, threshold=0.2, frames="1:5")
    saved = tmp_path / "image.tif", tmp_path / "table.csv"
    for save, path in zip(
        (widget._results.save_image, widget._results.save_table), saved, strict=True
    ):
        save(path)
        qtbot.waitUntil(lambda: not widget._results._saver.is_running, timeout=TIMEOUT_MS)

    config = PredictionConfig(threshold=0.2, frames="1:5")
    written = predicted_to(tmp_path / "written", model, movie_file, config)
    with (
        tifffile.TiffFile(saved[0]) as ours,
        tifffile.TiffFile(written / "reconstruction.tif") as theirs,
    ):
        assert_array_equal(ours.asarray(), theirs.asarray())
        about_ours, about_theirs = (
            file.imagej_metadata | json.loads(file.imagej_metadata["Info"])
            for file in (ours, theirs)
        )
        assert (about_ours.pop("movie"), about_theirs.pop("movie")) == ("movie", "movie.tif")
        del about_ours["Info"], about_theirs["Info"]
        assert about_ours == about_theirs
        resolutions = [file.pages[0].tags["XResolution"].value for file in (ours, theirs)]
        assert resolutions[0] == resolutions[1]
    assert saved[1].read_bytes() == (written / "localizations.csv").read_bytes()


def test_a_file_that_cannot_be_written_is_told(widget, movie, run, make_model, qtbot, tmp_path):
    run(widget, make_model())
    saved = widget._results._saved
    for save, name in (
        (widget._results.save_image, "image.tif"),
        (widget._results.save_table, "table.csv"),
    ):
        saved.clear()
        save(tmp_path / "missing" / name)
        qtbot.waitUntil(lambda: "missing" in saved.toPlainText(), timeout=TIMEOUT_MS)
        assert saved.toPlainText().startswith("⚠")
        assert widget._results._image_button.isEnabled()


def test_the_command_predicts_the_same(viewer, widget, run, make_model, movie_file, qtbot):
    widget._movie.set_value(movie_file)
    qtbot.waitUntil(lambda: widget._movie.path is not None, timeout=TIMEOUT_MS)
    run(widget, make_model(), frames="2:", threshold=0.1)

    program, *words = shlex.split(widget._command.text())
    outcome = CliRunner().invoke(main, words)

    assert program == "dl4smlm"
    assert outcome.exit_code == 0, outcome.output
    table = read_thunderstorm(movie_file.with_name("movie-prediction") / "localizations.csv")
    _, points = result_layers(viewer)
    assert len(table) == len(points.data) == N_FRAMES - 2
    assert_array_equal(table.frame, points.data[:, 0])
    assert_allclose(table.positions_nm(), points.data[:, 1:], atol=1e-4)


def test_a_layer_that_is_in_no_file_has_no_command(widget, movie, choose, make_model):
    choose(widget, make_model())

    assert "in no file" in widget._command.text()
    assert not widget._command._copy.isEnabled()


def test_a_file_becomes_a_layer_that_is_predicted(
    viewer, widget, run, make_model, movie_file, qtbot
):
    widget._movie.set_value(movie_file)
    qtbot.waitUntil(lambda: widget._movie.layer() is not None, timeout=TIMEOUT_MS)
    run(widget, make_model())

    (movie, *_) = viewer.layers
    assert movie.name == "movie"
    assert_allclose(movie.scale, [1, PIXEL_NM, PIXEL_NM])
    assert widget._state is RunState.DONE
    assert "6 frames · 20 × 24 · 100 nm" in widget._movie._description.text()


def test_a_file_that_is_no_movie_is_refused_with_the_reason(widget, tmp_path, qtbot):
    (tmp_path / "movie.tif").write_bytes(b"no image")
    widget._movie.set_value(tmp_path / "movie.tif")

    fault = widget._movie._fault
    qtbot.waitUntil(lambda: "⚠" in fault.toPlainText(), timeout=TIMEOUT_MS)
    assert "movie.tif" in fault.toPlainText()
    assert not widget._start.isEnabled()


def test_another_run_updates_the_layers(viewer, widget, movie, run, make_model):
    model = make_model()
    run(widget, model)
    run(widget, model, frames="0:2")

    image, points = result_layers(viewer)
    assert len(viewer.layers) == 3
    assert len(points.data) == 2
    assert_allclose(image.data.sum(), 2, rtol=1e-4)


# while it runs


def test_the_image_grows_while_the_rest_is_predicted(
    viewer, widget, movie, choose, make_model, permits, qtbot
):
    choose(widget, make_model())
    start_slowly(widget, qtbot, permits, 1)
    qtbot.waitUntil(lambda: result_layers(viewer)[0] is not None, timeout=TIMEOUT_MS)

    image, points = result_layers(viewer)
    assert_allclose(image.data.sum(), 1, rtol=1e-4)
    assert points is None
    assert not widget._start.isEnabled()
    assert "stop it first" in widget._start.toolTip()
    assert "1 / 6 frames" in widget._progress._line.text()
    permits.release(100)
    wait_for_end(qtbot, widget)
    assert_allclose(image.data.sum(), N_FRAMES, rtol=1e-4)


def test_cancel_keeps_the_frames_that_are_done(
    viewer, widget, movie, choose, make_model, permits, qtbot, pixels
):
    choose(widget, make_model())
    start_slowly(widget, qtbot, permits, 2)
    widget._cancel.click()
    assert widget._state is RunState.STOPPING
    permits.release(100)
    wait_for_end(qtbot, widget)

    image, points = result_layers(viewer)
    assert widget._state is RunState.STOPPED
    # the batch under way was still predicted
    expected = np.kron(pixels[:3].sum(0), np.ones((2, 2))) / 100 / 4
    assert_allclose(image.data, expected, rtol=1e-5)
    assert_array_equal(points.data[:, 0], [0, 1, 2])
    assert widget._progress.outcome() == "Stopped: 3 localizations in 3 frames."
    assert widget._start.isEnabled()


def test_the_movie_may_be_renamed_and_removed_and_the_slider_moved(
    make_napari_viewer, open_widget, choose, make_model, permits, qtbot, pixels
):
    viewer = make_napari_viewer()
    movie = add_movie(viewer, open_frames(pixels, pixel_size_nm=PIXEL_NM), name="movie")
    widget = open_widget(viewer)
    choose(widget, make_model())
    start_slowly(widget, qtbot, permits, 1)
    viewer.dims.set_current_step(0, 3)
    movie.name = "renamed"
    permits.release(1)
    viewer.layers.remove(movie)
    permits.release(100)
    wait_for_end(qtbot, widget)

    image, points = result_layers(viewer)
    assert widget._state is RunState.DONE
    assert [layer.name for layer in viewer.layers] == [
        "movie: prediction ×2 (model)",
        "movie: localizations (model)",
    ]
    assert len(points.data) == N_FRAMES
    assert_allclose(image.data.sum(), N_FRAMES, rtol=1e-4)
    assert not widget._start.isEnabled()
    assert "was removed" in widget._start.toolTip()


def test_an_image_that_was_removed_stays_away_and_one_renamed_is_updated(
    viewer, widget, movie, choose, make_model, permits, qtbot
):
    for change in ("rename", "remove"):
        choose(widget, make_model())
        start_slowly(widget, qtbot, permits, 1)
        qtbot.waitUntil(lambda: result_layers(viewer)[0] is not None, timeout=TIMEOUT_MS)
        image, _ = result_layers(viewer)
        if change == "rename":
            image.name = "mine"
        else:
            viewer.layers.remove(image)
        permits.release(N_FRAMES - 1)
        wait_for_end(qtbot, widget)
        if change == "rename":
            assert_allclose(image.data.sum(), N_FRAMES, rtol=1e-4)
            viewer.layers.remove(image)

    assert result_layers(viewer)[0] is None


def test_a_widget_that_is_closed_stops_its_run(
    make_napari_viewer, make_model, choose, permits, qtbot, pixels
):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(pixels, name="movie")
    widget = PredictWidget(viewer)
    dock = viewer.window.add_dock_widget(widget)
    choose(widget, make_model())
    start_slowly(widget, qtbot, permits, 1)
    viewer.window.remove_dock_widget(dock)

    assert widget._state is RunState.STOPPED
    assert not widget._worker.is_running
    viewer.add_image(pixels)  # nobody listens any more
    widget.deleteLater()


# what goes wrong


def damaged(path):
    path.write_bytes(path.read_bytes()[:200])


def foreign(path):
    torch.save({"weight": torch.zeros(3)}, path)


@pytest.mark.parametrize(
    ("harm", "message"), [(damaged, "is damaged or incomplete"), (foreign, "is a pickle or a zip")]
)
def test_a_file_that_is_no_model_is_refused_with_the_reason(
    widget, movie, make_model, qtbot, harm, message
):
    model = make_model()
    harm(model)
    widget._model.set_value(model)
    qtbot.waitUntil(lambda: message in (widget._model.problem or ""), timeout=TIMEOUT_MS)

    assert message in widget._model._fault.toPlainText()
    assert not widget._start.isEnabled()
    assert message in widget._start.toolTip()


def test_weights_that_were_damaged_fail_the_run_and_the_message_stays(
    widget, movie, run, make_model, qtbot
):
    model = make_model()
    card_says_otherwise = model.read_bytes()
    checksum = load_model(model).card.weights_sha256.encode()
    model.write_bytes(card_says_otherwise.replace(checksum, checksum[::-1]))
    run(widget, model)

    assert widget._state is RunState.FAILED
    assert "not those that were saved" in widget._progress.outcome()
    assert widget._progress._copy.isVisibleTo(widget)
    widget._progress._copy.click()
    copied = QApplication.clipboard().text()
    assert "not those that were saved" in copied
    assert "Traceback" in copied
    assert widget._start.isEnabled()


def test_a_frame_that_cannot_be_predicted_keeps_those_before_it(
    widget, viewer, run, make_model, pixels
):
    model = make_model()
    # not one of those that are looked at before the run
    pixels[3, 3, 3] = np.nan
    viewer.add_image(pixels, name="movie", contrast_limits=(0, 1))
    run(widget, model, batch_size=1)

    image, points = result_layers(viewer)
    assert widget._state is RunState.FAILED
    assert "Frame 3 of movie" in widget._progress.outcome()
    assert "Kept: 3 localizations in 3 frames." in widget._progress.outcome()
    assert_array_equal(points.data[:, 0], [0, 1, 2])
    assert_allclose(image.data.sum(), 3, rtol=1e-4)


def test_a_movie_of_another_pixel_size_is_warned_about_before_the_run(
    widget, movie, choose, make_model
):
    choose(widget, make_model(pixel_size_nm=160.0))
    assert "100 nm here, but 160 nm" in widget._progress.warnings()

    choose(widget, make_model("fitting.safetensors"))
    assert widget._progress.warnings() == ""


def test_a_movie_of_other_intensities_is_warned_about(widget, viewer, run, make_model, pixels):
    viewer.add_image(pixels / 5, name="dim", units=("pixel", "nm", "nm"), scale=(1, 100, 100))
    run(widget, make_model())

    assert "brightness of the spots" in widget._progress.warnings()


def test_colour_images_and_labels_are_refused_with_the_reason(widget, viewer):
    colour = viewer.add_image(np.zeros((5, 5, 3), np.uint8), rgb=True, name="colour")
    labels = viewer.add_labels(np.ones((5, 5), np.uint8), name="cells")
    for layer, message in ((colour, "is in colour"), (labels, "holds labels")):
        widget._movie.set_value(layer)
        assert message in widget._movie._fault.toPlainText()
        assert message in widget._start.toolTip()


# several files


def test_a_bad_file_does_not_stop_the_others(
    widget, choose, make_model, movie_file, tmp_path, qtbot
):
    other = tmp_path / "other" / "movie.tif"
    other.parent.mkdir()
    other.write_bytes(movie_file.read_bytes())
    bad = tmp_path / "bad.tif"
    bad.write_bytes(movie_file.read_bytes()[:100])
    model = make_model()
    choose(widget, model)
    widget._batch.add_files([movie_file, bad, other])
    widget._batch.set_into(tmp_path / "results")
    widget._start_batch.click()
    wait_for_end(qtbot, widget)

    assert widget._state is RunState.DONE
    first, second, third = widget._batch.lines()
    assert first == third == "movie.tif: ✓ 6 localizations"
    assert second.startswith("bad.tif: ✗")
    assert widget._progress.outcome() == "Finished: 2 of 3 files predicted, 1 failed."
    written = predicted_to(tmp_path / "written", model, movie_file)
    for folder in ("movie-prediction", "movie-prediction-2"):
        for name in ("reconstruction.tif", "localizations.csv"):
            ours = (tmp_path / "results" / folder / name).read_bytes()
            assert ours == (written / name).read_bytes()


def test_cancel_leaves_the_files_that_were_not_begun(
    widget, choose, make_model, movie_file, tmp_path, permits, qtbot
):
    copy = tmp_path / "copy.tif"
    copy.write_bytes(movie_file.read_bytes())
    choose(widget, make_model())
    widget._form.set_values({"batch_size": 1})
    widget._batch.add_files([movie_file, copy])
    permits.release(1)
    widget._start_batch.click()
    qtbot.waitUntil(lambda: widget._progress._bar.value() == 1, timeout=TIMEOUT_MS)
    widget._cancel.click()
    permits.release(100)
    wait_for_end(qtbot, widget)

    assert widget._state is RunState.STOPPED
    assert widget._batch.lines() == [
        "movie.tif: stopped, 2 localizations kept",
        "copy.tif: not predicted",
    ]
    assert len(read_thunderstorm(tmp_path / "movie-prediction" / "localizations.csv")) == 2


def test_no_two_movies_share_a_folder(tmp_path):
    movies = [tmp_path / name for name in ("a.tif", "a.npy", "b.tif")]
    folders = [folder.name for folder in result_folders(movies)]
    assert folders == ["a-prediction", "a-prediction-2", "b-prediction"]


# the form and the table


def test_a_model_that_was_just_trained_is_chosen(widget, viewer, make_model, qtbot):
    Session.of(viewer).model_path = make_model()

    qtbot.waitUntil(lambda: widget._model.card is not None, timeout=TIMEOUT_MS)
    assert "nearest · ×2 · 100 nm" in widget._model._description.text()


def test_models_that_were_used_are_offered_again_and_those_that_are_gone_are_not(
    widget, viewer, choose, make_model, open_widget
):
    paths = [make_model("first.safetensors"), make_model("second.safetensors")]
    gone = make_model("gone.safetensors")
    for path in [gone, *paths]:
        choose(widget, path)
    gone.unlink()

    assert open_widget(ViewerModel())._model._choice._values == [None, *reversed(paths)]


def test_the_threshold_that_was_calibrated_is_shown_as_the_automatic_one(
    widget, choose, make_model
):
    calibration = Calibration(
        tolerance_nm=100,
        threshold=0.42,
        thresholds=(0.42,),
        precision=(0.9,),
        recall=(0.8,),
        jaccard=0.73,
        rmse_nm=20,
    )
    box = widget._form._rows.editors["threshold"]._box
    choose(widget, make_model("calibrated.safetensors", calibration=calibration))
    assert box.lineEdit().placeholderText() == "auto: 0.42, calibrated"
    choose(widget, make_model())
    assert box.lineEdit().placeholderText() == "auto: 0.3, not calibrated"


def test_a_row_of_the_table_is_selected_in_the_viewer(
    make_napari_viewer, open_widget, run, make_model, pixels
):
    viewer = make_napari_viewer()
    add_movie(viewer, open_frames(pixels, pixel_size_nm=PIXEL_NM), name="movie")
    widget = open_widget(viewer)
    run(widget, make_model())
    table = widget._results._table
    table._view.sortByColumn(0, table._header.sortIndicatorOrder().DescendingOrder)
    table._view.setCurrentIndex(table._model.index(0, 0))

    _, points = result_layers(viewer)
    assert points.selected_data == {N_FRAMES - 1}
    assert viewer.layers.selection.active == points
    assert viewer.dims.current_step[0] == N_FRAMES - 1


def test_the_layers_follow_the_check_boxes(viewer, widget, movie, run, make_model):
    widget._with_points.setChecked(False)
    run(widget, make_model())
    image, points = result_layers(viewer)
    assert points is None

    widget._with_image.setChecked(False)
    assert not image.visible
    widget._with_points.setChecked(True)
    _, points = result_layers(viewer)
    assert len(points.data) == N_FRAMES


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0:00"), (65, "1:05"), (3599.6, "1:00:00"), (3725, "1:02:05")]
)
def test_durations_are_written_as_on_a_clock(seconds, text):
    assert duration(seconds) == text


def test_opening_the_widget_does_not_import_torch():
    script = (
        "import sys; from qtpy.QtWidgets import QApplication; app = QApplication([])\n"
        "from napari.components import ViewerModel\n"
        "from napari_dl4smlm.widgets.predict.widget import PredictWidget\n"
        "widget = PredictWidget(ViewerModel())\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=TIMEOUT_MS / 1000)
