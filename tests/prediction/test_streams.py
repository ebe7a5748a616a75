"""Batches side by side: each once, results in order, and nothing left behind."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.models.prepared import convolutions
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.events import BatchPredicted, PredictionStopped
from napari_dl4smlm.backend.prediction.predictor import Predictor
from napari_dl4smlm.backend.prediction.streams import Streams

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def batches(count):
    return [range(k, k + 1) for k in range(count)]


def stream_threads():
    return [thread for thread in threading.enumerate() if "dl4smlm-stream" in thread.name]


def test_results_come_in_the_order_of_the_batches_however_long_each_takes():
    def work(batch):
        # the first of each four takes longest
        time.sleep(0.02 * (3 - batch.start % 4))
        return batch.start

    with Streams(CPU, networks=4, threads=4) as streams:
        assert list(streams.map(work, batches(13))) == list(range(13))


def test_as_many_are_worked_on_at_a_time_as_there_are_threads():
    together = threading.Barrier(3)

    def work(batch):
        # passes only if all three are there
        together.wait(120)

    with Streams(CPU, networks=3, threads=3) as streams:
        list(streams.map(work, batches(6)))


def test_no_more_networks_run_at_a_time_than_asked_for():
    running, most = [], []

    def work(batch):
        with streams.network:
            running.append(batch)
            most.append(len(running))
            time.sleep(0.01)
            running.remove(batch)

    with Streams(CPU, networks=2, threads=4) as streams:
        list(streams.map(work, batches(12)))
    assert max(most) <= 2


def test_the_threads_of_pytorch_are_shared_and_those_of_others_stay_as_they_were():
    def share(batch):
        return torch.get_num_threads()

    with Streams(CPU, networks=2, threads=2) as streams:
        assert list(streams.map(share, batches(4))) == [2] * 4
        assert torch.get_num_threads() == 4
        elsewhere = []
        other = threading.Thread(target=lambda: elsewhere.append(torch.get_num_threads()))
        other.start()
        other.join()
        assert elsewhere == [4]
    assert torch.get_num_threads() == 4


def test_what_goes_wrong_with_a_batch_is_raised_in_its_turn_and_the_others_are_forgotten():
    def work(batch):
        if batch.start == 2:
            raise ValueError("frame 2")
        return batch.start

    with Streams(CPU, networks=2, threads=2) as streams:
        results = streams.map(work, batches(9))
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(ValueError, match="frame 2"):
            next(results)
        # nothing of the first batches is taken for one of these
        assert list(streams.map(lambda batch: -batch.start, batches(3))) == [0, -1, -2]
    assert not stream_threads()


def test_a_thread_that_cannot_be_started_is_an_error_and_no_wait_without_end(monkeypatch):
    start, begun = threading.Thread.start, []

    def start_one(thread):
        begun.append(thread)
        if len(begun) > 1:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_one)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        Streams(CPU, networks=3, threads=3)
    assert not stream_threads()
    assert torch.get_num_threads() == 4


def run(model, frames, **config):
    movie = open_frames(frames, pixel_size_nm=100)
    predictor = Predictor(model, movie, PredictionConfig(device="cpu", **config))
    return predictor, list(predictor.events())


def test_side_by_side_or_not_image_and_localizations_are_the_same(u_storm, noise, monkeypatch):
    # on a busy machine, another form of a layer, equal to rounding, may win with other threads
    monkeypatch.setattr(convolutions, "fastest", lambda forms, *case: next(iter(forms)))
    runs = {}
    for threads in (1, 4):
        torch.set_num_threads(threads)
        predictor, events = run(u_storm, noise, batch_size=1)
        assert events[0].streams == threads
        runs[threads] = (
            predictor.reconstruction.image,
            [
                (event.frames, event.localizations.positions_nm().tolist())
                for event in events
                if isinstance(event, BatchPredicted)
            ],
        )
    # the same batches, added up in the same order
    np.testing.assert_array_equal(runs[4][0], runs[1][0])
    assert runs[4][1] == runs[1][1]
    assert len(runs[1][1]) == 10


def test_a_stop_leaves_no_thread_and_nothing_that_was_not_told(u_storm, noise):
    movie = open_frames(noise, pixel_size_nm=100)
    predictor = Predictor(u_storm, movie, PredictionConfig(device="cpu", batch_size=1))
    events = predictor.events()
    for event in events:
        if isinstance(event, BatchPredicted):
            predictor.stop()
            break
    assert isinstance(next(events), PredictionStopped)
    assert list(events) == []
    assert predictor.reconstruction.frames == (range(1),)
    assert not stream_threads()


def test_who_looks_away_in_the_middle_leaves_no_thread(u_storm, noise):
    movie = open_frames(noise, pixel_size_nm=100)
    events = Predictor(u_storm, movie, PredictionConfig(device="cpu", batch_size=1)).events()
    next(events), next(events)
    assert stream_threads()
    events.close()
    assert not stream_threads()


def test_the_frames_before_one_that_cannot_be_read_are_predicted(u_storm, noise):
    frames = noise.astype(np.float32)
    frames[6] = np.nan
    movie = open_frames(frames, pixel_size_nm=100)
    predictor = Predictor(u_storm, movie, PredictionConfig(device="cpu", batch_size=1))
    with pytest.raises(InputError, match="Frame 6"):
        list(predictor.events())
    assert predictor.reconstruction.frames == (range(6),)


def test_the_movie_is_read_by_one_thread_at_a_time(u_storm, noise):
    movie = open_frames(noise, pixel_size_nm=100)
    read, reading = movie.read, []

    def alone(start, stop):
        reading.append(start)
        time.sleep(0.005)
        assert reading == [start]
        reading.clear()
        return read(start, stop)

    movie.read = alone
    predictor = Predictor(u_storm, movie, PredictionConfig(device="cpu", batch_size=1))
    list(predictor.events())
    assert predictor.reconstruction.n_frames == 10
