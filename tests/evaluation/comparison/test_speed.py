import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.evaluation.comparison import speed as module
from napari_dl4smlm.backend.evaluation.comparison.peak_memory import watch_peak
from napari_dl4smlm.backend.evaluation.comparison.speed import measure_speed
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.events import BatchPredicted


@pytest.fixture
def threads():
    """Sets how many PyTorch has, for a while."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("streams", "seconds"),
    [
        (1, [100.0, 101.0, 106.0, 108.0, 208.0]),
        # the second one has overtaken the first, and is told after it
        (1, [100.0, 106.0, 101.0, 108.0, 208.0]),
        # those that run side by side end at about the same time
        (2, [100.0, 100.0, 102.0, 102.0, 109.0, 112.0, 116.0, 116.0, 117.0, 117.0]),
    ],
)
def test_the_first_batches_are_not_timed_and_the_median_of_the_others_is_told(
    candidate, movie, monkeypatch, threads, streams, seconds
):
    threads(streams)
    computed_at = iter(seconds)
    real = module.Predictor.events

    def events(self):
        for event in real(self):
            if isinstance(event, BatchPredicted):
                event = replace(event, computed_at=next(computed_at))
            yield event

    monkeypatch.setattr(module.Predictor, "events", events)
    config = PredictionConfig(device="cpu", batch_size=10)
    short = open_frames(movie.read(0, 2)[:, :16, :16], pixel_size_nm=100.0)
    speed = measure_speed(candidate("a").model, short, config, repeats=3)
    assert speed.streams == streams
    assert speed.ms_per_frame.replicates == pytest.approx([100, 500, 200])
    assert speed.ms_per_frame.value == pytest.approx(200)
    assert speed.frames_per_second.value == pytest.approx(5)
    assert speed.batch_size == 10
    assert speed.tile_size is None


def test_a_movie_shorter_than_the_batches_is_gone_through_again(candidate, movie):
    short = open_frames(movie.read(0, 3), pixel_size_nm=100.0)
    config = PredictionConfig(device="cpu", batch_size=8)
    speed = measure_speed(candidate("a").model, short, config, repeats=2)
    assert len(speed.ms_per_frame.replicates) == 2
    assert speed.ms_per_frame.value > 0


def test_times_of_batches_before_the_memory_gave_out_do_not_count(
    candidate, movie, monkeypatch, threads
):
    threads(1)
    sizes = []
    real = module.Predictor._predict

    def predict(self, streams, batch):
        if len(batch) == 8 and batch.start > 0:
            raise MemoryError
        sizes.append(len(batch))
        return real(self, streams, batch)

    monkeypatch.setattr(module.Predictor, "_predict", predict)
    config = PredictionConfig(device="cpu", batch_size=8)
    speed = measure_speed(candidate("a").model, movie, config, repeats=2)
    assert sizes[:4] == [8, 4, 4, 4]
    assert speed.batch_size == 4
    assert len(speed.ms_per_frame.replicates) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process reset its peak")
def test_the_peak_of_the_process_is_that_since_the_watch_began():
    cpu = torch.device("cpu")
    peak = watch_peak(cpu)
    before = peak()
    size = 200 * 2**20
    np.ones(size, dtype=np.uint8)
    grown = peak() - before
    assert grown == pytest.approx(size, rel=0.1)
    # what an earlier and larger model took is not told again
    assert watch_peak(cpu)() < before + size / 2


def test_a_device_that_cannot_tell_its_peak_says_so():
    assert watch_peak(torch.device("mps"))() is None


@pytest.mark.gpu
def test_the_peak_of_a_gpu_is_what_was_allocated_there():
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    device = torch.device("cuda:0")
    peak = watch_peak(device)
    before = peak()
    tensor = torch.ones(2**26, device=device)
    del tensor
    assert peak() - before == pytest.approx(2**28, rel=0.05)
