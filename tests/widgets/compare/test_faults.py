"""Whatever is missing or wrong is said in one sentence, before anything runs if it can be known."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pytestqt")

from napari_dl4smlm.backend import open_frames, write_thunderstorm
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.widgets.layers.layers import add_movie
from napari_dl4smlm.widgets.run_state import RunState

pytestmark = pytest.mark.gui


def why_not(widget):
    """What stands in the tooltip of the button, and in place of the command."""
    assert not widget._buttons.start.isEnabled()
    assert widget._command.text() == widget._buttons.start.toolTip()
    return widget._buttons.start.toolTip()


def test_what_is_missing_is_said_one_after_the_other(viewer, widget, add, make_model, pixels):
    assert why_not(widget).startswith("Add models first")
    add(widget, make_model("a"))
    assert why_not(widget) == "Choose a movie first: a layer or a file."
    add_movie(viewer, open_frames(pixels, pixel_size_nm=100), name="movie")
    assert widget._buttons.start.isEnabled()
    assert "in no file" in widget._command.text()


def test_a_file_that_is_no_model_says_so_in_its_row(widget, movie, add, make_model, movie_file):
    add(widget, make_model("a"), movie_file)
    _, line = widget._form.models.lines()
    assert line.startswith("movie.tif\n⚠ ")
    assert "TIFF" in line
    assert "movie.tif: " in why_not(widget)
    assert "Remove it from the list" in why_not(widget)


def test_a_model_that_is_there_twice_says_so(widget, movie, add, make_model, tmp_path):
    first = make_model("a")
    (tmp_path / "copy").mkdir()
    again = tmp_path / "copy" / "a.safetensors"
    again.write_bytes(first.read_bytes())
    add(widget, first, again, again)
    lines = widget._form.models.lines()
    assert [line.splitlines()[0] for line in lines] == [
        f"{tmp_path.name}/a.safetensors",
        "copy/a.safetensors",
    ]
    assert lines[1].endswith("⚠ It holds the same weights as a.safetensors.")
    assert "holds the same weights" in why_not(widget)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": "30:40"}, "20 frames"),
        ({"frames": "one"}, "one"),
    ],
)
def test_frames_that_the_movie_does_not_have(widget, movie, add, make_model, options, message):
    add(widget, make_model("a"))
    widget._form.set_values(options)
    assert message in why_not(widget)


def test_no_device(widget, movie, add, make_model):
    add(widget, make_model("a"))
    widget._form.devices.choose()
    assert why_not(widget) == "Choose at least one device."


def test_devices_are_named_and_several_may_be_chosen(
    widget, add, make_model, movie_file, qtbot, ready
):
    devices = widget._form.devices
    add(widget, make_model("a"))
    qtbot.waitUntil(lambda: "cpu" in devices._boxes)
    assert devices._boxes["cpu"].text().startswith("cpu · ")
    widget._form.movie.set_value(movie_file)
    qtbot.waitUntil(lambda: widget._form.movie.path is not None)
    assert "--device" not in widget._command.text()
    devices.show_devices({"cuda:0": "cuda:0 · a GPU", "cpu": "cpu · a CPU"})
    assert devices.names() == ["auto"]
    devices.choose("cuda:0", "cpu")
    assert "--device cuda:0 --device cpu" in widget._command.text()
    devices.choose("cpu")
    assert "--device cpu" in widget._command.text()


def test_models_that_do_not_agree_on_the_pixel_size_of_a_movie_without_one(
    viewer, widget, add, make_model, pixels
):
    add_movie(viewer, open_frames(pixels), name="movie")
    add(widget, make_model("a"), make_model("b", 2.0, pixel_size_nm=160.0))
    assert "do not agree on one (100 nm, 160 nm). Enter it." in why_not(widget)
    widget._form.set_values({"pixel_size_nm": 100.0})
    assert widget._buttons.start.isEnabled()


def test_a_table_that_cannot_be_read(widget, movie, add, make_model, tmp_path, ready):
    path = tmp_path / "notes.csv"
    path.write_text("a,b\n1,2\n")
    add(widget, make_model("a"))
    widget._form.truth.set_value(path)
    ready(widget)
    assert "not a ThunderSTORM table" in why_not(widget)
    assert "not a ThunderSTORM table" in widget._form.truth.about.fault()
    widget._form.truth.set_value(None)
    assert widget._buttons.start.isEnabled()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (Localizations.empty(), "has an emitter among the 0 true positions"),
        (Localizations([99], [50.0], [50.0]), "has an emitter among the 1 true positions"),
        (Localizations([0, 1], [50.0, 50.0], [50.0, 5000.0]), "outside of the field of view"),
    ],
)
def test_true_positions_of_another_movie(
    widget, movie, add, make_model, tmp_path, ready, wait_for_end, table, message
):
    write_thunderstorm(tmp_path / "table.csv", table)
    add(widget, make_model("a"))
    widget._form.truth.set_value(tmp_path / "table.csv")
    ready(widget)
    widget._buttons.start.click()
    wait_for_end(widget)
    assert widget._state is RunState.FAILED
    assert message in widget._progress.outcome()
    assert not widget._results.isVisibleTo(widget)


def test_a_movie_that_trained_a_model_is_refused(
    widget, movie, add, make_model, pixels, ready, wait_for_end
):
    trained = {
        "movie": "movie.tif",
        "movie_fingerprint": open_frames(pixels).fingerprint(),
        "training_frames": list(range(len(pixels))),
        "validation_frames": [],
    }
    add(widget, make_model("a", training=trained))
    ready(widget)
    widget._buttons.start.click()
    wait_for_end(widget)
    assert widget._state is RunState.FAILED
    assert "All 20 frames of movie trained this model" in widget._progress.outcome()


def test_a_border_beyond_the_field(widget, truth_layer, add, make_model, ready, wait_for_end):
    add(widget, make_model("a"))
    widget._form.set_values({"border_nm": 1300.0})
    ready(widget)
    widget._buttons.start.click()
    wait_for_end(widget)
    assert "border of 1300.0 nm" in widget._progress.outcome()


def test_a_defect_of_the_program_can_be_copied_for_a_report(
    widget, movie, add, make_model, ready, wait_for_end, monkeypatch
):
    from napari_dl4smlm.backend.evaluation.comparison import compare

    def fail(*_args, **_options):
        raise RuntimeError("CUDA error: out of luck")

    monkeypatch.setattr(compare, "measure_speed", fail)
    add(widget, make_model("a"))
    widget._form.set_values({"threshold": 0.3, "repeats": 1})
    ready(widget)
    widget._buttons.start.click()
    wait_for_end(widget)
    assert widget._progress.outcome() == "⚠ Unexpected: RuntimeError: CUDA error: out of luck"
    assert widget._progress._copy.isVisibleTo(widget._progress)
    assert widget._buttons.start.isEnabled()


def test_frames_that_cannot_be_read(viewer, widget, add, make_model, ready, wait_for_end):
    pixels = np.ones((4, 24, 24), np.float32)
    pixels[2] = np.nan
    viewer.add_image(pixels, name="broken", scale=(1, 100, 100), units=("pixel", "nm", "nm"))
    add(widget, make_model("a"))
    ready(widget)
    widget._buttons.start.click()
    wait_for_end(widget)
    assert widget._state is RunState.FAILED
    assert "NaN" in widget._progress.outcome()
