"""Figures of a comparison that fit into a dock: accuracy against speed, density and photons."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget

from napari_dl4smlm.widgets.figure_view import FigureView

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure
    from qtpy.QtGui import QMouseEvent

    from napari_dl4smlm.backend.evaluation.comparison.drawing import Pareto
    from napari_dl4smlm.backend.evaluation.comparison.result import Comparison
    from napari_dl4smlm.backend.evaluation.comparison.table import ComparisonTable
    from napari_dl4smlm.widgets.figure_view import FigureLook

_HEIGHT_IN_LINES = 22
# a hand does not hit a marker exactly
_NEAR_PX = 15.0
_DENSITY = "Accuracy against density"
_PHOTONS = "Accuracy against photons"


class ComparisonPlots(QWidget):
    """One figure at a time; a click on a model in that of speed picks it.

    Attributes
    ----------
    label_picked
        Emitted with the label of the model that the user has clicked.
    """

    label_picked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._figures: dict[str, Callable[[FigureLook], Figure]] = {}
        self._paretos: dict[str, _ParetoFigure] = {}
        self._choice = QComboBox()
        self._choice.setToolTip("Which figure is shown")
        self._view = _ClickedView(_HEIGHT_IN_LINES)
        self._choice.currentIndexChanged.connect(lambda _: self._show())
        self._view.clicked.connect(self._on_click)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._choice)
        layout.addWidget(self._view)

    def show_comparison(self, comparison: Comparison, table: ComparisonTable) -> None:
        """Show the figures of a comparison, with the one that was chosen if there is that."""
        # imported by then, with all that compared
        from napari_dl4smlm.backend.evaluation.comparison.drawing import (
            draw_accuracies,
            find_pareto,
        )

        self._figures, self._paretos = {}, {}
        for device in comparison.devices:
            pareto = find_pareto(table, device)
            if pareto is not None:
                drawn = _ParetoFigure(pareto)
                title = f"{pareto.worth.label} against time on {device}"
                self._figures[title], self._paretos[title] = drawn.draw, drawn
        if any(model.by_density is not None for model in comparison.models):
            draw = partial(draw_accuracies, comparison, against="density")
            self._figures[_DENSITY] = partial(_stacked, draw)
        if any(model.by_photons is not None for model in comparison.models):
            draw = partial(draw_accuracies, comparison, against="photons")
            self._figures[_PHOTONS] = partial(_stacked, draw)
        self._offer()

    def select_label(self, label: str) -> None:
        """Mark a model in the figure of speed."""
        for pareto in self._paretos.values():
            pareto.selected = label
        if self._choice.currentText() in self._paretos:
            self._show()

    def _offer(self) -> None:
        chosen = self._choice.currentText()
        titles = list(self._figures)
        blocked = self._choice.blockSignals(True)
        self._choice.clear()
        self._choice.addItems(titles)
        self._choice.setCurrentIndex(titles.index(chosen) if chosen in titles else 0)
        self._choice.blockSignals(blocked)
        self._show()

    def _show(self) -> None:
        title = self._choice.currentText()
        self.setVisible(bool(title))
        self._view.show_figure(self._figures.get(title))
        self._view.setToolTip(
            "Click on a model to see its row. The line joins the models that no other one beats in "
            "both; bars are 95 % intervals."
            if title in self._paretos
            else "In bins; bars are standard errors. The rim of the field is not left out here."
        )

    def _on_click(self, x_px: float, y_px: float) -> None:
        pareto = self._paretos.get(self._choice.currentText())
        if pareto is not None:
            share = (x_px / self._view.width(), 1 - y_px / self._view.height())
            label = pareto.nearest(*share, near_share=_NEAR_PX / self._view.width())
            if label:
                self.label_picked.emit(label)


class _ParetoFigure:
    """Draws accuracy against speed, and knows what was drawn where.

    Attributes
    ----------
    selected
        Label of a model that is ringed.
    """

    def __init__(self, pareto: Pareto) -> None:
        self._pareto = pareto
        self._figure: Figure | None = None
        self.selected = ""

    def draw(self, look: FigureLook) -> Figure:
        """Draw it in the colours of the theme, in any thread."""
        from napari_dl4smlm.backend.figures.comparison import draw_pareto

        pareto = self._pareto
        figure = draw_pareto(
            pareto.trades,
            frontier=pareto.frontier,
            xlabel=pareto.cost.title,
            ylabel=pareto.worth.title,
            legend="above",
        )
        trade = pareto.trades.get(self.selected)
        if trade is not None:
            figure.axes[0].plot(
                [trade.cost], [trade.worth], "o", markersize=14, mfc="none", mec=look.text
            )
        _theme(figure, look)
        self._figure = figure
        return figure

    def nearest(self, x_share: float, y_share: float, *, near_share: float) -> str:
        """Return the model at a place in the figure, in shares of its sides from the lower left."""
        figure = self._figure
        if figure is None:
            return ""
        width, height = figure.bbox.width, figure.bbox.height
        distances = {}
        for label, trade in self._pareto.trades.items():
            x, y = figure.axes[0].transData.transform((trade.cost, trade.worth))
            distances[label] = math.hypot(x - x_share * width, y - y_share * height) / width
        label = min(distances, key=distances.__getitem__)
        return label if distances[label] <= near_share else ""


class _ClickedView(FigureView):
    """A figure that tells where it is clicked, in pixels from its upper left corner."""

    clicked = Signal(float, float)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Tell where."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self.clicked.emit(event.position().x(), event.position().y())


def _stacked(draw: Callable[[], Figure], look: FigureLook) -> Figure:
    """Put panels that are side by side in print below one another, for a narrow column."""
    from matplotlib.gridspec import GridSpec

    figure = draw()
    places = GridSpec(len(figure.axes), 1, figure=figure)
    for number, axes in enumerate(figure.axes):
        axes.set_subplotspec(places[number])
    for legend in figure.legends:
        legend.set_ncols(1)
    _theme(figure, look)
    return figure


def _theme(figure: Figure, look: FigureLook) -> None:
    """Give a figure the colours of the theme; what is black in print would be lost on dark."""
    from matplotlib.lines import Line2D

    from napari_dl4smlm.backend.figures.style import COLOURS

    look.colour(figure)
    black = COLOURS[-1]
    for line in figure.findobj(Line2D):
        assert isinstance(line, Line2D)
        if line.get_color() == black:
            line.set_color(look.text)
            line.set_markerfacecolor(look.text)
            line.set_markeredgecolor(look.text)
