"""Figures that are drawn off the GUI thread."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("pytestqt")

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.widgets.figure_view import FigureLook, FigureView

pytestmark = pytest.mark.gui

DARK = "QWidget { background-color: #23242b; color: #f0f1f2 }"
LIGHT = "QWidget { background-color: #ebe7e6; color: #1e1e21 }"


@pytest.fixture
def view(qtbot):
    view = FigureView(10)
    view.setStyleSheet(DARK)
    qtbot.addWidget(view)
    view.resize(360, view.height())
    view.show()
    yield view
    qtbot.waitUntil(lambda: not view.is_busy)


class Drawing:
    """Draws a filled rectangle over the right half, and remembers how it was called."""

    def __init__(self):
        self.threads = []
        self.looks = []

    def __call__(self, look):
        from matplotlib.figure import Figure

        self.threads.append(threading.current_thread())
        self.looks.append(look)
        figure = Figure()
        axes = figure.add_axes((0.5, 0, 0.5, 1))
        axes.set_axis_off()
        axes.fill_between([0, 1], [1, 1], color="#ff0000")
        axes.margins(0)
        look.colour(figure)
        return figure


def corners(view):
    image = view.pixmap().toImage()
    y = image.height() // 2
    return [image.pixelColor(x, y).name() for x in (1, image.width() - 2)]


def test_a_figure_fills_the_view_in_the_colours_around_it_and_is_drawn_by_another_thread(
    view, qtbot
):
    drawing = Drawing()
    view.show_figure(drawing)
    qtbot.waitUntil(lambda: not view.pixmap().isNull())

    ratio = view.devicePixelRatioF()
    assert view.pixmap().width() == round(360 * ratio)
    assert view.pixmap().height() == round(view.height() * ratio)
    assert corners(view) == ["#23242b", "#ff0000"]
    assert threading.main_thread() not in drawing.threads


def test_it_follows_the_theme_and_the_width(view, qtbot):
    drawing = Drawing()
    view.show_figure(drawing)
    qtbot.waitUntil(lambda: not view.is_busy)

    view.setStyleSheet(LIGHT)
    qtbot.waitUntil(lambda: not view.is_busy and corners(view)[0] == "#ebe7e6")
    assert drawing.looks[0].is_dark
    assert drawing.looks[-1] == FigureLook(background="#ebe7e6", text="#1e1e21")
    assert not drawing.looks[-1].is_dark

    view.resize(250, view.height())
    qtbot.waitUntil(lambda: view.pixmap().width() == round(250 * view.devicePixelRatioF()))


def test_of_figures_that_are_asked_for_while_one_is_drawn_only_the_last_is(view, qtbot):
    begun, may_end = threading.Event(), threading.Event()
    first, last = Drawing(), Drawing()

    def slow(look):
        begun.set()
        assert may_end.wait(120)
        return first(look)

    view.show_figure(slow)
    assert begun.wait(120)
    between = [Drawing() for _ in range(5)]
    for drawing in (*between, last):
        view.show_figure(drawing)
    may_end.set()
    qtbot.waitUntil(lambda: not view.is_busy and not view.pixmap().isNull())

    assert not any(drawing.looks for drawing in between)
    assert len(last.looks) == 1


def test_a_figure_that_cannot_be_drawn_says_why_in_its_place(view, qtbot):
    def refuse(look):
        raise InputError("Some pixels are not finite.")

    view.show_figure(refuse)
    qtbot.waitUntil(lambda: view.text() == "Some pixels are not finite.")


def test_no_figure_leaves_an_empty_view(view, qtbot):
    view.show_figure(Drawing())
    qtbot.waitUntil(lambda: not view.pixmap().isNull())

    view.show_figure(None)

    assert view.pixmap().isNull()
    view.resize(200, view.height())
    assert not view.is_busy
