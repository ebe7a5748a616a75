"""FrameStack over arrays and .npy files, frame ranges, and the rules for every movie."""

from __future__ import annotations

import os
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import dask.array
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_dl4smlm.backend.acquisition.frames import open_frames, parse_frame_range
from napari_dl4smlm.backend.errors import InputError

pytestmark = pytest.mark.usefixtures("no_file_left_open")

MEBIBYTE = 2**20


@pytest.fixture
def movie():
    return np.random.default_rng(0).integers(0, 2**16, (12, 5, 7), dtype=np.uint16)


class CountingArray:
    """An array-like that remembers which parts of it were read."""

    def __init__(self, array):
        self._array = array
        self.shape = array.shape
        self.dtype = array.dtype
        self.keys = []

    def __getitem__(self, key):
        self.keys.append(key)
        return self._array[key]


def test_frames_of_an_array_come_back_as_they_are(movie):
    with open_frames(movie) as stack:
        assert stack.shape == (12, 5, 7)
        assert (len(stack), stack.n_frames, stack.height, stack.width) == (12, 12, 5, 7)
        assert stack.dtype == np.uint16
        assert stack.pixel_size_nm is None
        np.testing.assert_array_equal(stack.read(3, 6), movie[3:6])


def test_opening_reads_nothing_and_reading_reads_only_the_frames_asked_for(movie):
    array = CountingArray(movie)
    with open_frames(array) as stack:
        assert array.keys == []
        stack.read(3, 6)
    assert array.keys == [slice(3, 6)]


def test_of_a_dask_array_only_the_chunks_asked_for_are_computed(movie):
    computed = []

    def frame(block_info=None):
        number = block_info[None]["array-location"][0][0]
        computed.append(number)
        return movie[number : number + 1]

    array = dask.array.map_blocks(
        frame, chunks=((1,) * 12, 5, 7), dtype=np.uint16, meta=np.empty((0, 0, 0), np.uint16)
    )
    with open_frames(array) as stack:
        assert computed == []
        np.testing.assert_array_equal(stack.read(4, 6), movie[4:6])
    assert sorted(computed) == [4, 5]


def test_a_zarr_array_is_read(movie):
    array = zarr.create_array(store=zarr.storage.MemoryStore(), data=movie, chunks=(2, 5, 7))
    with open_frames(array) as stack:
        np.testing.assert_array_equal(stack.read(1, 12), movie[1:])


def test_a_movie_of_another_program_is_read_through_a_memory_map(third_party_data):
    raw = np.memmap(third_party_data / "picasso" / "testdata.raw", "<u2", "r", shape=(100, 32, 32))
    with open_frames(raw) as stack:
        frames = stack.read(98, 100)
    last = (third_party_data / "picasso" / "testdata.raw").read_bytes()[-2 * 32 * 32 :]
    assert stack.shape == (100, 32, 32)
    assert frames[1].tobytes() == last


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 7), (1, 5, 7)),
        ((1, 5, 7), (1, 5, 7)),
        ((12, 1, 5, 7), (12, 5, 7)),
        ((12, 1, 1, 5, 7), (12, 5, 7)),
        ((1, 1, 12, 5, 7), (12, 5, 7)),
        ((1, 12, 1, 5, 7), (12, 5, 7)),
        ((1, 1, 1, 5, 7), (1, 5, 7)),
        ((12, 5, 7, 1), (12, 5, 7)),
        ((12, 1, 7), (12, 1, 7)),
        ((12, 5, 1), (12, 5, 1)),
    ],
)
def test_axes_of_length_one_are_dropped_but_y_and_x_are_kept(shape, expected):
    array = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    with open_frames(array) as stack:
        assert stack.shape == expected
        np.testing.assert_array_equal(stack.read(0, len(stack)), array.reshape(expected))
        np.testing.assert_array_equal(
            stack.read(len(stack) - 1, len(stack)), array.reshape(expected)[-1:]
        )


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((), r"array has shape \(\)"),
        ((9,), r"array has shape \(9,\); a movie has the axes \(frame, y, x\)"),
        ((2, 12, 5, 7), "array has shape 2 x 12 x 5 x 7; .* Choose one channel"),
        ((12, 2, 5, 7), "array has shape 12 x 2 x 5 x 7"),
        ((12, 5, 7, 2), "array has shape 12 x 5 x 7 x 2"),
        ((32, 32, 3), r"\(32, 32, 3\), which is that of a colour image"),
        ((12, 32, 32, 4), r"\(12, 32, 32, 4\), which is that of a colour image"),
        ((0, 5, 7), r"array holds no pixels: its shape is \(0, 5, 7\)"),
        ((12, 0, 7), r"array holds no pixels: its shape is \(12, 0, 7\)"),
    ],
)
def test_a_shape_that_is_no_movie_is_refused(shape, message):
    with pytest.raises(InputError, match=message):
        open_frames(np.zeros(shape, np.uint16))


