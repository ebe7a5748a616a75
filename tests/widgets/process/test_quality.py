"""Quality is measured as on the command line, while the viewer stays free."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from napari_dl4smlm.backend import measure_quality, open_frames
from napari_dl4smlm.backend.evaluation import quality as backend
from napari_dl4smlm.widgets.layers.layers import add_movie, frames_of, mark_of
from napari_dl4smlm.widgets.process.quality import QualityMeasured
from napari_dl4smlm.widgets.run_state import RunState

pytestmark = pytest.mark.gui


@pytest.fixture
def panel(widget, movie, points, settle, qtbot):
    settle()
    qtbot.waitUntil(lambda: widget.source.movie.path is not None)
    return widget.quality


def shown_numbers(panel):
    grid = panel._numbers._grid
    labels = [grid.itemAtPosition(2 * row, column) for row in range(9) for column in (0, 1)]
    texts = [item.widget().text() for item in labels]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def error_map(viewer):
    (layer,) = [each for each in viewer.layers if mark_of(each).get("role") == "error map"]
    return layer


def test_the_numbers_are_those_of_the_command(widget, panel, settle, run):
    panel.start()
    settle()
    command = widget.command.text().splitlines()[-1]
    measured = json.loads(run(f"{command} --json"))
    assert panel._quality.measured().keys() == measured.keys()
    for name, one in panel._quality.measured().items():
        assert one.value == pytest.approx(measured[name]["value"]), name
    assert shown_numbers(panel)["localization precision (NeNA)"] == (
        panel._quality.nearest_neighbour.precision.text
    )


def test_frames_and_blocks_are_those_of_the_command(widget, panel, settle, run):
    panel._frames.set_value("0:150")
    panel._block.set_value(7)
    panel.start()
    settle()
    command = widget.command.text().splitlines()[-1]
    assert command.endswith("--frames 0:150 --block-frames 7")
    measured = json.loads(run(f"{command} --json"))
    assert panel._quality.fourier_ring.block_frames == 7
    assert panel._quality.per_frame.mean.value == measured["localizations_per_frame"]["value"]


def test_every_number_has_its_assumption_as_tooltip(panel, settle):
    panel.start()
    settle()
    grid = panel._numbers._grid
    for row, one in enumerate(panel._quality.measured().values()):
        for column in (0, 1):
            label = grid.itemAtPosition(2 * row, column).widget()
            assert one.assumption in label.toolTip()
        if one.problem:
            assert grid.itemAtPosition(2 * row + 1, 0).widget().toPlainText() == one.problem


def test_the_error_map_lies_on_the_movie(viewer, movie, panel, points, settle):
    movie.translate = (0, 3000, 700)
    settle()
    panel.start()
    settle()
    quality = measure_quality(panel._localizations, frames_of(movie))
    layer = error_map(viewer)
    assert_allclose(layer.data, quality.errors.difference)
    assert_allclose(layer.data_to_world((3, 4)), movie.data_to_world((0, 3, 4))[1:])
    low, high = layer.contrast_limits
    assert low == -high
    panel.start()
    settle()
    assert error_map(viewer) is layer


def test_what_the_steps_left_is_measured_and_old_numbers_are_marked(panel, add, settle):
    panel.start()
    settle()
    before = panel._quality
    add("filter", column="photons", minimum=500)
    assert "Measured before the last change" in panel._note.toPlainText()
    panel.start()
    settle()
    assert not panel._note.toPlainText()
    assert panel._quality.photons.median.value > before.photons.median.value


@pytest.fixture
def other_movie(viewer, movie):
    frames = open_frames(np.asarray(movie.data)[:, ::-1], pixel_size_nm=100)
    return add_movie(viewer, frames, name="other movie")


def test_the_error_map_belongs_to_the_movie_that_was_measured(
    widget, viewer, movie, other_movie, panel, settle, monkeypatch
):
    begun, may_end = threading.Event(), threading.Event()
    map_errors = backend.map_errors

    def slow(*arguments, **options):
        begun.set()
        assert may_end.wait(120)
        return map_errors(*arguments, **options)

    monkeypatch.setattr(backend, "map_errors", slow)
    panel.start()
    assert begun.wait(120)
    widget.source.movie.set_value(other_movie)
    may_end.set()
    settle()
    assert error_map(viewer).name == "error map: movie"
    assert "Measured before the last change" in panel._note.toPlainText()
    widget.source.movie.set_value(movie)
    settle()
    assert not panel._note.toPlainText()


def test_numbers_of_another_movie_or_with_other_options_are_marked(
    widget, movie, other_movie, panel, settle, monkeypatch, qtbot
):
    # what it would be does not matter
    quality = SimpleNamespace(
        measured=dict, errors=SimpleNamespace(imaged=np.empty(0), difference=np.empty(0))
    )
    monkeypatch.setattr(panel._plots, "show_figure", lambda draw: None)
    changes = {
        "movie": (widget.source.movie.set_value, other_movie, movie),
        "camera pixel": (widget.source.pixel.set_value, 101, None),
        "frames": (panel._frames.set_value, "0:150", None),
        "block": (panel._block.set_value, 7, None),
    }
    settle()
    panel._begun_of = panel._subject()
    panel._show_measured(QualityMeasured(quality, 1.0))
    panel._show_note()
    assert not panel._note.toPlainText()
    for what, (change, other, same) in changes.items():
        change(other)
        settle()
        assert "Measured before the last change" in panel._note.toPlainText(), what
        change(same)
        settle()
        # with another camera pixel, the steps are done anew
        assert ("Measured before" in panel._note.toPlainText()) == (what == "camera pixel"), what
        panel._measured_of = panel._subject()
    movie.data = np.asarray(movie.data)[::-1]
    settle()
    assert "Measured before the last change" in panel._note.toPlainText()


def test_corrected_drift_is_said_to_disturb_the_error_map(panel, add):
    add("rcc")
    assert "Drift was taken off the localizations, but not off the movie" in (
        panel._note.toPlainText()
    )


def test_a_merged_table_has_no_nearest_neighbours_and_says_so(panel, add, settle):
    add("merge", radius_nm=40)
    panel.start()
    settle()
    assert "none is found twice" in panel._quality.nearest_neighbour.precision.problem
    assert shown_numbers(panel)["localization precision (NeNA)"] == "not measured"


def test_a_run_is_cancelled_before_the_next_number(panel, settle, monkeypatch):
    begun, may_end = threading.Event(), threading.Event()
    later = []
    map_errors = backend.map_errors

    def slow(*arguments, **options):
        begun.set()
        assert may_end.wait(120)
        return map_errors(*arguments, **options)

    monkeypatch.setattr(backend, "map_errors", slow)
    monkeypatch.setattr(backend, "fourier_ring_resolution", lambda *_, **__: later.append(1))
    panel.start()
    assert begun.wait(120)
    assert panel._buttons.cancel.isEnabled()
    assert not panel._buttons.start.isEnabled()
    panel.cancel()
    may_end.set()
    settle()
    assert panel._state is RunState.STOPPED
    assert panel._progress.outcome() == "Cancelled."
    assert not later
    assert panel._buttons.start.isEnabled()


def test_without_a_movie_or_its_pixel_size_nothing_can_be_measured(widget, viewer, points, settle):
    settle()
    assert widget.quality._buttons.start.toolTip().startswith("Choose a movie")
    viewer.add_image(np.zeros((200, 16, 16), np.uint16), name="raw")
    settle()
    assert "The pixel size of raw is not known" in widget.quality._buttons.start.toolTip()
    widget.source.pixel.set_value(100)
    settle()
    assert widget.quality._buttons.start.isEnabled()


@pytest.mark.parametrize(
    ("frames", "block", "message"),
    [
        ("5:3", None, "5:3"),
        ("0:1000", None, "1000"),
        (None, 0, "A block of 0 frames cannot be made"),
    ],
)
def test_options_that_cannot_be_used_are_refused(panel, frames, block, message):
    panel._frames.set_value(frames)
    panel._block.set_value(block)
    panel.start()
    assert message in panel._progress.outcome()
    assert panel._state is RunState.IDLE


def test_a_movie_that_does_not_fit_says_why(widget, viewer, panel, settle):
    widget.source.pixel.set_value(20)
    settle()
    panel.start()
    settle()
    assert "lie outside of the field of view" in panel._progress.outcome()
    assert panel._state is RunState.FAILED


def test_the_figure_is_saved(panel, settle, tmp_path):
    assert panel._save.isHidden()
    panel.start()
    settle()
    panel.save_figure(tmp_path / "quality.png")
    settle()
    assert (tmp_path / "quality.png").read_bytes().startswith(b"\x89PNG")
