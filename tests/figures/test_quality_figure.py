import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from numpy.testing import assert_allclose
from scipy.ndimage import gaussian_filter

from napari_dl4smlm.backend.figures.error_map import plot_error_map
from napari_dl4smlm.backend.figures.localization_statistics import (
    plot_distribution,
    plot_localizations_per_frame,
)
from napari_dl4smlm.backend.figures.nearest_neighbour import plot_nearest_neighbours
from napari_dl4smlm.backend.figures.quality import draw_quality
from napari_dl4smlm.backend.figures.resolution import plot_decorrelation, plot_fourier_ring
from napari_dl4smlm.backend.figures.style import new_figure
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.metrics.decorrelation import decorrelation_resolution
from napari_dl4smlm.backend.metrics.error_map import map_errors
from napari_dl4smlm.backend.metrics.fourier_ring import fourier_ring_resolution
from napari_dl4smlm.backend.metrics.localization_statistics import (
    localizations_per_frame,
    photon_distribution,
    sigma_distribution,
)
from napari_dl4smlm.backend.metrics.nearest_neighbour import nearest_neighbour_precision


@pytest.fixture(scope="module")
def table():
    """Each of 2000 molecules in two frames in a row."""
    generator = np.random.default_rng(0)
    places = np.tile(generator.uniform(0, 5000, (2000, 2)), (2, 1))
    frame = np.tile(generator.integers(0, 99, 2000), 2) + np.repeat([0, 1], 2000)
    return Localizations(
        frame,
        *(places + generator.normal(0, 10, places.shape)).T,
        photons=generator.exponential(1000, 4000),
        sigma_nm=generator.normal(130, 5, 4000),
    )


@pytest.fixture(scope="module")
def image():
    return gaussian_filter(np.random.default_rng(0).poisson(0.02, (128, 160)).astype(float), 2)


@pytest.fixture
def ax():
    return Figure().subplots()


def vertical_line(ax):
    (line,) = [line for line in ax.lines if np.ptp(line.get_xdata()) == 0]
    return line.get_xdata()[0]


def test_the_resolution_is_marked_where_the_curve_falls_below_a_seventh(ax, table):
    result = fourier_ring_resolution(table, block_frames=1)
    plot_fourier_ring(ax, result)
    assert ax.get_title(loc="left") == f"FRC resolution\n{result.resolution.text}"
    mark = vertical_line(ax)
    assert mark == pytest.approx(1000 / result.resolution.value)
    smoothed = next(line for line in ax.lines if line.get_label() == "FRC, smoothed")
    assert np.interp(mark, *smoothed.get_data()) == pytest.approx(1 / 7, abs=1e-3)


def test_the_decorrelation_is_marked_at_the_peak_of_the_filtered_curve(ax, image):
    result = decorrelation_resolution(image, pixel_size_nm=25)
    plot_decorrelation(ax, result)
    filtered = next(line for line in ax.lines if line.get_label() == "after the best filter")
    frequency, curve = filtered.get_data()
    beyond = frequency > 0.8 * vertical_line(ax)
    assert frequency[beyond][curve[beyond].argmax()] == pytest.approx(vertical_line(ax))


def test_the_legend_of_the_decorrelation_lies_above_its_curves(ax, image):
    result = decorrelation_resolution(image, pixel_size_nm=25)
    plot_decorrelation(ax, result)
    top = ax.get_ylim()[1]
    assert max(result.curve.max(), result.filtered.max()) <= 0.7 * top


def test_neighbours_are_drawn_with_their_fit_and_with_chance(ax, table):
    result = nearest_neighbour_precision(table)
    plot_nearest_neighbours(ax, result)
    next_frame, later = (p.get_data() for p in ax.patches if isinstance(p, StepPatch))
    assert next_frame.values.sum() == result.counts.sum()
    assert later.values.sum() == result.by_chance.sum()
    (fit,) = ax.lines
    # the most frequent distance is √2 times the precision
    peak_nm = fit.get_xdata()[fit.get_ydata().argmax()]
    assert peak_nm == pytest.approx(np.sqrt(2) * result.precision.value, abs=2)
    assert ax.get_xlim()[1] == pytest.approx(12 * result.precision.value)


