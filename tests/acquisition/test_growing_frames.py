"""Movies that another program is still writing."""

from __future__ import annotations

import struct
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tifffile
from numpy.testing import assert_array_equal

from napari_dl4smlm.backend.acquisition import growing_tiff, settling
from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.acquisition.growing_frames import open_growing_frames
from napari_dl4smlm.backend.acquisition.growing_tiff import GrowingTiff
from napari_dl4smlm.backend.errors import InputError


@pytest.fixture
def counts():
    return np.random.default_rng(0).poisson(100, (12, 9, 7)).astype(np.uint16)


@pytest.fixture
def pass_time(monkeypatch):
    """Return how to let seconds go by, without waiting for them."""
    now = [100.0]
    monkeypatch.setattr(settling.time, "monotonic", lambda: now[0])

    def pass_time(seconds):
        now[0] += seconds

    return pass_time


WRITERS = {
    "tiff": {},
    "BigTIFF": {"bigtiff": True},
    "big-endian": {"byteorder": ">"},
}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_each_page_is_a_frame_once_the_next_one_has_begun(tmp_path, counts, kind, compression):
    path = tmp_path / "movie.tif"
    with tifffile.TiffWriter(path, **WRITERS[kind]) as writer:

        def write(frame):
            writer.write(frame, contiguous=False, compression=compression, metadata=None)
            writer.filehandle.flush()

        write(counts[0])
        write(counts[1])
        movie = open_growing_frames(path)
        assert movie.shape == (1, 9, 7)
        for number in range(2, 12):
            write(counts[number])
            assert movie.grow() == number
            assert_array_equal(movie.read(number - 1, number), counts[number - 1 : number])
    assert_array_equal(movie.read(0, 11), counts[:11])
    assert movie.dtype == np.uint16
    with open_frames(path) as closed:
        assert closed.n_frames == 12


def test_the_last_frame_counts_when_nothing_was_written_for_a_second(tmp_path, counts, pass_time):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, counts[0], metadata=None)
    with pytest.raises(InputError, match=r"movie\.tif has no complete frame yet"):
        open_growing_frames(path)
    with tifffile.TiffWriter(path, append=True) as writer:
        writer.write(counts[1], contiguous=False, metadata=None)
    movie = open_growing_frames(path)
    assert movie.grow() == 1
    pass_time(0.9)
    assert movie.grow() == 1
    pass_time(0.2)
    assert movie.grow() == 2
    assert_array_equal(movie.read(0, 2), counts[:2])
    assert movie.left_out() == ()


def test_a_frame_is_taken_only_when_all_its_bytes_are_there(tmp_path, counts, pass_time):
    whole, path = tmp_path / "whole.tif", tmp_path / "movie.tif"
    with tifffile.TiffWriter(whole) as writer:
        for frame in counts[:4]:
            writer.write(frame, contiguous=False, metadata=None)
    data = whole.read_bytes()
    complete = set()
    path.write_bytes(data[:0])
    movie = None
    for size in range(len(data) + 1):
        with path.open("r+b") as file:
            file.seek(max(0, size - 1))
            file.write(data[max(0, size - 1) : size])
        try:
            movie = movie or open_growing_frames(path)
        except InputError:
            continue
        n_frames = movie.grow()
        assert_array_equal(movie.read(0, n_frames), counts[:n_frames])
        complete.add(n_frames)
    assert complete == {1, 2, 3}
    pass_time(1.1)
    assert movie.grow() == 4
    assert_array_equal(movie.read(0, 4), counts[:4])


@pytest.mark.parametrize("missing", [1, 60, 130])
def test_a_frame_that_its_writer_did_not_finish_is_left_out_and_named(
    tmp_path, counts, pass_time, missing
):
    path = tmp_path / "movie.tif"
    with tifffile.TiffWriter(path) as writer:
        for frame in counts[:5]:
            writer.write(frame, contiguous=False, metadata=None)
    path.write_bytes(path.read_bytes()[:-missing])
    movie = open_growing_frames(path)
    pass_time(1.1)
    assert movie.grow() == 4
    assert_array_equal(movie.read(0, 4), counts[:4])
    assert movie.left_out() == (
        "Frame 4 of movie.tif, counted from 0, is not complete and was left out.",
    )


