"""The Compare widget shows what the backend finds, and says what it is going to do."""

from __future__ import annotations

import csv
import io
import json
import shlex

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.testing import assert_allclose, assert_array_equal

pytest.importorskip("pytestqt")

from qtpy.QtCore import QMimeData, QPoint, Qt, QUrl
from qtpy.QtWidgets import QApplication

from napari_dl4smlm.backend.evaluation.comparison.output import describe
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.cli import main
from napari_dl4smlm.cli.compare import compare
from napari_dl4smlm.widgets.compare.models import _files
from napari_dl4smlm.widgets.compare.options import ComparisonOptions
from napari_dl4smlm.widgets.layers.layers import add_movie, mark_of, show_localizations
from napari_dl4smlm.widgets.run_state import RunState
from napari_dl4smlm.widgets.session import Session

pytestmark = pytest.mark.gui

PIXEL_NM = 100.0


def layer_names(viewer):
    return [layer.name for layer in viewer.layers]


def test_the_command_finds_the_same_numbers(
    widget, run, make_model, movie_file, truth_file, qtbot, ready
):
    widget._form.movie.set_value(movie_file)
    widget._form.truth.set_value(truth_file)
    qtbot.waitUntil(lambda: widget._form.movie.path is not None)
    run(widget, make_model("all"), make_model("bright", 2.0, factor=2), border_nm=300, frames="1:")
    qtbot.waitUntil(lambda: widget._form.truth.path is not None)

    program, *words = shlex.split(widget._command.text())
    outcome = CliRunner().invoke(main, [*words, "--json"])

    assert program == "dl4smlm"
    assert outcome.exit_code == 0, outcome.output
    theirs = json.loads(outcome.stdout)
    grown = widget._grown
    ours = json.loads(json.dumps(describe(grown.comparison, grown.table)))
    assert (ours["data"].pop("movie"), theirs["data"].pop("movie")) == ("movie", "movie.tif")
    for found in (ours, theirs):
        for model in found["models"]:
            for name in list(model["scores"]):
                if name.startswith(("ms_per_frame", "frames_per_second", "peak_megabytes")):
                    del model["scores"][name]
    assert ours == theirs
    assert ours["models"][0]["scores"]["recall"]["standing"] == "best"


def test_the_form_and_the_command_have_the_same_defaults():
    defaults = {option.name: option.default for option in compare.params}
    for name in ("tolerance_nm", "border_nm", "repeats", "seed"):
        assert ComparisonOptions.model_fields[name].default == defaults[name]


def test_the_best_is_marked_and_said_in_words(widget, truth_layer, run, make_model):
    run(widget, make_model("bright", 2.0), make_model("all"))

    scores = widget._results.table._view.scores
    recall = [scores.headerData(k, Qt.Orientation.Horizontal) for k in range(7)].index("recall")
    bright, found_all = (scores.index(row, recall) for row in (0, 1))
    assert found_all.data().startswith("1.000 ★\n1.000 to 1.000")
    assert found_all.data(Qt.ItemDataRole.FontRole).bold()
    assert "★" not in bright.data()
    assert bright.data(Qt.ItemDataRole.FontRole) is None
    assert "by more than chance" in found_all.data(Qt.ItemDataRole.ToolTipRole)
    assert "interval of the paired difference" in bright.data(Qt.ItemDataRole.ToolTipRole)
    about = scores.headerData(recall, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole)
    assert "Higher is better." in about
    assert "Share of the emitters that were found" in about.replace("\n", " ")
    assert "all is best in Jaccard index, recall" in widget._results.verdict()
    assert widget._progress.outcome() == "Finished: 2 of 2 models compared on 20 frames."
    assert widget._state is RunState.DONE


