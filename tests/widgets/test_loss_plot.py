"""The plot of the losses, in both themes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("pytestqt")

from qtpy.QtGui import QImage

from napari_dl4smlm.widgets import loss_plot
from napari_dl4smlm.widgets.loss_curves import Epoch
from napari_dl4smlm.widgets.loss_plot import LossPlot

pytestmark = pytest.mark.gui

DARK = "QWidget { background-color: #23242b; color: #f0f1f2 }"
LIGHT = "QWidget { background-color: #ebe7e6; color: #1e1e21 }"


@pytest.fixture
def plot(qtbot):
    plot = LossPlot()
    plot.setStyleSheet(DARK)
    qtbot.addWidget(plot)
    plot.resize(360, plot.height())
    plot.show()
    yield plot
    qtbot.waitUntil(lambda: not plot.is_busy)


@pytest.fixture
def drawn(monkeypatch):
    """The epochs of every figure, and which of them were marked as the best."""
    figures = []

    def draw_losses(epochs, best, look):
        figures.append((epochs, best))
        return draw(epochs, best, look)

    draw = loss_plot.draw_losses
    monkeypatch.setattr(loss_plot, "draw_losses", draw_losses)
    return figures


def pixels(plot):
    """Return shape (Y, X, 3), as on the screen."""
    image = plot.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits().asstring(image.sizeInBytes()), np.uint8)
    used = rows.reshape(image.height(), -1)[:, : 3 * image.width()]
    return used.reshape(image.height(), -1, 3).astype(float)


def test_epochs_that_arrive_together_are_drawn_once(plot, drawn, qtbot):
    for epoch in range(1, 301):
        plot.add(epoch, 2.0, 2.0, epoch == 7)
    assert drawn == []

    qtbot.waitUntil(lambda: not plot.is_busy)

    [(epochs, best)] = drawn
    assert [epoch.number for epoch in epochs] == list(range(1, 301))
    assert best == {False: Epoch(7, 2.0, 2.0)}


def test_each_stage_has_a_best_epoch(plot, drawn, qtbot):
    plot.restore([(1, 0.5, 0.5, "hint"), (2, 0.4, 0.6, "hint"), (3, 2e-3, 3e-3, "transfer")])
    plot.add(4, 1e-3, 2e-3, True, "transfer")
    qtbot.waitUntil(lambda: not plot.is_busy)

    [(_, best)] = drawn
    assert {is_hint: epoch.number for is_hint, epoch in best.items()} == {True: 1, False: 4}


def test_the_epochs_of_an_earlier_training_come_back_at_once(plot, drawn, qtbot):
    plot.add(9, 9.0, 9.0, True)
    plot.restore([(1, 3.0, 2.8), (2, 2.0, 2.2), (3, 1.5, 2.4)])
    plot.add(4, 1.2, 2.0, True)
    qtbot.waitUntil(lambda: not plot.is_busy)

    [(epochs, best)] = drawn
    assert [epoch.losses for epoch in epochs] == [(3.0, 2.8), (2.0, 2.2), (1.5, 2.4), (1.2, 2.0)]
    assert best[False].number == 4


def test_a_new_training_starts_with_an_empty_plot(plot, drawn, qtbot):
    plot.add(1, 3.0, 2.8, True)
    qtbot.waitUntil(lambda: not plot.is_busy)
    assert not plot._view.pixmap().isNull()

    plot.clear()
    assert plot._view.pixmap().isNull()
    assert "The losses appear here" in plot._view.text()

    plot.add(1, 1.0, 1.1, False)
    qtbot.waitUntil(lambda: not plot.is_busy)
    assert drawn[-1] == ([Epoch(1, 1.0, 1.1)], {})
    assert not plot._view.pixmap().isNull()


@pytest.mark.parametrize(
    ("theme", "background", "text"),
    [(DARK, "#23242b", "#f0f1f2"), (LIGHT, "#ebe7e6", "#1e1e21")],
    ids=["dark", "light"],
)
def test_the_plot_has_the_colours_of_the_theme_also_when_it_changes(
    plot, theme, background, text, qtbot
):
    plot.setStyleSheet(LIGHT if theme is DARK else DARK)
    plot.add(1, 3.0, 2.8, True)
    qtbot.waitUntil(lambda: not plot.is_busy)

    plot.setStyleSheet(theme)
    qtbot.waitUntil(lambda: (pixels(plot)[[0, -1], [0, -1]] == rgb(background)).all())

    shown = pixels(plot)
    # thin lines are mixed with the background
    share_of_text = (shown - rgb(background)) / np.subtract(rgb(text), rgb(background))
    qtbot.waitUntil(lambda: not plot.is_busy)
    assert (share_of_text > 0.7).all(axis=-1).sum() > 100


def rgb(name):
    return tuple(bytes.fromhex(name[1:]))


def test_matplotlib_is_not_imported_before_there_is_something_to_draw():
    script = (
        "import sys, napari_dl4smlm.widgets.loss_plot, napari_dl4smlm.widgets.worker;"
        "print({'matplotlib', 'torch', 'napari'} & set(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "set()"
