"""All that was measured of a result without the truth, on one page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dl4smlm.backend.figures.error_map import plot_error_map
from napari_dl4smlm.backend.figures.localization_statistics import (
    plot_distribution,
    plot_localizations_per_frame,
)
from napari_dl4smlm.backend.figures.nearest_neighbour import plot_nearest_neighbours
from napari_dl4smlm.backend.figures.resolution import plot_decorrelation, plot_fourier_ring
from napari_dl4smlm.backend.figures.style import TWO_COLUMNS_MM, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from napari_dl4smlm.backend.metrics.decorrelation import DecorrelationResolution
    from napari_dl4smlm.backend.metrics.error_map import ErrorMap
    from napari_dl4smlm.backend.metrics.fourier_ring import FourierRingResolution
    from napari_dl4smlm.backend.metrics.localization_statistics import (
        Distribution,
        LocalizationsPerFrame,
    )
    from napari_dl4smlm.backend.metrics.nearest_neighbour import NearestNeighbourPrecision

_ROW_MM = 56.0


def draw_quality(
    *,
    fourier_ring: FourierRingResolution,
    decorrelation: DecorrelationResolution,
    errors: ErrorMap,
    nearest_neighbour: NearestNeighbourPrecision,
    photons: Distribution,
    sigma: Distribution,
    per_frame: LocalizationsPerFrame,
) -> Figure:
    """Draw resolutions, precision, errors and the statistics of the table.

    Parameters
    ----------
    fourier_ring, decorrelation, errors, nearest_neighbour, photons, sigma, per_frame
        As `Quality` has them. What could not be measured says why.

    Returns
    -------
    Figure
        As wide as two columns of a journal, three rows of panels.
    """
    figure = new_figure(TWO_COLUMNS_MM, 3 * _ROW_MM)
    # each row on its own: the colour bars of the images would narrow the plots below them
    rows = figure.subfigures(3, 1, squeeze=False)[:, 0]
    images, curves, table = (row.subplots(1, 3) for row in rows)
    plot_error_map(images, errors)
    plot_fourier_ring(curves[0], fourier_ring)
    plot_decorrelation(curves[1], decorrelation)
    plot_nearest_neighbours(curves[2], nearest_neighbour)
    plot_localizations_per_frame(table[0], per_frame)
    plot_distribution(table[1], photons, xlabel="photons")
    plot_distribution(table[2], sigma, xlabel="sigma of the spot (nm)")
    return figure
