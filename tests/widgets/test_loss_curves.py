"""The curves of the losses, in both themes."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("pytestqt")

from matplotlib.backends.backend_agg import FigureCanvasAgg

from napari_dl4smlm.widgets.figure_view import FigureLook
from napari_dl4smlm.widgets.loss_curves import Epoch, draw_losses, panels_of

pytestmark = pytest.mark.gui

DARK = FigureLook(background="#23242b", text="#f0f1f2")
LIGHT = FigureLook(background="#ebe7e6", text="#1e1e21")


def draw(epochs, look=DARK):
    best = {
        is_hint: min(of_panel, key=lambda epoch: epoch.validation_loss)
        for is_hint, of_panel in panels_of(epochs).items()
    }
    figure = draw_losses(epochs, best, look)
    figure.set_size_inches(3.6, 2.4)
    FigureCanvasAgg(figure).draw()
    return figure


def epochs_of(training, validation):
    return [
        Epoch(number, *losses)
        for number, losses in enumerate(zip(training, validation, strict=True), start=1)
    ]


def axes_of(figure):
    [axes] = figure.axes
    return axes


def curves_of(figure):
    return {line.get_label(): line.get_xydata().tolist() for line in axes_of(figure).lines}


def test_both_losses_of_every_epoch_are_drawn_and_the_best_epoch_is_marked():
    figure = draw(epochs_of([3.0, 2.0, 1.5], [2.8, 2.2, 2.4]))

    assert curves_of(figure) == {
        "training": [[1, 3.0], [2, 2.0], [3, 1.5]],
        "validation": [[1, 2.8], [2, 2.2], [3, 2.4]],
        "best: epoch 2": [[2, 2.2]],
    }


def test_the_stages_of_a_distillation_are_never_on_one_scale():
    hinted = [Epoch(1, 0.5, 0.6, "hint"), Epoch(2, 0.4, 0.5, "hint")]
    taught = [Epoch(3, 2e-3, 3e-3, "transfer"), Epoch(4, 1e-3, 2e-3, "transfer")]
    figure = draw([*hinted, *taught])

    hints, transfer = figure.axes
    assert [axes.get_title() for axes in (hints, transfer)] == ["hints", "transfer"]
    assert [axes.get_ylabel() for axes in (hints, transfer)] == ["hint loss", "loss"]
    assert [line.get_xdata().tolist() for line in hints.lines] == [[1, 2], [1, 2], [2]]
    assert [line.get_xdata().tolist() for line in transfer.lines] == [[3, 4], [3, 4], [4]]
    # one time line, with the boundary between the stages
    assert hints.get_xlim()[1] == transfer.get_xlim()[0] == 2.5
    assert hints.get_position().x1 == pytest.approx(transfer.get_position().x0)
    assert transfer.spines["left"].get_linestyle() == "--"
    # each axis has its labels on its own side, inside of the plot
    assert transfer.yaxis.get_label_position() == "right"
    assert transfer.yaxis.label.get_window_extent().x1 < figure.bbox.x1


def test_hints_alone_are_called_so():
    assert axes_of(draw([Epoch(1, 0.5, 0.6, "hint")])).get_ylabel() == "hint loss"


def test_a_resumed_training_begins_with_a_later_epoch():
    figure = draw_losses([Epoch(41, 0.2, 0.3)], {}, DARK)

    assert curves_of(figure) == {"training": [[41, 0.2]], "validation": [[41, 0.3]]}


@pytest.mark.parametrize(
    ("losses", "scale"),
    [([0.5, 0.02], "log"), ([0.5, 0.2], "linear"), ([0.5, -0.02], "linear"), ([0, 0], "linear")],
)
def test_the_axis_is_logarithmic_where_the_losses_span_a_decade(losses, scale):
    assert axes_of(draw(epochs_of(losses, losses))).get_yscale() == scale


def test_a_logarithmic_axis_is_labelled_with_plain_numbers():
    axes = axes_of(draw(epochs_of([0.5, 0.02], [0.4, 0.03])))

    labels = axes.get_yticklabels(which="both")
    low, high = axes.get_ylim()
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
def test_losses_of_any_magnitude_have_short_labels_and_nothing_lies_on_the_legend(scale, title):
    figure = draw(epochs_of([1.03 * scale, 0.98 * scale], [1.04 * scale, scale]))

    axis = axes_of(figure).yaxis
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


def test_labels_of_a_long_logarithmic_axis_do_not_touch():
    axes = axes_of(draw(epochs_of(np.geomspace(2e-6, 1e-12, 20), np.geomspace(2e-6, 1e-12, 20))))

    low, high = axes.get_ylim()
    shown = sorted(
        label.get_window_extent().intervaly.tolist()
        for label in axes.get_yticklabels(which="both")
        if low <= label.get_position()[1] <= high and label.get_text()
    )
    assert len(shown) >= 3
    assert all(below[1] <= above[0] for below, above in pairwise(shown))


@pytest.mark.parametrize("look", [DARK, LIGHT], ids=["dark", "light"])
def test_curves_stand_out_from_the_background(look):
    background = luminance(look.background)
    for line in axes_of(draw(epochs_of([3.0, 2.0], [2.8, 2.2]), look)).lines[:2]:
        darker, lighter = sorted([background, luminance(line.get_color())])
        # what the Web Content Accessibility Guidelines 2.1 ask of graphical objects (1.4.11)
        assert (lighter + 0.05) / (darker + 0.05) >= 3


def luminance(name):
    """Relative luminance of the Web Content Accessibility Guidelines 2.1."""
    parts = np.array(tuple(bytes.fromhex(name[1:]))) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


def test_drawing_takes_no_time_that_anybody_notices():
    epochs = epochs_of(np.linspace(1, 0.01, 50), np.linspace(1, 0.02, 50))

    def seconds():
        start = time.thread_time()
        draw(epochs)
        return time.thread_time() - start

    # some 35 ms; the shortest of some, since the machine may be busy
    assert min(seconds() for _ in range(5)) < 0.2