def test_a_click_on_a_header_sorts_and_models_without_a_value_stay_last(
    widget, truth_layer, run, make_model
):
    blind = make_model("blind", 100.0)
    run(widget, make_model("bright", 2.0), blind, make_model("all"))

    view = widget._results.table._view
    rmse, recall = 3, 2
    assert view.scores.labels() == ["bright", "blind", "all"]
    for order in (Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder):
        view.sortByColumn(rmse, order)
        assert view.scores.labels()[-1] == "blind"
    assert view.scores.index(2, rmse).data() == "–"
    view.sortByColumn(recall, Qt.SortOrder.DescendingOrder)
    assert view.scores.labels() == ["all", "bright", "blind"]
    assert view.scores.headerData(0, Qt.Orientation.Vertical) == "all"
    assert view.scores.index(0, recall).data().startswith("1.000")
    # of a group that does not have that column, the order of the comparison
    widget._results.table.choose_group("Size")
    assert view.scores.labels() == ["bright", "blind", "all"]
    assert [view.scores.headerData(k, Qt.Orientation.Horizontal) for k in (0, 2)] == [
        "parameters",
        "file (MB)",
    ]


def test_all_columns_are_in_a_window_of_their_own(widget, truth_layer, run, make_model):
    run(widget, make_model("all"), make_model("bright", 2.0))
    table = widget._results.table
    table.open_large()

    assert table._large.isWindow()
    columns = len(widget._grown.table.columns)
    assert table._large_view.scores.columnCount() == columns > table._view.scores.columnCount()
    with_label = []
    widget._results.label_picked.connect(with_label.append)
    table._large_view.selectRow(1)
    assert with_label == ["bright"]
    assert table._view.selected_label() == "bright"


def test_images_lie_side_by_side_on_the_movie_in_one_range_of_colours(
    viewer, widget, movie, truth_layer, run, make_model
):
    run(widget, make_model("coarse"), make_model("fine", factor=2))

    assert layer_names(viewer)[-3:] == [
        "ground truth (compared)",
        "coarse (compared)",
        "fine (compared)",
    ]
    shown = [layer for layer in viewer.layers if layer.visible]
    assert layer_names(viewer)[-3:] == [layer.name for layer in shown]
    assert viewer.canvas.grid.enabled
    grid = widget._grown.comparison
    assert_allclose(shown[0].data, grid.data.true_image, rtol=1e-6)
    for layer in shown:
        assert layer.data.shape == (48, 48)
        assert mark_of(layer)["role"] == "compared"
        # both corners of the field, half a pixel beyond the centres of the pixels there
        for corner, fine in ((-0.5, -0.5), (23.5, 47.5)):
            expected = movie.data_to_world([0, corner, corner])[1:]
            assert_allclose(layer.data_to_world([fine, fine]), expected)
    shown[1].contrast_limits = (0, 0.123)
    assert {tuple(layer.contrast_limits) for layer in shown} == {(0, 0.123)}


def test_differences_are_a_second_row_with_symmetric_limits_of_their_own(
    viewer, widget, truth_layer, run, make_model, wait_for_end
):
    run(widget, make_model("all"), make_model("bright", 2.0))
    widget._choice.differences.setChecked(True)
    wait_for_end(widget)

    names = [layer.name for layer in viewer.layers if layer.visible]
    assert names == [
        *("ground truth (compared)", "all (compared)", "bright (compared)"),
        *("raw mean (compared)", "all − truth (compared)", "bright − truth (compared)"),
    ]
    assert viewer.canvas.grid.actual_shape(viewer.layers) == (2, 3)
    low, high = viewer.layers["all − truth (compared)"].contrast_limits
    assert low == -high < 0
    viewer.layers["bright − truth (compared)"].contrast_limits = (-1, 1)
    assert tuple(viewer.layers["all − truth (compared)"].contrast_limits) == (-1, 1)
    assert tuple(viewer.layers["all (compared)"].contrast_limits) != (-1, 1)

    widget._choice.differences.setChecked(False)
    widget._choice.images.setChecked(False)
    assert not viewer.canvas.grid.enabled
    assert [layer.name for layer in viewer.layers if layer.visible] == ["movie"]


