import pytest

from napari_dl4smlm.backend.atomic_file import atomic_file, check_folder, set_aside
from napari_dl4smlm.backend.errors import InputError


def test_the_file_appears_only_when_it_is_complete(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with atomic_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_crash_half_way_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def crash():
        with atomic_file(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("crash")

    with pytest.raises(RuntimeError, match="crash"):
        crash()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_set_aside_are_all_kept(tmp_path):
    path = tmp_path / "model.safetensors"
    for text in ("first", "second", "third"):
        path.write_text(text)
        set_aside(path)
    kept = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert kept == {
        "model.previous.safetensors": "first",
        "model.previous-2.safetensors": "second",
        "model.previous-3.safetensors": "third",
    }


def test_there_may_be_nothing_to_set_aside(tmp_path):
    assert set_aside(tmp_path / "absent") is None


def test_a_folder_that_takes_files_is_left_as_it_was(tmp_path):
    check_folder(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"There is no folder .*absent"):
        check_folder(tmp_path / "absent")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="There is no folder"):
        check_folder(tmp_path / "file")


def test_a_folder_that_takes_no_files_is_refused_with_the_reason(tmp_path, monkeypatch):
    def refuse(**kwargs):
        raise OSError(30, "Read-only file system")

    # file permissions would not stop a test that runs as root
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(InputError, match=r"Nothing can be written .*Read-only file system"):
        check_folder(tmp_path)
