import re
import shutil
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner

from napari_dl4smlm.backend.models.model_file import read_card
from napari_dl4smlm.backend.models.registry import MODELS
from napari_dl4smlm.backend.training.config import DataConfig, DistillationConfig, TrainingConfig
from napari_dl4smlm.cli import main

SMALL = [
    "--simulate",
    "--device=cpu",
    "--epochs=2",
    "--patches-per-epoch=8",
    "--batch-size=4",
    "--patch-size=16",
    "--upsampling=2",
    "--simulated-validation-frames=2",
]
TEACHER = ["--teacher=teacher.safetensors"]
STUDENT = ["--student=fid_storm", "--student-options=blocks=1,channels=3", *SMALL]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command in an empty folder; return its result."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, code=0):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    options = ["--model-options=blocks=2,channels=4", f"--out={path}"]
    CliRunner().invoke(main, ["train", *SMALL, *options], catch_exceptions=False)
    return path


@pytest.fixture
def distill(run, teacher, tmp_path):
    """Put a teacher into the folder; return what distils it."""
    shutil.copy(teacher, tmp_path)
    return lambda *options, code=0: run("distill", *options, code=code)


def test_a_student_learns_in_two_stages(distill, tmp_path):
    output = distill(*TEACHER, *STUDENT, "--alpha=0.3", "--hint=stem:residual_blocks").output
    assert "The teacher was tested on 8 patches." in output
    assert re.search(r"epoch 1 \(hint\): training loss \S+, validation loss \S+ \(best", output)
    assert re.search(r"epoch 2 \(transfer\): .* Jaccard index", output)
    assert "Best model: student.safetensors (epoch 2" in output
    card = read_card(tmp_path / "student.safetensors")
    assert card.teacher.file == "teacher.safetensors"
    assert card.teacher.weights_sha256 == read_card(tmp_path / "teacher.safetensors").weights_sha256
    assert card.options["channels"] == 3
    assert card.training["alpha"] == 0.3
    assert card.training["hints"] == {"stem": "residual_blocks"}


def test_a_saved_distillation_runs_again_and_given_options_win(distill, run, tmp_path):
    hints = ["--hint=stem:stem", "--hint=residual_blocks:tail.to_2x"]
    distill(*TEACHER, *STUDENT, *hints, "--save-config=job.yaml", "--out=a.safetensors")
    saved = yaml.safe_load((tmp_path / "job.yaml").read_text())
    assert saved["distillation"]["teacher"] == "teacher.safetensors"
    assert saved["distillation"]["hints"] == {"stem": "stem", "residual_blocks": "tail.to_2x"}
    distill("--config=job.yaml", "--out=b.safetensors", "--stages=transfer", "--no-attentive")
    assert read_card(tmp_path / "a.safetensors").training["stages"] == "hint,transfer"
    card = read_card(tmp_path / "b.safetensors")
    assert card.training["stages"] == "transfer"
    assert not card.training["attentive"]
    assert card.options["blocks"] == 1


def test_a_distillation_resumes(distill, tmp_path):
    distill(*TEACHER, *STUDENT)
    output = distill(*TEACHER, *STUDENT, "--epochs=3", "--resume").output
    assert "epoch 3 (transfer)" in output
    assert "epoch 2" not in output.split("Training")[1].split("Finished")[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SMALL, "There is no teacher: give the file of a trained model with --teacher"),
        (["--teacher=absent.safetensors", *SMALL], "no file absent.safetensors"),
        ([*TEACHER, *SMALL, "--alpha=1.5"], r"alpha: .*less than or equal to 1 \(got 1.5\)"),
        ([*TEACHER, *SMALL, "--hint=stem"], "'stem' is not of the form TEACHER_LAYER:STUDENT"),
        ([*TEACHER, *SMALL, "--hint=stem:a", "--hint=stem:b"], "'stem' is given twice"),
        ([*TEACHER, *SMALL, "--hint=stemm:stem"], "Did you mean 'stem'"),
        ([*TEACHER, *SMALL, "--upsampling=4"], "choose an upsampling of 2, or another teacher"),
        ([*TEACHER, *SMALL, "--epochs=1"], "at least two epochs, not 1"),
        ([*TEACHER, *SMALL, "--out=teacher.safetensors"], "teacher.safetensors is the teacher"),
        ([*TEACHER, *SMALL, "--student=fidstorm"], "Did you mean 'fid_storm'"),
        (TEACHER, "training needs a movie with localizations, or a pair of images, or a simul"),
    ],
)
def test_what_cannot_be_distilled_is_said_in_one_line(distill, options, message):
    error = distill(*options, code=2).stderr.strip().splitlines()[-1]
    assert error.startswith("Error: ")
    assert re.search(message, error), error


def test_every_config_field_is_an_option_with_a_description(run):
    text = " ".join(run("distill", "--help").output.split())
    for model in (DistillationConfig, DataConfig, TrainingConfig):
        for name, field in model.model_fields.items():
            assert field.description, name
            assert field.title, name
            if name not in ("simulation", "hints"):  # a file, and several options
                assert field.description.split(",")[0].split(":")[0] in text, name
    for option in ("--hint ", "--student ", "--student-options ", "--simulate ", "--resume "):
        assert option in text
    assert "Pydantic" not in text


def test_the_layers_of_all_networks_are_listed_with_channels_and_grid(run):
    lines = run("models", "--layers").output.splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == list(MODELS)
    (layer,) = (line for line in lines if line.split()[0] == "tail.to_4x")
    assert layer.split() == ["tail.to_4x", "16", "4"]
    assert sum(line.endswith("(default)") for line in lines) == len(MODELS)


def test_help_answers_without_importing_torch():
    code = (
        "import sys\nfrom napari_dl4smlm.cli import main\n"
        "try: main(['distill', '--help'])\nexcept SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert finished.returncode == 0, finished.stderr
