"""Names that the user gives to files, and what becomes of an older file."""

from pathlib import Path

import pytest

pytest.importorskip("pytestqt")

from qtpy.QtWidgets import QFileDialog

from napari_dl4smlm.widgets.saving import ask_for_file, file_stem, older_kept

pytestmark = pytest.mark.gui

TABLES = "Tables (*.csv *.hdf5)"


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        ("cell1", "cell1.csv"),
        ("cell_0.5uM", "cell_0.5uM.csv"),
        ("cell1.CSV", "cell1.CSV"),
        ("cell1.hdf5", "cell1.hdf5"),
        ("cell1.txt", "cell1.txt.csv"),
    ],
)
def test_a_name_gets_the_suffix_that_it_lacks_and_keeps_its_dots(
    qtbot, monkeypatch, tmp_path, typed, named
):
    asked = []

    def answer(*arguments, options):
        asked.append((*arguments, options))
        return str(tmp_path / typed), TABLES

    monkeypatch.setattr(QFileDialog, "getSaveFileName", answer)
    assert ask_for_file(None, "Save", Path("a-table.csv"), TABLES) == tmp_path / named
    unasked = QFileDialog.Option.DontConfirmOverwrite
    assert asked == [(None, "Save", "a-table.csv", TABLES, unasked)]


def test_no_name_is_no_file(qtbot, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, options: ("", ""))
    assert ask_for_file(None, "Save", Path("a-table.csv"), TABLES) is None


@pytest.mark.parametrize(
    ("movie", "stem"),
    [
        ("cell 0.5 nM rep1", "cell 0.5 nM rep1"),
        ("cell_0.5uM.TIF", "cell_0.5uM"),
        ("movie.npy", "movie"),
        ("0.5nM/rep1", "0.5nM_rep1"),
        (r"what? C:\a", "what_ C__a"),
    ],
)
def test_of_the_name_of_a_movie_only_the_suffix_is_dropped(movie, stem):
    assert file_stem(movie) == stem


def test_an_older_file_is_kept_aside_and_comes_back_if_nothing_takes_its_place(tmp_path):
    path = tmp_path / "cell_0.5uM.csv"
    path.write_text("precious")
    with pytest.raises(OSError, match="full"), older_kept(path):
        raise OSError("full")
    assert path.read_text() == "precious"
    with older_kept(path):
        path.write_text("new")
    assert path.read_text() == "new"
    assert (tmp_path / "cell_0.5uM.previous.csv").read_text() == "precious"
