import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import tifffile
import yaml
from click.testing import CliRunner

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.localizations.thunderstorm import (
    read_thunderstorm,
    write_thunderstorm,
)
from napari_dl4smlm.backend.models.model_file import load_model
from napari_dl4smlm.backend.models.registry import MODELS
from napari_dl4smlm.backend.simulation.config import MovieConfig
from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie
from napari_dl4smlm.backend.training import trainer
from napari_dl4smlm.backend.training.clock import Clock
from napari_dl4smlm.backend.training.config import DataConfig, TrainingConfig
from napari_dl4smlm.cli import main

SMALL = [
    "--model-options=blocks=1,channels=4",
    "--device=cpu",
    "--epochs=2",
    "--patches-per-epoch=8",
    "--batch-size=4",
    "--patch-size=16",
    "--upsampling=2",
    "--pixel-size-nm=100",
    "--min-emitters=0",
]
MOVIE = ["--movie=movie.tif", "--localizations=positions.csv"]


@pytest.fixture
def folder(tmp_path):
    """A folder with movie.tif (8 frames of 16 x 20 px) and positions.csv."""
    movie = SimulatedMovie(MovieConfig(frames=8, height=16, width=20, simulation={"density": 1.25}))
    tifffile.imwrite(tmp_path / "movie.tif", movie.frames(), photometric="minisblack")
    write_thunderstorm(tmp_path / "positions.csv", movie.truth)
    return tmp_path


@pytest.fixture
def run(folder, monkeypatch):
    """Run a command in that folder; return its result."""
    monkeypatch.chdir(folder)

    def run(*arguments, code=0):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def trained(run):
    """Train on the movie; ``model.safetensors`` is then in the folder."""
    run("train", "--movie=movie.tif", "--localizations=positions.csv", *SMALL)
    return run


@pytest.fixture
def black_movie(folder):
    """Five frames without any light."""
    path = folder / "black.tif"
    tifffile.imwrite(path, np.zeros((5, 16, 16), np.uint16), photometric="minisblack")
    return path


def test_a_movie_becomes_a_model_and_the_model_an_image_and_a_table(trained, folder):
    trained("predict", "movie.tif", "--pixel-size-nm=100", "--threshold=0.05", "--out=result")
    with open_frames(folder / "result" / "reconstruction.tif") as image:
        assert image.shape == (1, 32, 40)
        assert image.dtype == np.float32
        assert image.pixel_size_nm == pytest.approx(50)
    table = read_thunderstorm(folder / "result" / "localizations.csv")
    table.check_inside(16, 20, 100.0)
    header = (folder / "result" / "localizations.csv").read_text().splitlines()[0]
    assert header.startswith('"id","frame","x [nm]","y [nm]"')


def test_training_says_what_it_does(run):
    output = run("train", *MOVIE, *SMALL).output
    assert "on 6 frames, validating on 2 frames; device cpu" in output
    assert "epoch 2: training loss" in output
    assert "Finished after epoch 2: all epochs done. Best model: model.safetensors" in output


def test_a_saved_config_makes_the_same_model_again(run, folder):
    run("train", *MOVIE, *SMALL, "--save-config=job.yaml", "--out=a.safetensors")
    run("train", "--config=job.yaml", "--out=b.safetensors")
    first, second = (load_model(folder / f"{name}.safetensors") for name in "ab")
    assert first.card.weights_sha256 == second.card.weights_sha256


def test_an_option_wins_over_the_config(run, folder):
    run("train", *MOVIE, *SMALL, "--save-config=job.yaml")
    run("train", "--config=job.yaml", "--epochs=1", "--out=b.safetensors")
    assert load_model(folder / "b.safetensors").card.training["epochs"] == 1


def test_the_folder_of_the_model_is_made(run, folder):
    run("train", *MOVIE, *SMALL, "--epochs=1", "--out=models/first/m.safetensors")
    assert (folder / "models" / "first" / "m.last.safetensors").exists()


def test_pairs_of_folders_train_too(run, folder):
    for name, factor in (("raw", 1), ("truth", 2)):
        (folder / name).mkdir()
        for k in range(4):
            image = np.zeros((16 * factor, 16 * factor), np.uint16)
            image[k * factor, 5 * factor] = 1000
            tifffile.imwrite(folder / name / f"{k}.tif", image)
    options = [option for option in SMALL if not option.startswith(("--upsampling", "--pixel"))]
    run("train", "--pairs", "raw", "truth", *options)
    assert load_model(folder / "model.safetensors").card.upsampling_factor == 2