@pytest.mark.parametrize("size_mm", [(183 / 3, 56), (89, 89 / 2)], ids=["page", "widget"])
@pytest.mark.parametrize("found_again", [2000, 0])
def test_legend_and_reason_hide_no_neighbours(size_mm, found_again):
    # so dense that chance is as high as anything
    generator = np.random.default_rng(0)
    places = np.concatenate([generator.uniform(0, 2000, (2000, 2))] * 2)[: 2000 + found_again]
    frame = np.concatenate([generator.integers(0, 99, 2000)] * 2)[: 2000 + found_again]
    frame[2000:] += 1
    others = generator.integers(0, 100, 10_000)
    positions = np.concatenate([places, generator.uniform(0, 2000, (10_000, 2))])
    positions = positions + generator.normal(0, 10, positions.shape)
    dense = Localizations(np.concatenate([frame, others]), *positions.T)
    result = nearest_neighbour_precision(dense)
    assert (result.precision.value is None) == (found_again == 0)
    figure = new_figure(*size_mm)
    ax = figure.subplots()
    plot_nearest_neighbours(ax, result)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    legend = ax.get_legend().get_window_extent(renderer)
    shown = [p.get_data() for p in ax.patches if isinstance(p, StepPatch)]
    highest = max(each.values[each.edges[:-1] < ax.get_xlim()[1]].max() for each in shown)
    top = ax.transData.transform((0, highest))[1]
    assert ax.bbox.x0 < legend.x0
    assert legend.y0 > top
    for text in ax.texts:
        reason = text.get_window_extent(renderer)
        assert top < reason.y0 < reason.y1 < legend.y0
        assert ax.bbox.x0 < reason.x0


def test_a_distribution_has_its_median_marked(ax, table):
    result = photon_distribution(table)
    plot_distribution(ax, result, xlabel="photons")
    assert vertical_line(ax) == np.median(table.photons)
    assert ax.get_xlabel() == "photons"


def test_localizations_per_frame_begin_at_zero(ax, table):
    plot_localizations_per_frame(ax, localizations_per_frame(table, range(100)))
    assert ax.get_xlim() == (0, 100)
    assert ax.get_ylim()[0] == 0
    assert ax.patches[0].get_data().values.sum() == 4000


def test_the_three_images_of_the_error_map_are_in_register(image):
    raw = image.reshape(16, 8, 20, 8).sum((1, 3)) + np.random.default_rng(1).random((16, 20))
    result = map_errors(image, raw, pixel_size_nm=100)
    axes = Figure().subplots(1, 3)
    plot_error_map(axes, result)
    for ax in axes:
        assert ax.images[0].get_extent() == [0, 2, 1.6, 0]
    assert axes[0].images[0].get_clim() == axes[1].images[0].get_clim()
    low, high = axes[2].images[0].get_clim()
    assert low == -high
    assert_allclose(axes[2].images[0].get_array(), raw - result.imaged)
    assert result.rsp.text in axes[2].get_title(loc="left")


def page(table, image, raw):
    return draw_quality(
        fourier_ring=fourier_ring_resolution(table, block_frames=1),
        decorrelation=decorrelation_resolution(image, pixel_size_nm=12.5),
        errors=map_errors(image, raw, pixel_size_nm=100),
        nearest_neighbour=nearest_neighbour_precision(table),
        photons=photon_distribution(table),
        sigma=sigma_distribution(table),
        per_frame=localizations_per_frame(table, range(100)),
    )


def test_one_page_holds_everything(table, image):
    figure = page(table, image, np.random.default_rng(0).random((16, 20)))
    FigureCanvasAgg(figure).draw()
    titles = [ax.get_title(loc="left").split("\n")[0] for ax in figure.axes]
    assert [title for title in titles if title] == [
        "mean of the raw frames",
        "reconstruction",
        "raw minus reconstruction",
        "FRC resolution",
        "decorrelation resolution",
        "localization precision (NeNA)",
        "localizations per frame",
        "median photons",
        "median spot sigma",
    ]


def test_what_was_not_measured_says_why_in_its_place():
    figure = page(Localizations.empty(), np.zeros((128, 160)), np.eye(16, 20))
    FigureCanvasAgg(figure).draw()
    texts = " ".join(text.get_text().replace("\n", " ") for ax in figure.axes for text in ax.texts)
    for reason in (
        "The reconstruction has no contrast.",
        "0 localizations are too few to show a structure twice.",
        "The image has no contrast.",
        "The table has no localizations.",
        "The table has no photons: a density map does not tell them.",
    ):
        assert reason in texts
    assert sum(ax.axison for ax in figure.axes) == 3
