"""Steps are done as they are entered, nothing that came in is changed, and terminals agree."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
import tifffile
import yaml
from napari.layers import Image, Points, Shapes
from napari.utils.notifications import notification_manager
from numpy.testing import assert_allclose, assert_array_equal
from qtpy.QtCore import QPoint, Qt

from napari_dl4smlm.backend import (
    Localizations,
    ProcessingConfig,
    Rendering,
    TableContent,
    apply_steps,
    open_table,
    render_localizations,
    save_table,
    write_thunderstorm,
)
from napari_dl4smlm.backend.localizations.table_content import FieldOfView
from napari_dl4smlm.backend.processing import cross_correlation
from napari_dl4smlm.widgets.layers.layers import mark_of, show_localizations, table_layer_data
from napari_dl4smlm.widgets.process import processing, shown

from .conftest import PIXEL_NM

pytestmark = pytest.mark.gui


def layers_of(viewer):
    """The image and the points of the result."""
    by_role = {mark_of(layer).get("role"): layer for layer in viewer.layers}
    return by_role.get("super-resolution image"), by_role.get("processed localizations")


def expected(table, *steps):
    for applied in apply_steps(table, ProcessingConfig(steps=steps).steps):
        table = applied.localizations
    return table


def assert_equal_tables(found, wanted):
    assert found.columns().keys() - {"id"} == wanted.columns().keys() - {"id"}
    for name, values in wanted.columns().items():
        assert_allclose(found.column(name), values, rtol=0, atol=1e-5)


def test_the_layer_of_a_table_is_chosen_and_described(widget, points, settle):
    settle()
    assert widget.source.source.value() is points
    assert widget.source.description() == (
        "1,400 localizations · frames 0 to 198\nphotons, uncertainty_nm"
    )
    assert widget.outcome() == "Left: all 1,400"


def test_each_step_says_what_it_did_and_the_source_stays_as_it_is(
    widget, viewer, points, table, add, settle
):
    before = points.data.copy(), points.features.copy()
    rows = [add("filter", column="photons", minimum=300), add("rcc"), add("merge", radius_nm=40)]
    kept = expected(table, {"kind": "filter", "minimum": 300})
    final = expected(kept, "rcc", {"kind": "merge", "radius_nm": 40})
    assert rows[0].outcome() == f"1,400 → {len(kept):,} ({len(kept) / 1400:.0%})"
    assert rows[1].outcome().startswith("drift: ")
    assert rows[2].outcome().startswith(f"{len(kept):,} → {len(final):,}")
    assert widget.outcome() == f"Left: {len(final):,} of 1,400 localizations"
    image, result = layers_of(viewer)
    assert result.name == "found processed"
    assert_allclose(result.data, np.column_stack([final.frame, final.positions_nm()]))
    assert_array_equal(result.features["detections"], final.detections)
    assert_allclose(image.data, render_localizations(final))
    assert_array_equal(points.data, before[0])
    assert points.features.equals(before[1])


def test_steps_are_put_in_order_switched_off_and_removed(widget, table, points, add, settle):
    merge = add("merge", radius_nm=40)
    filtered = add("filter", column="photons", minimum=1000)
    merged = expected(table, {"kind": "merge", "radius_nm": 40})
    n_bright = int((merged.photons >= 1000).sum())
    assert filtered.outcome().startswith(f"{len(merged)} → {n_bright} ")
    assert not filtered._down.isEnabled()
    filtered._up.click()
    settle()
    assert [row.form.kind for row in widget.steps.rows] == ["filter", "merge"]
    assert filtered.outcome() == "1,400 → 0 (0%)"
    assert merge.outcome() == "no localizations arrive here"
    filtered._is_on.setChecked(False)
    settle()
    assert filtered.outcome() == "left out"
    assert [step.kind for step in widget.processed.config.steps] == ["merge"]
    merge.removed.emit()
    settle()
    assert len(widget.processed.content.localizations) == 1400


def test_results_are_updated_in_place_and_what_was_removed_stays_away(
    widget, viewer, points, add, settle
):
    row = add("filter", column="photons", minimum=300)
    image, result = layers_of(viewer)
    image.contrast_limits = (0, 0.5)
    row.form.form.set_values({"minimum": 500})
    settle()
    assert layers_of(viewer) == (image, result)
    assert len(result.data) == len(widget.processed.content.localizations)
    assert image.contrast_limits == [0, 0.5]
    viewer.layers.remove(result)
    row.form.form.set_values({"minimum": 600})
    settle()
    assert layers_of(viewer) == (image, None)
    widget.shown.points.setChecked(False)
    widget.shown.points.setChecked(True)
    settle()
    assert layers_of(viewer)[1] is not None


def test_a_layer_that_changes_is_processed_anew(widget, points, add, settle):
    add("filter", column="photons", minimum=300)
    points.data = points.data[:100]
    settle()
    assert len(widget.processed.table.content.localizations) == 100
    # the file has another table by now
    assert widget.processed.table.path is None
    assert "are in no file as they are" in widget.command.text()


def test_a_filter_without_limits_keeps_all_and_shows_the_histogram(widget, points, add):
    row = add("filter")
    assert row.outcome() == "keeps all: enter a limit, or drag in the histogram"
    plot = row.form._plot
    assert not plot.isHidden()
    assert plot._histogram.counts.sum() == 1400
    assert widget.processed.config.steps == ()


def test_any_column_is_offered_also_one_that_a_step_makes(widget, points, add):
    add("merge", radius_nm=40)
    row = add("filter", column="detections", minimum=2)
    assert set(row.form._column._values) >= {"frame", "x_nm", "photons", "detections"}
    assert widget.processed.content.localizations.detections.min() == 2
    assert row.form._plot._histogram.column == "detections"


def test_a_limit_is_dragged_in_the_histogram(widget, points, table, add, settle, qtbot):
    plot = (row := add("filter")).form._plot
    plot.resize(300, plot.height())
    left, right = plot._ends()
    span = right - left

    def limits_after_a_press_at(x):
        qtbot.mousePress(plot, Qt.MouseButton.LeftButton, pos=QPoint(x, 10))
        qtbot.mouseRelease(plot, Qt.MouseButton.LeftButton, pos=QPoint(x, 10))
        shares = [limit and (limit - left) / span for limit in plot._limits]
        return [share and pytest.approx(share, abs=0.01) for share in shares]

    # the upper one is made on the right, and taken hold of although it is on the left by then
    assert limits_after_a_press_at(156) == [None, 0.52]
    assert limits_after_a_press_at(148) == [None, 148 / 300]
    assert limits_after_a_press_at(30) == [0.1, 148 / 300]
    assert limits_after_a_press_at(240) == [0.1, 0.8]
    assert limits_after_a_press_at(60) == [0.2, 0.8]
    settle()
    (step,) = widget.processed.config.steps
    assert [step.minimum, step.maximum] == plot._limits
    inside = (table.photons >= step.minimum) & (table.photons <= step.maximum)
    assert row.outcome().startswith(f"1,400 → {inside.sum():,} ")


def test_what_did_not_change_is_not_done_again(widget, points, add, settle, monkeypatch):
    calls = []
    estimate = cross_correlation.CrossCorrelation.estimate

    def counted(self, localizations):
        calls.append(threading.current_thread())
        return estimate(self, localizations)

    monkeypatch.setattr(cross_correlation.CrossCorrelation, "estimate", counted)
    add("rcc")
    row = add("filter", column="photons", minimum=300)
    for minimum in (400, 500):
        row.form.form.set_values({"minimum": minimum})
        settle()
    widget.shown.form.set_values({"pixel_nm": 20})
    settle()
    assert len(calls) == 1
    assert calls[0] is not threading.main_thread()
    row._up.click()
    settle()
    assert len(calls) == 2


def test_only_the_latest_of_many_changes_is_drawn(widget, points, add, settle, monkeypatch):
    row = add("filter", column="photons", minimum=300)
    drawn = []
    draw = processing.render_localizations

    def counted(localizations, *arguments, **options):
        drawn.append(len(localizations))
        return draw(localizations, *arguments, **options)

    monkeypatch.setattr(processing, "render_localizations", counted)
    for minimum in range(301, 400):
        row.form.form.set_values({"minimum": minimum})
    settle()
    assert len(drawn) <= 2
    assert widget.processed.config.steps[0].minimum == 399


def test_the_image_lies_on_the_localizations_wherever_these_are(widget, viewer, movie, settle):
    movie.translate, movie.rotate = (0, 3000, -500), (0, 0, 30)
    # in the centre of a pixel of the image
    molecule = Localizations([0, 5], [1232.5, 1232.5], [322.5, 322.5])
    source = show_localizations(viewer, movie, molecule, name="found")
    widget.source.source.set_value(source)
    widget.shown.form.set_values({"pixel_nm": 5})
    settle()
    image, result = layers_of(viewer)
    index = np.array(np.unravel_index(np.argmax(image.data), image.data.shape))
    offset = np.subtract(image.data_to_world(index), source.data_to_world(source.data[0])[-2:])
    assert np.abs(offset).max() < 1e-6
    assert_allclose(result.data_to_world(result.data[0]), source.data_to_world(source.data[0]))


def test_a_file_is_processed_without_a_layer_of_its_own(widget, viewer, table_file, add):
    widget.source.source.set_value(table_file)
    add("filter", column="photons", minimum=300)
    assert [layer.name for layer in viewer.layers] == ["found processed", "found processed: image"]
    assert widget.processed.table.path == table_file


def test_a_file_lies_on_its_movie(widget, viewer, movie, table_file, settle):
    movie.translate = (0, 9050, 50)
    widget.source.source.set_value(table_file)
    settle()
    _, result = layers_of(viewer)
    corner = movie.data_to_world((0, -0.5, -0.5))
    place = np.subtract(result.data_to_world(result.data[0]), corner)
    assert_allclose(place[-2:], result.data[0, -2:])


def test_more_points_than_the_viewer_bears_are_an_image_only(
    widget, viewer, points, add, settle, monkeypatch
):
    row = add("filter", column="photons", minimum=900)
    assert layers_of(viewer)[1] is not None
    monkeypatch.setattr(shown, "MOST_POINTS", 1000)
    row._is_on.setChecked(False)
    settle()
    image, result = layers_of(viewer)
    assert result is None
    assert image.data.sum() == pytest.approx(1400, rel=0.02)
    assert widget.shown.message() == (
        "1,400 localizations are shown as an image only: more than 1,000 points make the viewer "
        "slow."
    )
    widget.shown.anyway.click()
    assert len(layers_of(viewer)[1].data) == 1400
    assert widget.shown.anyway.isHidden()


@pytest.mark.parametrize("mode", ["histogram", "gaussian", "uncertainty", "density"])
def test_every_mode_draws_as_the_backend_does(widget, viewer, points, table, settle, mode):
    widget.shown.form.set_values({"mode": mode, "pixel_nm": 25})
    settle()
    image, _ = layers_of(viewer)
    wanted = render_localizations(table, Rendering(mode=mode, pixel_nm=25))
    assert_allclose(image.data, wanted, atol=1e-5)
    assert_allclose(image.scale, 25)
    is_used = widget.shown.form._rows.editors["sigma_nm"].isEnabled()
    assert is_used == (mode == "gaussian")


def test_beads_are_the_points_that_were_clicked_on(widget, viewer, movie, points, table, add):
    bead = Localizations(
        np.arange(200), 800 + 0.3 * np.arange(200), np.full(200, 805.0), photons=np.full(200, 9e3),
        uncertainty_nm=np.full(200, 1.0),
    )  # fmt: skip
    whole = Localizations.concatenate([table, bead])
    points.data = np.column_stack([whole.frame, whole.positions_nm()])
    # in pixels of the movie, in whose frame 100 they were clicked on
    clicked = viewer.add_points([[100, 7.6, 7.4]], scale=(1, 0.1, 0.1), translate=(0, 0.05, 0.05),
                                units=("pixel", "um", "um"))  # fmt: skip
    row = widget.steps.add("fiducials")
    row.form._beads._choice.set_value(clicked)
    add("merge")
    (step, _) = widget.processed.config.steps
    assert step.positions_nm == ((810.0, 790.0),)
    assert row.outcome().startswith("drift: ")
    clicked.data = [[100, 8.1, 7.4]]
    assert widget.is_busy


def test_results_are_not_offered_as_beads_of_themselves(widget, viewer, points, add):
    clicked = viewer.add_points(np.zeros((0, 3)), name="beads")
    add("merge")
    assert layers_of(viewer)[1] is not None
    row = add("fiducials")
    assert row.form._beads._choice._values == [None, clicked]


def test_what_a_network_found_is_known_as_that_after_some_steps(
    widget, viewer, movie, table, settle
):
    found = {"model": "m", "model_file": "/d/m.safetensors"}
    show_localizations(viewer, movie, table, name="found", metadata=found)
    settle()
    for layer in layers_of(viewer):
        assert found.items() <= mark_of(layer).items()
        assert mark_of(layer)["movie"] == "movie"


def test_a_table_that_is_called_as_the_result_would_be_is_left_alone(
    widget, viewer, points, add, settle
):
    other = table_layer_data(
        Localizations([3], [1.0], [2.0]), name="found processed", mark={"role": "localizations"}
    )
    layer = viewer.add_layer(Points(other[0], **other[1]))
    row = add("filter", column="photons", minimum=300)
    row.form.form.set_values({"minimum": 400})
    settle()
    assert layer.data.tolist() == [[3, 1, 2]]
    assert layers_of(viewer)[1].name == "found processed [1]"


def test_a_drawn_rectangle_becomes_a_region(widget, viewer, movie, points, add, settle):
    corners = [[0, 2, 3], [0, 2, 8], [0, 6, 8], [0, 6, 3]]
    drawn = viewer.add_layer(Shapes([corners], scale=movie.scale, translate=movie.translate,
                                    units=movie.units))  # fmt: skip
    row = add("region")
    row.form._shapes.set_value(drawn)
    settle()
    (step,) = widget.processed.config.steps
    # pixel 2 has its centre at 250 nm
    assert (step.top_nm, step.left_nm, step.height_nm, step.width_nm) == (250, 350, 400, 500)


def test_saved_files_are_those_of_the_command(widget, points, add, settle, tmp_path, run):
    add("filter", column="photons", minimum=300)
    add("rcc")
    add("merge", radius_nm=40)
    widget.shown.form.set_values({"mode": "histogram", "pixel_nm": 20})
    settle()
    output = run(widget.command.text().splitlines()[0])
    assert "found.processed.csv" in output
    ours = tmp_path / "ours" / "found.processed.csv"
    ours.parent.mkdir()
    widget.saving.save_table(ours)
    settle()
    widget.saving.save_image(ours.with_suffix(".tif"))
    settle()
    for suffix in (".csv", ".steps.yaml", ".drift.csv"):
        name = ours.with_suffix(suffix).name
        assert (tmp_path / name).read_bytes() == (ours.parent / name).read_bytes(), name
    theirs = tifffile.imread(tmp_path / "found.processed.tif")
    assert_array_equal(tifffile.imread(ours.with_suffix(".tif")), theirs)
    assert theirs.any()


def test_steps_that_options_cannot_say_are_read_from_their_file(
    widget, points, add, settle, tmp_path, run
):
    add("merge", radius_nm=40)
    add("filter", column="detections", minimum=2, maximum=3)
    steps = tmp_path / "found.processed.steps.yaml"
    assert f"--config {steps}" in widget.command.text()
    assert "write it there with Save steps" in widget.command.note()
    widget.saving.save_steps(steps)
    settle()
    assert not widget.command.note()
    run(widget.command.text().splitlines()[0])
    assert_equal_tables(
        open_table(tmp_path / "found.processed.csv").localizations,
        widget.processed.content.localizations,
    )


def test_recorded_steps_are_opened_and_done_again(widget, points, add, settle, tmp_path):
    add("filter", column="photons", minimum=300, include_limits=False)
    row = widget.steps.add("fiducials")
    row.form._beads.set_value(((500.0, 600.0),))
    row.form.form.set_values({"positions_nm": [[500, 600]], "radius_nm": 400})
    settle()
    add("merge", radius_nm=40, max_dark_frames=3)
    widget.shown.form.set_values({"mode": "density", "pixel_nm": 20, "neighbours": 3})
    settle()
    config = widget.processed.config
    widget.saving.save_steps(tmp_path / "mine.yaml")
    settle()
    widget.steps.set_steps([])
    widget.shown.set_rendering(Rendering(mode="histogram", neighbours=4))
    settle()
    assert widget.processed.config.steps == ()
    widget.saving.open_steps(tmp_path / "mine.yaml")
    settle()
    settle()
    assert widget.processed.config == config


def test_a_table_of_picasso_keeps_its_field_and_history(widget, settle, add, tmp_path, table, run):
    pytest.importorskip("h5py")
    path = tmp_path / "cells.hdf5"
    content = TableContent(table, FieldOfView(20, 30, 500, 80.0), ({"Camera": "EM"},))
    save_table(path, content)
    widget.source.source.set_value(path)
    add("filter", column="photons", minimum=300)
    out = tmp_path / "mine.hdf5"
    widget.saving.save_table(out)
    settle()
    saved = open_table(out)
    assert saved.field == content.field
    assert saved.history[0]["Camera"] == "EM"
    run(widget.command.text().splitlines()[0])
    assert_equal_tables(open_table(out).localizations, saved.localizations)


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("filter", {"column": "chi2", "minimum": 1}, "Unknown column 'chi2'"),
        ("filter", {"column": "photons", "minimum": "many"}, "Minimum: .*number"),
        ("fiducials", {}, "Choose a points layer with one point on each bead"),
        ("saved_drift", {}, "File: Field required"),
        ("saved_drift", {"path": "absent.csv"}, r"absent\.csv cannot be read"),
        ("merge", {"radius_nm": 0}, r"Radius: .*greater than 0"),
        ("rcc", {"segment_frames": 500}, "Segments of 500 frames are too long .* at most 99"),
        ("aim", {"segment_frames": 200}, "Segments of 200 frames are too long"),
        ("region", {"width_nm": -1}, "Width: .*greater than 0"),
    ],
)
def test_a_step_that_cannot_be_done_says_why_and_nothing_is_saved(
    widget, viewer, points, add, settle, kind, values, message
):
    settle()
    row = widget.steps.add(kind)
    editors = row.form.form._rows.editors | row.form.form._advanced.editors
    for name, value in values.items():
        if isinstance(value, str) and name == "minimum":
            editors[name]._box._line.setText(value)
        else:
            editors[name].set_value(value)
    settle()
    assert re.search(message, row.outcome()), row.outcome()
    assert row.outcome().startswith("⚠ ")
    assert widget.outcome().startswith("⚠ Step 1: ")
    assert "The layers show the result before this." in widget.outcome()
    assert layers_of(viewer)[0] is not None
    assert widget.processed is None
    button = widget.saving._buttons["table"]
    assert not button.isEnabled()
    assert re.search(message, button.toolTip())


def test_too_few_localizations_for_drift_are_said_in_its_row(widget, points, add):
    add("filter", column="photons", minimum=900)
    row = add("rcc")
    assert "localizations are too few to tell drift from" in row.outcome()
    assert "Step 2: " in widget.outcome()


def test_what_is_after_a_faulty_step_is_not_said_to_be_done(widget, points, add, settle):
    first, second = add("filter", column="photons", minimum=300), add("merge", radius_nm=40)
    assert second.outcome()
    first.form.form.set_values({"column": "chi2", "minimum": 300})
    settle()
    assert first.outcome().startswith("⚠ Unknown column 'chi2'")
    assert second.outcome() == ""
    first.form.form.set_values({"column": "photons", "minimum": 300})
    settle()
    assert "→" in first.outcome()
    assert "→" in second.outcome()
    assert "⚠" not in widget.outcome()


def test_a_defect_is_told_with_details_for_a_report(widget, points, settle, monkeypatch):
    def broken(localizations, *_, **__):
        raise RuntimeError("no such luck")

    monkeypatch.setattr(processing, "render_localizations", broken)
    widget.shown.form.set_values({"pixel_nm": 20})
    settle()
    assert "Unexpected: RuntimeError: no such luck" in widget.outcome()
    assert not widget._copy.isHidden()
    assert "in broken" in widget._copy._text


def test_points_in_pixels_are_refused_in_their_row(widget, viewer, settle):
    widget.source.source.set_value(viewer.add_points([[0, 1, 2]], name="spots"))
    settle()
    assert "'spots' are in pixels, but a table needs nm" in widget.source.description()
    assert widget.processed is None


def test_a_file_that_is_no_table_is_refused_in_its_row(widget, tmp_path, settle):
    path = tmp_path / "notes.csv"
    path.write_text("hello\n")
    widget.source.source.set_value(path)
    settle()
    assert "notes.csv is not a ThunderSTORM table" in widget.source.description()
    assert "not a ThunderSTORM table" in widget.outcome()


def test_a_removed_layer_is_no_longer_processed(widget, viewer, points, settle):
    settle()
    viewer.layers.remove(points)
    settle()
    assert widget.processed is None
    assert "The layer 'found' was removed" in widget.source.description()


def test_an_image_without_uncertainties_or_of_too_many_pixels_says_why_there_is_none(
    widget, viewer, settle
):
    table = Localizations([0, 1], [100.0, 90_000.0], [100.0, 90_000.0])
    data = table_layer_data(table, name="sparse", mark={"role": "localizations"})
    viewer.add_layer(Points(data[0], **data[1]))
    settle()
    assert "The image would have 9,001 x 9,001 px, too many" in widget.shown.message()
    widget.shown.form.set_values({"mode": "uncertainty", "pixel_nm": 100})
    settle()
    assert "no uncertainty_nm that could be drawn" in widget.shown.message()
    widget.shown.form.set_values({"mode": "histogram"})
    settle()
    assert not widget.shown.message()
    assert isinstance(layers_of(viewer)[0], Image)


def test_the_source_is_never_written_over(widget, points, table_file, add, settle):
    add("filter", column="photons", minimum=300)
    before = table_file.read_bytes()
    widget.saving.save_table(table_file)
    settle()
    assert table_file.read_bytes() == before
    (record,) = notification_manager.records
    assert "belongs to the table that is processed" in record.message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("result.txt", "has no suffix of a table"),
        ("absent/result.csv", "There is no folder"),
        ("result.hdf5", "State the pixel size"),
    ],
)
def test_what_cannot_be_saved_says_why(widget, points, add, settle, tmp_path, name, message):
    add("filter", column="photons", minimum=300)
    widget.saving.save_table(tmp_path / name)
    settle()
    assert message in widget.saving._message.toPlainText()


def test_steps_that_are_none_are_not_opened(widget, points, settle, tmp_path):
    path = tmp_path / "mine.yaml"
    for text, message in (
        ("steps: {kind: merge}", "steps is no list"),
        ("steps: [mergee]", "Did you mean 'merge'"),
        ("hello", "does not hold named values"),
    ):
        path.write_text(text)
        widget.saving.open_steps(path)
        settle()
        assert message in widget.saving._message.toPlainText()


def test_a_closed_widget_follows_nothing_and_goes_on_when_it_is_back(
    widget, viewer, points, add, settle
):
    widget.show()
    row = add("filter", column="photons", minimum=300)
    before = widget.processed
    widget.hide()
    points.data = points.data[:100]
    settle()
    assert widget.processed is before
    widget.show()
    settle()
    assert len(widget.processed.table.content.localizations) == 100
    assert row.outcome().startswith("100 → ")


def test_opening_the_widget_imports_neither_torch_nor_matplotlib():
    code = """
        import sys
        import napari_dl4smlm.widgets.process.widget
        assert not {"torch", "matplotlib.figure", "h5py"} & sys.modules.keys()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_the_steps_beside_a_saved_table_are_all_that_was_done(
    widget, points, add, settle, tmp_path
):
    add("filter", column="photons", minimum=300)
    add("merge", radius_nm=40)._is_on.setChecked(False)
    settle()
    widget.saving.save_table(tmp_path / "out.csv")
    settle()
    saved = yaml.safe_load((tmp_path / "out.steps.yaml").read_text())
    assert [step["kind"] for step in saved["steps"]] == ["filter"]
    assert not (tmp_path / "out.drift.csv").exists()
    assert f"--out {tmp_path / 'out.csv'}" in widget.command.text()


def test_the_camera_pixel_of_the_movie_serves_tables_that_do_not_tell_it(
    widget, movie, points, add, settle, tmp_path
):
    pytest.importorskip("h5py")
    add("filter", column="photons", minimum=300)
    widget.saving.save_table(tmp_path / "out.hdf5")
    settle()
    assert open_table(tmp_path / "out.hdf5").field.pixel_size_nm == PIXEL_NM
    assert "--pixel-size-nm 100" in widget.command.text()
    write_thunderstorm(tmp_path / "other.csv", Localizations([0], [1.0], [1.0]))
    widget.source.source.set_value(tmp_path / "other.csv")
    settle()
    assert "out.hdf5" not in widget.command.text()