def test_training_resumes_where_it_was(trained, folder):
    output = trained("train", *MOVIE, *SMALL, "--epochs=3", "--resume").output
    assert "epoch 3: training loss" in output
    assert "epoch 2: training loss" not in output
    assert len(load_model(folder / "model.last.safetensors").card.history) == 3


def test_frames_are_a_range_from_0_with_the_end_excluded(trained, folder):
    trained(
        "predict",
        "movie.tif",
        "--pixel-size-nm=100",
        "--threshold=0.01",
        "--frames=2:5",
        "--out=result",
    )
    frames = read_thunderstorm(folder / "result" / "localizations.csv").frame
    assert set(frames) <= {2, 3, 4}
    assert len(frames)


def test_a_movie_without_light_gives_an_empty_image_and_no_localizations(
    trained, folder, black_movie
):
    trained("predict", black_movie, "--pixel-size-nm=100", "--out=result")
    assert not tifffile.imread(folder / "result" / "reconstruction.tif").any()
    assert len(read_thunderstorm(folder / "result" / "localizations.csv")) == 0


def test_maps_of_every_frame_add_up_to_the_image(trained, folder):
    trained("predict", "movie.tif", "--pixel-size-nm=100", "--save-maps", "--out=result")
    maps = tifffile.imread(folder / "result" / "density_maps.tif")
    image = tifffile.imread(folder / "result" / "reconstruction.tif")
    assert maps.shape == (8, 32, 40)
    np.testing.assert_allclose(maps.sum(0), image, rtol=1e-5, atol=1e-6)


def test_a_movie_unlike_the_training_data_is_warned_of(trained, folder):
    bright = tifffile.imread(folder / "movie.tif") + np.uint16(5000)
    tifffile.imwrite(folder / "bright.tif", bright, photometric="minisblack")
    output = trained("predict", "bright.tif", "--pixel-size-nm=200", "--out=result").output
    assert "Warning: The pixel size of this movie is 200 nm, but the model was trained" in output
    assert "Warning: The background of this movie lies outside" in output


def test_models_are_listed_with_size_and_cost(run):
    lines = run("models").output.splitlines()[2:]
    assert [line.split()[0] for line in lines] == list(MODELS)
    deep_storm = next(line for line in lines if line.startswith("deep_storm"))
    assert deep_storm.split()[1:3] == ["1,366,208", "48.5"]


def test_devices_are_listed_with_the_reason_of_those_that_cannot_be_used(run):
    output = run("devices").output
    assert "cpu" in output
    assert "not available: " in output


@pytest.mark.parametrize(
    "command",
    ["", *main.commands],
)
def test_help_explains_every_option(run, command):
    output = run(*command.split(), "--help").output
    options = output.split("Options:")[1]
    assert "-h, --help" in options, output


def test_every_config_field_is_an_option_with_a_description(run):
    text = " ".join(run("train", "--help").output.split())
    for model in (DataConfig, TrainingConfig):
        for name, field in model.model_fields.items():
            assert field.description, name
            if name == "simulation":  # a file rather than a value
                continue
            assert field.description.split(",")[0].split(":")[0] in text, name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "training needs a movie with localizations, or a pair of images, or a simul"),
        (["train", *MOVIE, "--simulate"], "a simulation has no movie"),
        (["train", "--simulate", "absent.yaml"], "config absent.yaml cannot be read"),
        (["simulate", "--out=s", "--frames=0"], r"frames: .*greater than or equal to 1 \(got 0\)"),
        (["simulate", "--out=s", "--density=-1"], r"simulation.density: -1 is below 0"),
        (["simulate", "--out=s", "--photons=900:100"], r"photons.uniform: "),
        (["simulate", "--out=s", "--psf-sigma-nm=9000"], "psf: the light of an emitter reaches"),
        (["simulate", "--out=s", "--size=4"], r"height: .*greater than or equal to 8"),
        (["train", "--movie=movie.tif"], "training needs localizations"),
        (["train", *MOVIE, "--pairs", "a", "b"], "not both"),
        (["train", "--movie=absent.tif", MOVIE[1]], "no file or folder .*absent.tif"),
        (
            ["train", *MOVIE, *SMALL, "--epochs=0"],
            r"epochs: .*greater than or equal to 1 \(got 0\)",
        ),
        (["train", *MOVIE, *SMALL, "--model=deepstorm"], "Did you mean 'deep_storm'"),
        (["train", *MOVIE, *SMALL, "--loss=l1"], "Unknown loss 'l1'. Did you mean 'l1l2'"),
        (["train", *MOVIE, *SMALL, "--lambda=0"], "lambda is 0; it must be above 0"),
        (["train", *MOVIE, *SMALL, "--device=cuda:7"], "cuda"),
        (["train", *MOVIE, *SMALL, "--model-options=blocks"], "not of the form key=value"),
        (["train", *MOVIE, *SMALL, "--frames=5:99"], "'5:99' cannot be used: the movie has 8"),
        (["train", *MOVIE, *SMALL, "--out=movie.tif/m.safetensors"], "no folder movie.tif"),
        (["train", "--config=absent.yaml"], "config absent.yaml cannot be read"),
        (["predict", "movie.tif"], "no file model.safetensors"),
        (["predict", "movie.tif", "--threshold=0"], r"threshold: .*greater than 0 \(got 0"),
        (["predict", "movie.tif", "--model=movie.tif"], "movie.tif is a TIFF image"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(run, arguments, message):
    result = run(*arguments, code=2)
    error = result.stderr.strip().splitlines()[-1]
    assert error.startswith("Error: ")
    assert re.search(message, error), error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training: {epoch: 3}", "training.epoch: Extra inputs are not permitted"),
        ("- a list", "does not hold named values"),
        ("a: [", "cannot be read"),
        ("!!python/object/apply:os.system ['touch owned']", "cannot be read"),
    ],
)
def test_a_config_that_is_not_one_is_refused_and_never_run(run, folder, text, message):
    (folder / "job.yaml").write_text(text)
    assert message in run("train", "--config=job.yaml", *MOVIE, code=2).stderr
    assert not (folder / "owned").exists()


