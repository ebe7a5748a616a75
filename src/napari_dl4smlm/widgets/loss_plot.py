"""The losses of a training, epoch by epoch, in the colours of the viewer.

Losses of hints compare features and not density maps: they have a scale of their own and are never
joined to those of other stages.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QLabel, QStackedLayout, QWidget

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matplotlib.axes import Axes
    from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
    from matplotlib.figure import Figure

    from napari_dl4smlm.backend.training.events import StageName

_HEIGHT_IN_LINES = 15
# 8 bits; the lightness of a background on which white text is easier to read than black
_DARK_BELOW = 128
# places in the colours of figures of the blue and the orange that stand out best
_CURVES_ON_DARK = (5, 4)
_CURVES_ON_LIGHT = (0, 1)
# ratio of the highest to the lowest loss; labels of a shorter logarithmic axis are hard to read
_LOGARITHMIC_FROM = 10
# left, bottom, width and height as shares of the figure, with room for labels of five digits at the
# width of a dock; to measure the labels each time would double the time to draw
_AXES = (0.2, 0.19, 0.77, 0.7)
# the same for the hints and, beside them, with labels on the right, for the transfer
_TWO_AXES = (0.2, 0.19, 0.6, 0.63)
# share of them that each has at least
_LEAST_SHARE = 0.25
# from that ratio on there is no room for labels at 2 and 5
_CROWDED_FROM = 1000
# losses between these are written as they are; labels of others would be too long
_PLAIN = (1e-3, 1e4)
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# with more epochs, markers would run into one another
_MOST_MARKERS = 25


class LossPlot(QWidget):
    """Training and validation loss of every epoch so far; the best epoch is marked.

    The stages of a distillation lie side by side, each with its own scale and best epoch.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(_HEIGHT_IN_LINES * self.fontMetrics().height())
        self.setToolTip(
            "Mean loss of the training patches, and of the validation frames, which never train.\n"
            "The model of the best epoch is kept, the one with the lowest validation loss. If "
            "that\nrises while the training loss falls, the network learns the patches by heart.\n"
            "The loss of hints compares layers and not images: it has a scale of its own."
        )
        hint = QLabel("The losses appear here after the first epoch.")
        hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        hint.setWordWrap(True)
        self._pages = QStackedLayout(self)
        self._pages.addWidget(hint)
        self._canvas: FigureCanvasQTAgg | None = None
        self._epochs: list[_Epoch] = []
        # of the hints, and of what is no hint
        self._best: dict[bool, _Epoch] = {}
        # epochs that arrive together are drawn once
        self._pending = QTimer(self)
        self._pending.setSingleShot(True)
        self._pending.timeout.connect(self.draw)

    def add(
        self,
        epoch: int,
        training_loss: float,
        validation_loss: float,
        is_best: bool,
        stage: StageName = "training",
    ) -> None:
        """Add an epoch, which is drawn with all others that arrive with it.

        Parameters
        ----------
        epoch
            From 1; that of a resumed training may begin later.
        training_loss, validation_loss
            Means of the epoch.
        is_best
            Whether no epoch of the stage had a lower validation loss before.
        stage
            What was learned in it.
        """
        added = _Epoch(epoch, training_loss, validation_loss, stage)
        self._epochs.append(added)
        if is_best:
            self._best[added.is_hint] = added
        self._pending.start()

    def restore(
        self, epochs: Iterable[tuple[int, float, float] | tuple[int, float, float, StageName]]
    ) -> None:
        """Show the epochs of an earlier training, and no others.

        Parameters
        ----------
        epochs
            Number, training loss, validation loss and, if there are any, stage of each, in order.
        """
        self.clear()
        self._epochs = [_Epoch(*epoch) for epoch in epochs]
        for is_hint, of_panel in self._panels().items():
            self._best[is_hint] = min(of_panel, key=lambda epoch: epoch.validation_loss)
        if self._epochs:
            self._pending.start()

    def clear(self) -> None:
        """Forget all epochs, for a new training."""
        self._epochs.clear()
        self._best.clear()
        self._pending.stop()
        self._pages.setCurrentIndex(0)

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme of the viewer."""
        super().changeEvent(event)
        is_new_style = event is not None and event.type() == QEvent.Type.StyleChange
        if is_new_style and self._epochs:
            self.draw()

    def draw(self) -> None:
        """Draw all epochs."""
        self._pending.stop()
        if self._canvas is None:
            self._canvas = _new_canvas()
            self._pages.addWidget(self._canvas)
        self._pages.setCurrentWidget(self._canvas)
        background = self.palette().color(QPalette.ColorRole.Window)
        figure = self._canvas.figure
        figure.clear()
        figure.set_facecolor(background.name())
        is_dark = background.lightness() < _DARK_BELOW
        colours = _CURVES_ON_DARK if is_dark else _CURVES_ON_LIGHT
        panels = self._panels()
        for is_hint, place in _places(panels).items():
            axes = figure.add_axes(place)
            self._draw_curves(axes, panels[is_hint], colours)
            self._style(axes, panels[is_hint])
        if len(panels) > 1:
            hints, transfer = figure.axes
            _lay_side_by_side(hints, transfer, self._text_colour())
            hints.set_xlim(panels[True][0].number - 0.5, panels[True][-1].number + 0.5)
            transfer.set_xlim(panels[False][0].number - 0.5, panels[False][-1].number + 0.5)
        self._show_legend(figure)
        self._canvas.draw_idle()  # type: ignore[no-untyped-call]

    def _panels(self) -> dict[bool, list[_Epoch]]:
        """Return the epochs of hints and all others, as far as there are any of them."""
        panels: dict[bool, list[_Epoch]] = {}
        for epoch in self._epochs:
            panels.setdefault(epoch.is_hint, []).append(epoch)
        return panels

    def _draw_curves(self, axes: Axes, epochs: list[_Epoch], colours: tuple[int, int]) -> None:
        from napari_dl4smlm.backend.figures.style import COLOURS, LINE_PT, MARKER_PT, MARKERS

        numbers = [epoch.number for epoch in epochs]
        curves = {
            "training": [epoch.training_loss for epoch in epochs],
            "validation": [epoch.validation_loss for epoch in epochs],
        }
        for index, (label, values) in enumerate(curves.items()):
            axes.plot(
                numbers,
                values,
                color=COLOURS[colours[index]],
                linewidth=LINE_PT,
                marker=MARKERS[index] if len(self._epochs) <= _MOST_MARKERS else None,
                markersize=MARKER_PT,
                label=label,
            )
        best = self._best.get(epochs[0].is_hint)
        if best is not None:
            axes.plot(
                best.number,
                best.validation_loss,
                linestyle="none",
                marker="o",
                markersize=3 * MARKER_PT,
                clip_on=False,
                markerfacecolor="none",
                markeredgecolor=self._text_colour(),
                # of two stages, each has one
                label="best epoch" if len(self._best) > 1 else f"best: epoch {best.number}",
            )

    def _style(self, axes: Axes, epochs: list[_Epoch]) -> None:
        from napari_dl4smlm.backend.figures.style import style_plot, whole_numbers_along_x

        colour = self._text_colour()
        losses = [loss for epoch in epochs for loss in epoch.losses]
        exponent = _exponent(max(map(abs, losses)))
        unit = f" / 10{str(exponent).translate(_SUPERSCRIPTS)}" if exponent else ""
        what = "hint loss" if epochs[0].is_hint else "loss"
        style_plot(axes, xlabel="epoch", ylabel=f"{what}{unit}")
        whole_numbers_along_x(axes)
        _label_losses(axes, losses, exponent)
        axes.set_facecolor("none")
        axes.spines[:].set_color(colour)
        axes.tick_params(which="both", colors=colour)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set_color(colour)

    def _show_legend(self, figure: Figure) -> None:
        """Explain the curves above the last panel, whose best epoch is that of the model."""
        from napari_dl4smlm.backend.figures.style import FONT_PT

        handles, labels = figure.axes[-1].get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="upper right",
            bbox_to_anchor=(0.97, 0.99),
            ncols=3,
            fontsize=FONT_PT,
            labelcolor=self._text_colour(),
            frameon=False,
            borderaxespad=0,
            columnspacing=1.0,
        )

    def _text_colour(self) -> str:
        return self.palette().color(QPalette.ColorRole.WindowText).name()


class _Epoch(NamedTuple):
    number: int
    training_loss: float
    validation_loss: float
    stage: StageName = "training"

    @property
    def losses(self) -> tuple[float, float]:
        return self.training_loss, self.validation_loss

    @property
    def is_hint(self) -> bool:
        return self.stage == "hint"


def _places(
    panels: Mapping[bool, list[_Epoch]],
) -> dict[bool, tuple[float, float, float, float]]:
    """Return left, bottom, width and height of each panel, the wider the more epochs it has."""
    if len(panels) == 1:
        return dict.fromkeys(panels, _AXES)
    hints, others = len(panels[True]), len(panels[False])
    share = min(max(hints / (hints + others), _LEAST_SHARE), 1 - _LEAST_SHARE)
    left, bottom, width, height = _TWO_AXES
    return {
        True: (left, bottom, share * width, height),
        False: (left + share * width, bottom, (1 - share) * width, height),
    }


def _lay_side_by_side(hints: Axes, transfer: Axes, colour: str) -> None:
    """Name two panels, draw the boundary between them, and label the second one on its right."""
    from napari_dl4smlm.backend.figures.style import FONT_PT, THIN_PT

    for axes, name in ((hints, "hints"), (transfer, "transfer")):
        axes.set_title(name, fontsize=FONT_PT, color=colour, pad=3)
    transfer.yaxis.tick_right()
    transfer.yaxis.set_label_position("right")
    transfer.spines["right"].set_visible(True)
    transfer.spines["left"].set_linestyle("--")
    transfer.spines["left"].set_linewidth(2 * THIN_PT)


def _new_canvas() -> FigureCanvasQTAgg:
    # imported with the first epoch: a widget has to open at once
    from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
    from matplotlib.figure import Figure

    # its module declares no types
    canvas = FigureCanvasQTAgg(Figure())  # type: ignore[no-untyped-call]
    # or the wheel would not scroll the widget when the mouse is over the plot
    canvas.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    return canvas


def _exponent(largest: float) -> int:
    """Return the power of ten that the axis counts in, 0 where losses are written as they are."""
    if largest == 0 or _PLAIN[0] <= largest < _PLAIN[1]:
        return 0
    return math.floor(math.log10(largest))


def _label_losses(axes: Axes, losses: list[float], exponent: int) -> None:
    """Label the vertical axis without the number that matplotlib would write above it."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    # plain numbers: mathematical text, such as powers of ten, takes long to draw
    plain = FuncFormatter(lambda loss, _: f"{loss / 10.0**exponent:g}")
    span = max(losses) / min(losses) if min(losses) > 0 else 0.0
    if span > _LOGARITHMIC_FROM:
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.yaxis.set_minor_formatter(plain if span < _CROWDED_FROM else NullFormatter())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(plain)
