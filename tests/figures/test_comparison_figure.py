import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.figures.comparison import (
    Trade,
    draw_differences,
    draw_images,
    draw_pareto,
)

# of files: neither formula nor hidden curve
LABELS = ["fid", "_deep", "a$b$c", r"$\frac$", "<b>&"]


@pytest.fixture
def images():
    generator = np.random.default_rng(0)
    return {label: generator.random((40, 60)) for label in LABELS}


def test_every_model_has_its_place_and_the_frontier_joins_the_best():
    models = {label: Trade(10.0 ** (k - 1), 0.5 + k / 10) for k, label in enumerate(LABELS)}
    models["fid"] = Trade(0.1, 0.5, 0.4, 0.6)
    figure = draw_pareto(
        models, frontier=["fid", "<b>&"], xlabel="time (ms)", ylabel="Jaccard index"
    )
    FigureCanvasAgg(figure).draw()
    (ax,) = figure.axes
    assert ax.get_xlabel() == "time (ms)"
    assert ax.get_ylabel() == "Jaccard index"
    line = ax.lines[0]
    assert line.get_xydata() == pytest.approx(np.array([(0.1, 0.5), (1000, 0.9)]))
    (legend,) = figure.legends
    shown = [text.get_text().replace(r"\$", "$").strip() for text in legend.get_texts()]
    assert shown == ["no model is better in both", *LABELS]
    (bar,) = [c for c in ax.collections if len(c.get_segments()) and np.ptp(c.get_segments()[0])]
    assert bar.get_segments()[0][:, 1] == pytest.approx([0.4, 0.6])


def test_in_a_narrow_figure_the_models_are_named_above_the_axes():
    models = {"a": Trade(1.0, 0.5), "a model with a long name": Trade(2.0, 0.6)}
    widths = {}
    for legend in ("right", "above"):
        figure = draw_pareto(models, frontier=["a"], xlabel="", ylabel="", legend=legend)
        figure.set_size_inches(3.4, 3.4)
        FigureCanvasAgg(figure).draw()
        widths[legend] = figure.axes[0].get_position().width
    assert widths["right"] < 0.6 < 0.8 < widths["above"]


def test_a_very_long_name_leaves_the_plot_its_place():
    models = {"long_name_of_a_model_" * 10: Trade(1.0, 0.5)}
    figure = draw_pareto(models, frontier=[], xlabel="", ylabel="")
    FigureCanvasAgg(figure).draw()
    assert figure.axes[0].get_position().width > 0.5


def test_many_names_are_all_inside_of_the_figure():
    models = {f"name_of_a_model_in_a_folder_{'x' * k}": Trade(1.0, 0.5) for k in range(40)}
    figure = draw_pareto(models, frontier=[], xlabel="", ylabel="")
    FigureCanvasAgg(figure).draw()
    assert figure.legends[0].get_window_extent().y0 >= 0


@pytest.mark.parametrize("shape", [(20, 120), (40, 40), (120, 20)])
def test_titles_of_several_lines_are_inside_of_the_figure_and_off_the_axis_above(shape):
    images = {"name_of_a_model_" * 6 + str(k): np.ones(shape) for k in range(5)}
    figure = draw_images(images, pixel_size_nm=10.0)
    FigureCanvasAgg(figure).draw()
    whole, part = figure.axes[0], figure.axes[4]
    assert whole.title.get_window_extent().y1 <= figure.bbox.y1
    assert figure.axes[8].title.get_window_extent().y1 <= part.xaxis.label.get_window_extent().y0
    # of an enlarged square, nearly all of the column's width is seen
    assert part.get_window_extent().width > 0.15 * figure.bbox.width


def test_times_are_written_as_plain_numbers():
    models = {"a": Trade(0.7, 0.1), "b": Trade(40.0, 0.2)}
    figure = draw_pareto(models, frontier=["a"], xlabel="", ylabel="")
    FigureCanvasAgg(figure).draw()
    ax = figure.axes[0]
    low, high = ax.get_xlim()
    shown = [
        label.get_text() for label in ax.get_xticklabels() if low <= label.get_position()[0] <= high
    ]
    assert {"1", "10"} <= set(shown) <= {"0.5", "1", "2", "5", "10", "20", "50"}


def test_images_share_their_colours_and_the_part_is_the_fullest_of_the_first(images):
    first = images["fid"]
    first[:] = 0
    first[24:34, 41:51] = 1
    figure = draw_images(images, pixel_size_nm=50.0)
    FigureCanvasAgg(figure).draw()
    shown = [ax for ax in figure.axes if ax.images]
    assert len(shown) == 2 * len(LABELS)
    assert len({ax.images[0].get_clim() for ax in shown}) == 1
    whole, part = figure.axes[0], figure.axes[4]
    # 60 x 40 pixels of 50 nm, and the ten of them that are bright
    assert whole.get_xlim() == pytest.approx((0, 3.0))
    assert whole.get_ylim() == pytest.approx((2.0, 0))
    assert part.get_xlim() == pytest.approx((41 * 0.05, 51 * 0.05))
    assert part.get_ylim() == pytest.approx((34 * 0.05, 24 * 0.05))
    (square,) = whole.patches
    assert square.get_xy() == pytest.approx((2.05, 1.2))
    titles = [ax.get_title().replace(r"\$", "$").strip() for ax in shown if ax.get_title()]
    assert titles == LABELS


def test_a_difference_is_prediction_minus_truth_with_grey_at_zero(images):
    truth = np.random.default_rng(1).random((40, 60))
    figure = draw_differences(images, truth, pixel_size_nm=50.0)
    FigureCanvasAgg(figure).draw()
    shown = [ax.images[0] for ax in figure.axes if ax.images]
    assert np.asarray(shown[0].get_array()) == pytest.approx(images["fid"] - truth)
    low, high = shown[0].get_clim()
    assert low == -high < 0


def test_equal_images_can_be_drawn(images):
    same = np.zeros((40, 60))
    FigureCanvasAgg(draw_differences({"a": same}, same, pixel_size_nm=50.0)).draw()
    FigureCanvasAgg(draw_images({"a": same}, pixel_size_nm=50.0)).draw()


def test_what_cannot_be_drawn_is_refused(images):
    with pytest.raises(InputError, match="no model to draw"):
        draw_pareto({}, frontier=[], xlabel="", ylabel="")
    with pytest.raises(InputError, match="cost is not above 0"):
        draw_pareto({"a": Trade(0, 1)}, frontier=[], xlabel="", ylabel="")
    with pytest.raises(InputError, match="all on one grid"):
        draw_images({**images, "other": np.zeros((3, 3))}, pixel_size_nm=50.0)
    with pytest.raises(InputError, match="at least one"):
        draw_images({}, pixel_size_nm=50.0)
    with pytest.raises(InputError, match="all on one grid"):
        draw_differences(images, np.zeros((3, 3)), pixel_size_nm=50.0)
