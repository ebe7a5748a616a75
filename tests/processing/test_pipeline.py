import json
import sys

import numpy as np
import pytest
import tifffile
import yaml
from pydantic import ValidationError

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.config_file import build, read_config
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.localizations.table_content import FieldOfView, TableContent
from napari_dl4smlm.backend.localizations.table_file import open_table, save_table
from napari_dl4smlm.backend.processing.config import STEPS, ProcessingConfig
from napari_dl4smlm.backend.processing.drift_curve import DriftCurve
from napari_dl4smlm.backend.processing.output import check_outputs, save_image, save_processed
from napari_dl4smlm.backend.processing.pipeline import apply_steps, total_drift
from napari_dl4smlm.backend.processing.rendering import render_localizations

TABLE = Localizations(
    frame=[0, 1, 5, 9],
    y_nm=[100.0, 110.0, 500.0, 900.0],
    x_nm=[100.0, 110.0, 500.0, 700.0],
    photons=[400.0, 600.0, 100.0, 900.0],
)
FIELD = FieldOfView(height=10, width=8, n_frames=10, pixel_size_nm=100.0)


def config(*steps, **render):
    return build(ProcessingConfig, {"steps": list(steps), "render": render})


def test_each_step_works_on_what_the_one_before_has_left(tmp_path):
    curve = DriftCurve(0, np.arange(10.0), np.zeros(10))
    curve.save(tmp_path / "drift.csv")
    steps = config(
        {"kind": "filter", "column": "photons", "minimum": 200},
        {"kind": "saved_drift", "path": str(tmp_path / "drift.csv")},
        {"kind": "merge", "radius_nm": 20},
    ).steps
    filtered, corrected, merged = apply_steps(TABLE, steps)
    assert [each.n_before for each in (filtered, corrected, merged)] == [4, 3, 3]
    assert corrected.localizations.y_nm.tolist() == [100, 109, 891]
    assert corrected.drift.frames == range(10)
    assert merged.localizations.detections.tolist() == [2, 1]
    assert (filtered.drift, merged.drift) == (None, None)
    # the table that went in is as it was
    assert TABLE.y_nm.tolist() == [100, 110, 500, 900]


def test_all_drifts_are_summed(tmp_path):
    DriftCurve(0, np.arange(10.0), np.ones(10)).save(tmp_path / "drift.csv")
    step = {"kind": "saved_drift", "path": str(tmp_path / "drift.csv")}
    applied = list(apply_steps(TABLE, config(step, step).steps))
    assert total_drift(applied).y_nm.tolist() == (2 * np.arange(10.0)).tolist()
    assert total_drift(apply_steps(TABLE, config("merge").steps)) is None


@pytest.mark.parametrize("step", ["region", "merge", "rcc", "aim"])
def test_every_step_bears_with_no_localizations(step):
    (applied,) = apply_steps(Localizations.empty(["photons"]), config(step).steps)
    assert len(applied.localizations) == 0
    assert applied.drift is None


@pytest.mark.parametrize("step", ["region", "merge"])
def test_one_localization_stays_where_it_is(step):
    (applied,) = apply_steps(TABLE[:1], config(step).steps)
    assert applied.localizations.y_nm.tolist() == TABLE.y_nm[:1].tolist()


def test_the_config_survives_yaml():
    made = config(
        {"kind": "filter", "column": "z [nm]", "maximum": 1.5, "include_limits": False},
        "region",
        "rcc",
        {"kind": "aim", "segment_frames": 50},
        {"kind": "fiducials", "positions_nm": [[1, 2], [3000, 4]]},
        {"kind": "saved_drift", "path": "drift.csv"},
        "merge",
        mode="uncertainty",
        region={"height_nm": 300, "width_nm": 500},
    )
    assert len({type(step) for step in made.steps}) == len(STEPS)
    text = yaml.safe_dump(made.to_dict())
    assert ProcessingConfig.model_validate(yaml.safe_load(text)) == made


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (["driftt"], "steps.0: Unknown step 'driftt'."),
        (["Merge"], "Did you mean 'merge'"),
        ([{"kind": "merge", "radius": 5}], "steps.0.merge.radius: Extra inputs"),
        ([{"kind": "merge", "radius_nm": 0}], "radius_nm: Input should be greater than 0"),
        ([{"radius_nm": 5}], "steps.0: Unable to extract tag"),
    ],
)
def test_a_step_that_is_none_is_refused(steps, message):
    with pytest.raises(InputError) as caught:
        config(*steps)
    assert message in str(caught.value)


def test_every_parameter_has_a_title_and_a_description_for_forms():
    for kind, step in STEPS.items():
        for name, field in step.model_fields.items():
            assert field.description, (kind, name)
            assert field.title or name == "kind", (kind, name)
        assert step.model_fields["kind"].default == kind


def test_a_table_is_saved_with_its_steps_and_its_drift(tmp_path):
    steps = config("merge", {"kind": "filter", "minimum": 300})
    drift = DriftCurve(0, np.zeros(10), np.ones(10))
    content = TableContent(TABLE, FIELD)
    for _ in range(2):
        written = save_processed(tmp_path / "out.csv", content, steps, drift)
    assert [path.name for path in written] == ["out.csv", "out.steps.yaml", "out.drift.csv"]
    assert build(ProcessingConfig, read_config(tmp_path / "out.steps.yaml")) == steps
    assert DriftCurve.load(tmp_path / "out.drift.csv").x_nm.tolist() == [1] * 10
    # results of an earlier processing are kept
    assert {path.name for path in tmp_path.iterdir()} == {
        *("out.csv", "out.steps.yaml", "out.drift.csv"),
        *("out.previous.csv", "out.steps.previous.yaml", "out.drift.previous.csv"),
    }


