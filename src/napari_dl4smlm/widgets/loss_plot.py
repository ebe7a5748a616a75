"""The losses of a training, epoch by epoch, in the colours of the viewer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QLabel, QStackedLayout, QWidget

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes
    from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg

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
# from that ratio on there is no room for labels at 2 and 5
_CROWDED_FROM = 1000
# losses between these are written as they are; labels of others would be too long
_PLAIN = (1e-3, 1e4)
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# with more epochs, markers would run into one another
_MOST_MARKERS = 25


class LossPlot(QWidget):
    """Training and validation loss of every epoch so far; the best epoch is marked."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(_HEIGHT_IN_LINES * self.fontMetrics().height())
        self.setToolTip(
            "Mean loss of the training patches, and of the validation frames, which never train.\n"
            "The model of the best epoch is kept, the one with the lowest validation loss. If "
            "that\nrises while the training loss falls, the network learns the patches by heart."
        )
        hint = QLabel("The losses appear here after the first epoch.")
        hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        hint.setWordWrap(True)
        self._pages = QStackedLayout(self)
        self._pages.addWidget(hint)
        self._canvas: FigureCanvasQTAgg | None = None
        self._epochs: list[_Epoch] = []
        self._best: _Epoch | None = None
        # epochs that arrive together are drawn once
        self._pending = QTimer(self)
        self._pending.setSingleShot(True)
        self._pending.timeout.connect(self.draw)

    def add(self, epoch: int, training_loss: float, validation_loss: float, is_best: bool) -> None:
        """Add an epoch, which is drawn with all others that arrive with it.

        Parameters
        ----------
        epoch
            From 1; that of a resumed training may begin later.
        training_loss, validation_loss
            Means of the epoch.
        is_best
            Whether no epoch before had a lower validation loss.
        """
        self._epochs.append(_Epoch(epoch, training_loss, validation_loss))
        if is_best:
            self._best = self._epochs[-1]
        self._pending.start()

    def restore(self, epochs: Iterable[tuple[int, float, float]]) -> None:
        """Show the epochs of an earlier training, and no others.

        Parameters
        ----------
        epochs
            Number, training loss and validation loss of each, in order.
        """
        self.clear()
        self._epochs = [_Epoch(*epoch) for epoch in epochs]
        if self._epochs:
            self._best = min(self._epochs, key=lambda epoch: epoch.validation_loss)
            self._pending.start()

    def clear(self) -> None:
        """Forget all epochs, for a new training."""
        self._epochs.clear()
        self._best = None
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
        axes = figure.add_axes(_AXES)
        is_dark = background.lightness() < _DARK_BELOW
        self._draw_curves(axes, _CURVES_ON_DARK if is_dark else _CURVES_ON_LIGHT)
        self._style(axes)
        self._canvas.draw_idle()  # type: ignore[no-untyped-call]

    def _draw_curves(self, axes: Axes, colours: tuple[int, int]) -> None:
        from napari_dl4smlm.backend.figures.style import COLOURS, LINE_PT, MARKER_PT, MARKERS

        numbers, *losses = zip(*self._epochs, strict=True)
        for index, (label, values) in enumerate(
            zip(("training", "validation"), losses, strict=True)
        ):
            axes.plot(
                numbers,
                values,
                color=COLOURS[colours[index]],
                linewidth=LINE_PT,
                marker=MARKERS[index] if len(numbers) <= _MOST_MARKERS else None,
                markersize=MARKER_PT,
                label=label,
            )
        if self._best is not None:
            axes.plot(
                self._best.number,
                self._best.validation_loss,
                linestyle="none",
                marker="o",
                markersize=3 * MARKER_PT,
                clip_on=False,
                markerfacecolor="none",
                markeredgecolor=self._text_colour(),
                label=f"best: epoch {self._best.number}",
            )

    def _losses(self) -> list[float]:
        return [loss for epoch in self._epochs for loss in epoch[1:]]

    def _style(self, axes: Axes) -> None:
        from napari_dl4smlm.backend.figures.style import FONT_PT, style_plot, whole_numbers_along_x

        colour = self._text_colour()
        exponent = _exponent(max(map(abs, self._losses())))
        unit = f" / 10{str(exponent).translate(_SUPERSCRIPTS)}" if exponent else ""
        style_plot(axes, xlabel="epoch", ylabel=f"loss{unit}")
        whole_numbers_along_x(axes)
        _label_losses(axes, self._losses(), exponent)
        axes.set_facecolor("none")
        axes.spines[:].set_color(colour)
        axes.tick_params(which="both", colors=colour)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set_color(colour)
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1, 1.01),
            ncols=3,
            fontsize=FONT_PT,
            labelcolor=colour,
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
