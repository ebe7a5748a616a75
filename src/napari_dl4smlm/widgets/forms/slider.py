"""A slider under a number, with what its ends mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QSlider, QWidget

if TYPE_CHECKING:
    from qtpy.QtGui import QWheelEvent


class Slider(QSlider):
    """A horizontal slider that lets the form scroll."""

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Leave the wheel to the form: it must not change what happens to lie under the pointer."""
        if event is not None:
            event.ignore()


def with_ends(slider: Slider, lower: str, higher: str, middle: QWidget | None = None) -> QWidget:
    """Lay out a slider above what its lower and its higher end mean, in short lines."""
    widget = QWidget()
    grid = QGridLayout(widget)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setVerticalSpacing(2)
    grid.addWidget(slider, 0, 0, 1, 3)
    sides = (
        (0, lower, Qt.AlignmentFlag.AlignLeft),
        (2, higher, Qt.AlignmentFlag.AlignRight),
    )
    for column, text, side in sides:
        label = QLabel(text)
        label.setIndent(0)
        label.setAlignment(side | Qt.AlignmentFlag.AlignTop)
        grid.addWidget(label, 1, column)
        grid.setColumnStretch(column, 1)
    if middle is not None:
        grid.addWidget(middle, 1, 1, Qt.AlignmentFlag.AlignTop)
    return widget