@pytest.mark.parametrize(
    "dtype", ["u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8", ">u2", ">i4", ">f4", "<f8"]
)
def test_every_camera_pixel_type_is_read_in_native_byte_order(dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    with open_frames(array) as stack:
        frames = stack.read(0, 2)
    assert frames.dtype.isnative
    assert frames.dtype == stack.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(frames, array)


@pytest.mark.parametrize("dtype", ["i8", "u8", "c8", "?", "U3", "datetime64[s]", "u2,u2"])
def test_other_pixel_types_are_refused_with_the_shape(dtype):
    with pytest.raises(InputError, match=r"pixels of type .* \(shape \(2, 3, 4\)\)\. Convert them"):
        open_frames(np.zeros((2, 3, 4), dtype))


@pytest.mark.parametrize("source", [[[1, 2], [3, 4]], 5, None])
def test_what_is_neither_path_nor_array_is_refused(source):
    with pytest.raises(InputError, match=r"cannot be opened as a movie\. Give a path, or an array"):
        open_frames(source)


def test_frames_belong_to_the_caller(movie):
    before = movie.copy()
    with open_frames(movie) as stack:
        stack.read(0, 12)[:] = 0
    np.testing.assert_array_equal(movie, before)


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 3), (4, 2), (11, 13), (12, 13)])
def test_frames_outside_the_movie_are_refused(movie, start, stop):
    with pytest.raises(InputError, match=f"Frames {start} to {stop} .* array has 12 frames"):
        open_frames(movie).read(start, stop)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_frame_with_a_non_finite_pixel_is_named(tmp_path, bad):
    frames = np.zeros((9, 6, 6), np.float32)
    frames[6, 1, 2] = frames[7, 0, 0] = bad
    tifffile.imwrite(tmp_path / "dark.tif", frames)
    with open_frames(tmp_path / "dark.tif") as stack:
        assert not stack.read(0, 6).any()
        with pytest.raises(InputError, match=r"Frame 6 of dark\.tif, counted from 0, holds NaN"):
            stack.read(4, 9)


