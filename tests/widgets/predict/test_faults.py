"""Whatever goes wrong is told once and clearly, costs nothing that was found, and leaves no trace.

In a real viewer, since napari's own parts must take it, too.
"""

from __future__ import annotations

from concurrent import futures

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

pytest.importorskip("pytestqt")

from qtpy.QtWidgets import QApplication

from napari_dl4smlm.backend import load_model, open_frames
from napari_dl4smlm.widgets.layers.layers import add_movie
from napari_dl4smlm.widgets.predict.widget import PredictWidget
from napari_dl4smlm.widgets.run_state import RunState

pytestmark = pytest.mark.gui

HEIGHT, WIDTH, N_FRAMES, PIXEL_NM = 20, 24, 6, 100.0


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer()


@pytest.fixture
def assert_failed(notified, wait_for_threads):
    """Checks that a run has failed with a message, and that the widget is ready for another."""

    def check(widget, message):
        assert widget._state is RunState.FAILED
        assert message in widget._progress.outcome()
        (notice,) = notified()
        assert message in notice
        assert widget._buttons.start.isEnabled()
        assert not widget._buttons.cancel.isEnabled()
        wait_for_threads()

    return check


def on_batch(number, error):
    """Raise an error at a batch, counted from 1."""
    batches = []

    def count(frames):
        batches.append(len(frames))
        if len(batches) == number:
            raise error

    return count


# what cannot be predicted


def test_without_a_layer_nothing_can_be_started(widget, choose, make_model, notified):
    choose(widget, make_model())
    assert not widget._buttons.start.isEnabled()
    assert "Choose a movie first" in widget._buttons.start.toolTip()
    widget.start()
    assert widget._state is RunState.IDLE
    assert notified() == []


def test_layers_that_are_no_movies_are_refused_with_the_reason(viewer, widget, choose, make_model):
    colour = viewer.add_image(np.zeros((20, 20, 3), np.uint8), rgb=True, name="mine")
    channels = viewer.add_image(np.zeros((3, 2, 20, 24), np.uint8), name="mine too")
    labels = viewer.add_labels(np.ones((6, 20, 24), np.uint8), name="mine as well")
    choose(widget, make_model())
    for layer, message in (
        (colour, "is in colour"),
        (channels, "is no movie: array has shape 3 x 2 x 20 x 24"),
        (labels, "holds labels"),
    ):
        widget._form.movie.set_value(layer)
        about = widget._form.movie.about.fault()
        assert about.startswith(f"⚠ The layer {layer.name!r} {message}")
        assert about == f"⚠ {widget._buttons.start.toolTip()}"
        assert not widget._buttons.start.isEnabled()


def test_a_single_image_is_a_movie_of_one_frame(
    viewer, widget, run, make_model, pixels, results_in
):
    viewer.add_image(pixels[0], name="frame", scale=(PIXEL_NM, PIXEL_NM), units=("nm", "nm"))
    widget._form.movie.set_value(viewer.layers[0])
    run(widget, make_model())

    image, points = results_in(viewer)
    assert widget._state is RunState.DONE
    assert_allclose(image.data.sum(), 1, rtol=1e-4)
    assert points.data.shape == (1, 2)


def test_a_pixel_size_that_is_none_is_refused(widget, movie, choose, make_model):
    choose(widget, make_model())
    widget._form._of_movie._rows.editors["pixel_size_nm"]._box._line.setText("-5 nm")
    assert not widget._buttons.start.isEnabled()
    assert "Pixel size: Input should be greater than 0" in widget._buttons.start.toolTip()


def test_frames_that_the_movie_does_not_have_are_refused_before_the_run(
    widget, movie, choose, make_model
):
    choose(widget, make_model())
    widget._form.set_values({"frames": "2:99"})
    assert "'2:99' cannot be used: the movie has 6 frames" in widget._buttons.start.toolTip()
    assert "the movie has 6 frames" in widget._form._range_fault.toPlainText()
    widget._form.set_values({"frames": "2:"})
    assert widget._buttons.start.isEnabled()


def test_a_file_that_is_no_movie_is_refused_with_the_reason(widget, tmp_path, qtbot, notified):
    (tmp_path / "movie.tif").write_bytes(b"no image")
    widget._form.movie.set_value(tmp_path / "movie.tif")
    about = widget._form.movie.about
    qtbot.waitUntil(lambda: "⚠" in about.fault())
    assert "movie.tif" in about.fault()
    assert [f"⚠ {message}" for message in notified()] == [about.fault()]
    assert not widget._buttons.start.isEnabled()


