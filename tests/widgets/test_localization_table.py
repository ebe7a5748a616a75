import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.widgets.localization_table import LocalizationTable

pytestmark = pytest.mark.gui

PHOTONS = np.array([300.0, np.nan, 100.0, 200.0, 1000.4])


@pytest.fixture
def table(qtbot):
    table = LocalizationTable()
    qtbot.addWidget(table)
    return table


@pytest.fixture
def filled(table):
    table.set_localizations(
        Localizations(
            frame=[4, 3, 2, 1, 0],
            y_nm=[10.0, 20.0, 30.0, 40.0, 50.0],
            x_nm=[1.25, 2, 3, 4, 12345.678],
            photons=PHOTONS,
        )
    )
    table.show()
    return table


def shown(table, column):
    model = table._model
    column = model.headers().index(column)
    return [model.index(row, column).data() for row in range(model.rowCount())]


def limit(table, column, lowest="", highest=""):
    table._column.setCurrentIndex(table._model.headers().index(column))
    table._lowest._line.setText(lowest)
    table._highest._line.setText(highest)


def sort(table, column, order=Qt.SortOrder.AscendingOrder):
    table._view.sortByColumn(table._model.headers().index(column), order)


def select(table, row):
    table._view.selectRow(row)


def test_columns_have_the_units_of_the_field_and_only_those_of_the_table(filled):
    assert filled._model.headers() == ["frame", "x [nm]", "y [nm]", "photons"]


def test_numbers_have_no_more_digits_than_they_are_precise(filled):
    assert shown(filled, "x [nm]")[-1] == "12345.7"
    assert shown(filled, "photons") == ["300", "", "100", "200", "1000"]


def test_the_header_says_from_where_frames_count(filled):
    tooltip = filled._model.headerData(0, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole)
    assert tooltip == "counted from 0, as napari does; saved tables count from 1"


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (Qt.SortOrder.AscendingOrder, ["100", "200", "300", "1000", ""]),
        (Qt.SortOrder.DescendingOrder, ["1000", "300", "200", "100", ""]),
    ],
)
def test_a_click_on_a_header_sorts_and_unknown_values_come_last(filled, order, expected):
    sort(filled, "photons", order)
    assert shown(filled, "photons") == expected


def test_the_third_click_on_a_header_is_back_to_the_order_of_the_table(filled, qtbot):
    header = filled._header
    middle = header.sectionViewportPosition(3) + header.sectionSize(3) // 2
    place = header.rect().center()
    place.setX(middle)
    for _ in range(2):
        qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert shown(filled, "photons") == ["1000", "300", "200", "100", ""]
    qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert filled.shown_rows().tolist() == [0, 1, 2, 3, 4]


def test_rows_within_the_limits_are_shown_and_the_limits_are_included(filled):
    limit(filled, "photons", "200", "300")
    assert filled.shown_rows().tolist() == [0, 3]
    assert filled._count.text() == "2 of 5 pass"


def test_without_limits_rows_without_a_value_are_shown(filled):
    limit(filled, "photons", "0")
    assert len(filled.shown_rows()) == 4
    limit(filled, "photons")
    assert len(filled.shown_rows()) == 5
    assert filled._count.text() == "5 localizations"


def test_a_limit_half_typed_does_not_limit(filled):
    limit(filled, "photons", "1e")
    assert len(filled.shown_rows()) == 5


@pytest.mark.parametrize(
    ("typed", "advice"),
    [
        ("0,9", "Write 0.9."),
        ("abc", "Write a number such as 0.9 or 1000."),
        ("1,000", "Write a number such as 0.9 or 1000."),
        ("nan", "Write a number such as 0.9 or 1000."),
    ],
)
def test_a_limit_that_is_no_number_says_so_and_the_other_one_counts(filled, typed, advice):
    limit(filled, "photons", typed, "250")
    assert filled.fault == f"{typed!r} is no number, so that it limits nothing. {advice}"
    assert filled._fault_message.toPlainText() == f"⚠ {filled.fault}"
    assert filled._fault_message.isVisible()
    assert filled.shown_rows().tolist() == [2, 3]
    limit(filled, "photons", "150", "250")
    assert filled.fault == ""
    assert not filled._fault_message.isVisible()
    assert filled.shown_rows().tolist() == [3]


def test_filtered_rows_stay_sorted(filled):
    sort(filled, "frame")
    limit(filled, "y [nm]", "", "30")
    assert filled.shown_rows().tolist() == [2, 1, 0]


def test_a_row_is_told_by_its_number_in_the_unsorted_table(filled, qtbot):
    sort(filled, "photons", Qt.SortOrder.DescendingOrder)
    with qtbot.waitSignal(filled.row_selected) as signal:
        select(filled, 1)
    assert signal.args == [0]


