from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
import threading
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_dl4smlm import __version__
from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.thunderstorm import ThunderstormWriter, read_thunderstorm
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.events import (
    BatchPredicted,
    FilesWritten,
    PredictionFinished,
    PredictionStarted,
    PredictionStopped,
)
from napari_dl4smlm.backend.prediction.output import predict_to_files

CONFIG = PredictionConfig(device="cpu", batch_size=2)


@pytest.fixture
def movie():
    """Eight frames with one emitter each, at camera pixel (3, k) in frame k."""
    frames = np.zeros((8, 10, 12), np.float32)
    frames[np.arange(8), 3, np.arange(8)] = 1
    return open_frames(frames, pixel_size_nm=100)


def expected_image(n_frames):
    image = np.zeros((20, 24))
    image[6:8, : 2 * n_frames] = 0.25
    return image


def information(path):
    with tifffile.TiffFile(path) as file:
        return json.loads(file.imagej_metadata["Info"])


def test_the_image_and_the_table_are_written(tmp_path, nearest_model, movie):
    folder = tmp_path / "new" / "folder"
    events = list(predict_to_files(nearest_model(), movie, folder, CONFIG))
    assert isinstance(events[0], PredictionStarted)
    assert isinstance(events[-2], PredictionFinished)
    files = {folder / "reconstruction.tif", folder / "localizations.csv"}
    assert set(events[-1].paths) == files
    assert events[-1].n_localizations == 8
    assert set(folder.iterdir()) == files

    table = read_thunderstorm(folder / "localizations.csv")
    np.testing.assert_array_equal(table.frame, np.arange(8))
    np.testing.assert_allclose(table.y_nm, 350)
    np.testing.assert_allclose(table.x_nm, 50 + 100 * np.arange(8))
    first_lines = (folder / "localizations.csv").read_text().splitlines()[:2]
    assert first_lines == [
        '"id","frame","x [nm]","y [nm]","confidence"',
        "1,1,50.00000,350.00000,1",
    ]
    with open_frames(folder / "reconstruction.tif") as image:
        np.testing.assert_allclose(image.read(0, 1)[0], expected_image(8))
        assert image.pixel_size_nm == 50


def test_the_image_tells_how_it_was_made(tmp_path, nearest_model, movie):
    config = PredictionConfig(device="cpu", frames="2:7", threshold=0.4, pixel_size_nm=110)
    list(predict_to_files(nearest_model(weights_sha256="abc"), movie, tmp_path, config))
    assert information(tmp_path / "reconstruction.tif") == {
        "software": f"napari-dl4smlm {__version__}",
        "movie": "array",
        "frames": ["2:7"],
        "camera_pixel_size_nm": 110,
        "model": "nearest",
        "model_options": {},
        "model_weights_sha256": "abc",
        "upsampling_factor": 2,
        "threshold": 0.4,
        "computed_with": "torch float32",
    }


def test_the_maps_of_all_frames_are_written_when_asked_for(tmp_path, nearest_model, movie):
    config = PredictionConfig(device="cpu", frames="3:", batch_size=2)
    *_, written = predict_to_files(nearest_model(), movie, tmp_path, config, save_maps=True)
    assert tmp_path / "density_maps.tif" in written.paths
    assert information(tmp_path / "density_maps.tif")["first_frame"] == 3
    with open_frames(tmp_path / "density_maps.tif") as maps:
        assert maps.shape == (5, 20, 24)
        assert maps.pixel_size_nm == 50
        for number in range(5):
            expected = expected_image(number + 4) - expected_image(number + 3)
            np.testing.assert_allclose(maps.read(number, number + 1)[0], expected)


def test_a_stopped_prediction_writes_what_is_done(tmp_path, nearest_model, movie):
    stop = threading.Event()
    events = []
    for event in predict_to_files(
        nearest_model(), movie, tmp_path, CONFIG, save_maps=True, stop=stop
    ):
        events.append(event)
        if isinstance(event, BatchPredicted) and event.frames.stop == 4:
            stop.set()
    assert isinstance(events[-2], PredictionStopped)
    assert_first_frames_written(tmp_path, 4)
    with open_frames(tmp_path / "density_maps.tif") as maps:
        assert maps.n_frames == 4


def test_a_closed_iterator_leaves_what_is_done(tmp_path, nearest_model, movie):
    events = predict_to_files(nearest_model(), movie, tmp_path, CONFIG)
    while not (isinstance(event := next(events), BatchPredicted) and event.frames.stop == 6):
        pass
    events.close()
    assert_first_frames_written(tmp_path, 6)