def damaged(path):
    path.write_bytes(path.read_bytes()[:200])


def foreign(path):
    torch.save({"weight": torch.zeros(3)}, path)


def missing(path):
    path.unlink()


def test_files_that_are_no_models_are_refused_with_the_reason(
    widget, movie, make_model, qtbot, notified
):
    harmed = [(damaged, "is damaged or incomplete"), (foreign, "is a pickle or a zip")]
    picker = widget._form.model
    for harm, message in [*harmed, (missing, "There is no")]:
        model = make_model(f"{harm.__name__}.safetensors")
        harm(model)
        picker.set_value(model)
        qtbot.waitUntil(lambda: bool(picker.about.fault()))

        assert message in picker.about.fault()
        assert not widget._buttons.start.isEnabled()
        assert message in widget._buttons.start.toolTip()
        assert notified()[-1] == widget._buttons.start.toolTip()


# what fails while it runs


def test_weights_that_were_damaged_fail_the_run_and_the_message_stays(
    widget, movie, run, make_model, assert_failed
):
    model = make_model()
    checksum = load_model(model).card.weights_sha256.encode()
    model.write_bytes(model.read_bytes().replace(checksum, checksum[::-1]))
    run(widget, model)

    assert_failed(widget, "not those that were saved")
    assert "Kept" not in widget._progress.outcome()
    widget._progress._copy.click()
    copied = QApplication.clipboard().text()
    assert "not those that were saved" in copied
    assert "Traceback" in copied


def test_a_device_that_is_gone_is_told(widget, movie, run, make_model, assert_failed):
    run(widget, make_model(), device="cuda:7")
    assert_failed(widget, "The device 'cuda:7' cannot be used")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("CUDA error: device lost\nadvice"), "'cpu' has failed or is gone (CUDA er"),
        (RuntimeError("mat1 and mat2"), "Unexpected: RuntimeError: mat1 and mat2"),
        (ZeroDivisionError("division"), "Unexpected: ZeroDivisionError: division"),
    ],
    ids=["device", "PyTorch", "any"],
)
def test_an_error_of_the_run_keeps_what_was_found_before(
    viewer, widget, movie, run, make_model, results_in, fault, assert_failed, error, message
):
    fault(on_batch(4, error))
    run(widget, make_model(), batch_size=1)

    assert_failed(widget, message)
    assert "Kept: 3 localizations in 3 frames." in widget._progress.outcome()
    assert "advice" not in widget._progress.outcome()
    image, points = results_in(viewer)
    assert_array_equal(points.data[:, 0], [0, 1, 2])
    assert_allclose(image.data.sum(), 3, rtol=1e-4)
    assert len(widget._results._table.shown_rows()) == 3


def test_a_frame_that_cannot_be_predicted_keeps_those_before_it(
    widget, viewer, run, make_model, pixels, results_in, assert_failed
):
    model = make_model()
    # not one of those that are looked at before the run
    pixels[3, 3, 3] = np.nan
    viewer.add_image(pixels, name="movie", contrast_limits=(0, 1))
    run(widget, model, batch_size=1)

    assert_failed(widget, "Frame 3 of movie")
    _, points = results_in(viewer)
    assert_array_equal(points.data[:, 0], [0, 1, 2])


def test_a_lack_of_memory_is_told_and_less_is_tried(
    viewer, widget, movie, run, make_model, results_in, fault, qtbot
):
    def fits_two(frames):
        if len(frames) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    fault(fits_two)
    run(widget, make_model(), batch_size=4)

    assert widget._state is RunState.DONE
    assert "memory did not suffice: now 2 frames" in widget._progress._bar.toolTip()
    _, points = results_in(viewer)
    assert len(points.data) == N_FRAMES


def test_too_little_memory_for_anything_is_told(
    widget, movie, run, make_model, fault, assert_failed
):
    def fits_nothing(frames):
        raise MemoryError

    fault(fits_nothing)
    run(widget, make_model())
    assert_failed(widget, "The memory of the device 'cpu' does not suffice")


