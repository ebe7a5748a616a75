"""Frames that are read before they are needed."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.prediction.read_ahead import ReadAhead

COUNTS = np.arange(10 * 3 * 4, dtype=np.float32).reshape(10, 3, 4)


@pytest.fixture
def movie():
    """A movie that notes what is read, and by which thread."""
    movie = open_frames(COUNTS)
    read = movie.read
    movie.asked = []

    def noting(start, stop):
        movie.asked.append((start, stop, threading.current_thread() is threading.main_thread()))
        return read(start, stop)

    movie.read = noting
    return movie


def test_the_next_frames_are_read_by_another_thread_and_only_once(movie):
    with ReadAhead(movie) as reader:
        for start in range(0, 10, 4):
            frames = range(start, min(start + 4, 10))
            then = range(frames.stop, min(frames.stop + 4, 10))
            np.testing.assert_array_equal(reader.read(frames, then), COUNTS[start : start + 4])
    assert movie.asked == [(0, 4, True), (4, 8, False), (8, 10, False)]


def test_other_frames_than_expected_are_read_at_once(movie):
    with ReadAhead(movie) as reader:
        reader.read(range(4), then=range(4, 8))
        np.testing.assert_array_equal(reader.read(range(4, 6), then=range(0)), COUNTS[4:6])
        np.testing.assert_array_equal(reader.read(range(4), then=range(0)), COUNTS[:4])


def test_a_frame_that_cannot_be_read_is_an_error_when_it_is_asked_for():
    with_gap = COUNTS.copy()
    with_gap[5] = np.nan
    with ReadAhead(open_frames(with_gap)) as reader:
        np.testing.assert_array_equal(reader.read(range(4), then=range(4, 8)), COUNTS[:4])
        with pytest.raises(InputError, match="Frame 5"):
            reader.read(range(4, 8), then=range(0))
        np.testing.assert_array_equal(reader.read(range(8, 10), then=range(0)), COUNTS[8:])


def test_nothing_is_read_any_more_after_the_end():
    begun, may_go_on = threading.Event(), threading.Event()

    class Slow:
        shape, dtype = COUNTS.shape, COUNTS.dtype

        def __getitem__(self, key):
            if key.start == 4:
                begun.set()
                assert may_go_on.wait(120)
            return COUNTS[key]

    movie = open_frames(Slow())
    with ReadAhead(movie) as reader:
        reader.read(range(4), then=range(4, 8))
        assert begun.wait(120)
        may_go_on.set()
    movie.close()
    assert not [thread for thread in threading.enumerate() if "dl4smlm-read" in thread.name]