def test_pixels_that_32_bit_numbers_cannot_hold_are_refused():
    frames = np.zeros((3, 6, 6))
    frames[0, 0, 0], frames[1, 1, 2], frames[2, 0, 0] = 3.4e38, 1e39, -1e39
    with open_frames(frames) as stack:
        assert stack.read(0, 1).max() == 3.4e38
        for number in (1, 2):
            with pytest.raises(InputError, match=rf"Frame {number} of array, .* beyond 3\.4e38"):
                stack.read(number, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_with_bytes_that_stand_for_no_letter_becomes_text(tmp_path, movie):
    path = tmp_path / os.fsdecode(b"film_5\xb5m.tif")
    tifffile.imwrite(path, movie)
    with open_frames(path) as stack:
        assert stack.name == "film_5?m.tif"
        np.testing.assert_array_equal(stack.read(0, 12), movie)


def test_a_closed_stack_is_not_read_and_may_be_closed_again(tmp_path, movie):
    np.save(tmp_path / "movie.npy", movie)
    tifffile.imwrite(tmp_path / "movie.tif", movie)
    tifffile.imwrite(tmp_path / "packed.tif", movie, compression="zlib")
    for source in (movie, *sorted(tmp_path.iterdir())):
        stack = open_frames(source)
        stack.read(0, 1)
        stack.close()
        stack.close()
        with pytest.raises(InputError, match=f"{stack.name} is closed. Open it again"):
            stack.read(0, 1)


def test_a_stack_is_returned_as_it_is(movie):
    stack = open_frames(movie)
    assert open_frames(stack) is stack


def test_a_stack_with_another_pixel_size_is_the_same_movie(movie):
    stack = open_frames(movie, pixel_size_nm=100)
    other = open_frames(stack, pixel_size_nm=160)
    assert (stack.pixel_size_nm, other.pixel_size_nm) == (100, 160)
    other.close()
    with pytest.raises(InputError, match="is closed"):
        stack.read(0, 1)


@pytest.mark.parametrize("pixel_size_nm", [0, -100, np.nan, np.inf])
def test_a_pixel_size_that_is_no_length_is_refused(movie, pixel_size_nm):
    with pytest.raises(InputError, match=f"A pixel size of {pixel_size_nm} nm cannot be used"):
        open_frames(movie, pixel_size_nm=pixel_size_nm)


@given(data=st.data(), n_frames=st.integers(1, 40), batch_size=st.integers(1, 50))
def test_batches_cover_the_frames_once_and_in_order(data, n_frames, batch_size):
    movie = np.arange(n_frames * 4, dtype=np.uint16).reshape(n_frames, 2, 2)
    start = data.draw(st.integers(0, n_frames - 1))
    frames = range(start, data.draw(st.integers(start + 1, n_frames)))
    batches = list(open_frames(movie).batches(batch_size, frames))
    assert [number for numbers, _ in batches for number in numbers] == list(frames)
    assert all(len(numbers) == batch_size for numbers, _ in batches[:-1])
    np.testing.assert_array_equal(
        np.concatenate([batch for _, batch in batches]), movie[frames.start : frames.stop]
    )


def test_batches_read_the_whole_movie_by_default(movie):
    array = CountingArray(movie)
    numbers = [numbers for numbers, _ in open_frames(array).batches(5)]
    assert numbers == [range(5), range(5, 10), range(10, 12)]
    assert array.keys == [slice(0, 5), slice(5, 10), slice(10, 12)]


@pytest.mark.parametrize(
    ("batch_size", "frames", "message"),
    [
        (0, None, "Batches of 0 frames"),
        (5, range(13), r"range\(0, 13\) cannot be read from array: .* range\(0, 12\)"),
        (5, range(0, 12, 2), "without gaps"),
        (5, range(-1, 3), "without gaps"),
    ],
)
def test_impossible_batches_are_refused_before_the_first_is_read(
    movie, batch_size, frames, message
):
    with pytest.raises(InputError, match=message):
        open_frames(movie).batches(batch_size, frames)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_several_threads_read_one_file_at_once(tmp_path, compression):
    movie = np.random.default_rng(1).integers(0, 2**16, (200, 16, 16), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "movie.tif", movie, compression=compression)
    with open_frames(tmp_path / "movie.tif") as stack, ThreadPoolExecutor(8) as threads:
        numbers = list(range(200)) * 4
        frames = list(threads.map(lambda number: stack.read(number, number + 1)[0], numbers))
    np.testing.assert_array_equal(frames, movie[numbers])


def test_a_npy_file_is_read(tmp_path, movie):
    np.save(tmp_path / "movie.npy", movie)
    np.save(tmp_path / "matlab.npy", np.asfortranarray(movie))
    for name in ("movie.npy", "matlab.npy"):
        with open_frames(tmp_path / name) as stack:
            assert stack.name == name
            np.testing.assert_array_equal(stack.read(2, 5), movie[2:5])


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system with sparse files")
def test_a_npy_file_larger_than_memory_is_opened_and_read_in_part(tmp_path):
    path = tmp_path / "large.npy"
    large = np.lib.format.open_memmap(path, "w+", np.uint16, (12_000, 1024, 1024))
    large[11_111] = 7
    del large
    tracemalloc.start()
    with open_frames(path) as stack:
        assert stack.read(11_111, 11_112).min() == 7
        assert stack.read(11_110, 11_111).max() == 0
    assert path.stat().st_size > 25e9
    assert tracemalloc.get_traced_memory()[1] < 20 * MEBIBYTE
    tracemalloc.stop()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no array at all",
        b"PK\x03\x04 an archive as of numpy.savez",
        b"\x93NUMPY\x01\x00\x10\x00 broken header..",
    ],
)
def test_a_file_that_is_not_npy_is_refused(tmp_path, content):
    (tmp_path / "movie.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"movie\.npy cannot be read as a \.npy file"):
        open_frames(tmp_path / "movie.npy")


def test_a_npy_file_cut_short_is_refused(tmp_path, movie):
    np.save(tmp_path / "movie.npy", movie)
    content = (tmp_path / "movie.npy").read_bytes()
    (tmp_path / "movie.npy").write_bytes(content[:-1])
    with pytest.raises(InputError, match=r"movie\.npy cannot be read as a \.npy file"):
        open_frames(tmp_path / "movie.npy")


def test_a_npy_file_with_python_objects_is_refused(tmp_path):
    np.save(tmp_path / "movie.npy", np.array([[[None]]]), allow_pickle=True)
    with pytest.raises(InputError, match=r"movie\.npy cannot be read as a \.npy file"):
        open_frames(tmp_path / "movie.npy")


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4, 5), (9,)])
def test_a_npy_file_of_a_refused_movie_is_closed(tmp_path, shape):
    np.save(tmp_path / "movie.npy", np.zeros(shape, np.int64))
    with pytest.raises(InputError, match=r"movie\.npy has"):
        open_frames(tmp_path / "movie.npy")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, range(100)),
        (":", range(100)),
        ("10:", range(10, 100)),
        (":10", range(10)),
        ("10:20", range(10, 20)),
        ("99:100", range(99, 100)),
        (" 0 : 100 ", range(100)),
        ("007:8", range(7, 8)),
    ],
)
def test_a_frame_range_is_understood(text, expected):
    assert parse_frame_range(text, 100) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "5", "1-3", "a:b", "1.5:3", "1:2:3", "\N{SUPERSCRIPT TWO}:9"),  # another form
        *("-1:5", "5:-1", "0:101", "100:", "0:" + "9" * 5000),  # outside the movie
        *("20:10", "10:10", ":0"),  # reversed or empty
    ],
)
def test_a_bad_frame_range_is_refused_with_the_form_and_the_number_of_frames(text):
    with pytest.raises(InputError, match=r"the movie has 100 frames\. Write first:end, .* 0:100;"):
        parse_frame_range(text, 100)


@given(st.data(), st.integers(1, 10**6))
def test_a_frame_range_survives_being_written_out(data, n_frames):
    start = data.draw(st.integers(0, n_frames - 1))
    stop = data.draw(st.integers(start + 1, n_frames))
    assert parse_frame_range(f"{start}:{stop}", n_frames) == range(start, stop)


def test_a_movie_is_known_again_under_another_name_and_from_its_copy(tmp_path):
    movie = np.random.default_rng(0).integers(0, 500, (40, 8, 8)).astype(np.uint16)
    np.save(tmp_path / "a.npy", movie)
    tifffile.imwrite(tmp_path / "b.tif", movie, photometric="minisblack")
    with open_frames(tmp_path / "a.npy") as first, open_frames(tmp_path / "b.tif") as copy:
        assert first.fingerprint() == copy.fingerprint()
        with open_frames(movie[:39]) as shorter:
            assert shorter.fingerprint() != first.fingerprint()
    other = movie.copy()
    other[0, 0, 0] += 1
    assert open_frames(other).fingerprint() != open_frames(movie).fingerprint()
