"""The losses of a training, epoch by epoch, in the colours of the viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QLabel, QStackedLayout, QWidget

if TYPE_CHECKING:
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

    def add(self, epoch: int, training_loss: float, validation_loss: float, is_best: bool) -> None:
        """Draw one more epoch.

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
        self._draw()

    def clear(self) -> None:
        """Forget all epochs, for a new training."""
        self._epochs.clear()
        self._best = None
        self._pages.setCurrentIndex(0)

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme of the viewer."""
        super().changeEvent(event)
        is_new_style = event is not None and event.type() == QEvent.Type.StyleChange
        if is_new_style and self._epochs:
            self._draw()

    def _draw(self) -> None:
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
        drawn = [value for values in losses for value in values]
        if max(drawn) > _LOGARITHMIC_FROM * min(drawn) > 0:
            _make_logarithmic(axes)

    def _style(self, axes: Axes) -> None:
        from napari_dl4smlm.backend.figures.style import FONT_PT, style_plot, whole_numbers_along_x

        colour = self._text_colour()
        style_plot(axes, xlabel="epoch", ylabel="loss")
        whole_numbers_along_x(axes)
        axes.set_facecolor("none")
        axes.spines[:].set_color(colour)
        axes.tick_params(which="both", colors=colour)
        for label in (axes.xaxis.label, axes.yaxis.label, axes.yaxis.get_offset_text()):
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


def _make_logarithmic(axes: Axes) -> None:
    from matplotlib.ticker import LogLocator

    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    # plain numbers: powers of ten take long to draw
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
