"""Predicting a movie while another program writes it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tifffile

from napari_dl4smlm.backend.acquisition import growing_frames
from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.acquisition.growing_frames import GrowingFrames, open_growing_frames
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm
from napari_dl4smlm.backend.prediction import arrivals
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.events import (
    BatchPredicted,
    FilesWritten,
    FramesArrived,
    FramesLeftOut,
    PredictionFinished,
    PredictionStopped,
)
from napari_dl4smlm.backend.prediction.output import predict_to_files
from napari_dl4smlm.backend.prediction.predictor import Predictor

CPU = PredictionConfig(device="cpu", threshold=0.01)

# argv: where to, "pause", "end" or "crash", and a file that tells it to go on
WRITER = """
import os, sys, time
import numpy as np
import tifffile
counts = np.random.default_rng(0).poisson(100, (40, 16, 12)).astype(np.uint16)
with tifffile.TiffWriter(sys.argv[1]) as writer:
    for number, frame in enumerate(counts):
        writer.write(frame, contiguous=False, metadata=None)
        writer.filehandle.flush()
        time.sleep(1.5 if sys.argv[2] == "pause" and number == 20 else 0.005)
        while number == 5 and not os.path.exists(sys.argv[3]):
            time.sleep(0.005)
    if sys.argv[2] == "crash":
        writer.write(frame, contiguous=False, metadata=None)
        writer.filehandle.flush()
        os.truncate(sys.argv[1], os.path.getsize(sys.argv[1]) - 100)
        os.kill(os.getpid(), 9)
"""


@pytest.fixture
def counts():
    return np.random.default_rng(0).poisson(100, (40, 16, 12)).astype(np.uint16)


@pytest.mark.parametrize("how", ["end", "pause", "crash"])
def test_what_another_process_writes_is_predicted_as_if_it_had_been_there(
    tmp_path, u_storm, counts, how
):
    path, go_on = tmp_path / "movie.tif", tmp_path / "go-on"
    events = []
    with subprocess.Popen([sys.executable, "-c", WRITER, path, how, go_on]) as writer:
        # long, since a busy machine may hold the writer up, until it has ended
        movie = open_growing_frames(path, pixel_size_nm=100, quiet_s=120, wait_s=120)
        go_on.touch()

        def hurry():
            writer.wait()
            movie.quiet_s = 2

        threading.Thread(target=hurry).start()
        events += predict_to_files(u_storm, movie, tmp_path / "followed", CPU)

    assert writer.returncode == (-signal.SIGKILL if how == "crash" else 0)
    assert isinstance(events[-2], PredictionFinished)
    whole = open_frames(counts, pixel_size_nm=100)
    list(predict_to_files(u_storm, whole, tmp_path / "whole", CPU))
    images = [
        tifffile.imread(tmp_path / name / "reconstruction.tif") for name in ("followed", "whole")
    ]
    np.testing.assert_allclose(*images, rtol=1e-5, atol=1e-6)
    tables = [
        read_thunderstorm(tmp_path / name / "localizations.csv") for name in ("followed", "whole")
    ]
    assert len(tables[0]) == len(tables[1]) > 100
    np.testing.assert_array_equal(tables[0].frame, tables[1].frame)
    np.testing.assert_allclose(tables[0].x_nm, tables[1].x_nm, atol=0.01)
    predicted = [event.frames for event in events if isinstance(event, BatchPredicted)]
    assert [number for batch in predicted for number in batch] == list(range(40))
    left_out = [event for event in events if isinstance(event, FramesLeftOut)]
    if how == "crash":
        assert left_out[0].reasons == (
            "Frame 40 of movie.tif, counted from 0, is not complete and was left out.",
        )
    else:
        assert left_out == []


class Camera:
    """A reader that gets frames when a test says so."""

    def __init__(self, counts, n_frames):
        self._counts = counts
        self.dtype = counts.dtype
        self.closed = False
        self.pixel_size_nm = 100.0
        self.shape = counts.shape
        self.coming = n_frames
        self.look()

    def look(self):
        self.shape = (self.coming, *self._counts.shape[1:])

    def left_out(self):
        return ()

    def read(self, start, stop):
        return self._counts[start:stop].copy()

    def close(self):
        self.closed = True


@pytest.fixture
def camera(counts, tmp_path):
    """Return a camera with 5 frames, and its movie, which is over after 30 s."""
    camera = Camera(counts, 5)
    movie = GrowingFrames(camera, path=tmp_path / "movie.tif", pixel_size_nm=100, quiet_s=30)
    return camera, movie


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that goes by the seconds that are waited, and at the test's will."""

    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(arrivals, "time", clock)
    return clock


@pytest.fixture
def instead_of_waiting(monkeypatch):
    """Has something done where some seconds would be waited for an event."""
    wait = threading.Event.wait

    def replace_by(action):
        def act(event, seconds=None):
            if seconds is None:
                # a thread that is started, which happens by itself
                return wait(event)
            return action()

        monkeypatch.setattr(threading.Event, "wait", act)

    return replace_by


def arrived_of(events):
    return [event for event in events if isinstance(event, FramesArrived)]


