import re

import numpy as np
import pytest
import tifffile
import yaml
from click.testing import CliRunner

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm
from napari_dl4smlm.backend.models.model_file import load_model
from napari_dl4smlm.backend.simulation.config import MovieConfig
from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie
from napari_dl4smlm.backend.training.config import TrainingJob
from napari_dl4smlm.cli import main
from napari_dl4smlm.cli.train import job_values, run_job


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command in an empty folder; return what it prints."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return run


def test_a_movie_is_written_with_its_positions_and_the_config_that_made_it(run, tmp_path):
    output = run(
        *("simulate", "--out=s", "--frames=5", "--size=24", "--density=2", "--seed=3"),
        *("--structure=filaments", "--pixel-size-nm=110", "--background=7"),
    )
    config = MovieConfig.model_validate(
        yaml.safe_load((tmp_path / "s/simulation.yaml").read_text())
    )
    assert (config.frames, config.height, config.width, config.seed) == (5, 24, 24, 3)
    assert config.simulation.density == (2, 2)
    assert config.simulation.structure.kind == "filaments"
    movie = SimulatedMovie(config)
    with open_frames(tmp_path / "s/frames.tif") as frames:
        assert frames.pixel_size_nm == pytest.approx(110)
        np.testing.assert_array_equal(frames.read(0, 5), movie.frames())
    table = read_thunderstorm(tmp_path / "s/localizations.csv")
    np.testing.assert_array_equal(table.frame, movie.truth.frame)
    np.testing.assert_allclose(table.positions_nm(), movie.truth.positions_nm(), atol=1e-4)
    np.testing.assert_allclose(table.photons, movie.truth.photons, rtol=1e-5)
    assert f"{len(table) / 5:.1f} emitters each" in output


def test_the_written_config_makes_the_movie_again_and_options_win_over_it(run, tmp_path):
    run("simulate", "--out=a", "--frames=3", "--size=16", "--photons=700:900")
    run("simulate", "--out=b", "--config=a/simulation.yaml")
    assert (tmp_path / "a/frames.tif").read_bytes() == (tmp_path / "b/frames.tif").read_bytes()
    run("simulate", "--out=c", "--config=a/simulation.yaml", "--psf-sigma-nm=100:120", "--frames=4")
    values = yaml.safe_load((tmp_path / "c/simulation.yaml").read_text())
    assert values["frames"] == 4
    assert values["simulation"]["psf"]["sigma_nm"] == [100, 120]
    assert values["simulation"]["photons"]["high"] == 900


def test_the_width_of_a_psf_joins_what_the_config_tells_of_a_gaussian(run, tmp_path):
    for psf, spread in (("{spread: 0.1}", 0.1), ("gaussian", 0), ("{kind: gaussian}", 0)):
        (tmp_path / "c.yaml").write_text(f"frames: 1\nsimulation:\n  psf: {psf}\n")
        run("simulate", "--out=o", "--size=16", "--config=c.yaml", "--psf-sigma-nm=120")
        written = yaml.safe_load((tmp_path / "o/simulation.yaml").read_text())["simulation"]["psf"]
        assert (written["sigma_nm"], written["spread"]) == (120, spread)


@pytest.mark.parametrize(
    ("camera", "warnings"),
    [
        ("{}", []),
        ("{saturation: 150}", ["where the camera saturates. Raise electrons_per_count"]),
        ("{baseline: 0, read_noise: 20}", ["Raise the camera's baseline"]),
        ("{baseline: 0, read_noise: 0}", []),
    ],
)
def test_counts_that_the_camera_cuts_off_are_told(run, tmp_path, camera, warnings):
    (tmp_path / "c.yaml").write_text(
        "simulation:\n  density: 2\n  background: {photons: 2}\n"
        f"  photons: {{kind: uniform}}\n  camera: {camera}\n"
    )
    output = run("simulate", "--out=o", "--frames=2", "--size=16", "--config=c.yaml")
    assert output.count("Warning") == len(warnings)
    assert all(warning in output for warning in warnings)


def test_a_movie_that_is_there_is_kept(run, tmp_path):
    run("simulate", "--out=s", "--frames=2", "--size=16")
    before = (tmp_path / "s/frames.tif").read_bytes()
    run("simulate", "--out=s", "--frames=2", "--size=16", "--seed=1")
    assert (tmp_path / "s/frames.previous.tif").read_bytes() == before