def test_a_saved_config_is_plain_yaml(run, folder):
    run("train", *MOVIE, *SMALL, "--lambda=250", "--save-config=job.yaml")
    saved = yaml.safe_load((folder / "job.yaml").read_text())
    assert saved["training"]["lambda"] == 250
    assert saved["data"]["movie"] == "movie.tif"


def test_saving_a_config_keeps_the_one_that_was_there(run, folder):
    (folder / "job.yaml").write_text("mine: 1")
    run("train", *MOVIE, *SMALL, "--epochs=1", "--save-config=job.yaml")
    assert (folder / "job.previous.yaml").read_text() == "mine: 1"


def test_following_a_movie_gives_what_predicting_it_afterwards_does(trained, folder):
    movie = tifffile.imread(folder / "movie.tif")
    with tifffile.TiffWriter(folder / "live.tif") as writer:
        for frame in movie:
            writer.write(frame, contiguous=False, metadata=None)
    options = ("--model=model.safetensors", "--device=cpu", "--pixel-size-nm=100")
    result = trained("predict", "live.tif", *options, "--follow", "--quiet-s=2", "--out=live")
    assert "Waiting for frames in live.tif" in result.stderr
    trained("predict", "movie.tif", *options, "--out=whole")
    live, whole = (
        read_thunderstorm(folder / name / "localizations.csv") for name in ("live", "whole")
    )
    np.testing.assert_array_equal(live.frame, whole.frame)
    np.testing.assert_allclose(live.x_nm, whole.x_nm, atol=0.01)
    np.testing.assert_allclose(live.y_nm, whole.y_nm, atol=0.01)
    np.testing.assert_allclose(
        *(tifffile.imread(folder / name / "reconstruction.tif") for name in ("live", "whole")),
        atol=1e-6,
    )


def test_workers_that_share_a_movie_write_what_one_does(trained, folder):
    counts = np.random.default_rng(0).poisson(100, (96, 16, 20)).astype(np.uint16)
    tifffile.imwrite(folder / "long.tif", counts, photometric="minisblack")
    options = ("--model=model.safetensors", "--device=cpu", "--pixel-size-nm=100")
    options = (*options, "--threshold=0.01")
    result = trained("predict", "long.tif", *options, "--out=one")
    alone = re.search(r"([\d,]+) localizations", result.stderr + result.stdout)[1]
    result = trained("predict", "long.tif", *options, "--workers=2", "--out=two")
    assert "Warning" not in result.stderr
    assert f"{alone} localizations" in result.stderr + result.stdout
    one, two = (read_thunderstorm(folder / name / "localizations.csv") for name in ("one", "two"))
    np.testing.assert_array_equal(one.frame, two.frame)
    np.testing.assert_allclose(one.positions_nm(), two.positions_nm(), atol=0.01)
    np.testing.assert_allclose(
        *(tifffile.imread(folder / name / "reconstruction.tif") for name in ("one", "two")),
        atol=1e-6,
    )
    # one that comes when all is done
    result = trained("predict", "long.tif", *options, "--shared", "--out=two")
    assert f"{alone} localizations" in result.stderr + result.stdout
    assert not (folder / "two" / "localizations.previous.csv").exists()


