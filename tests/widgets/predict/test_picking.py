"""Rows of the table and points in the viewer: what is picked in one is picked in the other."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

pytest.importorskip("pytestqt")

from qtpy.QtCore import Qt

from napari_dl4smlm.backend import open_frames
from napari_dl4smlm.widgets.layers.layers import add_movie, table_of
from napari_dl4smlm.widgets.sources.layer_watch import LayerWatch

pytestmark = pytest.mark.gui

N_FRAMES, PIXEL_NM = 6, 100.0


@pytest.fixture
def predicted(make_napari_viewer, open_widget, run, make_model, pixels, results_in):
    """A real viewer with a result: one localization in each frame."""
    viewer = make_napari_viewer()
    add_movie(viewer, open_frames(pixels, pixel_size_nm=PIXEL_NM), name="movie")
    widget = open_widget(viewer)
    run(widget, make_model())
    _, points = results_in(viewer)
    return SimpleNamespace(
        viewer=viewer, widget=widget, table=widget._results._table, points=points
    )


def sort_by_frame_descending(table):
    table._view.sortByColumn(0, Qt.SortOrder.DescendingOrder)


def show_frames_from(table, first):
    table._column.setCurrentIndex(0)
    table._lowest._line.setText(str(first))


def press(points, index, *, dragged_px=0):
    """Press the left button over a point and release it, as napari's canvas tells the layer."""
    viewer_axes = {"view_direction": None, "dims_displayed": [1, 2]}
    event = SimpleNamespace(
        type="mouse_press",
        button=1,
        pos=np.array([50, 50]),
        position=points.data_to_world(points.data[index]),
        **viewer_axes,
    )
    for callback in points.mouse_drag_callbacks:
        drag = callback(points, event)
        if next(drag, "over") == "over":
            continue
        if dragged_px:
            event.type, event.pos = "mouse_move", event.pos + dragged_px
            next(drag, None)
        event.type = "mouse_release"
        next(drag, None)


def test_a_row_is_selected_in_the_viewer_which_shows_its_frame(predicted):
    table, points, viewer = predicted.table, predicted.points, predicted.viewer
    sort_by_frame_descending(table)
    table._view.setCurrentIndex(table._model.index(0, 0))

    assert points.selected_data == {N_FRAMES - 1}
    assert viewer.layers.selection.active == points
    assert viewer.dims.current_step[0] == N_FRAMES - 1


def test_a_point_is_selected_in_the_table_however_that_is_sorted_and_filtered(predicted):
    table, points = predicted.table, predicted.points
    sort_by_frame_descending(table)
    show_frames_from(table, 2)
    for frame in (4, 2):
        points.selected_data = {frame}
        assert_array_equal(table.selected_rows(), [frame])
        assert table._view.currentIndex().row() == N_FRAMES - 1 - frame


def test_a_click_in_the_mode_that_moves_the_view_picks_the_point(predicted):
    table, points, viewer = predicted.table, predicted.points, predicted.viewer
    assert points.mode == "pan_zoom"
    viewer.dims.set_current_step(0, 3)
    press(points, 3)

    assert points.selected_data == {3}
    assert_array_equal(table.selected_rows(), [3])
    assert viewer.dims.current_step[0] == 3


def test_a_drag_moves_the_view_and_picks_nothing(predicted):
    predicted.viewer.dims.set_current_step(0, 3)
    press(predicted.points, 3, dragged_px=20)
    assert predicted.points.selected_data == set()


def test_neither_direction_answers_the_other(predicted, qtbot):
    table, points = predicted.table, predicted.points
    with qtbot.assertNotEmitted(table.row_selected):
        points.selected_data = {4}
    picked = []
    predicted.widget._shown.overlays.picked.connect(picked.append)
    table._view.selectRow(1)
    assert points.selected_data == {1}
    assert picked == []


def test_several_rows_stay_selected_while_the_last_one_is_shown(predicted):
    table = predicted.table
    table._view.selectRow(1)
    flags = table._selection.SelectionFlag.Select | table._selection.SelectionFlag.Rows
    table._selection.setCurrentIndex(table._model.index(3, 0), flags)
    assert_array_equal(table.selected_rows(), [1, 3])
    assert predicted.points.selected_data == {3}