SMALL = [
    "--model-options=blocks=1,channels=4",
    "--device=cpu",
    "--epochs=1",
    "--patches-per-epoch=8",
    "--batch-size=4",
    "--patch-size=16",
    "--upsampling=2",
    "--simulated-validation-frames=2",
]


def test_a_network_is_trained_for_movies_like_a_simulated_one(run, tmp_path):
    run("simulate", "--out=s", "--frames=2", "--size=16", "--density=1.5", "--pixel-size-nm=120")
    output = run("train", "--simulate", "s/simulation.yaml", *SMALL)
    assert "on simulated patches" in output
    assert "Jaccard index" in output
    card = load_model(tmp_path / "model.safetensors").card
    assert card.pixel_size_nm == 120
    assert card.training["simulation"]["density"] == 1.5


def test_simulating_needs_no_file(run, tmp_path):
    run("train", *SMALL, "--simulate")
    card = load_model(tmp_path / "model.safetensors").card
    assert card.training["simulation"] == MovieConfig().simulation.model_dump(mode="json")


def test_a_saved_job_has_the_simulation_and_a_movie_given_beside_it_replaces_it(run, tmp_path):
    run("train", *SMALL, "--simulate", "--save-config=job.yaml")
    saved = yaml.safe_load((tmp_path / "job.yaml").read_text())
    assert saved["data"]["simulation"]["density"] == [0.5, 3]
    run("train", "--config=job.yaml", "--out=again.safetensors")
    run("simulate", "--out=s", "--frames=4", "--size=24", "--density=2")
    movie = ["--movie=s/frames.tif", "--localizations=s/localizations.csv"]
    output = run("train", "--config=job.yaml", *movie, "--out=filmed.safetensors")
    assert "on 3 frames" in output


def test_the_calibrated_threshold_is_what_predict_uses_by_default(run, tmp_path):
    run("train", *SMALL, "--simulate")
    run("simulate", "--out=s", "--frames=2", "--size=24", "--density=2")
    run("predict", "s/frames.tif", "--model=model.safetensors", "--out=p", "--device=cpu")
    calibrated = load_model(tmp_path / "model.safetensors").card.calibration.threshold
    with tifffile.TiffFile(tmp_path / "p/reconstruction.tif") as tiff:
        assert f'"threshold": {calibrated}' in tiff.imagej_metadata["Info"]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("simulation: 5", ["--density=2"], "`simulation` in the config must hold named values"),
        ("simulation: [1]", ["--density=2"], "`simulation` .* not \\[1\\]"),
        ("simulation: {background: 5}", ["--background=3"], "`background` .* not 5"),
        ("simulation: {psf: 5}", ["--psf-sigma-nm=120"], "`psf` .* not 5"),
        ("simulation: {background: {photons: 1.0e30}}", [], "1e\\+30 is above 1e\\+09"),
    ],
)
def test_a_config_that_holds_something_else_is_refused_in_one_line(
    tmp_path, text, options, message
):
    (tmp_path / "s.yaml").write_text(text)
    arguments = ["simulate", f"--out={tmp_path / 's'}", f"--config={tmp_path / 's.yaml'}", *options]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert re.search(message, result.stderr), result.stderr


def test_a_section_that_holds_no_values_is_no_default(tmp_path):
    (tmp_path / "job.yaml").write_text('training: "epochs: 1"')
    result = CliRunner().invoke(main, ["train", "--simulate", f"--config={tmp_path / 'job.yaml'}"])
    assert result.exit_code == 2
    assert "`training` in the config must hold named values, not 'epochs: 1'" in result.stderr


def test_a_simulation_replaces_a_saved_movie_with_all_that_is_about_it():
    saved = {
        "data": {
            "movie": "m.tif",
            "localizations": "m.csv",
            "frames": "0:4",
            "validation_frames": "4:6",
            "pixel_size_nm": 100,
            "upsampling_factor": 2,
        }
    }
    values = job_values(saved, None, "random emitters", {})
    assert values["data"] == {"simulation": {}, "upsampling_factor": 2}
    assert job_values(saved, None, None, {})["data"] == saved["data"]


def test_of_processes_that_train_together_one_saves_the_options(tmp_path, monkeypatch):
    data = {"simulation": {}, "simulated_validation_frames": 1}
    job = TrainingJob(data=data, out=tmp_path)
    for rank, exists in (("1", False), ("0", True)):
        monkeypatch.setenv("RANK", rank)
        with pytest.raises(InputError, match="is a folder"):
            run_job(job, resume=False, save_config=tmp_path / "job.yaml")
        assert (tmp_path / "job.yaml").exists() == exists