def test_localizations_drawn_as_the_truth_is_replace_the_density_maps(
    viewer, widget, truth_layer, run, make_model, wait_for_end
):
    run(widget, make_model("all"), make_model("bright", 2.0))
    n_layers = len(viewer.layers)
    widget._choice.content.setCurrentIndex(1)
    wait_for_end(widget)

    for model in widget._grown.comparison.models:
        drawn = viewer.layers[f"{model.label} (compared)"].data
        assert_allclose(drawn.sum(), len(model.localizations), rtol=1e-4)
    assert len(viewer.layers) == n_layers


def test_a_model_that_is_called_as_the_truth_has_a_layer_of_its_own(
    viewer, widget, truth_layer, run, make_model
):
    run(widget, make_model("ground truth", 2.0))

    truth, model = (layer for layer in viewer.layers if layer.visible)
    assert (truth.name, model.name) == (
        "ground truth (compared)",
        "ground truth (model) (compared)",
    )
    assert_allclose(truth.data, widget._grown.comparison.data.true_image, rtol=1e-6)


def test_another_comparison_updates_the_layers_in_the_order_of_its_cells(
    viewer, widget, movie, truth_layer, run, make_model
):
    run(widget, make_model("a"))
    first = viewer.layers["a (compared)"]
    viewer.layers.move(viewer.layers.index(first), 0)
    run(widget, make_model("b", 2.0))

    assert viewer.layers["a (compared)"] is first
    shown = [layer.name for layer in viewer.layers if layer.visible]
    assert shown == ["ground truth (compared)", "a (compared)", "b (compared)"]


def test_the_movie_and_images_may_be_removed_at_any_time(
    viewer, widget, movie, truth_layer, permits, add, make_model, wait_for_end, qtbot, ready
):
    add(widget, make_model("a"))
    widget._form.set_values({"threshold": 0.3, "repeats": 1})
    ready(widget)
    widget._buttons.start.click()
    viewer.layers.remove(movie)
    permits.release(10_000)
    wait_for_end(widget)

    assert widget._state is RunState.DONE
    assert layer_names(viewer)[1:] == ["ground truth (compared)", "a (compared)"]
    viewer.layers.remove("a (compared)")
    widget._choice.images.setChecked(False)
    widget._choice.images.setChecked(True)
    wait_for_end(widget)
    assert layer_names(viewer)[1:] == ["ground truth (compared)", "a (compared)"]
    assert "was removed" in widget._buttons.start.toolTip()


def test_a_click_on_a_model_in_the_figure_selects_its_row_and_its_image(
    viewer, widget, truth_layer, run, make_model, qtbot
):
    widget.resize(360, 900)
    run(widget, make_model("all"), make_model("bright", 2.0))
    plots = widget._results.plots
    view = plots._view
    view.resize(340, view.height())
    qtbot.waitUntil(lambda: not view.is_busy and not view.pixmap().isNull())
    (pareto,) = plots._paretos.values()
    figure = pareto._figure
    trade = pareto._pareto.trades["bright"]
    x, y = figure.axes[0].transData.transform((trade.cost, trade.worth))
    at = QPoint(
        round(x / figure.bbox.width * view.width()),
        round((1 - y / figure.bbox.height) * view.height()),
    )
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=at)

    assert widget._results.table._view.selected_label() == "bright"
    assert viewer.layers.selection.active.name == "bright (compared)"
    assert pareto.selected == "bright"
    qtbot.waitUntil(lambda: not view.is_busy)
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=QPoint(1, 1))
    assert widget._results.table._view.selected_label() == "bright"
    assert [plots._choice.itemText(k) for k in range(plots._choice.count())] == [
        "Jaccard index against time on cpu",
        "Accuracy against density",
        "Accuracy against photons",
    ]


