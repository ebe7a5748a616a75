import re

import numpy as np
import pytest
import tifffile
import yaml
from click.testing import CliRunner

from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.localizations.table_file import open_table
from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm, write_thunderstorm
from napari_dl4smlm.cli import main

FRAMES = 200


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with table.csv: a bead that drifts 50 nm in y, and 30 molecules of three frames."""
    generator = np.random.default_rng(0)
    frame = np.arange(FRAMES)
    drift = frame / FRAMES * 50
    bead = Localizations(frame, 3000 + drift, np.full(FRAMES, 3000.0), photons=np.full(FRAMES, 9e3))
    start = np.repeat(generator.integers(0, FRAMES - 3, 30), 3)
    number = start + np.tile(np.arange(3), 30)
    # on a grid: none is near to another one
    molecules = Localizations(
        number,
        np.repeat(np.arange(30) % 6 * 300 + 100.0, 3) + drift[number],
        np.repeat(np.arange(30) // 6 * 300 + 100.0, 3),
        photons=generator.uniform(100, 1000, 90),
    )
    write_thunderstorm(tmp_path / "table.csv", Localizations.concatenate([bead, molecules]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    return tmp_path


def run(*arguments, code=0):
    result = CliRunner().invoke(main, ["process", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


ALL = ("--fiducial-nm", 3000, 3000, "--merge-radius-nm=50", "--max-dark-frames=0")


def test_the_whole_way_from_a_table_to_a_table_and_an_image(folder):
    before = (folder / "table.csv").read_bytes()
    image = ("--render=image.tif", "--render-pixel-nm=20", "--mode=histogram")
    output = run("table.csv", *ALL, *image, "--out=out.csv", "--plot-drift=drift.png").output
    lines = output.splitlines()
    assert lines[0] == "290 localizations"
    assert re.fullmatch(r"drift by 1 fiducial: 49\.\d nm in y, 0\.0 nm in x", lines[1])
    assert lines[2] == "merge within 50 nm, dark frames: 0: 290 -> 31"
    assert lines[3] == "Written: out.csv, out.steps.yaml, out.drift.csv, image.tif, drift.png"
    table = read_thunderstorm("out.csv")
    assert sorted(table.detections.tolist()) == [3] * 30 + [200]
    # without drift, all lie on their grid
    off_grid = (table.positions_nm() + 50) % 300 - 150
    assert np.abs(off_grid[table.detections == 3]).max() < 0.5
    assert tifffile.imread("image.tif").sum() == 31
    assert len(read_thunderstorm("out.drift.csv")) == FRAMES
    assert (folder / "drift.png").exists()
    assert (folder / "table.csv").read_bytes() == before


def test_a_processing_can_be_repeated(folder):
    run("table.csv", "--filter=photons>300", *ALL, "--out=first.csv")
    run("table.csv", "--config=first.steps.yaml", "--out=second.csv")
    assert (folder / "first.csv").read_bytes() == (folder / "second.csv").read_bytes()
    saved = yaml.safe_load((folder / "second.steps.yaml").read_text())
    kinds = [step["kind"] for step in saved["steps"]]
    assert kinds == ["filter", "fiducials", "merge"]


def test_steps_follow_those_of_the_config_and_options_of_the_image_win(folder):
    (folder / "mine.yaml").write_text(
        "steps: [merge, {kind: filter, column: detections, minimum: 3}]\n"
        "render: {mode: histogram, pixel_nm: 50}\n"
    )
    run("table.csv", "--config=mine.yaml", "--filter=detections<100", "--render=image.tif",
        "--render-pixel-nm=100")  # fmt: skip
    saved = yaml.safe_load((folder / "table.processed.steps.yaml").read_text())
    assert [step["kind"] for step in saved["steps"]] == ["merge", "filter", "filter"]
    assert (saved["render"]["mode"], saved["render"]["pixel_nm"]) == ("histogram", 100)
    assert len(read_thunderstorm("table.processed.csv")) == 30


def test_drift_that_was_measured_corrects_another_table(folder):
    run("table.csv", *ALL[:3], "--out=first.csv")
    run("table.csv", "--drift=first.drift.csv", "--out=second.csv")
    first, second = (read_thunderstorm(name).positions_nm() for name in ("first.csv", "second.csv"))
    np.testing.assert_allclose(first, second, atol=2e-5)


def test_the_drift_of_an_earlier_result_is_not_replaced(folder):
    run("table.csv", *ALL[:3])
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "mine.yaml").write_text(
        "steps: [{kind: saved_drift, path: table.processed.drift.csv}]\n"
    )
    for arguments in (["--drift=table.processed.drift.csv"], ["--config=mine.yaml"]):
        error = run("table.csv", *arguments, code=2).stderr
        assert "table.processed.drift.csv is the drift that is read" in error
        run("table.csv", *arguments, "--out=other.csv")
    assert {name: (folder / name).read_bytes() for name in before} == before
    # steps that were recorded are repeated under the same name
    run("table.csv", "--config=table.processed.steps.yaml")


def test_methods_and_a_region_by_option(folder):
    output = run("table.csv", "--region-nm", 0, 0, 2000, 2000, "--out=a.csv").output
    assert "region of 2000 x 2000 nm at y 0, x 0 nm: 290 -> 90" in output
    generator = np.random.default_rng(1)
    places = generator.uniform(0, 2000, (60, 2))[generator.integers(60, size=1000)]
    write_thunderstorm("many.csv", Localizations(generator.integers(0, FRAMES, 1000), *places.T))
    for method, name in (("aim", "intersection maximization"), ("rcc", "cross-correlation")):
        assert name in run("many.csv", f"--drift={method}", "--out=b.csv").output


def test_an_image_alone_needs_no_table(folder):
    output = run("table.csv", "--render=image.tif", "--sigma-nm=30").output
    assert "Written: image.tif\n" in output
    assert {path.name for path in folder.iterdir()} == {"table.csv", "image.tif"}


def test_a_table_becomes_a_picasso_table_and_stays_one(folder):
    pytest.importorskip("h5py")
    run("table.csv", "--out=table.hdf5", "--pixel-size-nm=100")
    run("table.hdf5", "--filter=photons>5000", "--render=image.tif")
    content = open_table("table.processed.hdf5")
    assert len(content.localizations) == FRAMES
    assert content.field.pixel_size_nm == 100
    # the whole field, since a Picasso table tells it
    height, width = (side / 10 for side in content.field.size_nm)
    assert tifffile.imread("image.tif").shape == (height, width)


def test_an_empty_table_goes_all_the_way(folder):
    output = run("table.csv", "--filter=photons>1e9", "--drift=aim", "--merge-radius-nm=50",
                 "--render=image.tif").output  # fmt: skip
    assert "photons > 1e+09: 290 -> 0" in output
    assert not tifffile.imread("image.tif").any()
    assert len(read_thunderstorm("table.processed.csv")) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table.csv"], "There is nothing to do. Give steps such as --filter, or --render"),
        (["table.csv", "--filter=photon>5"], "Unknown column 'photon'. Did you mean 'photons'"),
        (["table.csv", "--filter=photons"], "'photons' is not a filter"),
        (["table.csv", "--filter=frame > nan"], "is not a filter. .* a number that is finite"),
        (["table.csv", "--filter=frame<=1e999"], "is not a filter. .* a number that is finite"),
        ([".", "--merge-radius-nm=3"], r"^Error: \. "),
        (["table.csv", "--drift=rcc", "--fiducial-nm", "1", "2"], "give --drift or --fiducial-nm"),
        (["table.csv", "--drift=rcc"], "290 localizations are too few to tell drift from"),
        (["table.csv", "--drift=rccc"], "rccc cannot be read: No such file"),
        (["table.csv", "--max-dark-frames=2"], "give --merge-radius-nm too"),
        (["table.csv", "--merge-radius-nm=0"], r"radius_nm: .*greater than 0 \(got 0"),
        (["table.csv", "--render=a.tif", "--render-pixel-nm=-1"], "render.pixel_nm: .*greater"),
        (["table.csv", "--render=a.tif", "--mode=uncertainty"], "have no uncertainty_nm"),
        (["table.csv", "--drift=aim", "--out=table.csv"], "belongs to the table that is processed"),
        (["table.csv", "--drift=aim", "--out=table.hdf5"], "State the pixel size"),
        (["table.csv", "--drift=aim", "--plot-drift=d.bmp"], "A figure cannot be saved as 'd.bmp'"),
        (["table.csv", "--filter=frame>5", "--plot-drift=d.png"], "No drift was corrected"),
        (["table.csv", "--config=absent.yaml"], "config absent.yaml cannot be read"),
        (["absent.csv", "--drift=aim"], "absent.csv cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(folder, arguments, message):
    before = set(folder.iterdir())
    error = run(*arguments, code=2).stderr.strip().splitlines()[-1]
    assert error.startswith("Error: ")
    assert re.search(message, error), error
    assert set(folder.iterdir()) == before


def test_a_result_is_kept_that_has_no_drift_to_draw(folder):
    output = run("table.csv", "--filter=photons>1e9", "--drift=aim", "--plot-drift=d.png").output
    assert "d.png was not drawn: no localizations were left" in output
    assert len(read_thunderstorm("table.processed.csv")) == 0
    assert not (folder / "d.png").exists()


def test_no_time_is_spent_before_a_missing_correction_is_told(folder):
    result = run("table.csv", "--merge-radius-nm=50", "--plot-drift=d.png", code=2)
    assert "Give --drift" in result.stderr
    assert "merge" not in result.stdout


def test_a_result_without_drift_has_no_drift_of_an_older_one_beside_it(folder):
    run("table.csv", *ALL[:3])
    old = (folder / "table.processed.drift.csv").read_bytes()
    run("table.csv", "--filter=photons>300")
    assert not (folder / "table.processed.drift.csv").exists()
    assert (folder / "table.processed.drift.previous.csv").read_bytes() == old


def test_a_table_is_not_set_aside_for_being_named_like_a_drift(folder):
    table = folder / "out.drift.csv"
    (folder / "table.csv").rename(table)
    before = table.read_bytes()
    run(table, "--filter=photons>300", "--out=out.csv")
    # now that there are steps beside it, it might be of that result
    error = run(table, "--filter=photons>400", "--out=out.csv", code=2).stderr
    assert "out.drift.csv belongs to the table that is processed" in error
    assert table.read_bytes() == before


@pytest.mark.parametrize("render", ["histogram", "[1]", "5"])
def test_an_image_without_named_values_is_refused(folder, render):
    (folder / "mine.yaml").write_text(f"render: {render}\n")
    for option in ([], ["--mode=gaussian"]):
        error = run("table.csv", "--config=mine.yaml", "--render=i.tif", *option, code=2).stderr
        assert "render: holds no named values" in error


def test_steps_that_are_no_list_are_refused(folder):
    (folder / "mine.yaml").write_text("steps: {kind: merge}\n")
    assert "steps: is no list" in run("table.csv", "--config=mine.yaml", code=2).stderr
