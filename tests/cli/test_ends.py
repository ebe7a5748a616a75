"""How commands end: by a key, without memory or room, or with names that no terminal can show."""

from __future__ import annotations

import errno
import os
import signal
import sys

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from napari_dl4smlm.backend.acquisition import growing_frames
from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.localizations import thunderstorm
from napari_dl4smlm.backend.models.model_file import ModelCard, save_model
from napari_dl4smlm.backend.models.registry import create_model
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.cli import main

EVALUATE = ("evaluate", "--predicted=a.csv", "--truth=b.csv")
PREDICT = ("predict", "--model=model.safetensors", "--device=cpu")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command in a folder with a model and a movie of six frames; return its result."""
    monkeypatch.chdir(tmp_path)
    network = create_model("srcnn", upsampling_factor=2)
    card = ModelCard(
        architecture=network.name,
        options=network.options,
        upsampling_factor=2,
        pixel_size_nm=100,
        normalization=Normalization(offset=100, scale=10, background=100, brightest=130),
        density_amplitude=1,
        training={},
        history=[],
    )
    save_model("model.safetensors", network, card)
    with tifffile.TiffWriter("movie.tif") as writer:
        for frame in np.random.default_rng(0).poisson(100, (6, 16, 18)).astype(np.uint16):
            writer.write(frame, contiguous=False, metadata=None)

    def run(*arguments, code):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == code, (result.output, result.exception)
        assert "Traceback" not in result.output
        return result

    return run


def failing(error):
    def fail(*_args, **_options):
        raise error

    return fail


def test_ctrl_c_has_one_exit_code_wherever_it_comes(run, monkeypatch):
    monkeypatch.setattr(thunderstorm, "read_thunderstorm", failing(KeyboardInterrupt))
    assert run(*EVALUATE, code=130).stderr == "Stopped.\n"


def test_too_little_memory_is_said_in_one_line(run, monkeypatch):
    error = MemoryError("Unable to allocate 42.9 MiB for an array")
    monkeypatch.setattr(thunderstorm, "read_thunderstorm", failing(error))
    assert run(*EVALUATE, code=2).stderr == (
        "Error: The memory does not suffice (Unable to allocate 42.9 MiB for an array). Close "
        "other programs, crop the movie, or use another machine.\n"
    )


def test_a_full_disk_is_told_with_what_to_do(run, monkeypatch):
    error = OSError(errno.ENOSPC, "No space left on device", "table.csv")
    monkeypatch.setattr(thunderstorm, "read_thunderstorm", failing(error))
    assert run(*EVALUATE, code=2).stderr == (
        "Error: table.csv: No space left on device. Make room, or choose another folder.\n"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_results_in_a_folder_whose_name_is_no_text_are_told(run):
    folder = os.fsdecode(b"out_\xb5")
    result = run(*PREDICT, "movie.tif", "--out", folder, code=0)
    assert r"Written: out_\udcb5/localizations.csv" in result.stdout


def test_the_folder_one_is_in_is_predicted_to_one_beside_it(run, tmp_path, monkeypatch):
    (tmp_path / "0.5 nM").mkdir()
    (tmp_path / "movie.tif").unlink()
    frames = np.random.default_rng(0).poisson(100, (2, 16, 18)).astype(np.uint16)
    for number, frame in enumerate(frames):
        tifffile.imwrite(tmp_path / "0.5 nM" / f"{number}.tif", frame)
    monkeypatch.chdir(tmp_path / "0.5 nM")
    run("predict", "--model=../model.safetensors", "--device=cpu", ".", code=0)
    assert (tmp_path / "0.5 nM-prediction" / "localizations.csv").exists()


def test_ctrl_c_while_no_frame_has_come_is_no_fault_of_the_movie(run, monkeypatch):
    open_growing_frames = growing_frames.open_growing_frames

    def interrupted(*args, **options):
        signal.raise_signal(signal.SIGINT)
        return open_growing_frames(*args, **options)

    monkeypatch.setattr(growing_frames, "open_growing_frames", interrupted)
    result = run(*PREDICT, "coming.tif", "--follow", code=130)
    assert "no complete frame" not in result.output


def test_following_a_movie_that_ends_before_the_frames_asked_for_is_an_error(run):
    options = ("--follow", "--quiet-s=2", "--frames=100:200")
    result = run(*PREDICT, "movie.tif", *options, code=2)
    assert "'100:200' cannot be used: the movie has 6 frames" in result.stderr
    assert "Written" not in result.output
    assert " 0 frames" not in result.output


def test_help_says_which_options_a_config_of_predict_holds():
    fields = [name.replace("_", "-") for name in PredictionConfig.model_fields]
    text = CliRunner().invoke(main, ["predict", "--help"], terminal_width=300).output
    assert f"the options from --{fields[0]} to --{fields[-1]}" in text