def test_an_image_that_cannot_be_copied_while_it_grows_does_not_fail_the_run(
    widget, movie, choose, make_model, start_slowly, permits, wait_for_end, monkeypatch
):
    from napari_dl4smlm.backend.prediction.reconstruction import Reconstruction

    def no_copy(self):
        raise MemoryError

    choose(widget, make_model())
    with monkeypatch.context() as context:
        context.setattr(Reconstruction, "image", property(no_copy))
        start_slowly(widget, 2)
    permits.release(N_FRAMES)
    wait_for_end(widget)
    assert widget._state is RunState.DONE


def test_a_second_start_does_nothing(
    viewer, widget, movie, choose, make_model, start_slowly, permits, wait_for_end, notified
):
    choose(widget, make_model())
    widget._batch.add_files([make_model("any.tif")])
    start_slowly(widget, 1)
    widget.start()
    widget._buttons.start.click()
    widget._batch.buttons.start.click()
    permits.release(N_FRAMES)
    wait_for_end(widget)

    assert widget._state is RunState.DONE
    assert widget._batch.lines() == ["any.tif"]
    assert len(viewer.layers) == 3
    assert notified() == []


def test_an_earlier_result_outlives_a_run_that_finds_nothing(
    viewer, widget, movie, run, make_model, results_in
):
    run(widget, make_model())
    run(widget, make_model(), device="cuda:7")
    _, points = results_in(viewer)
    points.selected_data = {4}
    assert_array_equal(widget._results._table.selected_rows(), [4])
    assert widget._results._image_button.isEnabled()


# what is written


def test_a_file_that_cannot_be_written_is_told(
    widget, movie, run, make_model, qtbot, tmp_path, notified
):
    run(widget, make_model())
    saved = widget._results._saved
    for save, name in (
        (widget._results.save_image, "image.tif"),
        (widget._results.save_table, "table.csv"),
    ):
        saved.clear()
        save(tmp_path / "missing" / name)
        qtbot.waitUntil(lambda: "missing" in saved.toPlainText())
        assert saved.toPlainText() == f"⚠ {notified()[-1]}"
        assert widget._results._image_button.isEnabled()


def test_a_folder_that_cannot_be_written_to_fails_each_file_with_the_reason(
    widget, choose, make_model, movie_file, tmp_path, wait_for_end, notified, wait_for_threads
):
    choose(widget, make_model())
    (tmp_path / "results").write_text("a file, where the folder should be")
    widget._batch.add_files([movie_file])
    widget._batch.set_into(tmp_path / "results")
    widget._batch.buttons.start.click()
    wait_for_end(widget)

    (line,) = widget._batch.lines()
    assert line.startswith("movie.tif: ✗ The folder")
    assert "cannot be created" in line
    assert notified() == ["Finished: 0 of 1 files predicted, 1 failed."]
    assert widget._batch.buttons.start.isEnabled()
    wait_for_threads()


# what is closed


@pytest.fixture
def docked(make_napari_viewer, choose, make_model, start_slowly, pixels):
    """A viewer that is shown, and a widget in it that has predicted two frames."""
    viewer = make_napari_viewer(show=True)
    add_movie(viewer, open_frames(pixels, pixel_size_nm=PIXEL_NM), name="movie")
    widget = PredictWidget(viewer)
    dock = viewer.window.add_dock_widget(widget)
    choose(widget, make_model())
    start_slowly(widget, 2)
    return viewer, widget, dock


def test_a_dock_that_is_closed_stops_the_run_and_leaves_what_was_found(
    docked, permits, results_in, wait_for_threads, pixels, monkeypatch
):
    viewer, widget, dock = docked
    wait = futures.wait

    def finish_batch(*arguments):
        # and the one that is begun when it is done
        permits.release(2)
        return wait(*arguments)

    # when the widget waits for the batch under way, it has asked for the end
    monkeypatch.setattr(futures, "wait", finish_batch)
    viewer.window.remove_dock_widget(dock)

    assert widget._state is RunState.STOPPED
    wait_for_threads()
    image, points = results_in(viewer)
    # the batch under way was still predicted
    assert_array_equal(points.data[:, 0], [0, 1, 2])
    assert_allclose(image.data.sum(), 3, rtol=1e-4)
    viewer.add_image(pixels)  # nobody listens any more
    widget.deleteLater()


def test_a_viewer_that_is_closed_stops_the_run(docked, permits, wait_for_threads):
    viewer, widget, _ = docked
    viewer.close()
    assert widget._state is RunState.STOPPED
    # for the batch under way, and the one that is begun when it is done
    permits.release(2)
    wait_for_threads()