def test_a_selected_row_stays_selected_when_the_table_is_sorted_and_is_not_told_again(
    filled, qtbot
):
    select(filled, 2)
    with qtbot.assertNotEmitted(filled.row_selected):
        sort(filled, "y [nm]", Qt.SortOrder.DescendingOrder)
        limit(filled, "frame", "1")
    assert filled.selected_rows().tolist() == [2]
    assert filled._view.currentIndex().data() == "2"


def test_a_row_that_was_filtered_out_is_told_when_it_is_selected_again(filled, qtbot):
    select(filled, 2)
    limit(filled, "photons", "150")
    assert filled.selected_rows().tolist() == []
    limit(filled, "photons")
    with qtbot.waitSignal(filled.row_selected) as signal:
        select(filled, 2)
    assert signal.args == [2]


def test_several_rows_can_be_selected(filled):
    sort(filled, "frame")
    filled._view.selectAll()
    assert filled.selected_rows().tolist() == [0, 1, 2, 3, 4]


def test_another_table_is_sorted_and_filtered_alike_with_nothing_selected(filled, qtbot):
    sort(filled, "photons")
    limit(filled, "photons", "5")
    select(filled, 0)
    with qtbot.assertNotEmitted(filled.row_selected):
        filled.set_localizations(
            Localizations(frame=[0, 1, 2], y_nm=[1, 2, 3], x_nm=[1, 2, 3], photons=[8.0, 7.0, 1.0])
        )
    assert filled.shown_rows().tolist() == [1, 0]
    assert filled.selected_rows().tolist() == []


def test_a_table_with_other_columns_is_in_its_own_order(filled):
    sort(filled, "photons")
    filled.set_localizations(Localizations(frame=[1, 0], y_nm=[1, 2], x_nm=[1, 2]))
    assert filled.shown_rows().tolist() == [0, 1]
    assert filled._header.sortIndicatorSection() == -1


def test_a_row_is_selected_by_its_number_and_not_told(filled, qtbot):
    sort(filled, "frame")
    limit(filled, "y [nm]", "15")
    with qtbot.assertNotEmitted(filled.row_selected):
        filled.select_row(3)
    assert filled.selected_rows().tolist() == [3]
    assert filled._view.currentIndex().data() == "1"
    # the user may go on from there with the keys
    with qtbot.waitSignal(filled.row_selected) as signal:
        filled._view.setCurrentIndex(filled._model.index(2, 0))
    assert signal.args == [2]


def test_nothing_is_selected_for_a_number_that_does_not_pass_the_filter(filled):
    select(filled, 1)
    limit(filled, "y [nm]", "15")
    filled.select_row(0)
    assert filled.selected_rows().tolist() == []


def test_a_row_far_down_is_scrolled_to(table):
    n = 10_000
    table.set_localizations(Localizations(np.arange(n), np.zeros(n), np.zeros(n)))
    table.show()
    table.select_row(9_000)
    assert (
        table._view.viewport()
        .rect()
        .contains(table._view.visualRect(table._view.currentIndex()).center())
    )


def test_another_filter_is_told(filled, qtbot):
    with qtbot.waitSignal(filled.filtered):
        limit(filled, "photons", "150")
    assert filled.shown_rows().tolist() == [0, 3, 4]


def test_an_empty_table_can_be_sorted(table):
    assert table._count.text() == "0 localizations"
    sort(table, "frame")
    assert table.selected_rows().tolist() == []


def test_a_million_rows_are_sorted_filtered_and_painted_without_looking_at_each(table, qtbot):
    n = 1_000_000
    generator = np.random.default_rng(0)
    asked = []
    data, row_count = table._model.data, table._model.rowCount
    table._model.data = lambda index, role: asked.append("data") or data(index, role)
    table._model.rowCount = lambda *parent: asked.append("rows") or row_count(*parent)
    table.resize(360, 400)
    table.show()
    photons = generator.exponential(1000, n)
    table.set_localizations(
        Localizations(frame=np.arange(n), y_nm=np.zeros(n), x_nm=np.zeros(n), photons=photons)
    )
    sort(table, "photons", Qt.SortOrder.DescendingOrder)
    limit(table, "photons", "1000")
    table._view.selectAll()
    table._view.verticalScrollBar().setValue(200_000)
    table.grab()
    np.testing.assert_array_equal(
        photons[table.shown_rows()], np.sort(photons[photons >= 1000])[::-1]
    )
    assert set(asked) == {"data", "rows"}
    assert len(asked) < 20_000
