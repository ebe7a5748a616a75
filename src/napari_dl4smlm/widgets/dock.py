"""What all dock widgets of the plugin look like: one column, of one width, that scrolls."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_dl4smlm.widgets.closing import closes

_WIDTH_PX = 360


class DockWidget(QWidget):
    """A widget for napari's docks; who inherits fills it once with `set_column`."""

    def __init__(self) -> None:
        super().__init__()
        self._scroll = QScrollArea()
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setWidgetResizable(True)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(_WIDTH_PX)

    def sizeHint(self) -> QSize:
        """Return the width that all widgets of the plugin have, and any height."""
        return QSize(_WIDTH_PX, super().sizeHint().height())

    def event(self, event: QEvent | None) -> bool:
        """Tell whoever inherits when the widget or its viewer was closed."""
        handled = super().event(event)
        if event is not None and closes(event, self):
            # a viewer that is closed hides; a dock that is closed gives its widget away
            self.on_closed(viewer_stays=event.type() == QEvent.Type.ParentChange)
        return handled

    def on_closed(self, *, viewer_stays: bool) -> None:
        """Stop what runs, and let go of the viewer; the widget may be shown again later.

        Parameters
        ----------
        viewer_stays
            Whether the widget alone was closed, so that its results can still be shown.
        """

    def set_column(self, column: QVBoxLayout, footer: QWidget | None = None) -> None:
        """Lay out what scrolls and, below it, what always stays in sight."""
        content = QWidget()
        content.setLayout(column)
        self._scroll.setWidget(content)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._scroll, 1)
        if footer is not None:
            outer.addWidget(footer)

    def scroll_to(self, part: QWidget) -> None:
        """Bring a part of the column into sight."""
        self._scroll.ensureWidgetVisible(part)
