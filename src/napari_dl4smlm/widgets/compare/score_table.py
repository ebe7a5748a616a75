"""The scores of all models as a table: a row for each model, and the columns of one group."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QFont
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_dl4smlm.widgets.forms.titled_rows import Message

if TYPE_CHECKING:
    from napari_dl4smlm.backend.evaluation.comparison.columns import Column
    from napari_dl4smlm.backend.evaluation.comparison.table import (
        Cell,
        ComparisonTable,
        Section,
    )

MARKS = {"best": " ★", "among the best": " ~", "": ""}
_LEGEND = (
    "★ best, by more than chance · ~ among the best · below a value: its 95 % interval, or the "
    "fastest and the slowest batch"
)
_STANDINGS = {
    "best": "Better than every other model, by more than chance.",
    "among the best": "Cannot be told from the best value, while another model can.",
    "": "",
}
_HEADER_LETTERS = 13
_LABEL_PX = 110
_MOST_ROWS_SHOWN = 6
_LARGE_PX = (1100, 320)


class ScoreModel(QAbstractTableModel):
    """Some columns of a comparison's table, with the models in some order."""

    def __init__(self) -> None:
        super().__init__()
        self._table: ComparisonTable | None = None
        self._sections: list[Section] = []
        self._columns: list[tuple[Section, Column]] = []
        self._labels: list[str] = []
        self._sorted_by = ("", Qt.SortOrder.AscendingOrder)

    def show(self, table: ComparisonTable, title: str | None) -> None:
        """Show the group of this title, or all; sorted as before, where that column is shown."""
        self.beginResetModel()
        self._table = table
        self._columns = [
            (section, column)
            for section in table.sections
            for column in section.group.columns
            if title in (None, section.group.title)
        ]
        self._arrange()
        self.endResetModel()

    def labels(self) -> list[str]:
        """Return the models in the order in which they are shown."""
        return list(self._labels)

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column, models without a value last; -1 is the order of the comparison."""
        name = self._columns[column][1].name if 0 <= column < len(self._columns) else ""
        self._sorted_by = (name, order)
        self.beginResetModel()
        self._arrange()
        self.endResetModel()

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """Return the number of models."""
        return 0 if parent.isValid() else len(self._labels)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """Return the number of columns that are shown."""
        return 0 if parent.isValid() else len(self._columns)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return a number with its interval and its mark, or what they mean."""
        if not index.isValid() or self._table is None:
            return None
        _, column = self._columns[index.column()]
        cell = self._table.cells(column.name)[self._labels[index.row()]]
        if role == Qt.ItemDataRole.DisplayRole:
            return _text(column, cell)
        if role == Qt.ItemDataRole.ToolTipRole:
            return _about(column, cell)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.FontRole and cell.standing == "best":
            font = QFont()
            font.setBold(True)
            return font
        return None

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Return the name of a column or a model, or what it means."""
        if orientation == Qt.Orientation.Vertical:
            is_known = 0 <= section < len(self._labels)
            shown = role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole)
            return self._labels[section] if is_known and shown else None
        if not 0 <= section < len(self._columns):
            return None
        group, column = self._columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return textwrap.fill(column.title, _HEADER_LETTERS)
        if role == Qt.ItemDataRole.ToolTipRole:
            better = f" {column.better.capitalize()} is better." if column.better else ""
            return textwrap.fill(
                f"{column.title}.{better} {column.assumption} {group.group.assumption}", 80
            )
        return None

    def _arrange(self) -> None:
        """Order the models by the column that was clicked, if it is shown."""
        assert self._table is not None or not self._columns
        labels = [] if self._table is None else list(self._table.labels)
        name, order = self._sorted_by
        if self._table is not None and name in {column.name for _, column in self._columns}:
            values = {
                label: cell.value
                for label, cell in self._table.cells(name).items()
                if cell.value is not None
            }
            known = sorted(
                values, key=values.__getitem__, reverse=order == Qt.SortOrder.DescendingOrder
            )
            labels = [*known, *(label for label in labels if label not in values)]
        self._labels = labels


class ScoreView(QTableView):
    """A table of scores; a click on a header sorts, and names of models stay in sight.

    Attributes
    ----------
    label_picked
        Emitted with the label of the model whose row the user has made the current one.
    """

    label_picked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.scores = ScoreModel()
        self.setModel(self.scores)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        header, rows = self.horizontalHeader(), self.verticalHeader()
        assert header is not None
        assert rows is not None
        # the third click on a header is back to the order of the comparison
        header.setSortIndicatorClearable(True)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(2 * self.fontMetrics().height() + 8)
        rows.setMaximumWidth(_LABEL_PX)
        rows.setSectionsClickable(True)
        self.setSortingEnabled(True)
        self._is_selecting = False
        selection = self.selectionModel()
        assert selection is not None
        selection.currentRowChanged.connect(self._on_current)

    def show_table(self, table: ComparisonTable, title: str | None) -> None:
        """Show the group of this title, or all columns; the selected model stays selected."""
        label = self.selected_label()
        self.scores.show(table, title)
        self.select_label(label)

    def selected_label(self) -> str:
        """Return the model whose row is selected; empty for none."""
        row = self.currentIndex().row()
        labels = self.scores.labels()
        return labels[row] if 0 <= row < len(labels) else ""

    def select_label(self, label: str) -> None:
        """Select the row of a model, if there is one; `label_picked` is not emitted."""
        self._is_selecting = True
        if label in self.scores.labels():
            self.selectRow(self.scores.labels().index(label))
        else:
            self.clearSelection()
            self.setCurrentIndex(QModelIndex())
        self._is_selecting = False

    def _on_current(self, index: QModelIndex) -> None:
        if index.isValid() and not self._is_selecting:
            self.label_picked.emit(self.scores.labels()[index.row()])


class ScoreTable(QWidget):
    """The table of a comparison, one group of columns at a time, and a window with all of them.

    Attributes
    ----------
    label_picked
        As that of `ScoreView`.
    """

    label_picked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._table: ComparisonTable | None = None
        self._group = QComboBox()
        self._group.setToolTip("Which numbers are shown")
        self._large_button = QPushButton("Large…")
        self._large_button.setToolTip("Show all numbers in a window of their own")
        self._view = ScoreView()
        self._legend = Message()
        self._large: QDialog | None = None
        self._large_view: ScoreView | None = None
        self._group.currentIndexChanged.connect(lambda _: self._show())
        self._large_button.clicked.connect(self.open_large)
        self._view.label_picked.connect(self.label_picked)
        above = QHBoxLayout()
        above.addWidget(self._group, 1)
        above.addWidget(self._large_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(above)
        layout.addWidget(self._view)
        layout.addWidget(self._legend)

    def show_table(self, table: ComparisonTable) -> None:
        """Show a table, with the group that was chosen if it has that."""
        self._table = table
        chosen = self._group.currentText()
        titles = [section.group.title for section in table.sections]
        blocked = self._group.blockSignals(True)
        self._group.clear()
        self._group.addItems(titles)
        self._group.setCurrentIndex(titles.index(chosen) if chosen in titles else 0)
        self._group.blockSignals(blocked)
        self._show()
        if self._large_view is not None:
            self._large_view.show_table(table, None)

    def choose_group(self, title: str) -> None:
        """Show the columns of another group."""
        self._group.setCurrentText(title)

    def select_label(self, label: str) -> None:
        """Select the row of a model."""
        self._view.select_label(label)
        if self._large_view is not None:
            self._large_view.select_label(label)

    def open_large(self) -> None:
        """Show all columns in a window of their own, which follows this table."""
        if self._table is None:
            return
        if self._large is None:
            self._large = QDialog(self)
            self._large.setWindowTitle("Comparison of models")
            self._large.resize(*_LARGE_PX)
            self._large_view = ScoreView()
            self._large_view.label_picked.connect(self.label_picked)
            legend = Message()
            legend.show_text(_LEGEND)
            layout = QVBoxLayout(self._large)
            layout.addWidget(self._large_view)
            layout.addWidget(legend)
        assert self._large_view is not None
        self._large_view.show_table(self._table, None)
        self._large.show()
        self._large.raise_()

    def _show(self) -> None:
        if self._table is None:
            return
        title = self._group.currentText()
        self._view.show_table(self._table, title)
        (group,) = (s.group for s in self._table.sections if s.group.title == title)
        self._legend.show_text(f"{_LEGEND}\n{group.assumption}")
        self._fit_height()

    def _fit_height(self) -> None:
        """Be as high as the models need, up to a number of them."""
        header, rows = self._view.horizontalHeader(), self._view.verticalHeader()
        bar = self._view.horizontalScrollBar()
        assert header is not None
        assert rows is not None
        assert bar is not None
        count = min(len(self._view.scores.labels()), _MOST_ROWS_SHOWN)
        self._view.setFixedHeight(
            header.sizeHint().height()
            + count * rows.defaultSectionSize()
            + bar.sizeHint().height()
            + 2 * self._view.frameWidth()
        )


def _text(column: Column, cell: Cell) -> str:
    if cell.value is None:
        return "–"
    text = f"{column.text(cell.value)}{MARKS[cell.standing]}"
    if cell.interval is None:
        return text
    return f"{text}\n{column.text(cell.interval.low)} to {column.text(cell.interval.high)}"


def _about(column: Column, cell: Cell) -> str:
    """Say what is known about a number, beside what is seen of it."""
    if cell.value is None:
        return cell.problem or "not measured"
    parts = [column.title, _STANDINGS[cell.standing]]
    behind = cell.behind
    if behind is not None:
        apart = f"{column.text(behind.value)} {column.unit}".strip()
        if behind.interval is not None:
            low, high = (column.text(end) for end in (behind.interval.low, behind.interval.high))
            apart += f", 95 % interval of the paired difference: {low} to {high}"
        parts.append(f"Difference to the best value: {apart}")
    return "\n".join(filter(None, parts))
