import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.figures.triptych import draw_triptych


@pytest.fixture
def images():
    generator = np.random.default_rng(0)
    return generator.random((16, 20)), generator.random((128, 160)), generator.random((128, 160))


def drawn(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def colour_bars(figure, panels):
    """The axes of the colour bars, which come behind those of two rows of images."""
    return figure.axes[2 * panels :]


def limits(ax):
    return ax.images[0].get_clim()


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
    figure = draw_triptych(raw, prediction, pixel_size_nm=100)
    assert sum(bool(ax.images) for ax in figure.axes) == 4


def test_titles_say_what_is_shown(images):
    raw, _, prediction = images
    figure = draw_triptych(
        raw, prediction, pixel_size_nm=100, raw_title="frame 7", prediction_title="FID-STORM"
    )
    assert [ax.get_title() for ax in figure.axes[:2]] == ["frame 7", "FID-STORM"]


def test_dollar_signs_in_a_title_are_no_formula(images):
    raw, _, prediction = images
    figure = draw_triptych(raw, prediction, pixel_size_nm=100, prediction_title="$b^$")
    drawn(figure)
    assert figure.axes[1].get_title() == r"\$b^\$"


def test_each_colour_bar_says_what_the_values_mean(images):
    raw, truth, prediction = images
    figure = draw_triptych(raw, prediction, pixel_size_nm=100, truth=truth)
    labels = [bar.get_xlabel().replace("\u00a0", " ") for bar in colour_bars(figure, 3)]
    assert labels == ["camera counts", *["emitters per 12.5 nm pixel"] * 2]


def test_equal_colours_of_truth_and_prediction_are_equal_densities(images):
    raw, truth, prediction = images
    figure = draw_triptych(raw, 5 * prediction, pixel_size_nm=100, truth=truth)
    _, of_truth, of_prediction, _, enlarged_truth, enlarged_prediction = map(
        limits, figure.axes[:6]
    )
    assert of_truth == of_prediction == enlarged_truth == enlarged_prediction
    assert of_truth == pytest.approx((0, 5), rel=0.01)


def test_a_large_empty_field_a_faint_haze_and_a_bead_leave_the_structure_its_contrast():
    generator = np.random.default_rng(0)
    prediction = generator.uniform(0, 1e-4, (800, 800))
    # a thousandth of the field, between 1 and 2, and four pixels far above it
    prediction[400, :640] = generator.uniform(1, 2, 640)
    prediction[10:12, 10:12] = 500
    figure = draw_triptych(np.zeros((100, 100)), prediction, pixel_size_nm=100)
    assert limits(figure.axes[1]) == pytest.approx((0, 2), abs=0.05)


def test_a_hot_pixel_leaves_the_raw_image_its_contrast(images):
    raw, _, prediction = images
    raw = np.tile(raw, (4, 4))
    raw[3, 3] = 1e4
    figure = draw_triptych(raw, np.tile(prediction, (4, 4)), pixel_size_nm=100)
    assert limits(figure.axes[0])[1] < 1


@pytest.mark.parametrize("panel", [0, 2])
def test_the_scale_bar_is_as_long_as_it_says(images, panel):
    raw, _, prediction = images
    ax = draw_triptych(raw, prediction, pixel_size_nm=100).axes[panel]
    (bar,) = ax.lines
    length = {0: 500, 2: 100}[panel]
    assert np.ptp(bar.get_xdata()) == pytest.approx(length)
    assert ax.texts[0].get_text() == f"{length} nm"
    assert ax.get_xlim()[0] < bar.get_xdata()[0] < bar.get_xdata()[1] < ax.get_xlim()[1]


def test_the_part_enlarged_is_the_one_with_most_in_it():
    prediction = np.zeros((128, 128))
    prediction[20:24, 100:104] = 1
    figure = draw_triptych(np.zeros((16, 16)), prediction, pixel_size_nm=100)
    left, right = figure.axes[2].get_xlim()
    bottom, top = figure.axes[2].get_ylim()
    assert left < 1275 < right
    assert top < 275 < bottom
    assert right - left == bottom - top == 400


def test_the_enlarged_square_can_be_chosen_up_to_the_whole_field(images):
    raw, _, prediction = images
    figure = draw_triptych(raw, prediction, pixel_size_nm=100, zoom_nm=1600)
    assert np.ptp(figure.axes[2].get_xlim()) == pytest.approx(1600)


def test_an_empty_prediction_is_drawn_all_the_same(images):
    drawn(draw_triptych(images[0], np.zeros((128, 160)), pixel_size_nm=100))


@pytest.mark.parametrize("shape", [(16, 16), (8, 64), (64, 8), (24, 16)])
@pytest.mark.parametrize("panels", [2, 3])
@pytest.mark.parametrize("column_mm", [89 / 3, 61])
def test_no_text_runs_into_other_text_or_out_of_the_figure(shape, panels, column_mm):
    raw = np.random.default_rng(0).random(shape)
    density = np.kron(raw, np.ones((4, 4)))
    figure = draw_triptych(
        raw,
        density,
        pixel_size_nm=100,
        truth=density if panels == 3 else None,
        width_mm=panels * column_mm,
    )
    drawn(figure)
    texts = [ax.title if ax.get_title() else ax._left_title for ax in figure.axes[: 2 * panels]]
    texts += [text for ax in figure.axes for text in (ax.xaxis.label, *ax.texts)]
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    assert len(boxes) == 2 * panels + 2
    for k, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1
        assert not any(box.overlaps(other) for other in boxes[:k])
    assert figure.get_figwidth() * 25.4 == pytest.approx(panels * column_mm)


def test_a_tall_field_stands_beside_its_enlarged_part():
    raw = np.random.default_rng(0).random((64, 16))
    figure = draw_triptych(raw, raw, pixel_size_nm=100)
    drawn(figure)
    whole, part = (ax.get_window_extent() for ax in figure.axes[:4:2])
    assert whole.x1 < part.x0
    assert whole.height == pytest.approx(4 * whole.width, rel=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_size_nm": 0}, "pixel size is 0 nm"),
        ({"raw": np.zeros((3, 16, 20))}, r"raw image has shape \(3, 16, 20\)"),
        ({"prediction": np.zeros((128, 100))}, r"shape \(128, 100\) is not of the same field"),
        ({"truth": np.zeros((130, 160))}, r"shape \(130, 160\) is not of the same field"),
        ({"prediction": np.zeros((8, 10))}, r"shape \(8, 10\) is not of the same field"),
        ({"zoom_nm": 1601}, "square of 1601 nm cannot be enlarged"),
        ({"zoom_nm": -1}, "square of -1 nm cannot be enlarged"),
        ({"width_mm": 40}, "2 images cannot be drawn 40 mm wide. Give at least 58 mm"),
    ],
)
def test_images_that_do_not_fit_are_refused(images, change, message):
    arguments = {"raw": images[0], "prediction": images[2], "pixel_size_nm": 100} | change
    with pytest.raises(InputError, match=message):
        draw_triptych(**arguments)
