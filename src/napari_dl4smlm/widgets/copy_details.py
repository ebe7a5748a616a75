"""A button that copies what a report about a failure needs."""

from __future__ import annotations

from qtpy.QtWidgets import QApplication, QPushButton


class CopyDetails(QPushButton):
    """Copies a message, and where in the program it arose."""

    def __init__(self) -> None:
        super().__init__("Copy details")
        self._text = ""
        self.setToolTip("Copy the message and where in the program it arose, for a report")
        self.clicked.connect(self._copy)

    def set_failure(self, message: str, details: str) -> None:
        """Take what is copied."""
        self._text = f"{message}\n\n{details}"

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(self._text)
