import csv
import json
import os
import re
import signal
import sys

import numpy as np
import pytest
import tifffile
import yaml
from click.testing import CliRunner

from napari_dl4smlm.backend.localizations.thunderstorm import write_thunderstorm
from napari_dl4smlm.backend.simulation.config import MovieConfig, SimulationConfig
from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie
from napari_dl4smlm.cli import main
from napari_dl4smlm.cli.test import test as command

SIMULATION = SimulationConfig(density=(3.0, 3.0))
SMALL = [
    "--model-options=blocks=1,channels=4",
    "--device=cpu",
    "--epochs=1",
    "--patches-per-epoch=8",
    "--batch-size=4",
    "--patch-size=24",
    "--upsampling=2",
    "--min-emitters=0",
]
MOVIE = ["--movie=movie.tif", "--localizations=positions.csv", "--pixel-size-nm=100"]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a movie of 8 frames, its positions, and a model that six of them trained."""
    folder = tmp_path_factory.mktemp("test")
    movie = SimulatedMovie(MovieConfig(frames=8, height=32, width=24, simulation=SIMULATION))
    tifffile.imwrite(folder / "movie.tif", movie.frames(), photometric="minisblack")
    write_thunderstorm(folder / "positions.csv", movie.truth)
    (folder / "simulation.yaml").write_text(
        yaml.safe_dump(MovieConfig(frames=3, height=24, width=40, simulation=SIMULATION).to_dict())
    )
    train(
        folder,
        "filmed",
        f"--movie={folder}/movie.tif",
        "--pixel-size-nm=100",
        f"--localizations={folder}/positions.csv",
        "--validation-frames=5:7",
    )
    train(
        folder,
        "simulated",
        f"--simulate={folder}/simulation.yaml",
        "--simulated-validation-frames=2",
    )
    return folder


def train(folder, name, *options):
    result = CliRunner().invoke(
        main, ["train", *SMALL, *options, f"--out={folder}/{name}.safetensors"]
    )
    assert result.exit_code == 0, result.output


@pytest.fixture
def run(workplace, tmp_path, monkeypatch):
    """Run the command in that folder, at a threshold that a hardly trained network exceeds."""
    monkeypatch.chdir(workplace)

    def run(*options, model="filmed", code=0):
        result = CliRunner().invoke(
            command,
            [f"--model={model}.safetensors", "--device=cpu", "--threshold=0.02", *options],
        )
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return run


def test_only_the_frames_that_did_not_train_are_scored_by_default(run):
    result = run(*MOVIE, "--json")
    scores = json.loads(result.stdout)
    assert [sample["frame"] for sample in scores["samples"]] == [5, 6]
    assert all(sample["is_validation"] for sample in scores["samples"])
    assert "Testing on 2 frames; device cpu." in result.stderr
    assert "Warning: 2 of the 2 frames to test on validated this model" in result.stderr


def test_the_scores_are_those_of_predict_and_then_evaluate(run):
    summary = json.loads(run(*MOVIE, "--json").stdout)["summary"]
    shared = ["--frames=5:7", "--pixel-size-nm=100"]
    options = ["--model=filmed.safetensors", "--device=cpu", "--threshold=0.02", "--out=result"]
    CliRunner().invoke(main, ["predict", "movie.tif", *options, *shared])
    options = ["--image=result/reconstruction.tif", "--tolerance-nm=100", "--json"]
    tables = ["--predicted=result/localizations.csv", "--truth=positions.csv"]
    result = CliRunner().invoke(main, ["evaluate", *tables, *options, *shared])
    expected = json.loads(result.stdout)
    scores = summary["detection"] | summary["image"]
    assert expected["true_positives"] > 0
    # 48 fine pixels are too few
    assert expected.pop("ms_ssim") is scores.pop("ms_ssim") is None
    # positions in the table are rounded
    assert scores == pytest.approx(expected, rel=1e-3, abs=1e-2)


def test_the_table_shows_all_frames_together_beside_single_ones(run):
    lines = {
        re.split(r"\s{2,}", line)[0]: re.split(r"\s{2,}", line)[1:]
        for line in run(*MOVIE).stdout.splitlines()
    }
    scores = json.loads(run(*MOVIE, "--json").stdout)["summary"]
    jaccard, image = scores["per_sample"]["jaccard"], scores["image"]
    assert lines[""] == ["all frames", "mean", "± SD"]
    assert lines["Jaccard index"] == [
        f"{value:.3f}"
        for value in (
            scores["detection"]["jaccard"],
            jaccard["mean"],
            jaccard["standard_deviation"],
        )
    ]
    assert lines["SSIM of the image, equal sums"] == [f"{image['ssim']:.3f}"]
    assert len(lines["NMSE of a frame's map (%)"]) == 2
    assert lines["MS-SSIM of the image, equal sums"] == ["none"]


def test_every_frame_is_a_row_of_the_file_and_an_older_file_is_kept(run, tmp_path):
    out = tmp_path / "scores.csv"
    out.write_text("mine")
    samples = json.loads(run(*MOVIE, f"--out={out}", "--json").stdout)["samples"]
    assert (tmp_path / "scores.previous.csv").read_text() == "mine"
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in rows] == [5, 6]
    for row, sample in zip(rows, samples, strict=True):
        for name, value in (sample["detection"] | sample["density_map"]).items():
            assert row[name] == ("" if value is None else str(value)), name


def test_a_copy_of_the_training_movie_is_known_again_and_its_training_frames_refused(
    run, workplace
):
    tifffile.imwrite(workplace / "copy.tif", tifffile.imread(workplace / "movie.tif"))
    error = run("--movie=copy.tif", *MOVIE[1:], "--frames=0:6", code=2).stderr.splitlines()[-1]
    assert "5 of the 6 frames asked for trained this model (0:5)" in error


def test_another_movie_is_tested_as_a_whole(run, workplace):
    movie = tifffile.imread(workplace / "movie.tif")[:, ::-1]
    tifffile.imwrite(workplace / "other.tif", movie)
    scores = json.loads(run("--movie=other.tif", *MOVIE[1:], "--json").stdout)
    assert scores["summary"]["n_samples"] == 8


def test_pairs_are_scored_as_images_alone(run, workplace):
    images = np.random.default_rng(0).random((8, 64, 48)).astype(np.float32)
    tifffile.imwrite(workplace / "images.tif", images)
    result = run("--pairs", "movie.tif", "images.tif", "--pixel-size-nm=100", "--json")
    scores = json.loads(result.stdout)
    assert scores["summary"]["detection"] is None
    assert scores["summary"]["image"]["nmse_percent"] > 0
    assert "found" not in run("--pairs", "movie.tif", "images.tif", "--pixel-size-nm=100").stdout


def emitters(scores):
    """Return how many true emitters every frame has."""
    detections = [sample["detection"] for sample in scores["samples"]]
    return [scores["true_positives"] + scores["false_negatives"] for scores in detections]


def test_a_simulation_has_the_size_and_length_of_its_file_unless_told_otherwise(run):
    simulated = ["--simulate=simulation.yaml", "--json"]
    first = json.loads(run(*simulated, model="simulated").stdout)
    assert first["summary"]["n_samples"] == 3
    more = json.loads(run(*simulated, "--frames-simulated=5", model="simulated").stdout)
    assert emitters(more)[:3] == emitters(first)
    other = json.loads(run(*simulated, "--seed=1", model="simulated").stdout)
    assert emitters(other) != emitters(first)


def test_by_default_a_model_is_tested_on_what_trained_it(run):
    result = run("--simulate", "--frames-simulated=8", "--json", model="simulated")
    # 3 per µm² on 6.4 µm x 6.4 µm are 123 on average; random emitters would range from 20
    assert min(emitters(json.loads(result.stdout))) > 80


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent differently on Windows")
def test_ctrl_c_ends_the_test_with_the_scores_so_far(run, monkeypatch, tmp_path):
    from napari_dl4smlm.backend.evaluation import score_model as engine

    score = engine.Scorer.score

    def interrupted_score(self, number, *arguments):
        if number == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return score(self, number, *arguments)

    monkeypatch.setattr(engine.Scorer, "score", interrupted_score)
    options = ["--simulate", "--frames-simulated=9", f"--out={tmp_path}/scores.csv"]
    result = run(*options, model="simulated", code=130)
    assert "Jaccard index" in result.stdout
    assert "Stopped; these are the scores so far." in result.stderr
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Give one test set"),
        ([*MOVIE, "--simulate"], "Give one test set"),
        (MOVIE[:1], "give --localizations too"),
        (MOVIE[1:2], "give --movie too"),
        (MOVIE[:2], "does not say how large its pixels are"),
        (["--simulate", "--frames=0:2", MOVIE[2]], "leave out --frames and --pixel-size-nm"),
        ([*MOVIE, "--seed=0"], "leave out --seed"),
        (["--simulate=absent.yaml"], "config absent.yaml cannot be read"),
        (["--pairs", "movie.tif", "movie.tif", "--pixel-size-nm=100"], "it is 1"),
        ([*MOVIE, "--tolerance-nm=0"], "tolerance is 0.0 nm"),
        ([*MOVIE, "--threshold=0"], "threshold: "),
        ([*MOVIE, "--out=absent/scores.csv"], "no folder absent"),
        ([*MOVIE[:2], "--pixel-size-nm=10"], "outside of the field of view"),
    ],
)
def test_what_cannot_be_tested_is_said_in_one_line(run, options, message):
    error = run(*options, code=2).stderr.splitlines()[-1]
    assert error.startswith("Error: ")
    assert message in error
