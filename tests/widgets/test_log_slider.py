"""A number and its slider always agree, and the default is never far."""

from __future__ import annotations

import pytest

pytest.importorskip("pytestqt")

from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QPushButton, QSlider

from napari_dl4smlm.widgets.forms.log_slider import LogSliderEditor
from napari_dl4smlm.widgets.forms.number_box import NumberBox

pytestmark = pytest.mark.gui


@pytest.fixture
def editor(qtbot):
    editor = LogSliderEditor(accepts=lambda number: number > 0, lower="less", higher="more")
    qtbot.addWidget(editor)
    qtbot.addWidget(editor.below)
    editor.set_default(400.0)
    return editor


@pytest.fixture
def slider(editor):
    return editor.below.findChild(QSlider)


@pytest.fixture
def restore(editor):
    return editor.below.findChild(QPushButton)


def share(slider):
    """Where the handle is, from 0 at the lower end to 1."""
    return (slider.value() - slider.minimum()) / (slider.maximum() - slider.minimum())


@pytest.mark.parametrize(
    ("number", "place"), [(4.0, 0), (40.0, 0.25), (400.0, 0.5), (None, 0.5), (4e4, 1), (1e9, 1)]
)
def test_the_slider_shows_a_number_on_a_scale_of_two_decades_to_both_sides(
    editor, slider, number, place
):
    editor.set_value(number)

    assert share(slider) == place
    # also of what lies beyond its ends
    assert editor.value() == number


@pytest.mark.parametrize(("place", "number"), [(-100, 4.0), (-50, 40.0), (15, 800.0), (100, 4e4)])
def test_the_slider_enters_numbers_of_two_digits(editor, slider, qtbot, place, number):
    with qtbot.waitSignal(editor.changed):
        slider.setValue(place)

    assert editor.value() == number
    assert editor.findChild(NumberBox).value() == number
    assert slider.value() == place


def test_in_its_middle_and_with_the_button_the_default_comes_back(editor, slider, restore, qtbot):
    slider.setValue(7)
    assert editor.value() is not None
    slider.setValue(0)
    assert editor.value() is None
    assert not restore.isEnabled()

    editor.set_value(3.0)
    qtbot.mouseClick(restore, Qt.MouseButton.LeftButton)

    assert editor.value() is None
    assert share(slider) == 0.5


def test_with_another_default_a_number_stays_and_the_handle_moves(editor, slider):
    editor.set_value(400.0)

    editor.set_default(40.0)

    assert editor.value() == 400.0
    assert share(slider) == 0.75
    assert "40" in slider.toolTip()


@pytest.mark.parametrize("text", ["many", "-3", "0", "nan"])
def test_what_is_no_number_above_zero_leaves_the_handle_where_it_is(editor, slider, text):
    editor.set_value(4000.0)
    editor.findChild(NumberBox).lineEdit().setText(text)

    assert share(slider) == 0.75
    assert editor.value() is not None


def test_without_a_default_the_slider_waits(qtbot):
    editor = LogSliderEditor(accepts=lambda number: number > 0, lower="less", higher="more")
    qtbot.addWidget(editor)
    qtbot.addWidget(editor.below)
    slider = editor.below.findChild(QSlider)

    editor.set_value(12.0)
    assert not slider.isEnabled()

    editor.set_default(12.0)
    assert slider.isEnabled()
    assert share(slider) == 0.5


def test_the_wheel_scrolls_past_the_slider(editor, slider):
    editor.below.show()
    place = QPointF(slider.rect().center())
    event = QWheelEvent(
        place,
        QPointF(slider.mapToGlobal(slider.rect().center())),
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(slider, event)

    assert editor.value() is None
    assert share(slider) == 0.5
