"""One prediction by several processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm
from napari_dl4smlm.backend.models.model_file import load_model, save_model
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.events import (
    BatchPredicted,
    FilesWritten,
    PartsDone,
    PredictionStopped,
)
from napari_dl4smlm.backend.prediction.output import predict_to_files
from napari_dl4smlm.backend.prediction.reconstruction import Reconstruction
from napari_dl4smlm.backend.prediction.sharing import claims
from napari_dl4smlm.backend.prediction.sharing.claims import claim
from napari_dl4smlm.backend.prediction.sharing.parts import Parts
from napari_dl4smlm.backend.prediction.sharing.shared_prediction import predict_shared

CPU = PredictionConfig(device="cpu", threshold=0.01, batch_size=8)


@pytest.fixture
def u_storm(u_storm):
    """A model whose image is blurred, after all parts of it were added up."""
    return replace(u_storm, card=u_storm.card.model_copy(update={"blur_sigma_px": 1.0}))


@pytest.fixture
def counts():
    return np.random.default_rng(0).poisson(120, (200, 16, 12)).astype(np.uint16)


@pytest.fixture
def movie(counts):
    return open_frames(counts, pixel_size_nm=100)


@pytest.fixture
def alone(u_storm, movie, tmp_path):
    """The folder with the results of a single process."""
    list(predict_to_files(u_storm, movie, tmp_path / "alone", CPU))
    return tmp_path / "alone"


def assert_same_results(folder, other):
    images = [tifffile.imread(each / "reconstruction.tif") for each in (folder, other)]
    np.testing.assert_allclose(*images, rtol=1e-6, atol=1e-6)
    tables = [read_thunderstorm(each / "localizations.csv") for each in (folder, other)]
    assert len(tables[0]) == len(tables[1]) > 100
    np.testing.assert_array_equal(tables[0].frame, tables[1].frame)
    np.testing.assert_allclose(tables[0].positions_nm(), tables[1].positions_nm(), atol=0.01)
    with tifffile.TiffFile(folder / "reconstruction.tif") as tif:
        assert json.loads(tif.imagej_metadata["Info"])["frames"] == ["0:200"]


def test_one_worker_writes_what_a_single_process_does(u_storm, movie, alone, tmp_path):
    folder = tmp_path / "shared"
    *events, written = predict_shared(u_storm, movie, folder, CPU)
    assert_same_results(folder, alone)
    assert written == FilesWritten(
        (folder / "localizations.csv", folder / "reconstruction.tif"),
        len(read_thunderstorm(folder / "localizations.csv")),
    )
    done = [event.frames_done for event in events if isinstance(event, PartsDone)]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, 200)
    # nothing is left of the parts but what tells those who come late
    assert [path.name for path in (folder / "parts").iterdir()] == ["plan.json"]


def test_workers_at_the_same_time_do_each_frame_once(u_storm, movie, alone, tmp_path):
    folder = tmp_path / "shared"
    predicted = []

    def work():
        for event in predict_shared(u_storm, movie, folder, CPU):
            if isinstance(event, BatchPredicted):
                predicted.extend(event.frames)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(predicted) == list(range(200))
    assert_same_results(folder, alone)


def test_what_a_stopped_worker_has_done_counts(u_storm, movie, alone, tmp_path):
    folder = tmp_path / "shared"
    stop = threading.Event()
    predicted = []
    for event in predict_shared(u_storm, movie, folder, CPU, stop=stop):
        if isinstance(event, BatchPredicted):
            predicted.extend(event.frames)
        if len(predicted) >= 40:
            stop.set()
    assert isinstance(event, PredictionStopped)
    assert event.reconstruction.frame_ranges == ["0:40"]
    assert not (folder / "localizations.csv").exists()
    events = list(predict_shared(u_storm, movie, folder, CPU))
    again = [event.frames for event in events if isinstance(event, BatchPredicted)]
    assert [number for frames in again for number in frames] == list(range(40, 200))
    assert_same_results(folder, alone)


def test_frames_before_an_unreadable_one_are_kept(u_storm, counts, tmp_path):
    class Damaged:
        shape, dtype = counts.shape, np.dtype(np.float32)

        def __getitem__(self, key):
            frames = counts[key].astype(np.float32)
            if key.start <= 53 < key.stop:
                frames[53 - key.start] = np.nan
            return frames

    movie = open_frames(Damaged(), pixel_size_nm=100)
    movie.fingerprint = lambda: "known"
    with pytest.raises(InputError, match="Frame 53"):
        list(predict_shared(u_storm, movie, tmp_path, CPU))
    with pytest.raises(InputError, match="Frame 53"):
        list(predict_shared(u_storm, movie, tmp_path, CPU))
    parts = Parts(tmp_path / "parts", json.loads((tmp_path / "parts" / "plan.json").read_text()))
    assert parts.missing(range(200)) == [range(48, 200)]


WORKER = """
import os, sys, threading, time
from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.models.model_file import load_model
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.events import BatchPredicted
from napari_dl4smlm.backend.prediction.sharing.shared_prediction import predict_shared
movie = open_frames("movie.npy", pixel_size_nm=100)
config = PredictionConfig(device="cpu", threshold=0.01, batch_size=8)
for event in predict_shared(load_model("model.safetensors"), movie, "shared", config):
    if isinstance(event, BatchPredicted) and event.frames.start == 40:
        print("at work", flush=True)
        time.sleep(60)