def test_rows_that_do_not_pass_the_filter_have_no_points(predicted):
    table, points = predicted.table, predicted.points
    show_frames_from(table, 4)
    assert_array_equal(np.flatnonzero(points.shown), [4, 5])
    points.selected_data = {1}
    assert_array_equal(table.selected_rows(), [])
    table._lowest._line.setText("")
    assert points.shown.all()


def test_points_that_do_not_pass_the_filter_are_not_what_other_widgets_take(predicted):
    table = predicted.table
    taken = []
    watch = LayerWatch(predicted.viewer, lambda: None, lambda layer: taken.append(table_of(layer)))
    show_frames_from(table, 4)
    assert_array_equal(taken[-1].frame, [4, 5])
    table._lowest._line.setText("")
    assert_array_equal(taken[-1].frame, np.arange(N_FRAMES))
    watch.close()


def test_points_that_the_user_deletes_or_renames_stay_so_whatever_is_shown(predicted):
    points, boxes, viewer = predicted.points, predicted.widget._boxes, predicted.viewer
    points.selected_data = {0, 1, 2}
    points.remove_selected()
    for box in (boxes.image, boxes.localizations):
        for is_checked in (False, True):
            box.setChecked(is_checked)
            assert len(points.data) == N_FRAMES - 3
            assert points.visible == boxes.localizations.isChecked()
    points.name = "my curated points"
    names = [layer.name for layer in viewer.layers]
    for box in (boxes.image, boxes.localizations):
        box.click()
        box.click()
    assert [layer.name for layer in viewer.layers] == names
    assert len(points.data) == N_FRAMES - 3


def test_points_that_were_deleted_added_or_moved_do_not_mix_up_the_others(predicted):
    table, points = predicted.table, predicted.points
    points.selected_data = {0}
    points.remove_selected()
    points.add([3, 150.0, 150.0])
    for index, row in ((3, 4), (0, 1)):
        points.selected_data = {index}
        assert_array_equal(table.selected_rows(), [row])
    # of the one that was added there is no row: the last one stays
    points.selected_data = {len(points.data) - 1}
    assert_array_equal(table.selected_rows(), [1])
    # of the one that was deleted there is no point
    table._view.selectRow(0)
    assert points.selected_data == {len(points.data) - 1}
    show_frames_from(table, 2)
    assert points.shown.all()


def test_a_layer_that_was_removed_picks_nothing_and_comes_back_when_asked_for(
    predicted, results_in
):
    table, viewer, boxes = predicted.table, predicted.viewer, predicted.widget._boxes
    viewer.layers.remove(predicted.points)
    table._view.selectRow(2)
    boxes.localizations.setChecked(False)
    boxes.localizations.setChecked(True)

    _, points = results_in(viewer)
    points.selected_data = {4}
    assert_array_equal(table.selected_rows(), [4])


def test_the_table_follows_the_points_of_the_last_prediction(
    predicted, run, make_model, results_in
):
    run(predicted.widget, make_model("other.safetensors"), frames="2:5")
    _, points = results_in(predicted.viewer)
    points.selected_data = {2}
    assert_array_equal(predicted.table.selected_rows(), [2])
    # its table is no longer shown
    predicted.points.selected_data = {0}
    assert_array_equal(predicted.table.selected_rows(), [2])


def test_a_molecule_that_stays_on_is_picked_in_its_frame(
    make_napari_viewer, open_widget, run, make_model, pixels, results_in
):
    viewer = make_napari_viewer()
    still = np.stack([pixels[0]] * N_FRAMES)
    add_movie(viewer, open_frames(still, pixel_size_nm=PIXEL_NM), name="movie")
    widget = open_widget(viewer)
    # batches of different size are rounded differently
    run(widget, make_model(), batch_size=1)
    _, points = results_in(viewer)
    assert len(np.unique(points.data[:, 1:], axis=0)) == 1

    points.selected_data = {4}
    assert_array_equal(widget._results._table.selected_rows(), [4])
    widget._results._table._view.selectRow(2)
    assert points.selected_data == {2}