def test_frames_that_come_are_told_with_how_far_behind_the_prediction_is(
    u_storm, camera, instead_of_waiting, clock
):
    camera, movie = camera
    told = []

    def pass_time():
        clock.now += 0.5
        camera.coming = min(camera.coming + 5, 12)

    instead_of_waiting(pass_time)
    predictor = Predictor(u_storm, movie, CPU.model_copy(update={"batch_size": 5}))
    for event in predictor.events():
        told.append(event)
    assert [(event.n_frames, event.frames_behind) for event in arrived_of(told)][:4] == [
        (5, 5),
        (5, 0),
        (10, 5),
        (10, 0),
    ]
    assert arrived_of(told)[-1].frames_behind == 0
    assert all(event.keeps_up for event in arrived_of(told))
    assert isinstance(told[-1], PredictionFinished)
    assert predictor.reconstruction.frame_ranges == ["0:12"]
    # the last frame came at about 1 s
    assert 30 < clock.now < 33


def test_a_prediction_that_falls_behind_says_so_and_catches_up_again(u_storm, camera, clock):
    camera, movie = camera
    config = CPU.model_copy(update={"batch_size": 1, "frames": "0:40"})
    standing = []
    for event in Predictor(u_storm, movie, config).events():
        if isinstance(event, BatchPredicted):
            clock.now += 1.0
            # two frames a second, and one is predicted
            camera.coming = min(camera.coming + 2, 40)
        if isinstance(event, FramesArrived):
            standing.append((event.frames_behind, event.keeps_up, event.frames_per_second))
    keeps_up = [fact[1] for fact in standing]
    assert keeps_up[0]
    falling = keeps_up.index(False)
    assert falling <= 8
    assert standing[falling][2] == pytest.approx(2)
    assert keeps_up[-5:] == [True] * 5
    assert max(fact[0] for fact in standing) > 15
    assert standing[-1][0] == 0


def test_frames_that_were_there_before_are_no_sign_of_falling_behind(u_storm, camera, clock):
    camera, movie = camera
    camera.coming = 39
    told = []
    for event in Predictor(
        u_storm, movie, CPU.model_copy(update={"batch_size": 3, "frames": "0:40"})
    ).events():
        told.append(event)
        if isinstance(event, BatchPredicted):
            clock.now += 0.1
            camera.coming = 40
    assert arrived_of(told)[0].frames_behind == 39
    assert all(event.keeps_up for event in arrived_of(told))


def test_the_prediction_ends_with_the_last_frame_that_was_asked_for(u_storm, camera):
    camera, movie = camera
    camera.coming = 20
    predictor = Predictor(u_storm, movie, CPU.model_copy(update={"frames": "3:8"}))
    assert isinstance(list(predictor.events())[-1], PredictionFinished)
    assert predictor.reconstruction.frame_ranges == ["3:8"]


def test_a_movie_that_ends_before_the_frames_that_were_asked_for_is_refused(
    u_storm, camera, instead_of_waiting, clock, tmp_path
):
    _, movie = camera

    def pass_time():
        clock.now += 20

    instead_of_waiting(pass_time)
    for frames in ("10:12", "5:"):
        config = CPU.model_copy(update={"frames": frames})
        with pytest.raises(InputError, match=f"'{frames}' cannot be used: the movie has 5 frames"):
            list(predict_to_files(u_storm, movie, tmp_path, config))
    assert list(tmp_path.iterdir()) == []


def test_frames_before_those_asked_for_are_waited_out(u_storm, camera, instead_of_waiting):
    camera, movie = camera

    def come():
        camera.coming += 1

    instead_of_waiting(come)
    predictor = Predictor(u_storm, movie, CPU.model_copy(update={"frames": "10:12"}))
    list(predictor.events())
    assert predictor.reconstruction.frame_ranges == ["10:12"]


def test_stopping_while_no_frame_comes_keeps_what_is_done(u_storm, camera):
    _, movie = camera
    predictor = Predictor(u_storm, movie, CPU)
    events = predictor.events()
    for event in events:
        if isinstance(event, BatchPredicted):
            predictor.stop()
    assert isinstance(event, PredictionStopped)
    assert predictor.reconstruction.frame_ranges == ["0:5"]


def test_bad_requests_are_refused(u_storm, camera, tmp_path):
    _, movie = camera
    with pytest.raises(InputError, match=r"'9:3' cannot be used\. Write first:end"):
        Predictor(u_storm, movie, PredictionConfig(frames="9:3"))
    with pytest.raises(InputError, match="still being written"):
        predict_to_files(u_storm, movie, tmp_path, CPU, save_maps=True)
    with pytest.raises(InputError, match="after 1 s without a frame: wait at least 2 s"):
        open_growing_frames(tmp_path / "movie.tif", quiet_s=1)
    assert growing_frames.SHORTEST_QUIET_S == 2


def test_the_files_are_written_when_the_movie_disappears(tmp_path, u_storm, counts):
    path = tmp_path / "movie.tif"
    with tifffile.TiffWriter(path) as writer:
        for frame in counts[:6]:
            writer.write(frame, contiguous=False, metadata=None)
    movie = open_growing_frames(path, pixel_size_nm=100, quiet_s=120)
    events = []
    began = time.monotonic()

    def run():
        for event in predict_to_files(u_storm, movie, tmp_path / "out", CPU):
            events.append(event)
            if isinstance(event, BatchPredicted):
                path.unlink(missing_ok=True)

    with pytest.raises(InputError, match=r"movie\.tif cannot be read"):
        run()
    assert time.monotonic() - began < 120
    assert not any(isinstance(event, FilesWritten) for event in events)
    assert tifffile.imread(tmp_path / "out" / "reconstruction.tif").sum() > 0
