"""Folders in which each TIFF file is a frame."""

from __future__ import annotations

import numpy as np
import psutil
import pytest
import tifffile

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.errors import InputError

pytestmark = pytest.mark.usefixtures("no_file_left_open")


@pytest.fixture
def movie():
    return np.random.default_rng(0).integers(0, 2**16, (12, 5, 7), dtype=np.uint16)


@pytest.fixture(params=[None, "zlib"])
def folder(request, tmp_path, movie):
    for number, frame in enumerate(movie):
        tifffile.imwrite(tmp_path / f"f{number}.tif", frame, compression=request.param)
    return tmp_path


def test_files_are_frames_in_natural_order(folder, movie):
    with open_frames(folder) as stack:
        assert stack.name == folder.name
        np.testing.assert_array_equal(stack.read(0, 12), movie)
        np.testing.assert_array_equal(stack.read(9, 11), movie[9:11])


def test_files_that_differ_in_the_order_of_bytes_alone_are_told_apart(tmp_path, movie):
    for number, order in enumerate("<>"):
        tifffile.imwrite(tmp_path / f"f{number}.tif", movie[number], byteorder=order)
    message = r"f1\.tif is 5 x 7 uint16 in big-endian order, but f0\.tif is .* in little-endian"
    with pytest.raises(InputError, match=message):
        open_frames(tmp_path)


@pytest.mark.parametrize(
    "replacement",
    [
        pytest.param(np.zeros((3, 4), np.uint16), id="no such size"),
        pytest.param(np.zeros((5, 1), np.uint16), id="a size that could be repeated"),
        pytest.param(np.full((5, 7), -5, np.int16), id="a type that could be converted"),
    ],
)
def test_a_file_that_was_replaced_meanwhile_is_not_read_as_the_old_one(
    tmp_path, movie, replacement
):
    for number in range(3):
        tifffile.imwrite(tmp_path / f"f{number}.tif", movie[number], compression="zlib")
    with open_frames(tmp_path) as stack:
        tifffile.imwrite(tmp_path / "f1.tif", replacement, compression="zlib")
        with pytest.raises(InputError, match=r"f1\.tif has changed since it was opened"):
            stack.read(0, 3)


def test_natural_order_looks_at_every_number_and_not_at_case(tmp_path):
    names = ["a1_t2.tif", "A1_t10.TIF", "a2_t1.tiff", "a10_t0.Tif", "b.tif"]
    for value, name in enumerate(names):
        tifffile.imwrite(tmp_path / name, np.full((5, 6), value, np.uint8))
    with open_frames(tmp_path) as stack:
        assert stack.read(0, 5)[:, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_hidden_files_other_files_and_folders_are_passed_over(folder, movie):
    (folder / "._f0.tif").write_bytes(b"left by macOS")
    (folder / "metadata.txt").write_text("{}")
    (folder / "backup.tif").mkdir()
    with open_frames(folder) as stack:
        np.testing.assert_array_equal(stack.read(0, len(stack)), movie)


@pytest.mark.parametrize("other", [np.zeros((5, 8), np.uint16), np.zeros((5, 7), np.uint8)])
def test_a_file_of_another_size_or_type_is_named(folder, other):
    tifffile.imwrite(folder / "f7.tif", other)
    with pytest.raises(InputError, match=r"f7\.tif is 5 x . uint.*, but f0\.tif is 5 x 7 uint16"):
        open_frames(folder)


@pytest.mark.parametrize("options", [{}, {"imagej": True}, {"truncate": True}])
def test_a_file_with_several_frames_is_named(folder, options):
    tifffile.imwrite(folder / "f7.tif", np.zeros((9, 5, 7), np.uint16), **options)
    with pytest.raises(InputError, match=r"f7\.tif holds 9 frames; .* Open that file itself"):
        open_frames(folder)


def test_a_file_cut_short_is_named(folder):
    path = folder / "f7.tif"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"f7\.tif promises 1 frame but holds 0"):
        open_frames(folder)


def test_a_file_that_is_not_tiff_is_named(folder):
    (folder / "f7.tif").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InputError, match=r"f7\.tif cannot be read as TIFF: not a TIFF file"):
        open_frames(folder)


def test_a_file_that_vanishes_after_the_folder_was_opened_is_named(folder):
    with open_frames(folder) as stack:
        (folder / "f7.tif").unlink()
        with pytest.raises(InputError, match=r"f7\.tif cannot be read: No such file"):
            stack.read(0, 12)


def test_a_folder_without_tiff_files_is_refused(tmp_path):
    (tmp_path / "movie.npy").touch()
    with pytest.raises(InputError, match="holds no TIFF files"):
        open_frames(tmp_path)


def test_the_files_of_an_ome_set_are_frames_although_each_tells_of_all(tmp_path, movie):
    xml = '<OME><Image><Pixels SizeX="7" SizeY="5" SizeZ="1" SizeC="1" SizeT="12"/></Image></OME>'
    for number, frame in enumerate(movie):
        tifffile.imwrite(tmp_path / f"f{number}.tif", frame, description=xml, metadata=None)
    with open_frames(tmp_path) as stack:
        np.testing.assert_array_equal(stack.read(0, 12), movie)


def test_one_file_is_open_at_a_time(folder):
    before = len(psutil.Process().open_files())
    with open_frames(folder) as stack:
        assert len(psutil.Process().open_files()) == before
        stack.read(0, 12)
        assert len(psutil.Process().open_files()) <= before + 1


def test_the_first_file_tells_the_pixel_size(tmp_path, movie):
    for number, frame in enumerate(movie):
        resolution = (10, 10) if number == 0 else (5, 5)
        tifffile.imwrite(
            tmp_path / f"f{number}.tif",
            frame,
            imagej=True,
            resolution=resolution,
            metadata={"unit": "um"},
        )
    with open_frames(tmp_path) as stack:
        assert stack.pixel_size_nm == 100.0
