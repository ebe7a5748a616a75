import errno
import os
import time

import pytest

from napari_dl4smlm.backend.atomic_file import (
    atomic_file,
    check_folder,
    naming_file,
    remove_abandoned,
    set_aside,
)
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


def test_a_folder_is_not_set_aside(tmp_path):
    (tmp_path / "results").mkdir()
    with pytest.raises(InputError, match="results is a folder"):
        set_aside(tmp_path / "results")
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_what_killed_runs_have_left_of_a_file_is_removed_and_nothing_else(tmp_path):
    number = "0123456789abcdef" * 2
    abandoned = [
        f".table.csv.{number}.tmp",
        # of an atomic file inside another
        f"..table.csv.{number}.tmp.{number}.tmp",
    ]
    others = ["table.csv", ".table.csv.tmp", f".other.csv.{number}.tmp", f"table.csv.{number}.tmp"]
    young = f".table.csv.{number[::-1]}.tmp"
    for name in (*abandoned, *others, young):
        (tmp_path / name).touch()
        if name != young:
            two_days_ago = time.time() - 2 * 24 * 3600
            os.utime(tmp_path / name, (two_days_ago, two_days_ago))
    remove_abandoned(tmp_path / "table.csv")
    assert {path.name for path in tmp_path.iterdir()} == {*others, young}


def test_an_error_speaks_of_the_file_that_the_user_knows(tmp_path):
    path = tmp_path / "table.csv"

    def fill_the_disk():
        with atomic_file(path) as temporary, naming_file(temporary):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left on device") as raised:
        fill_the_disk()
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(path))


def test_an_error_that_speaks_of_another_file_stays_as_it_is(tmp_path):
    def read():
        with atomic_file(tmp_path / "table.csv") as temporary, naming_file(temporary):
            (tmp_path / "absent").read_text()

    with pytest.raises(FileNotFoundError) as raised:
        read()
    assert raised.value.filename == str(tmp_path / "absent")
