"""When a widget is closed, of which Qt tells it nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget


def closes(event: QEvent | None, widget: QWidget) -> bool:
    """Tell whether an event means that a widget or its viewer was closed.

    A dock that is closed gives its widget away, and a viewer hides. A dock that is hidden in a
    viewer that is shown is not closed, nor is one that opens in a viewer that is not shown yet.
    """
    if event is None or event.type() not in (QEvent.Type.ParentChange, QEvent.Type.Hide):
        return False
    if event.type() == QEvent.Type.ParentChange and widget.parentWidget() is not None:
        return False
    outermost = widget
    while (parent := outermost.parentWidget()) is not None:
        outermost = parent
    return not outermost.isVisible()
