"""Files and folders that are dropped on a row are chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pytestqt")

from napari.layers import Image
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QComboBox, QStylePainter

from napari_dl4smlm.widgets.sources.source_box import MOVIE_FILES, SourceBox

pytestmark = pytest.mark.gui


@pytest.fixture
def box_of(qtbot):
    def box_of(*, folders):
        box = SourceBox(
            accepts=lambda layer: isinstance(layer, Image),
            prefers=lambda layer: layer.ndim > 2,
            files=MOVIE_FILES,
            folders=folders,
        )
        qtbot.addWidget(box)
        box.show()
        return box

    return box_of


def drop(box, *urls):
    """Drop files as the window system does; return whether they were taken."""
    data = QMimeData()
    data.setUrls(list(urls))
    action, button, key = (
        Qt.DropAction.CopyAction,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    enter = QDragEnterEvent(QPoint(5, 5), action, data, button, key)
    enter.ignore()
    QApplication.sendEvent(box, enter)
    if enter.isAccepted():
        QApplication.sendEvent(box, QDropEvent(QPointF(5, 5), action, data, button, key))
    return enter.isAccepted()


def local(path):
    return QUrl.fromLocalFile(str(path))


def test_a_file_that_is_dropped_is_chosen(box_of, qtbot, tmp_path):
    box = box_of(folders=True)
    path = tmp_path / "my movie ü.tif"
    path.touch()

    with qtbot.waitSignal(box.changed):
        assert drop(box, local(path))

    assert box.value() == path
    assert box.findChild(QComboBox).currentText() == "my movie ü.tif"


@pytest.mark.parametrize("folders", [True, False])
def test_a_folder_that_is_dropped_is_chosen_where_folders_may_be(box_of, tmp_path, folders):
    box = box_of(folders=folders)

    assert drop(box, local(tmp_path)) is folders

    assert box.value() == (tmp_path if folders else None)


def test_several_files_and_those_of_other_machines_are_left_to_the_viewer(box_of):
    box = box_of(folders=True)

    assert not drop(box, local("/d/a.tif"), local("/d/b.tif"))
    assert not drop(box, QUrl("https://example.org/movie.tif"))
    assert not drop(box)
    assert box.value() is None


def test_the_whole_name_of_a_layer_is_told_also_after_it_was_renamed(box_of):
    layer = Image(np.zeros((2, 3, 3)), name="a")
    box = box_of(folders=False)
    box.set_layers([layer])
    layer.name = "localizations: other filaments (m) processed"
    box.set_layers([layer])
    combo = box.findChild(QComboBox)
    assert combo.parentWidget().toolTip() == layer.name
    assert combo.itemData(1, Qt.ItemDataRole.ToolTipRole) == layer.name


def test_of_a_long_name_both_ends_are_seen(box_of, monkeypatch):
    box = box_of(folders=False)
    combo = box.findChild(QComboBox)
    combo.resize(150, 24)
    drawn = []
    monkeypatch.setattr(
        QStylePainter, "drawControl", lambda self, element, shown: drawn.append(shown.currentText)
    )
    for name in ("short", "localizations: other filaments (m) processed"):
        box.set_layers([Image(np.zeros((2, 3, 3)), name=name)])
        combo.grab()
    assert drawn[0] == "short"
    assert drawn[-1].startswith("local")
    assert drawn[-1].endswith("ssed")
    assert combo.fontMetrics().horizontalAdvance(drawn[-1]) < 150


def test_what_was_chosen_by_itself_is_replaced_by_itself_and_what_the_user_chose_is_not(box_of):
    first, second, third = (Image(np.zeros((2, 3, 3)), name=name) for name in "abc")
    box = box_of(folders=False)
    box.set_layers([first])
    assert box.value() is first

    box.set_layers([second])
    assert box.value() is second
    assert box.fault() == ""

    box.set_layers([second, third])
    assert box.value() is second
    box.set_value(third)
    box.set_layers([second])
    assert box.value() is None
    assert "'c' was removed" in box.fault()
    box.set_value(Path("/d/movie.tif"))
    assert box.fault() == ""
