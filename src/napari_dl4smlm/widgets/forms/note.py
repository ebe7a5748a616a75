"""A text that explains the rows around it."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QSizePolicy


def note(text: str = "") -> QLabel:
    """Make a label that is never wider than its column."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setIndent(0)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return label
