"""Several files, each to a folder of its own, as the command line predicts them."""

from __future__ import annotations

import shlex

import pytest
from click.testing import CliRunner

pytest.importorskip("pytestqt")

from napari_dl4smlm.backend import read_thunderstorm
from napari_dl4smlm.cli import main
from napari_dl4smlm.widgets.predict.files import result_folders
from napari_dl4smlm.widgets.run_state import RunState

pytestmark = pytest.mark.gui


def test_a_bad_file_does_not_stop_the_others(
    widget, choose, make_model, movie_file, tmp_path, wait_for_end, predicted_to
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
    widget._batch.buttons.start.click()
    wait_for_end(widget)

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
    widget, choose, make_model, movie_file, tmp_path, permits, qtbot, wait_for_end
):
    copy = tmp_path / "copy.tif"
    copy.write_bytes(movie_file.read_bytes())
    choose(widget, make_model())
    widget._form.set_values({"batch_size": 1})
    widget._batch.add_files([movie_file, copy])
    permits.release(1)
    widget._batch.buttons.start.click()
    qtbot.waitUntil(lambda: widget._progress._bar.value() == 1)
    widget._buttons.cancel.click()
    permits.release(100)
    wait_for_end(widget)

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


def test_the_commands_predict_the_same_files(
    widget, choose, make_model, movie_file, tmp_path, wait_for_end
):
    other = tmp_path / "another movie.tif"
    other.write_bytes(movie_file.read_bytes())
    choose(widget, make_model())
    widget._form.set_values({"threshold": 0.2, "frames": "1:"})
    widget._batch.add_files([movie_file, other])
    widget._batch.set_into(tmp_path / "results")
    widget._batch.buttons.start.click()
    wait_for_end(widget)
    folders = widget._batch.folders()
    names = ("reconstruction.tif", "localizations.csv")
    written = [(folder / name).read_bytes() for folder in folders for name in names]

    for command in widget._batch._command.text().splitlines():
        program, *words = shlex.split(command)
        assert program == "dl4smlm"
        outcome = CliRunner().invoke(main, words)
        assert outcome.exit_code == 0, outcome.output

    assert [(folder / name).read_bytes() for folder in folders for name in names] == written
    assert all((folder / "localizations.previous.csv").exists() for folder in folders)


def test_a_file_that_stops_all_leaves_the_others_unpredicted(
    widget, choose, make_model, movie_file, tmp_path, fault, wait_for_end
):
    def fail(frames):
        raise ZeroDivisionError

    copy = tmp_path / "copy.tif"
    copy.write_bytes(movie_file.read_bytes())
    choose(widget, make_model())
    fault(fail)
    widget._batch.add_files([movie_file, copy])
    widget._batch.buttons.start.click()
    wait_for_end(widget)

    assert widget._state is RunState.FAILED
    assert widget._batch.lines() == ["movie.tif: not predicted", "copy.tif: not predicted"]