def test_a_worker_that_fails_is_told_of_and_costs_nothing(trained, folder, monkeypatch):
    workers = sys.modules["napari_dl4smlm.cli.workers"]
    failing = (sys.executable, "-c", "import sys; sys.exit('Error: no room')")
    monkeypatch.setattr(workers, "_COMMAND", failing)
    options = ("--model=model.safetensors", "--device=cpu", "--pixel-size-nm=100")
    result = trained("predict", "movie.tif", *options, "--workers=2", "--out=two")
    assert "Warning: a worker has failed: Error: no room" in result.stderr
    assert (folder / "two" / "localizations.csv").exists()


def test_a_worker_gets_a_movie_of_any_name_and_the_stop_of_the_first(trained, folder, monkeypatch):
    module = sys.modules["napari_dl4smlm.cli.predict"]
    (folder / "movie.tif").rename(folder / "-m.tif")

    @contextmanager
    def fellow_workers(count, arguments, stop):
        assert count == 2
        # it hears that it is to stop, and does
        with monkeypatch.context() as patches:
            patches.setattr(module, "stop_with_first_worker", lambda stop: stop())
            assert "Stopped" in trained(*arguments, code=130).output
        stop.set()
        yield

    monkeypatch.setattr(module, "fellow_workers", fellow_workers)
    options = ("--model=model.safetensors", "--device=cpu", "--pixel-size-nm=100", "--workers=2")
    result = trained("predict", *options, "--out=two", "--", "-m.tif", code=130)
    assert "Stopped; what is done is kept." in result.output


def test_what_workers_cannot_share_is_refused(trained):
    for option in ("--follow", "--save-maps"):
        result = trained("predict", "movie.tif", "--workers=2", option, code=2)
        assert "Workers share neither" in result.stderr


def test_what_cannot_be_followed_is_refused(trained, folder):
    np.save(folder / "movie.npy", tifffile.imread(folder / "movie.tif"))
    result = trained("predict", "movie.npy", "--follow", code=2)
    assert "movie.npy cannot be followed" in result.stderr
    result = trained("predict", "movie.tif", "--follow", "--quiet-s=0", code=2)
    assert "wait at least 2 s" in result.stderr


def test_predicting_twice_keeps_the_first_result(trained, folder):
    for _ in range(2):
        trained("predict", "movie.tif", "--pixel-size-nm=100", "--out=result")
    names = {path.name for path in (folder / "result").iterdir()}
    assert {"reconstruction.previous.tif", "localizations.previous.csv"} <= names


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent differently on Windows")
def test_ctrl_c_ends_training_with_both_models_on_disk(folder):
    command = [sys.executable, "-c", "from napari_dl4smlm.cli import main; main()", "train"]
    process = subprocess.Popen(
        [*command, *MOVIE, *SMALL, "--epochs=100000"],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    with process:
        assert any(line.startswith("epoch 2") for line in process.stdout)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 130
    assert "Best model: model.safetensors, last model: model.last.safetensors" in rest
    for name in ("model.safetensors", "model.last.safetensors"):
        load_model(folder / name)


def test_help_answers_without_importing_torch():
    code = (
        "import sys\nfrom napari_dl4smlm.cli import main\n"
        "try: main(['train', '--help'])\nexcept SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert finished.returncode == 0, finished.stderr


class StepClock(Clock):
    """A clock that steps alone move on, as they do on a computer that does nothing else."""

    steps = 0

    def __init__(self, max_minutes):
        super().__init__(max_minutes, now=lambda: 0.1 * self.steps)


@pytest.mark.slow
def test_the_demo_finds_most_emitters_of_a_movie_it_has_not_seen(run, folder, monkeypatch):
    monkeypatch.setattr(trainer, "Clock", StepClock)
    output = run(
        "demo", "--headless", "--out=demo", "--minutes=0.25", "--frames=20", "--device=cpu"
    ).output
    network, classical = (
        float(line.removeprefix(name).split()[2])
        for name in ("FID-STORM", "Gaussian fits")
        for line in output.splitlines()
        if line.startswith(name)
    )
    assert network > 0.45
    assert 0.1 < classical < 0.6
    for name in ("demo.png", "movie/frames.tif", "result/reconstruction.tif", "model.safetensors"):
        assert (folder / "demo" / name).stat().st_size > 50_000