def test_frames_behind_a_single_page_are_missed_aloud(tmp_path, counts, pass_time):
    path = tmp_path / "movie.tif"
    # as ImageJ writes beyond 4 GB
    tifffile.imwrite(path, counts, imagej=True, truncate=True)
    with pytest.raises(InputError, match="no complete frame yet"):
        open_growing_frames(path)
    reader = GrowingTiff(path)
    reader.look()
    pass_time(1.1)
    reader.look()
    assert reader.shape == (1, 9, 7)
    (reason,) = reader.left_out()
    assert "movie.tif promises 12 frames, but only 1 could be followed" in reason
    assert "predict it again" in reason


def test_a_file_that_holds_what_it_promises_is_followed_in_silence(tmp_path, counts, pass_time):
    for name, options in {"a.tif": {"imagej": True}, "b.tif": {}, "c.ome.tif": {}}.items():
        tifffile.imwrite(tmp_path / name, counts, **options)
        movie = open_growing_frames(tmp_path / name)
        pass_time(1.1)
        assert movie.grow() == 12
        assert movie.left_out() == ()


def test_room_that_was_made_in_advance_holds_no_frames(tmp_path, counts, pass_time):
    path = tmp_path / "movie.tif"
    with tifffile.TiffWriter(path) as writer:
        for frame in counts[:3]:
            writer.write(frame, contiguous=False, metadata=None)
    size = path.stat().st_size
    # Micro-Manager links the next page, and makes room for it, before it comes
    with tifffile.TiffFile(path) as tif:
        *_, last = tif.pages
        tags = struct.unpack("<H", path.read_bytes()[last.offset : last.offset + 2])[0]
    with path.open("r+b") as file:
        file.seek(last.offset + 2 + 12 * tags)
        file.write(struct.pack("<I", size + size % 2))
        file.truncate(10 * size)
    movie = open_growing_frames(path)
    pass_time(1.1)
    assert movie.grow() == 3
    assert movie.left_out() == ()


def test_each_file_of_a_folder_is_a_frame_once_a_later_one_has_come(tmp_path, counts, pass_time):
    for number in range(9):
        tifffile.imwrite(tmp_path / f"f{number}.tif", counts[number])
    movie = open_growing_frames(tmp_path)
    assert movie.shape == (8, 9, 7)
    (tmp_path / "notes.txt").touch()
    tifffile.imwrite(tmp_path / "f10.tif", counts[10])
    assert movie.grow() == 9
    pass_time(1.1)
    assert movie.grow() == 10
    tifffile.imwrite(tmp_path / "f9.tif", counts[9])
    (tmp_path / "f11.tif").write_bytes((tmp_path / "f10.tif").read_bytes()[:-3])
    assert movie.grow() == 10
    pass_time(1.1)
    assert movie.grow() == 10
    assert_array_equal(movie.read(0, 10), counts[[*range(9), 10]])
    late, incomplete = movie.left_out()
    assert late == "f9.tif was left out: it came after frames that follow it"
    assert "f11.tif" in incomplete
    assert "cut short" in incomplete


def test_a_damaged_file_inside_a_folder_does_not_hold_up_those_behind_it(
    tmp_path, counts, pass_time
):
    for number in range(3):
        tifffile.imwrite(tmp_path / f"f{number}.tif", counts[number])
    (tmp_path / "f1.tif").write_bytes(b"no TIFF at all")
    movie = open_growing_frames(tmp_path)
    assert movie.n_frames == 1
    pass_time(1.1)
    assert movie.grow() == 2
    assert_array_equal(movie.read(0, 2), counts[[0, 2]])
    (left_out,) = movie.left_out()
    assert left_out.startswith("f1.tif was left out: f1.tif cannot be read as TIFF")


def test_metadata_of_the_first_frame_tell_the_pixel_size_unless_it_is_given(tmp_path, counts):
    path = tmp_path / "movie.ome.tif"
    with tifffile.TiffWriter(path) as writer:
        for frame in counts[:3]:
            writer.write(
                frame, contiguous=False, metadata=None, resolution=(1e5, 1e5), resolutionunit=3
            )
    assert open_growing_frames(path).pixel_size_nm == pytest.approx(100)
    assert open_growing_frames(path, pixel_size_nm=90).pixel_size_nm == 90
    with pytest.raises(InputError, match="pixel size of -3 nm"):
        open_growing_frames(path, pixel_size_nm=-3)


