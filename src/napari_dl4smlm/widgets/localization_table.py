"""Localizations in a table that sorts and filters a million rows at once."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qtpy.QtCore import (
    QAbstractTableModel,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    Qt,
    Signal,
)
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QSizePolicy,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.widgets.forms.number_box import NumberBox
from napari_dl4smlm.widgets.forms.titled_rows import Message

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Column(NamedTuple):
    """How a column is shown."""

    header: str
    explanation: str
    number_format: str


# in the order of the table; names and units as in the tables of ThunderSTORM
_COLUMNS = {
    "frame": Column("frame", "counted from 0, as napari does; saved tables count from 1", "d"),
    "x_nm": Column("x [nm]", "position to the right of the movie's left edge", ".1f"),
    "y_nm": Column("y [nm]", "position below the movie's upper edge", ".1f"),
    "photons": Column("photons", "detected photons of the molecule", ".0f"),
    "sigma_nm": Column("sigma [nm]", "standard deviation of the fitted spot", ".1f"),
    "background": Column("background", "photons per camera pixel under the spot", ".1f"),
    "uncertainty_nm": Column("uncertainty [nm]", "standard error of the position", ".1f"),
    "confidence": Column(
        "confidence", "probability of an emitter; its density, if not calibrated", ".3g"
    ),
    "id": Column("id", "row in the file that the localization was read from", "d"),
}

_MOST_RESTORED_PARTS = 1000
_LOWEST_PX = 150


class LocalizationModel(QAbstractTableModel):
    """A view of localizations in some order and without some of them; no row is ever copied.

    Attributes
    ----------
    rows
        Which localization each shown row is, shape (shown rows,).
    """

    def __init__(self) -> None:
        super().__init__()
        self._columns: list[tuple[Column, NDArray[Any]]] = []
        self._order: NDArray[np.intp] = np.empty(0, np.intp)
        self._kept: NDArray[np.bool_] = np.empty(0, np.bool_)
        self._sorted_by = (-1, Qt.SortOrder.AscendingOrder)
        self.rows: NDArray[np.intp] = self._order

    def set_localizations(self, localizations: Localizations) -> None:
        """Show all of a table; sorted as before, where the columns are the same."""
        present = localizations.columns()
        headers = self.headers()
        self.beginResetModel()
        self._columns = [
            (column, present[name]) for name, column in _COLUMNS.items() if name in present
        ]
        self._kept = np.ones(len(localizations), np.bool_)
        if self.headers() != headers:
            self._sorted_by = (-1, Qt.SortOrder.AscendingOrder)
        self._order = self._ordered(len(localizations))
        self.rows = self._order
        self.endResetModel()

    def headers(self) -> list[str]:
        """Return the names of the columns."""
        return [column.header for column, _ in self._columns]

    def keep(self, column: int, lowest: float | None, highest: float | None) -> None:
        """Show only rows whose value lies between two limits, which are included.

        Without any limit all rows are shown; with one, those without a value (NaN) are not.
        """
        values = self._columns[column][1]
        kept = np.ones(len(values), np.bool_)
        if lowest is not None:
            kept &= values >= lowest
        if highest is not None:
            kept &= values <= highest
        self._kept = kept
        self._arrange()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column, rows without a value last; -1 is the order of the table."""
        self._sorted_by = (column, order)
        self._order = self._ordered(len(self._order))
        self._arrange()

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """Return the number of rows that are shown."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """Return the number of columns."""
        return 0 if parent.isValid() else len(self._columns)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the text of a number, or how it is aligned."""
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role != Qt.ItemDataRole.DisplayRole or not index.isValid():
            return None
        column, values = self._columns[index.column()]
        value = values[self.rows[index.row()]]
        return "" if np.isnan(value) else format(value, column.number_format)

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Return the name of a column, or what it means."""
        if orientation == Qt.Orientation.Horizontal and section < len(self._columns):
            column, _ = self._columns[section]
            if role == Qt.ItemDataRole.DisplayRole:
                return column.header
            if role == Qt.ItemDataRole.ToolTipRole:
                return column.explanation
        return None

    def _ordered(self, n_rows: int) -> NDArray[np.intp]:
        column, order = self._sorted_by
        if column < 0:
            return np.arange(n_rows)
        values = self._columns[column][1]
        # numpy puts NaN last, and the negative of NaN is NaN
        ascending = order == Qt.SortOrder.AscendingOrder
        return np.argsort(values if ascending else -values, kind="stable")

    def _arrange(self) -> None:
        self.beginResetModel()
        self.rows = self._order[self._kept[self._order]]
        self.endResetModel()


class LocalizationTable(QWidget):
    """A table of localizations, with a filter above it and their number below.

    A click on a header sorts. What is selected stays so while it is shown, unless it ends up
    scattered over more than a thousand places.

    Attributes
    ----------
    row_selected
        Emitted with the number of a localization in the unsorted table when the user has made it
        the current one.
    filtered
        Emitted when other localizations may be shown; see :meth:`shown_rows`.
    fault
        Why a limit does not count: it is no number. Empty if nothing is wrong.
    """

    row_selected = Signal(int)
    filtered = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._model = LocalizationModel()
        self._header = _header()
        self._selection = QItemSelectionModel(self._model, self)
        self._view = _view_of(self._selection, self._header)
        self._current: int | None = None
        self._selected: NDArray[np.intp] = np.empty(0, np.intp)
        self._n_localizations = 0
        self._column = QComboBox()
        self._column.setToolTip("Column whose values are limited")
        self._lowest, self._highest = NumberBox(arrows=False), NumberBox(arrows=False)
        self._lowest.set_placeholder("min")
        self._highest.set_placeholder("max")
        self.fault = ""
        self._fault_message = Message()
        self._count = QLabel()
        self._column.currentIndexChanged.connect(lambda _: self._filter())
        for box in (self._lowest, self._highest):
            box.changed.connect(self._filter)
        self._selection.currentRowChanged.connect(self._on_current)
        self._model.modelAboutToBeReset.connect(self._remember_selection)
        self._model.modelReset.connect(self._restore_selection)
        self._arrange()
        self.set_localizations(Localizations.empty())

    def set_localizations(self, localizations: Localizations) -> None:
        """Show another table; the filter and the sorting stay where it has the same columns."""
        self._view.setCurrentIndex(QModelIndex())
        self._view.clearSelection()
        headers = self._model.headers()
        self._model.set_localizations(localizations)
        self._n_localizations = len(localizations)
        if self._model.headers() != headers:
            self._header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
            self._column.clear()
            self._column.addItems(self._model.headers())
        self._view.resizeColumnsToContents()
        self._filter()

    def selected_rows(self) -> NDArray[np.intp]:
        """Return which localizations are selected, as numbers in the unsorted table, rising."""
        selection = self._selection.selection()
        parts = [selection[number] for number in range(len(selection))]
        shown = [self._model.rows[part.top() : part.bottom() + 1] for part in parts]
        return np.unique(np.concatenate(shown)) if shown else np.empty(0, np.intp)

    def shown_rows(self) -> NDArray[np.intp]:
        """Return which localizations pass the filter, in the order in which they are shown."""
        return self._model.rows

    def select_row(self, number: int) -> None:
        """Select a localization and scroll to it; nothing is selected if the filter hides it.

        `row_selected` is not emitted: whoever calls this knows.
        """
        rows = np.flatnonzero(self._model.rows == number).tolist()
        index = self._model.index(rows[0], 0) if rows else QModelIndex()
        self._current = number if rows else None
        flags = QItemSelectionModel.SelectionFlag
        self._selection.setCurrentIndex(index, flags.ClearAndSelect | flags.Rows)
        self._view.scrollTo(index)

    def _filter(self) -> None:
        limits = [box.value() for box in (self._lowest, self._highest)]
        faults = [_fault_of(limit) for limit in limits]
        self.fault = next(filter(None, faults), "")
        self._fault_message.show_fault(self.fault)
        lowest, highest = (
            None if fault or limit is None else float(limit)
            for limit, fault in zip(limits, faults, strict=True)
        )
        if self._column.currentIndex() >= 0:
            self._model.keep(self._column.currentIndex(), lowest, highest)
        shown, n = len(self._model.rows), self._n_localizations
        self._count.setText(f"{n:,} localizations" if shown == n else f"{shown:,} of {n:,} pass")
        self.filtered.emit()

    def _on_current(self, index: QModelIndex) -> None:
        current = int(self._model.rows[index.row()]) if index.isValid() else None
        if current is not None and current != self._current:
            self.row_selected.emit(current)
        self._current = current

    def _remember_selection(self) -> None:
        self._selected = self.selected_rows()

    def _restore_selection(self) -> None:
        """Select what was selected before rows were sorted or filtered, as far as it is shown."""
        parts = _consecutive(np.flatnonzero(np.isin(self._model.rows, self._selected)))
        # Qt keeps a list of ranges, which a large scattered selection would make slow
        if len(parts) <= _MOST_RESTORED_PARTS:
            ranges = QItemSelection()
            last_column = self._model.columnCount() - 1
            for first, last in parts:
                ranges.select(self._model.index(first, 0), self._model.index(last, last_column))
            self._selection.select(ranges, QItemSelectionModel.SelectionFlag.Select)
        if self._current is None:
            return
        rows_of_current = np.flatnonzero(self._model.rows == self._current).tolist()
        if not rows_of_current:
            self._current = None
        for row in rows_of_current:
            current = self._model.index(row, 0)
            self._selection.setCurrentIndex(current, QItemSelectionModel.SelectionFlag.NoUpdate)
            self._view.scrollTo(current)

    def _arrange(self) -> None:
        above = QHBoxLayout()
        for control in (self._column, self._lowest, self._highest):
            above.addWidget(control, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(above)
        layout.addWidget(self._fault_message)
        layout.addWidget(self._view, 1)
        layout.addWidget(self._count)


def _fault_of(limit: float | str | None) -> str:
    """Say why a limit is none, and how it would be one; empty if nothing is wrong."""
    if limit is None or (isinstance(limit, int | float) and not math.isnan(limit)):
        return ""
    # the comma of 1,000 may mean either
    is_decimal = re.fullmatch(r"[+-]?\d*,(\d{1,2}|\d{4,})", str(limit))
    instead = str(limit).replace(",", ".") if is_decimal else "a number such as 0.9 or 1000"
    return f"{str(limit)!r} is no number, so that it limits nothing. Write {instead}."


def _header() -> QHeaderView:
    header = QHeaderView(Qt.Orientation.Horizontal)
    header.setSectionsClickable(True)
    # the third click on a header is back to the order of the table
    header.setSortIndicatorClearable(True)
    header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
    header.setStretchLastSection(True)
    # as wide as the first rows need: looking at a million takes seconds
    header.setResizeContentsPrecision(100)
    return header


def _view_of(selection: QItemSelectionModel, header: QHeaderView) -> QTableView:
    view = QTableView()
    view.setModel(selection.model())
    view.setHorizontalHeader(header)
    view.setSelectionModel(selection)
    # a header asks every row whether a whole column is selected: in a selection of its own, none is
    header.setSelectionModel(QItemSelectionModel(selection.model(), header))
    view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    view.setWordWrap(False)
    # it takes the height that is left over, and of its own only a few rows
    view.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
    view.setMinimumHeight(_LOWEST_PX)
    view.setSortingEnabled(True)
    rows = QHeaderView(Qt.Orientation.Vertical)
    rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    rows.setDefaultSectionSize(view.fontMetrics().height() + 6)
    view.setVerticalHeader(rows)
    rows.hide()
    return view


def _consecutive(positions: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Return the first and the last of each run of consecutive numbers."""
    if not len(positions):
        return []
    gaps = np.flatnonzero(np.diff(positions) > 1)
    firsts = positions[np.r_[0, gaps + 1]]
    lasts = positions[np.r_[gaps, len(positions) - 1]]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))
