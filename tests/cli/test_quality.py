import json

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from scipy.ndimage import gaussian_filter

from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.localizations.thunderstorm import write_thunderstorm
from napari_dl4smlm.backend.prediction.reconstruction import Reconstruction, write_reconstruction
from napari_dl4smlm.cli import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A movie of 40 frames without a pixel size, its table without photons, a reconstruction."""
    generator = np.random.default_rng(0)
    places = np.tile(generator.uniform(100, 1500, (500, 2)), (2, 1))
    frame = np.tile(generator.integers(0, 39, 500), 2) + np.repeat([0, 1], 500)
    table = Localizations(frame, *(places + generator.normal(0, 10, places.shape)).T)
    write_thunderstorm(tmp_path / "found.csv", table)
    reconstruction = Reconstruction(128, 128, pixel_size_nm=12.5)
    edges = np.linspace(0, 1600, 129)
    spikes, _, _ = np.histogram2d(table.y_nm, table.x_nm, bins=(edges, edges))
    reconstruction.add(gaussian_filter(spikes, 2), range(40))
    write_reconstruction(tmp_path / "image.tif", reconstruction, description={})
    mean = gaussian_filter(spikes, 8).reshape(16, 8, 16, 8).sum((1, 3))
    movie = generator.poisson(100 + 20 * mean, (40, 16, 16)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "movie.tif", movie, photometric="minisblack")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*options, code=0):
    arguments = ["quality", "--localizations=found.csv", "--movie=movie.tif"]
    result = CliRunner().invoke(main, [*arguments, *options])
    assert result.exit_code == code, result.output
    return result


def test_every_number_is_printed_with_its_unit_and_its_assumption(folder):
    output = run("--pixel-size-nm=100", "--image=image.tif", "--block-frames=2").output
    assert max(len(line) for line in output.splitlines()) <= 100
    text = " ".join(output.split())
    assert "localization precision (NeNA) " in text
    assert " nm More neighbours in the next frame than by chance" in text
    assert "blocks of 2 frames" in text
    assert "localizations per frame 25.0 It counts what was found" in text
    assert "median photons not measured The table has no photons" in text


def test_one_json_object_holds_values_units_and_reasons(folder):
    output = run("--pixel-size-nm=100", "--image=image.tif", "--json").output
    measured = json.loads(output)
    assert measured["precision"]["value"] == pytest.approx(10, rel=0.1)
    assert measured["precision"]["unit"] == "nm"
    assert measured["rsp"]["value"] > 0.9
    assert measured["photons"]["value"] is None
    assert "no photons" in measured["photons"]["problem"]
    assert all(one["assumption"] for one in measured.values())


def test_without_an_image_the_table_is_drawn(folder):
    measured = json.loads(run("--pixel-size-nm=100", "--json").output)
    assert measured["rsp"]["value"] > 0.9
    assert "how sharply single localizations" in measured["decorrelation_resolution"]["problem"]


def test_a_range_of_frames_leaves_out_the_others(folder):
    measured = json.loads(run("--pixel-size-nm=100", "--frames=0:3", "--json").output)
    assert "lie within 3 frames" in measured["precision"]["problem"]


def test_the_figure_is_written_beside_the_table(folder):
    result = run("--pixel-size-nm=100", "--image=image.tif", "--figure=quality.png")
    assert result.output.endswith("Figure: quality.png\n")
    assert (folder / "quality.png").read_bytes().startswith(b"\x89PNG")


def test_json_stays_alone_on_standard_output(folder):
    result = run("--pixel-size-nm=100", "--json", "--figure=quality.pdf")
    json.loads(result.stdout)
    assert result.stderr == "Figure: quality.pdf\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "movie.tif does not tell its pixel size. Give --pixel-size-nm."),
        (["--pixel-size-nm=50"], "Is the pixel size right?"),
        (["--pixel-size-nm=100", "--image=movie.tif"], "movie.tif has 40 frames"),
        (["--pixel-size-nm=100", "--frames=7:99"], "'7:99' cannot be used"),
        (["--pixel-size-nm=100", "--block-frames=0"], "block of 0 frames"),
        (["--pixel-size-nm=100", "--figure=quality.jpg"], "ends in .png, .pdf or .svg"),
        (["--pixel-size-nm=100", "--localizations=none.csv"], "none.csv cannot be read"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(folder, options, message):
    error = run(*options, code=2).stderr.splitlines()[-1]
    assert error.startswith("Error: ")
    assert message in error