def test_what_cannot_be_followed_is_refused(tmp_path, counts, pass_time):
    with pytest.raises(InputError, match=r"nowhere\.tif has no complete frame yet"):
        open_growing_frames(tmp_path / "nowhere.tif")
    np.save(tmp_path / "movie.npy", counts)
    with pytest.raises(InputError, match=r"movie\.npy cannot be followed"):
        open_growing_frames(tmp_path / "movie.npy")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty has no complete frame yet"):
        open_growing_frames(tmp_path / "empty")
    with tifffile.TiffWriter(tmp_path / "colour.tif") as writer:
        for _ in range(2):
            writer.write(np.zeros((8, 8, 3), np.uint8), contiguous=False, photometric="rgb")
    with pytest.raises(InputError, match=r"colour\.tif has pages with the axes YXS"):
        open_growing_frames(tmp_path / "colour.tif")


def test_a_file_that_its_writer_has_locked_is_looked_at_again(tmp_path, counts, monkeypatch):
    path = tmp_path / "movie.tif"
    with tifffile.TiffWriter(path) as writer:
        for frame in counts[:4]:
            writer.write(frame, contiguous=False, metadata=None)
    movie = open_growing_frames(path)
    with tifffile.TiffWriter(path, append=True) as writer:
        writer.write(counts[4], contiguous=False, metadata=None)

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as locked:
        locked.setattr(growing_tiff, "open_tiff_file", refuse)
        assert movie.grow() == 3
    assert movie.grow() == 4


def test_a_page_of_another_size_or_a_shorter_file_ends_it(tmp_path, counts):
    path = tmp_path / "movie.tif"
    with tifffile.TiffWriter(path) as writer:
        for frame in (*counts[:2], counts[2, :5], counts[3]):
            writer.write(frame, contiguous=False, metadata=None)
            writer.filehandle.flush()
    with pytest.raises(InputError, match=r"Page 2 of movie\.tif is 5 x 7 uint16, but page 0"):
        open_growing_frames(path)
    with tifffile.TiffWriter(path) as writer:
        for frame in counts:
            writer.write(frame, contiguous=False, metadata=None)
    movie = open_growing_frames(path)
    tifffile.imwrite(path, counts[:2], metadata=None)
    with pytest.raises(InputError, match=r"movie\.tif has become shorter"):
        movie.grow()
    path.unlink()
    with pytest.raises(InputError, match=r"movie\.tif cannot be read: No such file"):
        movie.grow()


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("how", ["renamed", "written over"])
def test_a_longer_file_in_its_place_ends_it(tmp_path, counts, compression, how):
    path, other = tmp_path / "movie.tif", tmp_path / "other.tif"
    for file, frames in ((path, counts[:5]), (other, counts[::-1])):
        with tifffile.TiffWriter(file) as writer:
            for frame in frames:
                writer.write(frame, contiguous=False, metadata=None, compression=compression)
    movie = open_growing_frames(path)
    if how == "renamed":
        other.replace(path)
    else:
        path.write_bytes(other.read_bytes())
    with pytest.raises(InputError, match=r"begins with another frame than before.* Start again"):
        movie.grow()


WRITER = """
import sys, time, numpy as np, tifffile
counts = np.random.default_rng(0).poisson(100, (12, 9, 7)).astype(np.uint16)
with tifffile.TiffWriter(sys.argv[1]) as writer:
    for frame in counts:
        writer.write(frame, contiguous=False, metadata=None)
        writer.filehandle.flush()
        time.sleep(0.02)
"""


def test_a_movie_that_another_process_writes_arrives_whole(tmp_path, counts):
    path = tmp_path / "movie.tif"
    with subprocess.Popen([sys.executable, "-c", WRITER, path]):
        movie = open_growing_frames(path, wait_s=120)
        ends_at = time.monotonic() + 120
        while movie.grow() < 12:
            assert time.monotonic() < ends_at
            time.sleep(0.01)
    assert_array_equal(movie.read(0, 12), counts)


def test_waiting_for_the_first_frame_ends_when_it_is_stopped(tmp_path):
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    with pytest.raises(InputError, match="no complete frame"):
        open_growing_frames(tmp_path / "movie.tif", wait_s=120, stop=stop)
    assert time.monotonic() - began < 120
