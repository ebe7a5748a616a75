"""Rows of a title and a control, in the columns of the forms, with what is wrong below each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QGridLayout, QWidget

from napari_dl4smlm.widgets.forms.columns import title_label, two_columns
from napari_dl4smlm.widgets.wrapped_text import WrappedText

if TYPE_CHECKING:
    from napari_dl4smlm.widgets.data.events import Fault


class TitledRows(QWidget):
    """Rows of a title and a control each."""

    def __init__(self) -> None:
        super().__init__()
        self._grid = two_columns(QGridLayout(self))
        self._faults: dict[str, Message] = {}

    def add(self, name: str, title: str, control: QWidget, tooltip: str = "") -> None:
        """Add a row that faults of this name are about."""
        row = self._grid.rowCount()
        control.setToolTip(tooltip)
        self._faults[name] = Message()
        self._grid.addWidget(title_label(title, tooltip), row, 0)
        self._grid.addWidget(control, row, 1)
        self._grid.addWidget(self._faults[name], row + 1, 0, 1, 2)

    def show_fault(self, fault: Fault | None) -> bool:
        """Show a fault below its row, and no other; return whether it has a row here."""
        for message in self._faults.values():
            message.show_fault("")
        if fault is None or fault.field not in self._faults:
            return False
        self._faults[fault.field].show_fault(fault.message)
        return True


class Message(WrappedText):
    """A text that takes no room as long as there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.setVisible(False)

    def show_text(self, text: str) -> None:
        """Show a text; an empty one hides it."""
        self.setPlainText(text)
        self.setVisible(bool(text))

    def show_fault(self, message: str) -> None:
        """Show what is wrong; an empty message hides it."""
        self.show_text(message and f"⚠ {message}")
