import importlib
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.simulation.config import SimulationConfig
from napari_dl4smlm.backend.training.config import (
    DataConfig,
    DistillationConfig,
    DistillationJob,
    TrainingConfig,
    TrainingJob,
)
from napari_dl4smlm.cli import main
from napari_dl4smlm.widgets import shell
from napari_dl4smlm.widgets.command_line import (
    config_file,
    predict_command,
    save_job,
    train_command,
)

# without control characters, line separators and lone surrogates, which no one types
TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=9)
NAME = TEXT.map(lambda text: "-x" + text.replace("/", "; ' \" $HOME"))
POSITIVE = st.floats(0, 1e9, exclude_min=True)
COUNT = st.integers(1, 10**12)


def configs(config, required=(), /, **fields):
    optional = {name: values for name, values in fields.items() if name not in required}
    needed = {name: fields[name] for name in required}
    return st.fixed_dictionaries(needed, optional=optional).map(config.model_validate)


training_configs = configs(
    TrainingConfig,
    model=TEXT,
    model_options=st.dictionaries(
        TEXT,
        st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
        max_size=2,
    ),
    loss=TEXT,
    lambda_=st.floats(allow_nan=False, allow_infinity=False),
    foreground_weight=st.none() | st.floats(1, 1e9),
    device=TEXT,
    precision=st.sampled_from(["auto", "float32", "bfloat16"]),
    epochs=COUNT,
    patches_per_epoch=COUNT,
    batch_size=COUNT,
    patch_size=st.integers(8, 4096),
    min_emitters=st.integers(0, 100),
    augment=st.booleans(),
    learning_rate=st.floats(0, 1, exclude_min=True),
    schedule=st.sampled_from(["plateau", "cosine"]),
    plateau_patience=st.integers(0, 100),
    plateau_factor=st.floats(0, 1, exclude_min=True, exclude_max=True),
    early_stopping=st.none() | COUNT,
    max_minutes=st.none() | POSITIVE,
    seed=st.integers(0, 2**63),
)
paths = NAME.map(lambda name: Path("/frames") / name)
how_sampled = {
    "upsampling_factor": st.sampled_from([None, 1, 2, 4, 8]),
    "validation_fraction": st.floats(0, 1, exclude_min=True, exclude_max=True),
}
from_frames = how_sampled | {
    "pixel_size_nm": st.none() | POSITIVE,
    "frames": st.none() | TEXT,
    "validation_frames": st.none() | TEXT,
}
data_configs = st.one_of(
    configs(
        DataConfig, ["movie", "localizations"], movie=paths, localizations=paths, **from_frames
    ),
    configs(DataConfig, ["pairs"], pairs=st.tuples(paths, paths), **from_frames),
    configs(
        DataConfig,
        ["simulation"],
        simulation=configs(SimulationConfig, pixel_size_nm=POSITIVE, pixel_maps=paths),
        simulated_validation_frames=COUNT,
        **how_sampled,
    ),
)
LAYER = st.from_regex(r"[a-z_]+(\.[a-z_0-9]+){0,2}", fullmatch=True)
distillation_configs = configs(
    DistillationConfig,
    ["teacher"],
    teacher=paths,
    stages=st.sampled_from(["hint,transfer", "transfer", "hint"]),
    hints=st.dictionaries(LAYER, LAYER, max_size=3),
    hint_share=st.floats(0, 1, exclude_min=True, exclude_max=True),
    alpha=st.floats(0, 1),
    attentive=st.booleans(),
)
prediction_configs = configs(
    PredictionConfig,
    device=TEXT,
    batch_size=st.none() | COUNT,
    tile_size=st.none() | st.integers(16, 10**6),
    backend=st.sampled_from(["auto", "torch", "openvino"]),
    precision=st.sampled_from(["auto", "float32", "bfloat16", "float16"]),
    threshold=st.none() | POSITIVE,
    frames=st.none() | TEXT,
    pixel_size_nm=st.none() | POSITIVE,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run a command up to where it would read its data; return the config that it made."""
    saved = tmp_path_factory.mktemp("saved") / "config.yaml"

    def no_data(*_, **__):
        raise InputError("this is as far as the test goes")

    def run(command):
        saved.unlink(missing_ok=True)
        program, *words = shlex.split(command)
        assert program == "dl4smlm"
        result = CliRunner().invoke(main, [*words, "--save-config", str(saved)])
        assert "this is as far as the test goes" in result.output, result.output
        return yaml.safe_load(saved.read_text(encoding="utf-8"))

    # what is first imported meanwhile would keep the replacements for good
    for module in ("training.trainer", "prediction.output", "models.model_file"):
        importlib.import_module(f"napari_dl4smlm.backend.{module}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_dl4smlm.backend.training.data.open_training_data", no_data)
        patch.setattr("napari_dl4smlm.backend.models.device.select_device", no_data)
        yield run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("job")


@given(data=data_configs, training=training_configs, name=NAME.map(lambda name: name[:40]))
@settings(max_examples=50, deadline=None)
def test_any_training_command_makes_the_job_that_it_was_written_for(
    run, folder, data, training, name
):
    job = TrainingJob(data=data, training=training, out=folder / name / "model.safetensors")
    file = config_file(job)
    if file is not None:
        file.parent.mkdir(exist_ok=True)
        save_job(job, file)
    assert TrainingJob.model_validate(run(train_command(job))) == job


@given(
    data=data_configs,
    training=training_configs,
    distillation=distillation_configs,
    name=NAME.map(lambda name: name[:40]),
)
@settings(max_examples=30, deadline=None)
def test_any_distillation_command_makes_the_job_that_it_was_written_for(
    run, folder, data, training, distillation, name
):
    out = folder / name / "student.safetensors"
    job = DistillationJob(data=data, training=training, distillation=distillation, out=out)
    file = config_file(job)
    if file is not None:
        file.parent.mkdir(exist_ok=True)
        save_job(job, file)
    assert DistillationJob.model_validate(run(train_command(job))) == job


@given(config=prediction_configs)
@settings(max_examples=30, deadline=None)
def test_any_prediction_command_makes_the_config_that_it_was_written_for(run, folder, config):
    command = predict_command(folder / "m.tif", folder / "m.safetensors", folder, config)
    assert PredictionConfig.model_validate(run(command)) == config


@given(movie=paths, model=paths, out=paths)
def test_a_prediction_command_has_its_movie_model_and_folder(movie, model, out):
    words = shlex.split(predict_command(movie, model, out, PredictionConfig()))
    group = main.make_context("dl4smlm", words[1:])
    name, command, arguments = main.resolve_command(group, [*group._protected_args, *group.args])
    given = command.make_context(name, arguments, parent=group).params
    assert (given["movie"], given["model_path"], given["out"]) == (movie, model, out)


def job(**training):
    data = DataConfig(movie=Path("/d/movie.tif"), localizations=Path("/d/true.csv"))
    return TrainingJob(data=data, training=training, out=Path("/d/model.safetensors"))


def test_a_command_has_only_what_is_not_the_default():
    options = {"blocks": 5, "rate": 1e-5}
    assert train_command(job(augment=False, lambda_=100, model_options=options)) == (
        "dl4smlm train --movie /d/movie.tif --localizations /d/true.csv "
        "--model-options blocks=5,rate=1.0e-05 --lambda 100.0 --no-augment "
        "--out /d/model.safetensors"
    )


def test_a_command_runs_from_any_folder(monkeypatch):
    monkeypatch.chdir("/")
    command = predict_command(Path("m.tif"), Path("a/m.safetensors"), Path("o"), PredictionConfig())
    assert command == "dl4smlm predict /m.tif --model /a/m.safetensors --out /o"


def test_a_saved_job_can_be_read_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    simulation = SimulationConfig(pixel_maps=Path("maps.npz"))
    save_job(TrainingJob(data=DataConfig(simulation=simulation)), tmp_path / "job.yaml")
    saved = yaml.safe_load((tmp_path / "job.yaml").read_text(encoding="utf-8"))
    assert saved["data"]["simulation"]["pixel_maps"] == str(tmp_path / "maps.npz")
    assert saved["out"] == str(tmp_path / "model.safetensors")


def test_simulation_by_default_needs_no_file():
    simulated = TrainingJob(data=DataConfig(simulation=SimulationConfig()), out=Path("/d/m.x"))
    assert config_file(simulated) is None
    assert train_command(simulated) == "dl4smlm train --simulate --out /d/m.x"


@pytest.mark.parametrize(
    "unsayable",
    [
        TrainingJob(
            data=DataConfig(simulation=SimulationConfig(density=(1, 2))),
            out=Path("/d/model.safetensors"),
        ),
        job(early_stopping=None),
        job(model_options={"name": "a,b"}),
    ],
    ids=["simulation", "nothing in place of a default", "comma in an option"],
)
def test_what_options_cannot_say_is_read_from_a_file_beside_the_model(unsayable):
    assert config_file(unsayable) == Path("/d/model.yaml")
    assert train_command(unsayable) == "dl4smlm train --config /d/model.yaml"


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        (r"C:\data\movie.tif", r"C:\data\movie.tif"),
        (r"C:\my data\movie.tif", r'"C:\my data\movie.tif"'),
        ("blocks=5,channels=32", '"blocks=5,channels=32"'),
        ("C:\\a&b\\", '"C:\\a&b\\\\"'),
        ("", '""'),
    ],
)
def test_on_windows_words_are_quoted_for_both_of_its_shells(monkeypatch, word, quoted):
    monkeypatch.setattr(shell, "os", SimpleNamespace(name="nt"))
    config = PredictionConfig(device=word)
    command = predict_command(Path("/m"), Path("/n"), Path("/o"), config)
    assert command == f"dl4smlm predict /m --model /n --out /o --device {quoted}"
