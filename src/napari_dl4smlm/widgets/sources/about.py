"""What is known of what was chosen, or why it cannot be used, below the row of the choice."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_dl4smlm.widgets.forms.titled_rows import Message


class AboutChoice(QWidget):
    """A description and a fault, which take no room as long as they are empty."""

    def __init__(self) -> None:
        super().__init__()
        self._description, self._fault = Message(), Message()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._description)
        layout.addWidget(self._fault)
        self.tell()

    def tell(self, description: str = "", fault: str = "") -> None:
        """Show what is known, and what is wrong."""
        self._description.show_text(description)
        self._fault.show_fault(fault)
        self.setVisible(bool(description or fault))

    def description(self) -> str:
        """Return what is known."""
        return self._description.toPlainText()

    def fault(self) -> str:
        """Return what is wrong."""
        return self._fault.toPlainText()
