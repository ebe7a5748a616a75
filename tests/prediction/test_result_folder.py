"""Where results go if nobody says it."""

from __future__ import annotations

from pathlib import Path

from napari_dl4smlm.backend.prediction.result_folder import result_folder


def test_results_go_beside_the_movie(tmp_path):
    assert result_folder(tmp_path / "a.b.tif") == tmp_path / "a.b-prediction"
    assert result_folder(Path("movie.tif")) == Path("movie-prediction")
    assert result_folder(tmp_path / "movie.tif", Path("into")) == Path("into/movie-prediction")


def test_folders_that_differ_behind_a_dot_get_results_of_their_own(tmp_path):
    for name in ("dye 0.1nM", "dye 0.5nM"):
        (tmp_path / name).mkdir()
        assert result_folder(tmp_path / name) == tmp_path / f"{name}-prediction"


def test_the_folder_one_is_in_has_a_name_too(tmp_path, monkeypatch):
    (tmp_path / "film" / "raw").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "film" / "raw")
    assert result_folder(Path()) == tmp_path / "film" / "raw-prediction"
    assert result_folder(Path("..")) == tmp_path / "film-prediction"