def test_ctrl_c_leaves_what_is_done(tmp_path, nearest_model, movie, monkeypatch):
    read = movie.read

    def interrupted(start, stop):
        # the sample of the intensities is read frame by frame, before
        if start == 4 and stop == 6:
            raise KeyboardInterrupt
        return read(start, stop)

    monkeypatch.setattr(movie, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(predict_to_files(nearest_model(), movie, tmp_path, CONFIG))
    assert_first_frames_written(tmp_path, 4)


def test_a_bad_frame_is_told_and_does_not_cost_the_good_ones_before_it(tmp_path, nearest_model):
    frames = np.zeros((8, 10, 12), np.float32)
    frames[np.arange(8), 3, np.arange(8)] = 1
    frames[6] = np.nan
    movie = open_frames(frames, pixel_size_nm=100)
    with pytest.raises(InputError, match="Frame 6 of array"):
        list(predict_to_files(nearest_model(), movie, tmp_path, CONFIG))
    assert_first_frames_written(tmp_path, 6)


def assert_first_frames_written(folder, n_frames):
    assert information(folder / "reconstruction.tif")["frames"] == [f"0:{n_frames}"]
    image = tifffile.imread(folder / "reconstruction.tif")
    np.testing.assert_allclose(image, expected_image(n_frames))
    table = read_thunderstorm(folder / "localizations.csv")
    assert table.frame.tolist() == list(range(n_frames))


def test_a_prediction_that_never_began_leaves_the_folder_as_it_was(tmp_path, nearest_model, movie):
    (tmp_path / "localizations.csv").write_text("from before")
    stop = threading.Event()
    stop.set()
    *_, stopped, written = predict_to_files(nearest_model(), movie, tmp_path, CONFIG, stop=stop)
    assert isinstance(stopped, PredictionStopped)
    assert written == FilesWritten((), 0)
    predict_to_files(nearest_model(), movie, tmp_path, CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["localizations.csv"]
    assert (tmp_path / "localizations.csv").read_text() == "from before"


def test_the_files_of_an_earlier_prediction_are_kept(tmp_path, nearest_model, movie):
    for frames in (":2", ":4", ":6"):
        config = PredictionConfig(device="cpu", frames=frames)
        list(predict_to_files(nearest_model(), movie, tmp_path, config, save_maps=True))
    for name, n_frames in {"": 6, ".previous": 2, ".previous-2": 4}.items():
        assert len(read_thunderstorm(tmp_path / f"localizations{name}.csv")) == n_frames
        image = tifffile.imread(tmp_path / f"reconstruction{name}.tif")
        np.testing.assert_allclose(image, expected_image(n_frames))
        assert len(tifffile.imread(tmp_path / f"density_maps{name}.tif")) == n_frames
    assert len(list(tmp_path.iterdir())) == 9


def test_a_folder_that_cannot_be_made_is_refused_before_anything_is_predicted(
    tmp_path, nearest_model, movie
):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match=re.escape(f"The folder {folder} cannot be created ")):
            predict_to_files(nearest_model(), movie, folder, CONFIG)


def test_too_little_room_for_the_images_is_told_before_anything_is_predicted(
    tmp_path, nearest_model, movie, monkeypatch
):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage(free=3000))
    predict_to_files(nearest_model(), movie, tmp_path, CONFIG)
    with pytest.raises(InputError, match=r"has 3e-06 GB of room, .* take 1.7e-05 GB"):
        predict_to_files(nearest_model(), movie, tmp_path, CONFIG, save_maps=True)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_gets_full_costs_nothing_that_was_there(
    tmp_path, nearest_model, movie, monkeypatch
):
    list(predict_to_files(nearest_model(), movie, tmp_path, CONFIG, save_maps=True))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    append = ThunderstormWriter.append

    def full_after_four_frames(writer, table):
        if table.frame[0] >= 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(writer, table)

    monkeypatch.setattr(ThunderstormWriter, "append", full_after_four_frames)
    message = f"cannot be written to {tmp_path} (No space left on device)"
    with pytest.raises(InputError, match=re.escape(message)):
        list(predict_to_files(nearest_model(), movie, tmp_path, CONFIG, save_maps=True))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_disk_that_is_full_at_the_end_costs_nothing_that_was_there(
    tmp_path, nearest_model, movie, monkeypatch
):
    list(predict_to_files(nearest_model(), movie, tmp_path, CONFIG))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tifffile.TiffWriter, "write", full)
    with pytest.raises(InputError, match="No space left on device"):
        list(predict_to_files(nearest_model(), movie, tmp_path, CONFIG))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
@pytest.mark.parametrize("is_told_at", ["the end", "once"])
def test_a_table_that_does_not_fit_leaves_all_files_of_an_earlier_prediction(
    tmp_path, nearest_model, movie, monkeypatch, is_told_at
):
    list(predict_to_files(nearest_model(), movie, tmp_path, CONFIG))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    append = ThunderstormWriter.append

    def fill_disk(writer, table):
        append(writer, table)
        os.dup2(full := os.open("/dev/full", os.O_WRONLY), writer._file.fileno())
        os.close(full)
        if is_told_at == "once":
            writer._file.flush()

    monkeypatch.setattr(ThunderstormWriter, "append", fill_disk)
    with pytest.raises(InputError, match=r"\(No space left on device\)\. Make room"):
        list(predict_to_files(nearest_model(), movie, tmp_path, CONFIG))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_a_killed_prediction_has_left_is_removed_after_a_day(tmp_path, nearest_model, movie):
    for name in ("localizations.csv", "reconstruction.tif", "density_maps.tif"):
        path = tmp_path / f".{name}.{'0a' * 16}.tmp"
        path.touch()
        os.utime(path, (0, 0))
    list(predict_to_files(nearest_model(), movie, tmp_path, CONFIG, save_maps=True))
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_movie_whose_name_is_no_text_is_predicted(tmp_path, nearest_model, movie):
    path = tmp_path / os.fsdecode(b"film_5\xb5m.tif")
    tifffile.imwrite(path, movie.read(0, 8))
    with open_frames(path, pixel_size_nm=100) as frames:
        list(predict_to_files(nearest_model(), frames, tmp_path / "out", CONFIG))
    assert information(tmp_path / "out" / "reconstruction.tif")["movie"] == "film_5?m.tif"
