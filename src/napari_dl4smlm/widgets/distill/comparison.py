"""What a student costs beside its teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_dl4smlm.widgets.forms.note import note
from napari_dl4smlm.widgets.forms.titled_rows import Message
from napari_dl4smlm.widgets.training.facts import gflop_text, parameters_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dl4smlm.widgets.distill.outline import Outline, Pair

_COLUMNS = ("teacher", "student", "ratio")
_ABOUT_RATIO = "What the student takes, in percent of what the teacher takes"
_UNKNOWN = "–"
_NOT_SMALLER = (
    "The student takes as much computation as its teacher, or more: predictions will not be "
    "faster. Choose fewer channels or blocks, or another network."
)


class CostComparison(QWidget):
    """A table of two rows: parameters, and computation per frame."""

    def __init__(self) -> None:
        super().__init__()
        self._titles = note("Parameters"), note()
        self._titles[0].setToolTip("Numbers that a network learns")
        self._cells = [[_cell() for _ in _COLUMNS] for _ in self._titles]
        self._not_smaller = Message()
        table = QWidget()
        grid = QGridLayout(table)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(0, 2)
        for column, text in enumerate(_COLUMNS, start=1):
            title = _cell(text)
            title.setToolTip(_ABOUT_RATIO if text == "ratio" else "")
            grid.addWidget(title, 0, column)
        for row, title in enumerate(self._titles, start=1):
            grid.addWidget(title, row, 0)
            for column, cell in enumerate(self._cells[row - 1], start=1):
                grid.addWidget(cell, row, column)
                grid.setColumnStretch(column, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(table)
        layout.addWidget(self._not_smaller)

    def show_pair(self, pair: Pair, frame_px: tuple[int, int]) -> None:
        """Show what two networks cost, as far as they are known.

        Parameters
        ----------
        pair
            The networks.
        frame_px
            Height and width of the frame that their operations are counted for.
        """
        height, width = frame_px
        self._titles[1].setText(f"GFLOP per frame\n{height} × {width} px")
        self._titles[1].setToolTip(
            "10⁹ floating-point operations to predict one frame: what the speed depends on most"
        )
        self._show_row(0, pair, lambda network: network.parameters, parameters_text)
        self._show_row(1, pair, lambda network: network.operations, gflop_text)
        teacher, student = pair
        is_smaller = teacher is None or student is None or student.operations < teacher.operations
        self._not_smaller.show_fault("" if is_smaller else _NOT_SMALLER)

    def text(self) -> str:
        """Return the table with one line for each row."""
        return "\n".join(" ".join(cell.text() for cell in row) for row in self._cells)

    def _show_row(
        self, row: int, pair: Pair, count: Callable[[Outline], int], text: Callable[[int], str]
    ) -> None:
        counts = [None if network is None else count(network) for network in pair]
        teacher, student = counts
        ratio = None if teacher is None or student is None else student / teacher
        texts = [_UNKNOWN if number is None else text(number) for number in counts]
        texts.append(_UNKNOWN if ratio is None else _percent(ratio))
        for cell, shown in zip(self._cells[row], texts, strict=True):
            cell.setText(shown)


def _cell(text: str = _UNKNOWN) -> QLabel:
    label = QLabel(text)
    label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return label


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.2g} %" if ratio < 0.1 else f"{100 * ratio:,.0f} %"
