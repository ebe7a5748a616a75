"""The two columns that the rows of all forms have: titles on the left, controls on the right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy

if TYPE_CHECKING:
    from napari_dl4smlm.widgets.forms.field_editors import Editor

_INDENT_PX = 12
_LABEL_SHARE, _FIELD_SHARE = 2, 3


def two_columns(grid: QGridLayout) -> QGridLayout:
    """Give a grid the widths of these columns, and return it."""
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setColumnStretch(0, _LABEL_SHARE)
    grid.setColumnStretch(1, _FIELD_SHARE)
    return grid


def title_label(title: str, tooltip: str = "", level: int = 0) -> QLabel:
    """Make the title of a row; those of groups inside groups are indented by their level."""
    label = QLabel(title)
    label.setWordWrap(True)
    # no wider than its column, however long it is
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    label.setIndent(level * _INDENT_PX)
    label.setToolTip(tooltip)
    return label


def editor_row(title: str, tooltip: str, editor: Editor) -> QGridLayout:
    """Make a row of a title and an editor, with what belongs to the editor below."""
    row = two_columns(QGridLayout())
    row.addWidget(title_label(title, tooltip), 0, 0)
    row.addWidget(editor, 0, 1)
    if editor.below is not None:
        row.addWidget(editor.below, 1, 0, 1, 2)
    return row
