"""Labelled rows, in the columns of the forms, with what is wrong below the row it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

from napari_dl4smlm.widgets.wrapped_text import WrappedText

if TYPE_CHECKING:
    from napari_dl4smlm.widgets.data.events import Fault
    from napari_dl4smlm.widgets.forms.field_editors import Editor

_LABEL_SHARE, _FIELD_SHARE = 2, 3


class DataRows(QWidget):
    """Rows of a title and an editor each."""

    def __init__(self) -> None:
        super().__init__()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setColumnStretch(0, _LABEL_SHARE)
        self._grid.setColumnStretch(1, _FIELD_SHARE)
        self._faults: dict[str, Message] = {}

    def add(self, name: str, title: str, editor: Editor, tooltip: str) -> None:
        """Add a row that faults of this name are about."""
        row = self._grid.rowCount()
        label = QLabel(title)
        label.setWordWrap(True)
        label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        for widget in (label, editor):
            widget.setToolTip(tooltip)
        self._faults[name] = Message()
        self._grid.addWidget(label, row, 0)
        self._grid.addWidget(editor, row, 1)
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
