import csv
import json
import os
import shlex
import signal
import subprocess
import sys

import pytest
import tifffile
import torch
from click.testing import CliRunner

from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.thunderstorm import write_thunderstorm
from napari_dl4smlm.backend.models.model_file import ModelCard, save_model
from napari_dl4smlm.backend.models.registry import create_model
from napari_dl4smlm.backend.simulation.config import MovieConfig, SimulationConfig
from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie
from napari_dl4smlm.cli import main

MODELS = ["first.safetensors", 'a & "b" <c>.safetensors']
DATA = ["--movie=movie.tif", "--pixel-size-nm=100"]
TRUTH = "--localizations=positions.csv"
QUICK = ["--device=cpu", "--repeats=1", "--threshold=0.02"]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a movie of 8 frames, its positions, and two networks that nobody trained."""
    folder = tmp_path_factory.mktemp("compare")
    simulation = SimulationConfig(density=(3.0, 3.0))
    movie = SimulatedMovie(MovieConfig(frames=8, height=24, width=24, simulation=simulation))
    frames = movie.frames()
    tifffile.imwrite(folder / "movie.tif", frames, photometric="minisblack")
    write_thunderstorm(folder / "positions.csv", movie.truth)
    for factor, name in zip((2, 4), MODELS, strict=True):
        with torch.random.fork_rng(devices=[]):
            # of random networks, not every one finds something
            torch.manual_seed(7)
            network = create_model("fid_storm", upsampling_factor=factor, blocks=1, channels=4)
        card = ModelCard(
            architecture="fid_storm",
            options=network.options,
            upsampling_factor=factor,
            pixel_size_nm=100.0,
            normalization=Normalization.fit(frames),
            density_amplitude=1.0,
            training={"simulation": {}},
            history=[],
        )
        save_model(folder / name, network, card)
    return folder


@pytest.fixture
def run(workplace, monkeypatch):
    monkeypatch.chdir(workplace)

    def run(*options, models=MODELS, code=0):
        result = CliRunner().invoke(main, ["compare", *models, *DATA, *QUICK, *options])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return run


def test_the_table_has_a_column_for_each_model_and_says_what_its_marks_mean(run):
    result = run(TRUTH)
    head, title, *lines = result.stdout.splitlines()
    assert head.split() == ["first", "a", "&", '"b"', "<c>"]
    assert title == "Detection"
    assert lines[0].startswith("  Jaccard index  ")
    assert "[" in lines[0]
    assert lines[-1].startswith("In brackets: 95 % interval")
    assert "Comparing 2 models on 8 frames; device cpu." in result.stderr
    assert "Warning: Only 8 frames are compared" in result.stderr
    (size,) = (line for line in lines if line.startswith("  parameters"))
    assert "*" in size


def test_json_alone_is_on_standard_output_and_numbers_are_those_of_test(run):
    numbers = json.loads(run(TRUTH, "--json").stdout)
    assert [model["label"] for model in numbers["models"]] == ["first", 'a & "b" <c>']
    arguments = [f"--model={MODELS[1]}", *DATA, TRUTH, "--device=cpu", "--threshold=0.02"]
    tested = CliRunner().invoke(main, ["test", *arguments, "--json"])
    expected = json.loads(tested.stdout)["summary"]
    scores = {name: cell["value"] for name, cell in numbers["models"][1]["scores"].items()}
    for part in ("detection", "image"):
        # a side of 96 fine pixels is too short for five scales
        shared = {name for name in expected[part].keys() & scores.keys() if name != "ms_ssim"}
        assert len(shared) >= 4
        assert {name: scores[name] for name in shared} == pytest.approx(
            {name: expected[part][name] for name in shared}, rel=1e-4
        )
    assert numbers["settings"]["devices"] == ["cpu"]
    assert numbers["models"][0]["threshold"] == 0.02


def test_the_same_seed_gives_the_same_intervals(run):
    def intervals(seed):
        numbers = json.loads(run(TRUTH, "--json", f"--seed={seed}").stdout)
        scores = numbers["models"][0]["scores"]
        return scores["jaccard"]["low"], scores["recall"]["high"], scores["ssim"]["low"]

    first = intervals(1)
    assert intervals(1) == first
    other = intervals(2)
    assert other[:2] != first[:2]
    assert other[2] == first[2]


def test_without_positions_what_can_be_measured_is_compared(run):
    output = run().stdout
    assert output.splitlines()[1] == "Without ground truth"
    assert "FRC resolution" in output
    assert "Jaccard" not in output


def test_a_range_of_frames_is_kept_to(run):
    numbers = json.loads(run(TRUTH, "--json", "--frames=2:5").stdout)
    assert numbers["data"]["frames"] == [2, 3, 4]


def test_files_and_report_are_written_with_the_command_that_repeats_them(run, tmp_path):
    out, page = tmp_path / "a b", tmp_path / "report.html"
    result = run(TRUTH, f"--out={out}", f"--report={page}")
    assert f"Written: {out / 'comparison.csv'}, {out / 'comparison.json'}" in result.stderr
    with (out / "comparison.csv").open(newline="", encoding="utf-8") as file:
        assert [row["model"] for row in csv.DictReader(file)] == ["first", 'a & "b" <c>']
    text = page.read_text(encoding="utf-8")
    words = [*MODELS, *DATA, *QUICK, TRUTH, f"--out={out}", f"--report={page}"]
    command = shlex.join(["dl4smlm", "compare", *words])
    escaped = command.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert escaped.replace('"', "&quot;").replace("'", "&#x27;") in text


@pytest.mark.parametrize(
    ("options", "models", "message"),
    [
        ([], [], "There is no model to compare"),
        ([], ["first.safetensors"] * 2, "first.safetensors is given twice"),
        ([], ["none.safetensors"], "There is no file none.safetensors"),
        ([], ["movie.tif"], "movie.tif is a TIFF image"),
        (["--report=report.pdf"], MODELS, "has to end in .html"),
        (["--report=none/report.html"], MODELS, "There is no folder none"),
        (["--out=movie.tif"], MODELS, "cannot be created"),
        (["--frames=0:99"], MODELS, "The frame range '0:99' cannot be used"),
        (["--device=gpu"], MODELS, "Unknown device 'gpu'"),
        (["--localizations=none.csv"], MODELS, "none.csv"),
    ],
)
def test_what_cannot_be_compared_is_told_in_one_line(run, options, models, message):
    result = run(*options, models=models, code=2)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error")]
    assert message in line
    assert result.stdout == ""


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to send to oneself")
def test_ctrl_c_ends_with_the_models_done(run, monkeypatch):
    real = sys.modules["napari_dl4smlm.cli.compare"]._follow

    def interrupting(events):
        def stream():
            for event in events:
                yield event
                if type(event).__name__ == "ModelCompared":
                    os.kill(os.getpid(), signal.SIGINT)

        return real(stream())

    monkeypatch.setattr(sys.modules["napari_dl4smlm.cli.compare"], "_follow", interrupting)
    result = run(TRUTH, code=130)
    assert "Stopped; this is the comparison of 1 of the models." in result.stderr
    assert result.stdout.splitlines()[0].split() == ["first"]


def test_a_model_that_fails_does_not_lose_those_before_it(run, monkeypatch, tmp_path):
    from napari_dl4smlm.backend.evaluation.comparison import compare

    measure_speed = compare.measure_speed

    def out_of_memory(model, *arguments, **options):
        if model.card.upsampling_factor == 4:
            raise InputError("The memory does not suffice.")
        return measure_speed(model, *arguments, **options)

    monkeypatch.setattr(compare, "measure_speed", out_of_memory)
    result = run(TRUTH, f"--out={tmp_path}", code=2)
    assert result.stdout.splitlines()[0].split() == ["first"]
    error = 'a & "b" <c>: The memory does not suffice.'
    assert result.stderr.splitlines()[-1] == f"Error: {error}"
    numbers = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert [model["label"] for model in numbers["models"]] == ["first"]
    assert numbers["warnings"][-1] == f"Not all models were compared. {error}"


def test_a_prediction_has_a_report_of_its_own(workplace, monkeypatch, tmp_path):
    monkeypatch.chdir(workplace)

    def invoke(*words):
        result = CliRunner().invoke(main, list(words))
        assert result.exit_code == 0, result.output
        return result.output

    model = "--model=first.safetensors"
    invoke("predict", "movie.tif", model, *DATA[1:], "--device=cpu", f"--out={tmp_path}")
    output = invoke("report", str(tmp_path), "--movie=movie.tif", model)
    assert output == f"Report: {tmp_path / 'report.html'}\n"
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"dl4smlm report {tmp_path} --movie=movie.tif {model}" in text


def test_help_answers_without_torch():
    code = (
        "import sys; from napari_dl4smlm.cli import main; "
        "main(['compare', '--help'], standalone_mode=False); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
