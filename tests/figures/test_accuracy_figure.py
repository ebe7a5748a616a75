import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.figures.accuracy import draw_accuracy
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.metrics.accuracy import accuracy_by_density, accuracy_by_photons


@pytest.fixture(scope="module")
def results():
    """By density and by photons, of a movie whose emitters are found 10 nm off or not at all."""
    generator = np.random.default_rng(0)
    position = generator.uniform(0, 4000, (2, 400))
    truth = Localizations(
        frame=generator.integers(0, 10, 400),
        y_nm=position[0],
        x_nm=position[1],
        photons=generator.uniform(500, 3000, 400),
    )
    found = Localizations(frame=truth.frame, y_nm=truth.y_nm + 10, x_nm=truth.x_nm)[:300]
    return (
        accuracy_by_density(found, truth, tolerance_nm=50),
        accuracy_by_photons(found, truth, tolerance_nm=50),
    )


def labels(legend):
    return [text.get_text() for text in legend.get_texts()]


def test_a_result_alone_is_drawn_with_precision_and_recall(results):
    by_density, _ = results
    detection, error = draw_accuracy(by_density).axes
    assert labels(detection.get_legend()) == ["Jaccard index", "precision", "recall"]
    assert detection.lines[0].get_xdata() == pytest.approx(by_density.density_per_um2)
    assert detection.lines[0].get_ydata() == pytest.approx(by_density.jaccard)
    # nothing spurious was found
    assert detection.lines[1].get_ydata() == pytest.approx(1)
    assert detection.lines[2].get_ydata() == pytest.approx(by_density.recall)
    assert error.get_xlabel() == "local density (emitters / µm²)"
    assert error.get_ylabel() == "lateral RMSE (nm)"
    assert error.get_ylim()[0] == 0


def test_density_and_photons_have_a_row_each(results):
    figure = draw_accuracy(*results)
    assert len(figure.axes) == 4
    assert figure.axes[2].get_xlabel() == "photons per emitter"
    assert figure.axes[2].get_ylabel() == "recall"
    assert figure.axes[3].lines[0].get_ydata() == pytest.approx(10)


def test_several_networks_are_named_once_and_keep_their_colours(results):
    by_density, by_photons = ({"one": result, "two": result} for result in results)
    figure = draw_accuracy(by_density, by_photons)
    FigureCanvasAgg(figure).draw()
    (legend,) = figure.legends
    assert labels(legend) == ["one", "two"]
    assert all(ax.get_legend() is None for ax in figure.axes)
    colours = {tuple(line.get_color() for line in ax.lines[:2]) for ax in figure.axes[::2]}
    assert len(colours) == 1
    assert figure.axes[0].get_ylabel() == "Jaccard index"


def test_labels_are_neither_formulas_nor_hidden(results):
    by_density, _ = results
    figure = draw_accuracy({"_a": by_density, "$b^$": by_density})
    FigureCanvasAgg(figure).draw()
    assert [text.strip() for text in labels(figure.legends[0])] == ["_a", r"\$b^\$"]


def test_the_bound_is_dashed_over_the_photons(results):
    _, by_photons = results
    bound_nm = 200 / np.sqrt(by_photons.photons)
    _, error = draw_accuracy(by_photons=by_photons, bound_nm=bound_nm).axes
    (bound,) = [line for line in error.lines if line.get_linestyle() == "--"]
    assert bound.get_xdata() == pytest.approx(by_photons.photons)
    assert bound.get_ydata() == pytest.approx(bound_nm)
    assert "Cramér–Rao bound" in labels(error.get_legend())


def test_photons_over_orders_of_magnitude_have_a_logarithmic_axis(results):
    truth = Localizations(
        frame=range(4), y_nm=[0.0] * 4, x_nm=[0.0] * 4, photons=[10.0, 100, 1000, 10_000]
    )
    wide = accuracy_by_photons(truth, truth, edges=[1, 50, 500, 5000, 50_000])
    assert draw_accuracy(by_photons=wide).axes[0].get_xscale() == "log"
    assert draw_accuracy(by_photons=results[1]).axes[0].get_xscale() == "linear"


def test_what_cannot_be_drawn_is_refused(results):
    by_density, by_photons = results
    with pytest.raises(InputError, match="There is no result to draw"):
        draw_accuracy(by_density={})
    with pytest.raises(InputError, match="8 results cannot be told apart"):
        draw_accuracy({str(k): by_density for k in range(8)})
    with pytest.raises(InputError, match=r"bound has shape \(2,\)"):
        draw_accuracy(by_photons=by_photons, bound_nm=np.ones(2))
    with pytest.raises(InputError, match="and the result by photons"):
        draw_accuracy(by_density, bound_nm=np.ones(8))
