"""Numbers that were measured without ground truth, and the curves and histograms behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_dl4smlm.widgets.forms.columns import title_label, two_columns
from napari_dl4smlm.widgets.forms.titled_rows import Message

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from napari_dl4smlm.backend.evaluation.quality import Quality
    from napari_dl4smlm.backend.metrics.measured import Measured
    from napari_dl4smlm.widgets.figure_view import FigureLook

N_PLOTS = 6


class NumberRows(QWidget):
    """Numbers in two columns; the tooltip of each is its assumption."""

    def __init__(self) -> None:
        super().__init__()
        self._grid = two_columns(QGridLayout(self))

    def show_measured(self, measured: dict[str, Measured]) -> None:
        """Show numbers in place of those that are there; a reason where there is none."""
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            assert widget is not None
            widget.hide()
            widget.deleteLater()
        for row, one in enumerate(measured.values()):
            about = f"<qt>{one.assumption}</qt>"
            value = QLabel(one.text)
            value.setToolTip(about)
            self._grid.addWidget(title_label(one.label, about), 2 * row, 0)
            self._grid.addWidget(value, 2 * row, 1)
            if one.problem:
                why_not = Message()
                why_not.show_text(one.problem)
                self._grid.addWidget(why_not, 2 * row + 1, 0, 1, 2)


def quality_figure(quality: Quality, look: FigureLook) -> Figure:
    """Draw all plots one below the other, in the colours around them."""
    # they import matplotlib
    from napari_dl4smlm.backend.figures.localization_statistics import (
        plot_distribution,
        plot_localizations_per_frame,
    )
    from napari_dl4smlm.backend.figures.nearest_neighbour import plot_nearest_neighbours
    from napari_dl4smlm.backend.figures.resolution import plot_decorrelation, plot_fourier_ring
    from napari_dl4smlm.backend.figures.style import ONE_COLUMN_MM, new_figure

    figure = new_figure(ONE_COLUMN_MM, N_PLOTS * ONE_COLUMN_MM / 2)
    axes = figure.subplots(N_PLOTS, 1)
    plot_fourier_ring(axes[0], quality.fourier_ring)
    plot_decorrelation(axes[1], quality.decorrelation)
    plot_nearest_neighbours(axes[2], quality.nearest_neighbour)
    plot_localizations_per_frame(axes[3], quality.per_frame)
    plot_distribution(axes[4], quality.photons, xlabel="photons")
    plot_distribution(axes[5], quality.sigma, xlabel="sigma of the spot (nm)")
    look.colour(figure)
    _blend_boxes(figure, look)
    return figure


def _blend_boxes(figure: Figure, look: FigureLook) -> None:
    """Give the white boxes behind reasons the colour of the background."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        box = text.get_bbox_patch()
        if box is not None:
            box.set_facecolor(look.background)