def test_without_truth_there_are_measures_and_the_mean_frame(
    viewer, widget, movie, run, make_model
):
    run(widget, make_model("a"), make_model("b", 2.0))

    assert "there is no accuracy" in widget._form.truth.about.description()
    assert widget._results.table._group.itemText(0) == "Without ground truth"
    shown = [layer.name for layer in viewer.layers if layer.visible]
    assert shown == ["raw mean (compared)", "a (compared)", "b (compared)"]
    assert not widget._choice.differences.isEnabled()
    assert "Without true positions" in widget._choice.differences.toolTip()


def test_cancel_keeps_the_models_that_are_done(
    widget, truth_layer, permits, add, make_model, wait_for_end, qtbot, ready
):
    add(widget, make_model("a"), make_model("b", 2.0))
    widget._form.set_values({"threshold": 0.3, "repeats": 1, "batch_size": 20})
    ready(widget)
    widget._buttons.start.click()
    for _ in range(1000):
        permits.release()
        QApplication.processEvents()
        if widget._grown is not None:
            break
        qtbot.wait(5)
    assert "stop it first" in widget._buttons.start.toolTip()
    widget._buttons.cancel.click()
    assert widget._state is RunState.STOPPING
    permits.release(10_000)
    wait_for_end(widget)

    assert widget._state is RunState.STOPPED
    assert widget._progress.outcome() == "Stopped: 1 of 2 models compared on 20 frames."
    assert widget._results.table._view.scores.labels() == ["a"]


def test_an_error_on_the_way_keeps_the_models_before_it(
    widget, truth_layer, add, make_model, wait_for_end, ready, monkeypatch
):
    from napari_dl4smlm.backend.errors import InputError
    from napari_dl4smlm.backend.evaluation.comparison import compare as comparing

    measure = comparing.measure_speed

    def fail_for_the_second(model, *args, **options):
        if model.card.density_amplitude == 2:
            raise InputError("The memory does not suffice.")
        return measure(model, *args, **options)

    monkeypatch.setattr(comparing, "measure_speed", fail_for_the_second)
    add(widget, make_model("a"), make_model("b", 2.0))
    widget._form.set_values({"threshold": 0.3, "repeats": 1})
    ready(widget)
    widget._buttons.start.click()
    wait_for_end(widget)

    assert widget._state is RunState.FAILED
    assert widget._progress.outcome() == (
        "⚠ b: The memory does not suffice.\nKept: 1 of 2 models compared on 20 frames."
    )
    assert widget._results.table._view.scores.labels() == ["a"]


def test_the_model_that_was_just_trained_is_added_and_read_anew(
    viewer, open_widget, make_model, qtbot
):
    path = make_model("trained")
    Session.of(viewer).model_path = path
    widget = open_widget(viewer)
    models = widget._form.models
    qtbot.waitUntil(lambda: len(models.cards()) == 1)
    assert models.lines() == ["trained.safetensors (just trained)\nspread · ×1 · 100 nm"]

    make_model("trained", factor=4)
    Session.of(viewer).model_path = path
    qtbot.waitUntil(lambda: "×4" in models.lines()[0])
    assert len(models.paths()) == 1


def test_models_are_dropped_removed_and_offered_again(widget, make_model, qtbot):
    models = widget._form.models
    paths = [make_model("a"), make_model("b", 2.0)]
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    models._list.dropped.emit(_files(data))
    qtbot.waitUntil(lambda: len(models.cards()) == 2)
    assert models.paths() == paths

    models._list.item(0).setSelected(True)
    models._remove.click()
    assert models.paths() == paths[1:]
    models._offer_recent()
    (again,) = models._menu.actions()
    assert again.text() == f"{paths[0].parent.name}/a.safetensors"
    again.trigger()
    assert models.paths() == [paths[1], paths[0]]