"""


def test_a_killed_worker_costs_only_the_piece_that_it_was_at(
    u_storm, counts, movie, alone, tmp_path
):
    np.save(tmp_path / "movie.npy", counts)
    save_model(tmp_path / "model.safetensors", u_storm.network, u_storm.card)
    with subprocess.Popen(
        [sys.executable, "-c", WORKER], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout.readline() == "at work\n"
        worker.kill()
    folder = tmp_path / "shared"
    assert list((folder / "parts").glob("*.claim"))
    with open_frames(tmp_path / "movie.npy", pixel_size_nm=100) as same:
        model = load_model(tmp_path / "model.safetensors")
        events = list(predict_shared(model, same, folder, CPU))
    again = [event.frames for event in events if isinstance(event, BatchPredicted)]
    # its first piece was done; the second, of 32 frames, is done again
    assert [number for frames in again for number in frames] == list(range(32, 200))
    assert_same_results(folder, alone)


def test_who_comes_late_finds_the_results_and_predicts_nothing(u_storm, movie, tmp_path):
    list(predict_shared(u_storm, movie, tmp_path, CPU))
    before = (tmp_path / "localizations.csv").stat().st_mtime_ns
    events = list(predict_shared(u_storm, movie, tmp_path, CPU))
    assert not any(isinstance(event, BatchPredicted) for event in events)
    assert isinstance(events[-1], FilesWritten)
    assert events[-1].n_localizations == len(read_thunderstorm(tmp_path / "localizations.csv"))
    assert (tmp_path / "localizations.csv").stat().st_mtime_ns == before


def test_results_that_are_gone_are_made_again(u_storm, movie, alone, tmp_path):
    folder = tmp_path / "shared"
    list(predict_shared(u_storm, movie, folder, CPU))
    (folder / "reconstruction.tif").unlink()
    list(predict_shared(u_storm, movie, folder, CPU))
    assert_same_results(folder, alone)
    assert (folder / "localizations.previous.csv").exists()


def test_parts_of_another_prediction_are_never_mixed_in(u_storm, movie, tmp_path):
    stop = threading.Event()
    stop.set()
    list(predict_shared(u_storm, movie, tmp_path, CPU, stop=stop))
    other = CPU.model_copy(update={"threshold": 0.02})
    with pytest.raises(InputError, match=r"another prediction: its threshold is 0\.01, and not"):
        predict_shared(u_storm, movie, tmp_path, other)
    shorter = open_frames(movie.read(0, 100), pixel_size_nm=100)
    with pytest.raises(InputError, match=r"another prediction: its frames is \[0, 200\]"):
        predict_shared(u_storm, shorter, tmp_path, CPU)
    # a finished one is in nobody's way
    list(predict_shared(u_storm, movie, tmp_path, CPU))
    list(predict_shared(u_storm, movie, tmp_path, other))
    assert (tmp_path / "localizations.previous.csv").exists()


def test_a_damaged_part_is_named(u_storm, movie, tmp_path):
    stop = threading.Event()
    for event in predict_shared(u_storm, movie, tmp_path, CPU, stop=stop):
        if isinstance(event, BatchPredicted):
            stop.set()
    (image,) = (tmp_path / "parts").glob("image-*.npz")
    image.write_bytes(image.read_bytes()[:100])
    with pytest.raises(InputError, match=r"image-.*\.npz cannot be read.*Remove it"):
        list(predict_shared(u_storm, movie, tmp_path, CPU))
    (tmp_path / "parts" / "plan.json").write_text("{")
    with pytest.raises(InputError, match=r"plan\.json is damaged"):
        predict_shared(u_storm, movie, tmp_path, CPU)


def test_a_full_disk_is_reported_and_costs_nothing_that_was_done(
    u_storm, movie, alone, tmp_path, monkeypatch
):
    folder = tmp_path / "shared"
    save = Parts.save
    calls = []

    def failing(self, *arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        save(self, *arguments)

    monkeypatch.setattr(Parts, "save", failing)
    with pytest.raises(InputError, match="No space left on device"):
        list(predict_shared(u_storm, movie, folder, CPU))
    events = list(predict_shared(u_storm, movie, folder, CPU))
    first = next(event for event in events if isinstance(event, BatchPredicted))
    assert first.frames.start == 32
    assert_same_results(folder, alone)


def test_parts_tell_what_is_missing(tmp_path):
    plan = {"model": "a"}
    for frames in (range(4, 8), range(20, 30), range(8, 10)):
        image = Reconstruction(3, 3, pixel_size_nm=10)
        image.add(np.ones((3, 3)), frames)
        Parts(tmp_path, plan).save(image, Localizations.empty())
    parts = Parts(tmp_path, plan)
    assert parts.missing(range(25)) == [range(4), range(10, 20)]
    assert parts.missing(range(5, 9)) == []
    assert parts.missing(range(40)) == [range(4), range(10, 20), range(30, 40)]
    assert parts.merged().frame_ranges == ["4:10", "20:30"]


def test_a_claim_is_had_by_one_and_given_back(tmp_path):
    first = claim(tmp_path, "piece")
    assert first is not None
    assert claim(tmp_path, "piece") is None
    assert claim(tmp_path, "another") is not None
    with first:
        assert first.is_held()
    assert not first.is_held()
    assert claim(tmp_path, "piece") is not None


def of_another(tmp_path, **changes):
    path = tmp_path / "piece.0.claim"
    content = {"host": "elsewhere", "pid": 1}
    path.write_text(json.dumps(content | changes))
    return path


def test_the_claim_of_another_machine_is_given_up_when_it_shows_no_life(tmp_path):
    path = of_another(tmp_path)
    assert claim(tmp_path, "piece") is None
    long_ago = time.time() - claims.STALE_S
    os.utime(path, (long_ago + 30, long_ago + 30))
    assert claim(tmp_path, "piece") is None
    os.utime(path, (long_ago - 30, long_ago - 30))
    mine = claim(tmp_path, "piece")
    assert mine is not None
    assert mine.is_held()
    assert claim(tmp_path, "piece") is None
    mine.give_back()
    assert [file.name for file in tmp_path.iterdir()] == ["piece.0.claim"]
    claims.remove_claims(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_claim_of_a_process_that_has_died_on_this_machine_is_taken_at_once(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    of_another(tmp_path, host=socket.gethostname(), pid=ended.pid)
    mine = claim(tmp_path, "piece")
    assert mine is not None
    mine.give_back()
    of_another(tmp_path, host=socket.gethostname(), pid=os.getpid())
    assert claim(tmp_path, "piece") is None


def test_a_renewed_claim_is_alive_and_one_that_was_taken_is_not_given_back(tmp_path):
    mine = claim(tmp_path, "piece")
    path = tmp_path / "piece.0.claim"
    os.utime(path, (0, 0))
    mine.renew()
    assert time.time() - path.stat().st_mtime < 60
    theirs = tmp_path / "piece.1.claim"
    theirs.touch()
    assert not mine.is_held()
    mine.give_back()
    assert path.exists()
    theirs.unlink()
    path.unlink()
    mine.renew()
    mine.give_back()


def test_of_many_who_find_a_dead_claim_one_gets_it(tmp_path):
    for _ in range(100):
        os.utime(of_another(tmp_path), (0, 0))
        got = []
        start = threading.Barrier(4)

        def work(start=start, got=got):
            start.wait()
            got.append(claim(tmp_path, "piece"))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(each is not None for each in got) == 1
        claims.remove_claims(tmp_path)
