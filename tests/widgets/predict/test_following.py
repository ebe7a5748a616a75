"""Predicting a movie in the viewer while another program writes it."""

from __future__ import annotations

import shlex

import numpy as np
import pytest
import tifffile

pytest.importorskip("pytestqt")

from napari_dl4smlm.backend.prediction.events import FramesArrived
from napari_dl4smlm.widgets.predict.terms import describe_pace
from napari_dl4smlm.widgets.run_state import RunState

pytestmark = pytest.mark.gui


@pytest.fixture
def growing(tmp_path):
    """A TIFF file with two frames, and how to write more to it."""
    path = tmp_path / "live.tif"
    counts = np.random.default_rng(0).poisson(20, (12, 20, 24)).astype(np.float32)

    def write(start, stop):
        with tifffile.TiffWriter(path, append=start > 0) as writer:
            for frame in counts[start:stop]:
                writer.write(frame, contiguous=False, metadata=None)

    write(0, 2)
    return path, write


def test_frames_are_predicted_as_they_come_until_it_is_cancelled(
    viewer, widget, choose, make_model, growing, qtbot, results_in
):
    path, write = growing
    widget._form.follow.setChecked(True)
    widget._form.movie.set_value(path)
    widget._form.set_values({"threshold": 0.2, "pixel_size_nm": 100.0})
    choose(widget, make_model())
    qtbot.waitUntil(lambda: widget._form.problem() is None)
    (movie,) = viewer.layers
    # the second may not be complete yet
    assert movie.data.shape == (1, 20, 24)

    widget.start()
    for start, stop in ((2, 6), (6, 12)):
        write(start, stop)
        done = stop - 1
        qtbot.waitUntil(
            lambda done=done: f"{done} / {done} frames" in widget._progress._line.toPlainText(),
        )
        qtbot.waitUntil(
            lambda: widget._progress._pace.toPlainText() == "0 frames behind the camera",
        )
    widget.cancel()
    qtbot.waitUntil(lambda: widget._state is RunState.STOPPED)

    _, points = results_in(viewer)
    assert points.data[:, 0].max() >= 10
    assert widget._progress._pace.toPlainText() == ""


def test_the_command_follows_too(widget, choose, make_model, growing, qtbot):
    path, _ = growing
    widget._form.follow.setChecked(True)
    widget._form.movie.set_value(path)
    choose(widget, make_model())
    qtbot.waitUntil(lambda: "--follow" in widget._command.text())
    words = shlex.split(widget._command.text())
    assert words[2] == str(path)


def test_a_file_without_a_complete_frame_is_looked_at_again(
    widget, choose, make_model, tmp_path, growing, qtbot
):
    path, write = growing
    later = tmp_path / "later.tif"
    later.touch()
    widget._form.movie._again.setInterval(50)
    widget._form.follow.setChecked(True)
    widget._form.movie.set_value(later)
    choose(widget, make_model())
    qtbot.waitUntil(lambda: "no complete frame yet" in (widget._form.problem() or ""))
    write(2, 4)
    later.write_bytes(path.read_bytes())
    qtbot.waitUntil(lambda: widget._form.problem() is None)


def test_a_layer_that_is_in_no_file_cannot_be_followed(widget, movie, choose, make_model):
    choose(widget, make_model())
    assert widget._form.problem() is None
    widget._form.follow.setChecked(True)
    assert "in no TIFF file" in widget._form.problem()
    widget._form.follow.setChecked(False)
    assert widget._form.problem() is None


def test_frames_that_are_yet_to_come_may_be_asked_for(widget, choose, make_model, growing, qtbot):
    path, _ = growing
    widget._form.follow.setChecked(True)
    widget._form.movie.set_value(path)
    widget._form.set_values({"frames": "5:100"})
    choose(widget, make_model())
    qtbot.waitUntil(lambda: widget._form.problem() is None)
    widget._form.follow.setChecked(False)
    assert "the movie has 1 frames" in widget._form.problem()


def test_a_prediction_that_cannot_keep_up_says_so():
    assert describe_pace(FramesArrived(100, 3, 20.0, True)) == "3 frames behind the camera"
    slow = describe_pace(FramesArrived(100, 1234, 48.2, False))
    assert slow.startswith("⚠ 1,234 frames behind the camera: 48.2 frames per second come")
