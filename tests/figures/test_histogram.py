import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import StepPatch

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.figures.histogram import draw_histogram


@pytest.fixture
def frames():
    generator = np.random.default_rng(0)
    frames = generator.poisson(100, (10, 64, 64)).astype(np.uint16)
    frames[:, 20:22, 30:32] += 400
    return frames


def outlines(ax):
    """Shares and edges of the bins, without the fill."""
    return [p.get_data() for p in ax.patches if isinstance(p, StepPatch) and not p.get_fill()]


def test_the_shares_of_all_bins_add_up_to_one(frames):
    (ax,) = draw_histogram(frames).axes
    ((shares, edges, _),) = outlines(ax)
    assert shares.sum() == pytest.approx(1)
    assert ax.get_yscale() == "log"
    # as many whole numbers of counts in each bin
    assert (np.diff(edges) == np.diff(edges)[0]).all()
    assert edges[0] == frames.min() - 0.5


def test_median_and_99_9th_percentile_are_marked_and_told(frames):
    (ax,) = draw_histogram(frames, label="cell.tif").axes
    median, bright = np.percentile(frames, [50, 99.9])
    assert [line.get_xdata()[0] for line in ax.lines] == pytest.approx([median, bright])
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["cell.tif", f"median {median:.4g}", f"99.9th percentile {bright:.4g}"]


def test_two_movies_share_their_bins(frames):
    other = (frames[:3] * 2.0).astype(np.uint16)
    (ax,) = draw_histogram(frames, against=other, against_label="training").axes
    (first, edges, _), (second, other_edges, _) = outlines(ax)
    assert (edges == other_edges).all()
    # shares, since the movies differ in their number of pixels
    assert first.sum() == pytest.approx(second.sum())
    assert ax.lines[2].get_xdata()[0] == np.median(other)


def test_single_hot_pixels_are_told_and_do_not_stretch_the_axis(frames):
    frames[3, 5, 5] = 60_000
    (ax,) = draw_histogram(frames).axes
    assert ax.get_xlim()[1] < 2000
    assert ax.texts[0].get_text() == "1 pixel brighter →"


def test_an_image_of_one_value_is_drawn():
    for image in (np.full((8, 8), 7), np.full((8, 8), 7.5)):
        (ax,) = draw_histogram(image).axes
        assert outlines(ax)[0][0].sum() == 1


def test_the_name_of_a_movie_is_neither_a_formula_nor_hidden(frames):
    figure = draw_histogram(frames, label="_a $b^$")
    FigureCanvasAgg(figure).draw()
    names = [text.get_text().strip() for text in figure.axes[0].get_legend().get_texts()]
    assert names[0] == r"_a \$b^\$"


@pytest.mark.parametrize("frames", [np.empty((0, 4, 4)), np.array([1.0, np.nan])])
def test_frames_without_intensities_are_refused(frames):
    with pytest.raises(InputError, match=r"intensities of cell\.tif cannot be drawn"):
        draw_histogram(frames, label="cell.tif")


def test_movies_of_one_name_are_refused(frames):
    with pytest.raises(InputError, match="Both movies are called 'movie'"):
        draw_histogram(frames, against=frames, against_label="movie")