def test_a_picasso_table_tells_what_was_done_to_it(tmp_path):
    pytest.importorskip("h5py")
    content = TableContent(TABLE, FIELD, ({"Generated by": "Picasso Localize"},))
    written = save_processed(tmp_path / "out.hdf5", content, config("merge"), None)
    assert [path.name for path in written] == ["out.hdf5", "out.yaml", "out.steps.yaml"]
    history = open_table(tmp_path / "out.hdf5").history
    assert history[0]["Generated by"] == "Picasso Localize"
    assert history[1]["Steps"] == config("merge").to_dict()["steps"]


def test_the_image_tells_its_pixel_size_its_corner_and_how_it_was_made(tmp_path):
    region = {"top_nm": 50, "left_nm": 0, "height_nm": 700, "width_nm": 600}
    settings = config("merge", mode="histogram", pixel_nm=12.5, region=region)
    save_image(tmp_path / "image.tif", TableContent(TABLE, FIELD), settings, "table.csv")
    with open_frames(tmp_path / "image.tif") as image:
        assert image.shape == (1, 56, 48)
        assert image.pixel_size_nm == pytest.approx(12.5)
        np.testing.assert_array_equal(
            image.read(0, 1)[0], render_localizations(TABLE, settings.render)
        )
    with tifffile.TiffFile(tmp_path / "image.tif") as tiff:
        told = json.loads(tiff.imagej_metadata["Info"])
    assert told["table"] == "table.csv"
    assert told["localizations"] == 4
    assert (told["top_nm"], told["left_nm"]) == (50, 0)
    assert told["steps"] == [{"kind": "merge", "radius_nm": 50.0, "max_dark_frames": 1}]
    assert told["render"]["region"]["kind"] == "region"


def test_the_image_of_a_table_with_a_field_is_that_of_the_field(tmp_path):
    for _ in range(2):
        save_image(tmp_path / "image.tif", TableContent(TABLE, FIELD), config(), "table.csv")
    assert tifffile.imread(tmp_path / "image.tif").shape == (100, 80)
    assert (tmp_path / "image.previous.tif").exists()


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"table": "in.hdf5"}, "belongs to the table that is processed"),
        ({"table": "folder/../in.h5"}, r"in\.yaml belongs to the table"),
        ({"table": "out.txt"}, "has no suffix of a table"),
        ({"table": "nowhere/out.csv"}, "no folder .*nowhere"),
        ({"image": "out.png"}, r"is to be a TIFF image. Call it \.tif"),
        ({"image": "nowhere/out.tif"}, "no folder .*nowhere"),
    ],
)
def test_outputs_that_cannot_be_are_refused_before_the_work(tmp_path, outputs, message):
    pytest.importorskip("h5py")
    (tmp_path / "folder").mkdir()
    save_table(tmp_path / "in.hdf5", TableContent(TABLE, FIELD))
    before = {path.name: path.read_bytes() for path in tmp_path.glob("in.*")}
    paths = {name: tmp_path / path for name, path in outputs.items()}
    with pytest.raises(InputError, match=message):
        check_outputs(
            tmp_path / "in.hdf5",
            TableContent(TABLE, FIELD),
            config(),
            table=paths.get("table"),
            image=paths.get("image"),
        )
    assert {path.name: path.read_bytes() for path in tmp_path.glob("in.*")} == before


def test_the_drift_that_is_read_is_not_replaced_by_that_of_the_result(tmp_path):
    saved = config({"kind": "saved_drift", "path": tmp_path / "folder/../out.drift.csv"})
    arguments = {"source": tmp_path / "in.csv", "content": TableContent(TABLE), "image": None}
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"out\.drift\.csv is the drift that is read.*\(--out\)"):
        check_outputs(**arguments, config=saved, table=tmp_path / "out.csv")
    check_outputs(**arguments, config=saved, table=tmp_path / "other.csv")


def test_the_table_is_not_replaced_by_the_drift_that_was_found_in_it(tmp_path):
    arguments = {"content": TableContent(TABLE), "table": tmp_path / "out.csv", "image": None}
    source = tmp_path / "out.drift.csv"
    with pytest.raises(InputError, match="belongs to the table that is processed"):
        check_outputs(source, config=config("merge", "rcc"), **arguments)
    # without a correction of drift, none is written
    check_outputs(source, config=config("merge"), **arguments)


def test_recorded_steps_find_their_drift_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    steps = config({"kind": "saved_drift", "path": "drift.csv"}, "merge")
    save_processed(tmp_path / "out.csv", TableContent(TABLE), steps, None)
    recorded = build(ProcessingConfig, read_config(tmp_path / "out.steps.yaml"))
    assert [step.kind for step in recorded.steps] == ["saved_drift", "merge"]
    assert recorded.steps[0].path == tmp_path / "drift.csv"


def test_a_picasso_table_without_pixel_size_or_h5py_is_refused_before_the_work(
    tmp_path, monkeypatch
):
    pytest.importorskip("h5py")
    arguments = {"table": tmp_path / "out.hdf5", "image": None}
    with pytest.raises(InputError, match="State the pixel size"):
        check_outputs(tmp_path / "in.csv", TableContent(TABLE), config(), **arguments)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match="needs h5py"):
        check_outputs(tmp_path / "in.csv", TableContent(TABLE, FIELD), config(), **arguments)


def test_a_render_option_that_there_is_not_is_refused():
    with pytest.raises(ValidationError, match="Extra inputs"):
        ProcessingConfig.model_validate({"render": {"pixel": 5}})
