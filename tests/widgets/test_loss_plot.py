"""The plot of the losses, in both themes."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("pytestqt")

from qtpy.QtCore import Qt
from qtpy.QtGui import QImage

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
    return plot


def add_epochs(plot, training, validation):
    best = np.inf
    for epoch, (first, second) in enumerate(zip(training, validation, strict=True), start=1):
        plot.add(epoch, first, second, second < best)
        best = min(best, second)
    plot.draw()


def axes_of(plot):
    [axes] = plot._canvas.figure.axes
    return axes


def curves_of(plot):
    return {line.get_label(): line.get_xydata().tolist() for line in axes_of(plot).lines}


def pixels(plot):
    """Return shape (Y, X, 3), as on the screen."""
    image = plot.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits().asstring(image.sizeInBytes()), np.uint8)
    used = rows.reshape(image.height(), -1)[:, : 3 * image.width()]
    return used.reshape(image.height(), -1, 3).astype(float)


def test_both_losses_of_every_epoch_are_drawn_and_the_best_epoch_is_marked(plot):
    add_epochs(plot, [3.0, 2.0, 1.5], [2.8, 2.2, 2.4])

    assert curves_of(plot) == {
        "training": [[1, 3.0], [2, 2.0], [3, 1.5]],
        "validation": [[1, 2.8], [2, 2.2], [3, 2.4]],
        "best: epoch 2": [[2, 2.2]],
    }


def test_the_stages_of_a_distillation_are_never_on_one_scale(plot):
    plot.restore([(1, 0.5, 0.6, "hint"), (2, 0.4, 0.5, "hint"), (3, 2e-3, 3e-3, "transfer")])
    plot.add(4, 1e-3, 2e-3, True, "transfer")
    plot.draw()

    hints, transfer = plot._canvas.figure.axes
    assert [axes.get_title() for axes in (hints, transfer)] == ["hints", "transfer"]
    assert [axes.get_ylabel() for axes in (hints, transfer)] == ["hint loss", "loss"]
    assert [line.get_xdata().tolist() for line in hints.lines] == [[1, 2], [1, 2], [2]]
    assert [line.get_xdata().tolist() for line in transfer.lines] == [[3, 4], [3, 4], [4]]
    # one time line, with the boundary between the stages
    assert hints.get_xlim()[1] == transfer.get_xlim()[0] == 2.5
    assert hints.get_position().x1 == pytest.approx(transfer.get_position().x0)
    assert transfer.spines["left"].get_linestyle() == "--"
    # each axis has its labels on its own side, inside of the plot
    plot._canvas.draw()
    assert transfer.yaxis.get_label_position() == "right"
    assert transfer.yaxis.label.get_window_extent().x1 < plot._canvas.figure.bbox.x1


def test_hints_alone_are_called_so(plot):
    plot.add(1, 0.5, 0.6, True, "hint")
    plot.draw()

    assert axes_of(plot).get_ylabel() == "hint loss"


def test_epochs_that_arrive_together_are_drawn_once(plot, qtbot, monkeypatch):
    drawn = []
    monkeypatch.setattr(plot, "_style", lambda axes, epochs: drawn.append(len(epochs)))
    for epoch in range(1, 301):
        plot.add(epoch, 2.0, 2.0, False)
    assert drawn == []

    qtbot.waitUntil(lambda: bool(drawn))

    assert drawn == [300]


def test_a_resumed_training_begins_with_a_later_epoch(plot):
    plot.add(41, 0.2, 0.3, False)
    plot.draw()

    assert curves_of(plot) == {"training": [[41, 0.2]], "validation": [[41, 0.3]]}


@pytest.mark.parametrize(
    ("losses", "scale"),
    [([0.5, 0.02], "log"), ([0.5, 0.2], "linear"), ([0.5, -0.02], "linear"), ([0, 0], "linear")],
)
def test_the_axis_is_logarithmic_where_the_losses_span_a_decade(plot, losses, scale):
    add_epochs(plot, losses, losses)

    assert axes_of(plot).get_yscale() == scale


def test_a_logarithmic_axis_is_labelled_with_plain_numbers(plot):
    add_epochs(plot, [0.5, 0.02], [0.4, 0.03])
    plot._canvas.draw()

    labels = axes_of(plot).get_yticklabels(which="both")
    low, high = axes_of(plot).get_ylim()
    shown = [label.get_text() for label in labels if low <= label.get_position()[1] <= high]
    assert sorted(shown) == ["0.02", "0.05", "0.1", "0.2", "0.5"]


@pytest.mark.parametrize(
    ("scale", "title"),
    [
        (0.0012, "loss"),
        (9000.0, "loss"),
        (1.5e-5, "loss / 10⁻⁵"),
        (3e26, "loss / 10²⁶"),
        (-2e6, "loss / 10⁶"),
    ],
)
def test_losses_of_any_magnitude_have_short_labels_and_nothing_lies_on_the_legend(
    plot, scale, title
):
    add_epochs(plot, [1.03 * scale, 0.98 * scale], [1.04 * scale, scale])
    plot._canvas.draw()

    axis = axes_of(plot).yaxis
    assert axis.label.get_text() == title
    # matplotlib would write a factor or a summand there
    assert axis.get_offset_text().get_text() == ""
    labels = [label.get_text() for label in axis.get_ticklabels()]
    assert len(set(labels)) == len(labels) >= 3
    power = 10.0 ** (0 if title == "loss" else np.floor(np.log10(abs(1.04 * scale))))
    assert [float(label) * power for label in labels] == pytest.approx(axis.get_ticklocs())
    # inside the margin, beside the title
    left = axis.label.get_window_extent().x1
    assert all(label.get_window_extent().x0 > left for label in axis.get_ticklabels())


def test_the_epochs_of_an_earlier_training_come_back_at_once(plot):
    plot.restore([(1, 3.0, 2.8), (2, 2.0, 2.2), (3, 1.5, 2.4)])
    plot.add(4, 1.2, 2.0, True)
    plot.draw()

    assert curves_of(plot) == {
        "training": [[1, 3.0], [2, 2.0], [3, 1.5], [4, 1.2]],
        "validation": [[1, 2.8], [2, 2.2], [3, 2.4], [4, 2.0]],
        "best: epoch 4": [[4, 2.0]],
    }
    plot.restore([])
    assert not plot._canvas.isVisible()


def test_labels_of_a_long_logarithmic_axis_do_not_touch(plot):
    add_epochs(plot, np.geomspace(2e-6, 1e-12, 20), np.geomspace(2e-6, 1e-12, 20))
    plot._canvas.draw()

    low, high = axes_of(plot).get_ylim()
    shown = sorted(
        label.get_window_extent().intervaly.tolist()
        for label in axes_of(plot).get_yticklabels(which="both")
        if low <= label.get_position()[1] <= high and label.get_text()
    )
    assert len(shown) >= 3
    assert all(below[1] <= above[0] for below, above in pairwise(shown))


def test_a_new_training_starts_with_an_empty_plot(plot):
    add_epochs(plot, [3.0, 2.0], [2.8, 2.2])
    plot.clear()
    assert not plot._canvas.isVisible()

    plot.add(1, 1.0, 1.1, True)
    plot.draw()

    assert plot._canvas.isVisible()
    assert curves_of(plot) == {
        "training": [[1, 1.0]],
        "validation": [[1, 1.1]],
        "best: epoch 1": [[1, 1.1]],
    }


@pytest.mark.parametrize(
    ("theme", "background", "text"),
    [(DARK, "#23242b", "#f0f1f2"), (LIGHT, "#ebe7e6", "#1e1e21")],
    ids=["dark", "light"],
)
def test_the_plot_has_the_colours_of_the_theme_also_when_it_changes(plot, theme, background, text):
    add_epochs(plot, [3.0, 2.0, 1.5], [2.8, 2.2, 2.4])

    plot.setStyleSheet(theme)
    plot._canvas.draw()

    shown = pixels(plot)
    corners = shown[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == rgb(background)).all()
    # thin lines are mixed with the background
    share_of_text = (shown - rgb(background)) / np.subtract(rgb(text), rgb(background))
    assert (share_of_text > 0.7).all(axis=-1).sum() > 100


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
def test_curves_stand_out_from_the_background(plot, theme):
    plot.setStyleSheet(theme)
    add_epochs(plot, [3.0, 2.0], [2.8, 2.2])

    background = luminance(plot.palette().window().color().name())
    for line in axes_of(plot).lines[:2]:
        darker, lighter = sorted([background, luminance(line.get_color())])
        # what the Web Content Accessibility Guidelines 2.1 ask of graphical objects (1.4.11)
        assert (lighter + 0.05) / (darker + 0.05) >= 3


def rgb(name):
    return tuple(bytes.fromhex(name[1:]))


def luminance(name):
    """Relative luminance of the Web Content Accessibility Guidelines 2.1."""
    parts = np.array(rgb(name)) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


def test_the_wheel_scrolls_the_widget_and_not_the_plot(plot):
    plot.add(1, 3.0, 2.0, True)
    plot.draw()

    assert plot._canvas.testAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)


def test_drawing_takes_no_time_that_anybody_notices(plot):
    add_epochs(plot, np.linspace(1, 0.01, 50), np.linspace(1, 0.02, 50))

    def draw(epoch):
        start = time.thread_time()
        plot.add(epoch, 0.01, 0.02, False)
        plot.draw()
        plot._canvas.draw()
        return time.thread_time() - start

    # some 35 ms; the shortest of some, since the machine may be busy
    assert min(draw(epoch) for epoch in range(51, 56)) < 0.2


def test_matplotlib_is_not_imported_before_there_is_something_to_draw():
    script = (
        "import sys, napari_dl4smlm.widgets.loss_plot, napari_dl4smlm.widgets.worker;"
        "print({'matplotlib', 'torch', 'napari'} & set(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "set()"