def test_the_truth_follows_the_movie_until_another_is_chosen(
    viewer, widget, truth_layer, truth, pixels, qtbot, ready
):
    from napari_dl4smlm.backend import open_frames

    truth_box = widget._form.truth
    assert truth_box.value() is truth_layer
    other = add_movie(viewer, open_frames(pixels, pixel_size_nm=PIXEL_NM), name="other")
    widget._form.movie.set_value(other)
    assert truth_box.value() is None
    own = show_localizations(viewer, other, truth, name="own", metadata={"role": "ground truth"})
    assert truth_box.value() is own

    truth_box.set_value(truth_layer)
    ready(widget)
    qtbot.waitUntil(lambda: "80 true" in truth_box.about.description())
    assert "They were made for 'movie', and the movie is 'other'" in truth_box.about.description()


def test_table_report_and_folder_are_saved(widget, truth_layer, run, make_model, qtbot, tmp_path):
    run(widget, make_model("all"), make_model("bright", 2.0))
    results = widget._results
    results.copy_table()
    rows = list(csv.DictReader(io.StringIO(QApplication.clipboard().text())))
    assert [row["model"] for row in rows] == ["all", "bright"]
    assert float(rows[0]["recall"]) == 1

    for save, path in (
        (results.save_csv, tmp_path / "scores.csv"),
        (results.save_report, tmp_path / "report.html"),
        (results.save_folder, tmp_path / "folder"),
    ):
        save(path)
        assert not results._buttons["Save report…"].isEnabled()
        qtbot.waitUntil(lambda: not results.is_saving)
        assert results.saved() == f"Saved: {path}"
    with (tmp_path / "scores.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == rows
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Comparison of 2 models on movie" in report
    names = {path.name for path in (tmp_path / "folder").iterdir()}
    assert {"comparison.csv", "comparison.json", "pareto_cpu.png", "differences.png"} <= names


def test_what_cannot_be_saved_says_why(widget, truth_layer, run, make_model, qtbot, tmp_path):
    model = make_model("all")
    run(widget, model)
    results = widget._results
    model.unlink()
    for save, path, message in (
        (results.save_csv, tmp_path / "no" / "a.csv", "no"),
        (results.save_report, tmp_path / "a.txt", "has to end in .html"),
        (results.save_report, tmp_path / "a.html", "all.safetensors cannot be read any more"),
        (results.save_folder, tmp_path / "movie.tif" / "x", ""),
    ):
        (tmp_path / "movie.tif").write_text("")
        save(path)
        qtbot.waitUntil(lambda: not results.is_saving)
        assert results.saved().startswith("⚠")
        assert message in results.saved()


def test_closing_the_widget_ends_the_run(
    viewer, open_widget, truth_layer, permits, add, make_model, ready, qtbot
):
    widget = open_widget(viewer)
    add(widget, make_model("a"))
    ready(widget)
    widget.show()
    widget._buttons.start.click()
    permits.release(10_000)
    widget.hide()

    assert not widget._state.is_active
    assert not widget._worker.is_running


def test_points_that_were_moved_in_the_viewer_have_no_command(
    viewer, widget, movie_file, truth_file, add, make_model, ready, qtbot, truth
):
    widget._form.movie.set_value(movie_file)
    qtbot.waitUntil(lambda: widget._form.movie.path is not None)
    movie = widget._form.movie.layer()
    points = show_localizations(
        viewer, movie, truth, name="t", metadata={"role": "ground truth", "path": str(truth_file)}
    )
    add(widget, make_model("a"))
    qtbot.waitUntil(lambda: widget._form.truth.path == truth_file)
    assert f"--localizations {truth_file}" in widget._command.text()

    moved = points.data.copy()
    moved[0, 1] += 50
    points.data = moved
    qtbot.waitUntil(lambda: "true positions are in no file" in widget._command.text())


def test_single_frames_and_few_frames_are_warned_about(widget, truth_layer, run, make_model):
    run(widget, make_model("a"), frames="3:4")
    assert "A single frame is compared" in widget._warnings.toPlainText()
    view = widget._results.table._view
    assert view.scores.index(0, 0).data() == "1.000"
    assert isinstance(widget._grown.comparison.models[0].localizations, Localizations)
    assert_array_equal(np.unique(widget._grown.comparison.models[0].localizations.frame), [3])
