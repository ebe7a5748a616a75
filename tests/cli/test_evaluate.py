import json

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from napari_dl4smlm.backend.localizations.density_map import render_density_map
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.localizations.thunderstorm import write_thunderstorm
from napari_dl4smlm.backend.prediction.reconstruction import Reconstruction, write_reconstruction
from napari_dl4smlm.cli import main


@pytest.fixture
def tables(tmp_path):
    """Four emitters in two frames; three are found 30 nm off in x, and one that is not there."""
    truth = Localizations(
        frame=[0, 0, 1, 1], y_nm=[500.0, 1500, 500, 1500], x_nm=[500.0, 1500, 700, 1700]
    )
    found = Localizations(
        frame=[0, 0, 1, 1], y_nm=[500.0, 1500, 500, 100], x_nm=[530.0, 1530, 730, 100]
    )
    write_thunderstorm(tmp_path / "truth.csv", truth)
    write_thunderstorm(tmp_path / "found.csv", found)
    reconstruction = Reconstruction(192, 192, pixel_size_nm=12.5)
    density = render_density_map(
        truth.positions_nm(),
        height=24,
        width=24,
        pixel_size_nm=100.0,
        upsampling_factor=8,
        sigma_px=1.0,
    )
    reconstruction.add(3 * density, range(2))
    write_reconstruction(tmp_path / "image.tif", reconstruction, description={})
    return tmp_path


def run(tables, *options, code=0):
    arguments = ["evaluate", f"--predicted={tables}/found.csv", f"--truth={tables}/truth.csv"]
    result = CliRunner().invoke(main, [*arguments, *options])
    assert result.exit_code == code, result.output
    return result


def test_one_json_object_holds_every_score(tables):
    scores = json.loads(run(tables, "--json").output)
    assert (scores["true_positives"], scores["false_positives"]) == (3, 1)
    assert scores["jaccard"] == pytest.approx(3 / 5)
    assert scores["rmse_nm"] == pytest.approx(30)
    assert scores["bias_x_nm"] == pytest.approx(30)
    assert scores["bias_y_nm"] == pytest.approx(0)


def test_the_table_reads_the_same(tables):
    lines = {
        line.rsplit(maxsplit=1)[0].strip(): line.split()[-1]
        for line in run(tables).output.splitlines()
    }
    assert lines["Jaccard index"] == "0.600"
    assert lines["RMSE (nm)"] == "30.00"


def test_beyond_the_tolerance_nothing_is_found_and_errors_are_unknown(tables):
    scores = json.loads(run(tables, "--tolerance-nm=20", "--json").output)
    assert scores["true_positives"] == 0
    assert scores["rmse_nm"] is None
    assert "none" in run(tables, "--tolerance-nm=20").output


def test_a_range_of_frames_leaves_out_the_others(tables):
    scores = json.loads(run(tables, "--frames=0:1", "--json").output)
    assert scores["jaccard"] == 1


def test_emitters_where_nothing_was_predicted_are_told(tables):
    found = Localizations(frame=[0, 0], y_nm=[500.0, 1500], x_nm=[500.0, 1500])
    write_thunderstorm(tables / "found.csv", found)
    result = run(tables, "--json")
    assert json.loads(result.stdout)["recall"] == pytest.approx(2 / 4)
    assert "Warning: 2 emitters are in frames before 0 or after 0" in result.stderr
    assert "leave them out with --frames 0:1." in result.stderr
    assert not run(tables, "--frames=0:1").stderr


def test_a_range_beyond_the_tables_says_where_these_end(tables):
    error = run(tables, "--frames=0:3", code=2).stderr
    assert "the tables end in frame 1" in error
    assert "movie" not in error


def test_an_image_in_another_unit_equals_the_truth_once_the_sums_do(tables):
    output = run(tables, f"--image={tables}/image.tif", "--pixel-size-nm=100", "--json").output
    scores = json.loads(output)
    assert scores["nmse_percent"] == pytest.approx(0, abs=1e-6)
    assert scores["ms_ssim"] == pytest.approx(1)


def test_an_image_shifted_by_one_fine_pixel_is_worse(tables):
    image = tifffile.imread(tables / "image.tif")
    reconstruction = Reconstruction(192, 192, pixel_size_nm=12.5)
    reconstruction.add(np.roll(image, 1, axis=1), range(2))
    write_reconstruction(tables / "image.tif", reconstruction, description={})
    output = run(tables, f"--image={tables}/image.tif", "--pixel-size-nm=100", "--json").output
    # of a unit Gaussian, autocorrelation exp(-1/4): 200 (1 - 0.78) %, less by the pixels' width
    assert json.loads(output)["nmse_percent"] == pytest.approx(42, abs=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tolerance-nm=0"], "tolerance is 0.0 nm"),
        (["--border-nm=100"], "of which image"),
        (["--image=image.tif"], "give --pixel-size-nm"),
        (["--image=image.tif", "--pixel-size-nm=90"], "no whole part of 90 nm"),
        (["--image=found.csv", "--pixel-size-nm=100"], "cannot be read as TIFF"),
        (["--frames=7:9"], "'7:9' cannot be used"),
    ],
)
def test_what_cannot_be_evaluated_is_said_in_one_line(tables, monkeypatch, options, message):
    monkeypatch.chdir(tables)
    error = run(tables, *options, code=2).stderr.splitlines()[-1]
    assert error.startswith("Error: ")
    assert message in error
