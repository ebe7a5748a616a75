import numpy as np
import pytest
from numpy.testing import assert_allclose

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.evaluation.quality import mean_frame, measure_quality
from napari_dl4smlm.backend.localizations.density_map import render_density_map
from napari_dl4smlm.backend.localizations.table import Localizations

FRAMES, HEIGHT, WIDTH, PIXEL_NM = 200, 32, 40, 100
ERROR_NM = 10
PHOTONS = 900


def draw(positions_nm, *, factor, sigma_px):
    return render_density_map(
        positions_nm,
        height=HEIGHT,
        width=WIDTH,
        pixel_size_nm=PIXEL_NM,
        upsampling_factor=factor,
        sigma_px=sigma_px,
    )


@pytest.fixture(scope="module")
def experiment():
    """Molecules on two lines, each in three frames in a row: their movie and their table."""
    generator = np.random.default_rng(0)
    count = 1500
    x_nm = generator.uniform(300, 3700, count)
    y_nm = np.where(np.arange(count) % 2, 800 + 0.3 * x_nm, 2600 - 0.2 * x_nm)
    start = generator.integers(0, FRAMES - 3, count)
    frame = (start + np.arange(3)[:, None]).ravel()
    places = np.tile(np.column_stack([y_nm, x_nm]), (3, 1))
    movie = np.stack(
        [
            PHOTONS * draw(places[frame == number], factor=1, sigma_px=1.3)
            for number in range(FRAMES)
        ]
    )
    movie = generator.poisson(movie + 100).astype(np.uint16)
    table = Localizations(
        frame,
        *(places + generator.normal(0, ERROR_NM, places.shape)).T,
        photons=generator.normal(PHOTONS, 50, len(frame)),
        sigma_nm=np.full(len(frame), 130.0),
    )
    return open_frames(movie, pixel_size_nm=PIXEL_NM), table


def test_what_was_simulated_is_measured(experiment):
    movie, table = experiment
    quality = measure_quality(table, movie)
    values = {name: measured.value for name, measured in quality.measured().items()}
    # three standard deviations of repeated simulations
    assert values["precision"] == pytest.approx(ERROR_NM, rel=0.06)
    assert values["rsf"] == pytest.approx(130, rel=0.05)
    assert values["rsp"] > 0.99
    # shot noise of the mean of all frames, of which most of the field has 100 counts each
    assert values["rse"] == pytest.approx(np.sqrt(100 / FRAMES), rel=0.5)
    assert values["localizations_per_frame"] == len(table) / FRAMES
    assert values["photons"] == pytest.approx(PHOTONS, rel=0.01)
    assert values["sigma"] == 130
    # the lines are thinner than the precision
    assert 2 * ERROR_NM < values["frc_resolution"] < 10 * ERROR_NM
    # the table was drawn with sharp spots, which tell nothing
    assert values["decorrelation_resolution"] is None
    assert all(measured.assumption for measured in quality.measured().values())


def test_a_given_image_is_judged_at_its_own_pixel_size(experiment):
    movie, table = experiment
    image = draw(table.positions_nm(), factor=4, sigma_px=3)
    quality = measure_quality(table, movie, image=image)
    # spots of 3 pixels of 25 nm
    assert quality.decorrelation.resolution.value == pytest.approx(2.5 * 75, rel=0.15)
    # the spots are blurred already
    assert quality.errors.rsf.value == pytest.approx(np.sqrt(130**2 - 75**2), rel=0.05)
    assert_allclose(quality.errors.reference, movie.read(0, FRAMES).mean(axis=0))


def test_only_the_frames_asked_for_count(experiment):
    movie, table = experiment
    frames = range(50, 100)
    quality = measure_quality(table, movie, frames=frames, block_frames=5)
    assert_allclose(quality.errors.reference, movie.read(50, 100).mean(axis=0))
    assert quality.per_frame.mean.value == len(table.in_frames(frames)) / 50
    assert (quality.per_frame.edges[[0, -1]] == [50, 100]).all()
    assert quality.photons.counts.sum() == pytest.approx(len(table.in_frames(frames)), rel=0.01)
    assert quality.fourier_ring.block_frames == 5
    assert quality.errors.rsp.value > 0.97


def test_the_table_of_another_movie_disagrees_with_the_frames(experiment):
    movie, table = experiment
    mirrored = Localizations(table.frame, 3199 - table.y_nm, table.x_nm)
    quality = measure_quality(mirrored, movie)
    assert quality.errors.rsp.value is None or quality.errors.rsp.value < 0.6


def test_an_empty_table_has_no_number_that_could_mislead(experiment):
    movie, _ = experiment
    measured = measure_quality(Localizations.empty(), movie).measured()
    assert measured.pop("localizations_per_frame").value == 0
    for one in measured.values():
        assert one.value is None
        assert one.problem


def test_the_mean_of_a_long_movie_is_that_of_numpy():
    frames = np.random.default_rng(0).integers(0, 60_000, (37, 8, 9), dtype=np.uint16)
    assert_allclose(mean_frame(open_frames(frames), range(3, 36)), frames[3:36].mean(axis=0))


def test_what_does_not_belong_together_is_refused(experiment):
    movie, table = experiment
    with pytest.raises(InputError, match="pixel size of array is not known"):
        measure_quality(table, open_frames(movie.read(0, 5)))
    oblong = open_frames(movie.read(0, 5))
    oblong.pixel_sides_nm = (100, 160)
    with pytest.raises(InputError, match="100 nm high and 160 nm wide"):
        measure_quality(table, oblong)
    with pytest.raises(InputError, match=r"frame 198, counted from 0, but array has 5 frames"):
        measure_quality(table, open_frames(movie.read(0, 5), pixel_size_nm=100))
    with pytest.raises(InputError, match="Is the pixel size right"):
        measure_quality(table, open_frames(movie.read(0, FRAMES), pixel_size_nm=50))
    with pytest.raises(InputError, match=r"\(100, 100\) is not of the same field"):
        measure_quality(table, movie, image=np.ones((100, 100)))


def test_a_few_localizations_beyond_the_edge_do_no_harm(experiment):
    movie, table = experiment
    outside = Localizations.concatenate(
        [table, Localizations([3], [-5.0], [4.0], photons=[1], sigma_nm=[1])]
    )
    assert measure_quality(outside, movie).errors.rsp.value > 0.99
