"""The Predict widget shows what the backend predicts, and says what it is going to do."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pint
import pytest
import tifffile
from click.testing import CliRunner
from napari.components import ViewerModel
from numpy.testing import assert_allclose, assert_array_equal

pytest.importorskip("pytestqt")

from qtpy.QtWidgets import QFileDialog

from napari_dl4smlm.backend import PredictionConfig, open_frames, read_thunderstorm
from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.models.calibration import Calibration
from napari_dl4smlm.cli import main
from napari_dl4smlm.widgets.durations import duration
from napari_dl4smlm.widgets.layers.layers import add_movie, pixel_size_nm
from napari_dl4smlm.widgets.predict import form
from napari_dl4smlm.widgets.run_state import RunState
from napari_dl4smlm.widgets.session import Session

pytestmark = pytest.mark.gui

N_FRAMES, PIXEL_NM = 6, 100.0


def test_what_is_saved_equals_what_predict_to_files_writes(
    widget, movie, run, make_model, movie_file, qtbot, tmp_path, predicted_to
):
    model = make_model()
    run(widget, model, threshold=0.2, frames="1:5")
    saved = tmp_path / "image.tif", tmp_path / "table.csv"
    for save, path in zip(
        (widget._results.save_image, widget._results.save_table), saved, strict=True
    ):
        save(path)
        qtbot.waitUntil(lambda: not widget._results._saver.is_running)

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


def test_the_command_predicts_the_same(
    viewer, widget, run, make_model, movie_file, qtbot, results_in
):
    widget._form.movie.set_value(movie_file)
    qtbot.waitUntil(lambda: widget._form.movie.path is not None)
    run(widget, make_model(), frames="2:", threshold=0.1)

    program, *words = shlex.split(widget._command.text())
    outcome = CliRunner().invoke(main, words)

    assert program == "dl4smlm"
    assert outcome.exit_code == 0, outcome.output
    table = read_thunderstorm(movie_file.with_name("movie-prediction") / "localizations.csv")
    _, points = results_in(viewer)
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
    widget._form.movie.set_value(movie_file)
    qtbot.waitUntil(lambda: widget._form.movie.layer() is not None)
    run(widget, make_model())

    (movie, *_) = viewer.layers
    assert movie.name == "movie"
    assert_allclose(movie.scale, [1, PIXEL_NM, PIXEL_NM])
    assert widget._state is RunState.DONE
    assert "6 frames · 20 × 24 · float32 · 100 nm" in widget._form.movie.about.description()


def test_another_run_updates_the_layers(viewer, widget, movie, run, make_model, results_in):
    model = make_model()
    run(widget, model)
    run(widget, model, frames="0:2")

    image, points = results_in(viewer)
    assert len(viewer.layers) == 3
    assert len(points.data) == 2
    assert_allclose(image.data.sum(), 2, rtol=1e-4)


def test_the_image_grows_while_the_rest_is_predicted(
    viewer,
    widget,
    movie,
    choose,
    make_model,
    permits,
    qtbot,
    start_slowly,
    wait_for_end,
    results_in,
):
    choose(widget, make_model())
    start_slowly(widget, 1)
    qtbot.waitUntil(lambda: results_in(viewer)[0] is not None)

    image, points = results_in(viewer)
    assert_allclose(image.data.sum(), 1, rtol=1e-4)
    assert points is None
    assert not widget._buttons.start.isEnabled()
    assert "stop it first" in widget._buttons.start.toolTip()
    assert "1 / 6 frames" in widget._progress._line.toPlainText()
    permits.release(100)
    wait_for_end(widget)
    assert_allclose(image.data.sum(), N_FRAMES, rtol=1e-4)


def test_cancel_keeps_the_frames_that_are_done(
    viewer,
    widget,
    movie,
    choose,
    make_model,
    permits,
    pixels,
    start_slowly,
    wait_for_end,
    results_in,
):
    choose(widget, make_model())
    start_slowly(widget, 2)
    widget._buttons.cancel.click()
    assert widget._state is RunState.STOPPING
    permits.release(100)
    wait_for_end(widget)

    image, points = results_in(viewer)
    assert widget._state is RunState.STOPPED
    # the batch under way was still predicted
    expected = np.kron(pixels[:3].sum(0), np.ones((2, 2))) / 100 / 4
    assert_allclose(image.data, expected, rtol=1e-5)
    assert_array_equal(points.data[:, 0], [0, 1, 2])
    assert widget._progress.outcome() == "Stopped: 3 localizations in 3 frames."
    assert widget._buttons.start.isEnabled()


def test_the_movie_may_be_renamed_and_removed_and_the_slider_moved(
    make_napari_viewer,
    open_widget,
    choose,
    make_model,
    permits,
    pixels,
    start_slowly,
    wait_for_end,
    results_in,
):
    viewer = make_napari_viewer()
    movie = add_movie(viewer, open_frames(pixels, pixel_size_nm=PIXEL_NM), name="movie")
    widget = open_widget(viewer)
    choose(widget, make_model())
    start_slowly(widget, 1)
    viewer.dims.set_current_step(0, 3)
    movie.name = "renamed"
    permits.release(1)
    viewer.layers.remove(movie)
    permits.release(100)
    wait_for_end(widget)

    image, points = results_in(viewer)
    assert widget._state is RunState.DONE
    assert [layer.name for layer in viewer.layers] == [
        "prediction ×2: movie (model)",
        "localizations: movie (model)",
    ]
    assert len(points.data) == N_FRAMES
    assert_allclose(image.data.sum(), N_FRAMES, rtol=1e-4)
    assert not widget._buttons.start.isEnabled()
    assert "was removed" in widget._buttons.start.toolTip()


def test_an_image_that_was_removed_stays_away_and_one_renamed_is_updated(
    viewer,
    widget,
    movie,
    choose,
    make_model,
    permits,
    qtbot,
    start_slowly,
    wait_for_end,
    results_in,
):
    for change in ("rename", "remove"):
        choose(widget, make_model())
        start_slowly(widget, 1)
        qtbot.waitUntil(lambda: results_in(viewer)[0] is not None)
        image, _ = results_in(viewer)
        if change == "rename":
            image.name = "mine"
        else:
            viewer.layers.remove(image)
        permits.release(N_FRAMES - 1)
        wait_for_end(widget)
        if change == "rename":
            assert_allclose(image.data.sum(), N_FRAMES, rtol=1e-4)
            viewer.layers.remove(image)

    assert results_in(viewer)[0] is None


def test_a_movie_unlike_the_training_data_is_warned_about_before_the_run(
    widget, movie, choose, make_model, qtbot, pixels
):
    dim = Normalization(offset=0, scale=1, background=0, brightest=9 * pixels.max())
    choose(widget, make_model(pixel_size_nm=160.0, normalization=dim))
    qtbot.waitUntil(lambda: bool(widget._form.warnings()))
    size, brightness = widget._form.warnings().splitlines()
    assert "is 100 nm, but the model was trained with 160 nm" in size
    assert "brightness of the spots" in brightness

    choose(widget, make_model("fitting.safetensors"))
    assert widget._form.warnings() == ""


def test_frames_are_compared_again_only_after_what_matters_has_changed(
    widget, movie, choose, make_model, qtbot, monkeypatch
):
    compared = []

    def compare(card, movie, *, frames, given_nm):
        compared.append((frames, given_nm))
        yield "as expected"

    monkeypatch.setattr(form, "mismatches", compare)
    choose(widget, make_model())
    for options in ({"threshold": 0.1}, {"frames": "1:3"}, {"batch_size": 2}):
        widget._form.set_values(options)
        qtbot.waitUntil(lambda: bool(widget._form.warnings()))
    assert compared == [(range(6), None), (range(1, 3), None)]


def test_a_movie_of_other_intensities_is_warned_about(widget, viewer, run, make_model, pixels):
    viewer.add_image(pixels / 5, name="dim", units=("pixel", "nm", "nm"), scale=(1, 100, 100))
    run(widget, make_model())

    assert "brightness of the spots" in widget._form.warnings()


def test_a_model_that_was_just_trained_is_chosen(widget, viewer, make_model, qtbot):
    Session.of(viewer).model_path = make_model()

    qtbot.waitUntil(lambda: widget._form.model.card is not None)
    assert "nearest · ×2 · 100 nm" in widget._form.model.about.description()


def test_models_that_were_used_are_offered_again_and_those_that_are_gone_are_not(
    widget, viewer, choose, make_model, open_widget
):
    paths = [make_model("first.safetensors"), make_model("second.safetensors")]
    gone = make_model("gone.safetensors")
    for path in [gone, *paths]:
        choose(widget, path)
    gone.unlink()

    assert open_widget(ViewerModel())._form.model._choice._values == [None, *reversed(paths)]


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
    box = widget._form._of_run._rows.editors["threshold"]._box
    choose(widget, make_model("calibrated.safetensors", calibration=calibration))
    assert box.lineEdit().placeholderText() == "auto: 0.42, calibrated"
    choose(widget, make_model())
    assert box.lineEdit().placeholderText() == "auto: 0.3, not calibrated"


def test_the_layers_follow_the_check_boxes(viewer, widget, movie, run, make_model, results_in):
    widget._boxes.localizations.setChecked(False)
    run(widget, make_model())
    image, points = results_in(viewer)
    assert points is None

    widget._boxes.image.setChecked(False)
    assert not image.visible
    widget._boxes.localizations.setChecked(True)
    _, points = results_in(viewer)
    assert len(points.data) == N_FRAMES


def test_an_image_that_was_hidden_on_the_way_is_complete_in_the_end(
    viewer,
    widget,
    movie,
    choose,
    make_model,
    permits,
    qtbot,
    start_slowly,
    wait_for_end,
    results_in,
):
    choose(widget, make_model())
    start_slowly(widget, 1)
    qtbot.waitUntil(lambda: results_in(viewer)[0] is not None)
    image, _ = results_in(viewer)
    widget._boxes.image.click()
    assert not image.visible
    permits.release(N_FRAMES - 1)
    wait_for_end(widget)
    assert not image.visible
    widget._boxes.image.click()
    assert image.visible
    assert_allclose(image.data.sum(), N_FRAMES, rtol=1e-4)


def test_a_model_of_the_same_name_in_another_folder_has_layers_of_its_own(
    viewer, widget, movie, run, make_model, tmp_path, results_in
):
    model = make_model()
    run(widget, model)
    image, points = results_in(viewer)
    (tmp_path / "other").mkdir()
    run(widget, make_model("other/model.safetensors"), frames="0:2")
    assert [layer.name for layer in viewer.layers[3:]] == [
        "prediction ×2: movie (model) [1]",
        "localizations: movie (model) [1]",
    ]
    assert len(points.data) == N_FRAMES
    assert_allclose(image.data.sum(), N_FRAMES, rtol=1e-4)
    run(widget, model, frames="0:3")
    assert len(viewer.layers) == 5
    assert len(points.data) == 3


def test_a_table_that_would_be_replaced_is_kept_aside_and_names_keep_their_dots(
    widget, movie, run, make_model, qtbot, tmp_path, monkeypatch
):
    movie.name = "cell 0.5 nM"
    suggested = []

    def answer(_parent, _title, path, _kinds, **_):
        suggested.append(path)
        return str(tmp_path / "cell_0.5uM"), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", answer)
    run(widget, make_model())
    old = tmp_path / "cell_0.5uM.csv"
    old.write_text("precious")
    for button in (widget._results._table_button, widget._results._image_button):
        button.click()
        qtbot.waitUntil(lambda: not widget._results._saver.is_running)

    assert [Path(path).name for path in suggested] == [
        "cell 0.5 nM-table.csv",
        "cell 0.5 nM-image.tif",
    ]
    assert len(read_thunderstorm(old)) == N_FRAMES
    assert (tmp_path / "cell_0.5uM.previous.csv").read_text() == "precious"
    assert tifffile.imread(tmp_path / "cell_0.5uM.tif").any()


def test_with_a_limit_that_is_no_number_no_table_is_saved(widget, movie, run, make_model):
    run(widget, make_model())
    results = widget._results
    results._table._lowest._line.setText("0,9")
    assert not results._table_button.isEnabled()
    assert "'0,9' is no number" in results._table_button.toolTip()
    assert results._image_button.isEnabled()
    results._table._lowest._line.setText("1")
    assert results._table_button.isEnabled()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0:00"), (65, "1:05"), (3599.6, "1:00:00"), (3725, "1:02:05")]
)
def test_durations_are_written_as_on_a_clock(seconds, text):
    assert duration(seconds) == text


def test_opening_the_widget_imports_nothing_that_takes_long():
    script = (
        "import sys; from qtpy.QtWidgets import QApplication; app = QApplication([])\n"
        "from napari.components import ViewerModel; viewer = ViewerModel()\n"
        "before = set(sys.modules)\n"
        "from napari_dl4smlm.widgets.predict.widget import PredictWidget\n"
        "widget = PredictWidget(viewer)\n"
        "new = {name.partition('.')[0] for name in sys.modules.keys() - before}\n"
        "assert not {'torch', 'scipy', 'matplotlib'} & new, new"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_layer_without_pixel_size_gets_that_which_the_user_enters(
    make_napari_viewer, open_widget, run, make_model, pixels, results_in
):
    viewer = make_napari_viewer()
    movie = viewer.add_image(pixels, name="movie")
    widget = open_widget(viewer)
    run(widget, make_model())
    calibration, entry = widget._form._calibration, widget._form._of_movie._rows.editors
    assert "has no pixel size" in calibration._note.toPlainText()
    assert calibration._button.text() == "Set the layer's scale to 100 nm"

    entry["pixel_size_nm"].set_value(130.0)
    calibration._button.click()

    image, points = results_in(viewer)
    assert [pixel_size_nm(layer) for layer in (movie, image)] == [130, 65]
    assert viewer.canvas.overlays.scale_bar.visible
    assert entry["pixel_size_nm"].value() is None
    assert "130 nm" in widget._form.movie.about.description()
    assert not calibration.isVisibleTo(widget)
    # found with 100 nm, the points still lie on their spots
    corner = points.data_to_world([0, 0, 0]), movie.data_to_world([0, -0.5, -0.5])
    assert_allclose(*corner, atol=1e-9)
    run(widget, make_model())
    assert widget._results._result.pixel_size_nm == 130


def test_without_any_pixel_size_the_user_is_asked_for_it(widget, viewer, pixels):
    viewer.add_image(pixels, name="movie")
    calibration = widget._form._calibration
    assert calibration.isVisibleTo(widget)
    assert not calibration._button.isEnabled()
    assert calibration._button.toolTip() == "Enter the pixel size first."


def test_pixels_that_are_not_square_are_told_and_not_to_be_set_right(
    widget, choose, make_model, viewer, pixels, qtbot
):
    viewer.add_image(pixels, name="oblong", scale=(1, 100, 150), units=("pixel", "nm", "nm"))
    choose(widget, make_model())
    calibration = widget._form._calibration
    assert calibration.isVisibleTo(widget)
    assert "100 nm high and 150 nm wide, but only square" in calibration._note.toPlainText()
    assert not calibration._button.isVisibleTo(widget)
    qtbot.waitUntil(lambda: bool(widget._form.warnings()))
    assert "same factor" not in widget._form.warnings()
    viewer.layers["oblong"].scale = (1, 150, 150)
    assert not calibration.isVisibleTo(widget)
    widget._form.set_values({"pixel_size_nm": 160.0})
    assert "says 150 nm" in calibration._note.toPlainText()
    assert calibration._button.isVisibleTo(widget)


def test_a_layer_of_another_pixel_size_than_entered_may_be_set_right(widget, movie):
    widget._form.set_values({"pixel_size_nm": 160.0})
    calibration = widget._form._calibration
    assert "says 100 nm" in calibration._note.toPlainText()
    calibration._button.click()
    assert_allclose(movie.scale, [1, 160, 160])
    assert_allclose(movie.translate, [0, 80, 80])


def test_it_is_told_what_the_model_was_trained_for(widget, choose, make_model):
    simulation = {"psf": {"kind": "gaussian", "sigma_nm": 130.0}, "density": [0.5, 3.2]}
    choose(widget, make_model(training={"simulation": simulation}))
    first, second, *_ = widget._form.model.about.description().splitlines()
    assert first == "nearest · ×2 · 100 nm"
    assert second == "simulated spots of σ 130 nm · 0.5–3.2 per µm²"


def test_units_are_left_to_the_thread_of_the_viewer(
    viewer, widget, run, make_model, movie_file, qtbot, monkeypatch, tmp_path
):
    # the registry of units that napari uses is not safe while another thread loads it
    used_in = set()
    registry = pint.get_application_registry

    def get_registry():
        used_in.add(threading.current_thread())
        return registry()

    monkeypatch.setattr(pint, "get_application_registry", get_registry)
    widget._form.movie.set_value(movie_file)
    qtbot.waitUntil(lambda: widget._form.movie.path is not None)
    run(widget, make_model())
    widget._results.save_image(tmp_path / "image.tif")
    qtbot.waitUntil(lambda: not widget._results._saver.is_running)
    widget._batch.add_files([movie_file])
    widget._batch.buttons.start.click()
    qtbot.waitUntil(lambda: not widget._state.is_active)

    assert used_in == {threading.main_thread()}


def test_prediction_can_be_started_and_cancelled_from_code(
    widget, movie, choose, make_model, start_slowly, permits, wait_for_end
):
    choose(widget, make_model())
    start_slowly(widget, 1)
    widget.cancel()
    widget.cancel()
    permits.release(N_FRAMES)
    wait_for_end(widget)
    assert widget._state is RunState.STOPPED
    widget.start()
    permits.release(N_FRAMES)
    wait_for_end(widget)
    assert widget._state is RunState.DONE
