"""One prediction by several processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.localizations.thunderstorm import (
    ThunderstormWriter,
    read_thunderstorm,
)
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
from napari_dl4smlm.backend.prediction.sharing import claims, parts
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
def quick(nearest_model):
    """A model that takes hardly any time."""
    return nearest_model()


@pytest.fixture
def short(counts):
    """A movie of two pieces."""
    return open_frames(counts[:64], pixel_size_nm=100)


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


def frames_of(events):
    predicted = [event.frames for event in events if isinstance(event, BatchPredicted)]
    return [number for frames in predicted for number in frames]


def test_results_that_another_run_has_replaced_are_made_again(quick, short, tmp_path):
    *_, first = predict_shared(quick, short, tmp_path, CPU)
    other = CPU.model_copy(update={"frames": "0:10"})
    *_, replaced = predict_to_files(quick, short, tmp_path, other)
    assert replaced.n_localizations < first.n_localizations
    *events, again = predict_shared(quick, short, tmp_path, CPU)
    assert frames_of(events) == list(range(64))
    assert again == first
    assert len(read_thunderstorm(tmp_path / "localizations.csv")) == first.n_localizations
    # once they are, nothing is left to do
    assert frames_of(predict_shared(quick, short, tmp_path, CPU)) == []
    assert not (tmp_path / "localizations.previous-3.csv").exists()


def test_results_are_known_again_where_times_of_files_are_rounded(quick, short, tmp_path):
    list(predict_shared(quick, short, tmp_path, CPU))
    image = tmp_path / "reconstruction.tif"
    now_ns = image.stat().st_mtime_ns
    os.utime(image, ns=(now_ns, now_ns - now_ns % 10**9))
    assert frames_of(predict_shared(quick, short, tmp_path, CPU)) == []
    os.utime(image, ns=(now_ns, now_ns + 10**10))
    assert frames_of(predict_shared(quick, short, tmp_path, CPU)) == list(range(64))


@pytest.fixture
def killed_at_the_end(quick, short, tmp_path, monkeypatch):
    """The folder of a worker that was killed before it could remove what it had put together."""
    folder, unlink = tmp_path / "parts", Path.unlink

    def killed(path, **options):
        if path.name.startswith("image-"):
            raise KeyboardInterrupt
        unlink(path, **options)

    events = predict_shared(quick, short, tmp_path, CPU)
    for event in events:
        if isinstance(event, PartsDone) and event.frames_done == 64:
            break
    # and of one that was killed while it wrote
    for path in [*folder.glob("image-*"), *folder.glob("table-*")]:
        path.with_name(f".{path.name}.{'0' * 32}.tmp").touch()
    with monkeypatch.context() as patches:
        patches.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            list(events)
    assert list(folder.glob("image-*"))
    return tmp_path


def test_parts_that_were_left_are_not_mixed_into_another_prediction(
    quick, short, killed_at_the_end
):
    other = CPU.model_copy(update={"threshold": 36.0})
    *events, written = predict_shared(quick, short, killed_at_the_end, other)
    assert frames_of(events) == list(range(64))
    *_, alone = predict_to_files(quick, short, killed_at_the_end / "alone", other)
    assert 100 < written.n_localizations == alone.n_localizations
    left = [path.name for path in (killed_at_the_end / "parts").iterdir()]
    assert left == ["plan.json"]


def test_who_finds_the_results_removes_the_parts_that_were_left(quick, short, killed_at_the_end):
    assert frames_of(predict_shared(quick, short, killed_at_the_end, CPU)) == []
    left = [path.name for path in (killed_at_the_end / "parts").iterdir()]
    assert left == ["plan.json"]


def test_many_workers_may_replace_a_finished_prediction(tmp_path):
    image = Reconstruction(3, 3, pixel_size_nm=10)
    image.add(np.ones((3, 3)), range(4))
    Parts(tmp_path, {"threshold": 1}).finish({})
    finished = (tmp_path / "plan.json").read_text()
    fast = Parts(tmp_path, {"threshold": 2})
    fast.save(image, Localizations.empty())
    held = fast.claim("4-8")
    # as one finds it that reads it before the other has written its own
    (tmp_path / "plan.json").write_text(finished)
    slow = Parts(tmp_path, {"threshold": 2})
    assert slow.missing(range(8)) == [range(4, 8)]
    assert held.is_held()
    # and of two predictions at the same time, one gives in
    Parts(tmp_path, {"threshold": 2}).finish({})
    Parts(tmp_path, {"threshold": 3})
    with pytest.raises(InputError, match="another prediction: its threshold is 3, and not 2"):
        _ = fast.result


@pytest.mark.parametrize("moment", ["before the list of parts", "after it"])
def test_a_worker_that_looks_while_another_one_ends_does_nothing_more(
    quick, short, tmp_path, monkeypatch, moment
):
    first = predict_shared(quick, short, tmp_path, CPU)
    late = predict_shared(quick, short, tmp_path, CPU)
    next(late)
    for event in first:
        if isinstance(event, PartsDone) and event.frames_done == 64:
            break
    missing, opened = Parts.missing, parts._opened

    def end():
        monkeypatch.setattr(Parts, "missing", missing)
        monkeypatch.setattr(parts, "_opened", opened)
        assert isinstance(list(first)[-1], FilesWritten)

    def late_missing(self, frames):
        end()
        return self.missing(frames)

    @contextmanager
    def late_opened(*paths):
        end()
        with opened(*paths) as content:
            yield content

    if moment == "after it":
        monkeypatch.setattr(parts, "_opened", late_opened)
    else:
        monkeypatch.setattr(Parts, "missing", late_missing)
    *events, written = late
    assert frames_of(events) == []
    assert isinstance(written, FilesWritten)
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["plan.json"]


def test_parts_that_vanish_while_they_are_put_together_are_no_error(
    quick, short, tmp_path, monkeypatch
):
    merged = Parts.merged

    def vanishing(self):
        monkeypatch.setattr(Parts, "merged", merged)
        # another worker, which took this one for dead
        self.finish({"n_localizations": 7})
        self.clear()
        return self.merged()

    monkeypatch.setattr(Parts, "merged", vanishing)
    *_, written = predict_shared(quick, short, tmp_path, CPU)
    assert written.n_localizations == 7
    # nor has it left a half of its own
    assert [path.name for path in tmp_path.iterdir()] == ["parts"]


def test_putting_together_shows_signs_of_life(quick, short, tmp_path, monkeypatch):
    tables = Parts.tables
    renewed = []

    def slow(self):
        for table in tables(self):
            (path,) = self.folder.glob("*merging*")
            os.utime(path, (0, 0))
            yield table
            renewed.append(path.stat().st_mtime)

    monkeypatch.setattr(Parts, "tables", slow)
    list(predict_shared(quick, short, tmp_path, CPU))
    assert len(renewed) == 2
    assert time.time() - min(renewed) < 600


@pytest.mark.parametrize("claimed_again", [False, True])
def test_a_worker_that_stood_still_does_not_count_its_frames_twice(
    quick, short, tmp_path, claimed_again
):
    still = predict_shared(quick, short, tmp_path, CPU)
    for event in still:
        if isinstance(event, BatchPredicted):
            break
    (path,) = (tmp_path / "parts").glob("*.claim")
    os.utime(path, (0, 0))
    stop = threading.Event()
    for event in predict_shared(quick, short, tmp_path, CPU, stop=stop):
        if isinstance(event, PartsDone) and event.frames_done == 32:
            stop.set()
    if claimed_again:
        path.touch()
    *events, written = still
    assert frames_of(events)[-32:] == list(range(32, 64))
    *_, alone = predict_to_files(quick, short, tmp_path / "alone", CPU)
    assert written.n_localizations == alone.n_localizations
    images = [
        tifffile.imread(each / "reconstruction.tif") for each in (tmp_path, tmp_path / "alone")
    ]
    np.testing.assert_allclose(*images, rtol=1e-6, atol=1e-6)


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


def test_of_a_table_that_is_damaged_or_gone_the_image_is_to_be_removed(tmp_path):
    image = Reconstruction(3, 3, pixel_size_nm=10)
    image.add(np.ones((3, 3)), range(4))
    left = Parts(tmp_path, {"model": "a"})
    left.save(image, Localizations.empty())
    (table,) = tmp_path.glob("table-*.npz")
    for damage in (lambda: table.write_bytes(b"PK"), table.unlink):
        damage()
        with pytest.raises(
            InputError, match=r"table-.*cannot be read.*Remove image-.*\.npz beside"
        ):
            list(left.tables())


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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_results_that_do_not_fit_leave_those_of_an_earlier_prediction(
    quick, short, tmp_path, monkeypatch
):
    # so few that they are written only when the table is closed
    few = CPU.model_copy(update={"frames": "0:4"})
    list(predict_to_files(quick, short, tmp_path, few))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    append = ThunderstormWriter.append

    def fill_disk(writer, table):
        append(writer, table)
        os.dup2(full := os.open("/dev/full", os.O_WRONLY), writer._file.fileno())
        os.close(full)

    monkeypatch.setattr(ThunderstormWriter, "append", fill_disk)
    with pytest.raises(InputError, match="No space left on device"):
        list(predict_shared(quick, short, tmp_path, few))
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


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
    slow = claims.Claim(tmp_path, "piece", 0)
    mine.give_back()
    # the one that was given up is not the newest again
    assert not slow.is_held()
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


def test_a_claim_whose_process_has_its_number_from_a_dead_one_is_given_up(tmp_path):
    # of a process that runs, but for long without a sign of life
    path = of_another(tmp_path, host=socket.gethostname(), pid=os.getppid())
    assert claim(tmp_path, "piece") is None
    long_ago = time.time() - claims.STALE_S - 30
    os.utime(path, (long_ago, long_ago))
    assert claim(tmp_path, "piece") is not None


def test_a_claim_of_our_own_number_that_is_older_than_we_are_is_given_up(tmp_path):
    path = of_another(tmp_path, host=socket.gethostname(), pid=os.getpid())
    os.utime(path, (claims._BEGAN - 1, claims._BEGAN - 1))
    assert claim(tmp_path, "piece") is not None


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
        for path in tmp_path.glob(claims.CLAIMS):
            path.unlink()
