"""A text to read and copy that is never wider than its column."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QTextOption
from qtpy.QtWidgets import QSizePolicy, QTextEdit

if TYPE_CHECKING:
    from qtpy.QtGui import QResizeEvent


class WrappedText(QTextEdit):
    """Read-only text, as high as it has lines, that breaks within long paths too."""

    def __init__(self) -> None:
        super().__init__()
        self.setReadOnly(True)
        self.setAcceptRichText(False)
        # as the labels around it, also where the style of the viewer makes text areas a box
        self.setStyleSheet("border: 0; padding: 0; background: transparent")
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        document = self.document()
        assert document is not None
        document.setDocumentMargin(0)
        # within the event, the text would be laid out for the height that it had before
        self._resized = QTimer(self)
        self._resized.setSingleShot(True)
        self._resized.timeout.connect(self._fit)
        self.textChanged.connect(self._fit)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Break the lines anew."""
        super().resizeEvent(event)
        self._resized.start()

    def _fit(self) -> None:
        document = self.document()
        assert document is not None
        self.setFixedHeight(math.ceil(document.size().height()))
