import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from napari_dl4smlm.backend.figures.triptych import draw_triptych


@pytest.fixture
def images():
    generator = np.random.default_rng(0)
    return generator.random((16, 20)), generator.random((128, 160)), generator.random((128, 160))


def drawn(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def test_three_images_of_one_field_stand_above_their_enlarged_parts(images):
    raw, truth, prediction = images
    figure = draw_triptych(raw, prediction, pixel_size_nm=100, truth=truth)
    titles = [ax.get_title() for ax in figure.axes[:3]]
    assert titles == ["mean of the raw frames", "ground truth", "prediction"]
    for ax in figure.axes[:3]:
        assert ax.get_xlim() == (0, 2000)
        assert ax.get_ylim() == (1600, 0)
    assert drawn(figure)[..., :3].std() > 10


def test_without_truth_there_are_two(images):
    raw, _, prediction = images
    assert len(draw_triptych(raw, prediction, pixel_size_nm=100).axes) == 4


def test_the_scale_bar_is_as_long_as_it_says(images):
    raw, _, prediction = images
    ax = draw_triptych(raw, prediction, pixel_size_nm=100).axes[0]
    (bar,) = ax.lines
    assert np.ptp(bar.get_xdata()) == 500
    assert ax.texts[0].get_text() == "500 nm"


def test_the_part_enlarged_is_the_one_with_most_in_it():
    prediction = np.zeros((128, 128))
    prediction[20:24, 100:104] = 1
    figure = draw_triptych(np.zeros((16, 16)), prediction, pixel_size_nm=100)
    left, right = figure.axes[2].get_xlim()
    bottom, top = figure.axes[2].get_ylim()
    assert left < 1275 < right
    assert top < 275 < bottom
    assert right - left == bottom - top == 400


def test_an_empty_prediction_is_drawn_all_the_same(images):
    drawn(draw_triptych(images[0], np.zeros((128, 160)), pixel_size_nm=100))
