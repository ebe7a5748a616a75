"""The command that does in a terminal what a form does, to look at and to copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_dl4smlm.widgets.wrapped_text import WrappedText

if TYPE_CHECKING:
    from collections.abc import Sequence


class CommandPanel(QWidget):
    """Commands as text, one in each line, and a button that copies them."""

    def __init__(self) -> None:
        super().__init__()
        self._text = WrappedText()
        self._copy = QPushButton("Copy")
        self._copy.clicked.connect(self._copy_command)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._text)
        layout.addWidget(self._copy, alignment=Qt.AlignmentFlag.AlignLeft)

    def show_commands(self, commands: Sequence[str]) -> None:
        """Show commands."""
        self._text.setPlainText("\n".join(commands))
        self._copy.setEnabled(True)
        self._copy.setToolTip("Copy this to the clipboard, for a terminal")

    def show_reason(self, reason: str) -> None:
        """Say why there are none."""
        self._text.setPlainText(reason)
        self._copy.setEnabled(False)
        self._copy.setToolTip(reason)

    def text(self) -> str:
        """Return what is shown."""
        return self._text.toPlainText()

    def _copy_command(self) -> None:
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.text())
