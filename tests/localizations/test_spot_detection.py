import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf

from napari_dl4smlm.backend.acquisition.camera import Camera
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.spot_detection import (
    _band_pass,
    _local_maxima,
    _noise_gain,
    detect_spots,
)
from napari_dl4smlm.backend.metrics.detection import detection_scores
from napari_dl4smlm.backend.metrics.precision import localization_bound_nm
from napari_dl4smlm.backend.simulation.config import MovieConfig
from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie


def picture(positions_nm, photons=1000.0, background=10.0, sigma_nm=120.0, shape=(40, 44)):
    """Expected photons; positions (y, x) from the outer corner of the frame."""
    mean = np.full(shape, float(background))
    for y, x in positions_nm:
        along_y, along_x = (
            np.diff(erf((100 * np.arange(n + 1) - c) / (np.sqrt(2) * sigma_nm))) / 2
            for n, c in zip(shape, (y, x), strict=True)
        )
        mean += photons * along_y[:, None] * along_x
    return mean


def detect(frames, sigma_nm=120.0, **options):
    return detect_spots(np.asarray(frames), pixel_size_nm=100.0, psf_sigma_nm=sigma_nm, **options)


@settings(max_examples=50, deadline=None)
@given(
    y=st.floats(50, 3950),
    x=st.floats(50, 4350),
    sigma_nm=st.floats(70, 200),
    background=st.sampled_from([0.0, 10.0]),
)
def test_an_emitter_anywhere_is_found_once_and_where_it_is(y, x, sigma_nm, background):
    frames = [picture([(y, x)], background=background, sigma_nm=sigma_nm)]
    found = detect(frames, sigma_nm)
    np.testing.assert_allclose(found.positions_nm(), [[y, x]], atol=0.1)
    assert found.photons[0] == pytest.approx(1000, rel=2e-3)
    assert found.sigma_nm[0] == pytest.approx(sigma_nm)


def test_many_emitters_in_noise_are_each_found_once_at_the_bound_of_precision():
    generator = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(*[np.arange(600, 6000, 1200.0)] * 2), axis=-1).reshape(-1, 2)
    truth = grid + generator.uniform(0, 100, (60, *grid.shape))
    means = [picture(positions, 800, 15, shape=(64, 64)) for positions in truth]
    found = detect(generator.poisson(means))
    nearest = np.argmin(
        np.linalg.norm(found.positions_nm()[:, None] - truth[found.frame], axis=2), axis=1
    )
    assert len(found) == len(set(zip(found.frame, nearest, strict=True))) == 60 * len(grid)
    errors = found.positions_nm() - truth[found.frame, nearest]
    bound = localization_bound_nm(800, background=15, psf_sigma_nm=120, pixel_size_nm=100)[0]
    assert 0.95 < np.sqrt((errors**2).mean()) / bound < 1.1
    assert (np.abs(errors.mean(axis=0)) < 3 * bound / np.sqrt(len(errors))).all()
    assert np.median(found.uncertainty_nm) == pytest.approx(errors.std(), rel=0.1)


@pytest.mark.parametrize("background", [0.1, 1, 10, 100])
def test_of_a_million_empty_pixels_fewer_than_ten_are_taken_for_emitters(background):
    frames = np.random.default_rng(0).poisson(background, (245, 64, 64))
    assert len(detect(frames)) < 10


def test_the_rate_of_false_positives_does_not_depend_on_the_camera():
    camera = Camera(em_gain=100.0, read_noise=30.0, electrons_per_count=5.0)
    frames = camera.to_photons(camera.expose(np.full((245, 64, 64), 5.0), np.random.default_rng(0)))
    assert len(detect(frames, read_noise=0.3, excess_noise=camera.excess_noise)) < 10
    assert len(detect(frames)) > 100


def test_a_frame_without_noise_or_light_has_no_spots():
    frames = [np.zeros((16, 16)), np.full((16, 16), 12.3)]
    assert len(detect(frames)) == 0


def test_the_noise_of_the_filtered_frame_is_known_up_to_the_corners():
    noise = np.random.default_rng(0).standard_normal((8000, 9, 14))
    filtered = np.stack([_band_pass(image, 1.2)[0] for image in noise])
    # the standard error of a standard deviation of 8000 values is 0.8 %
    np.testing.assert_allclose(filtered.std(axis=0), _noise_gain(9, 14, 1.2), rtol=0.04)


def test_a_background_that_rises_across_the_frame_hides_no_emitter():
    positions = [(1000, 1000), (1000, 3400), (3000, 1000), (3000, 3400)]
    mean = picture(positions, 600, 0) + np.linspace(2, 60, 44)
    found = detect(np.random.default_rng(0).poisson(mean, (20, 40, 44)))
    assert len(found) == 80


@pytest.mark.parametrize("angle", np.linspace(0, np.pi, 7))
@pytest.mark.parametrize(("distance", "count"), [(1.0, 1), (2.0, 1), (3.0, 2), (6.0, 2)])
def test_two_emitters_are_one_spot_up_to_two_standard_deviations(angle, distance, count):
    half = distance * 120 / 2 * np.array([np.sin(angle), np.cos(angle)])
    pair = np.array([2010.0, 2230.0]) + np.array([-half, half])
    found = detect([picture(pair)])
    assert len(found) == count
    if count == 1:
        np.testing.assert_allclose(found.positions_nm(), [pair.mean(axis=0)], atol=10)
    elif distance == 6:
        order = np.argsort(found.positions_nm() @ half)
        np.testing.assert_allclose(found.positions_nm()[order], pair, atol=2)


def test_in_a_sparse_movie_nearly_every_emitter_is_found_and_hardly_anything_else():
    movie = SimulatedMovie(MovieConfig(frames=60, simulation={"density": 0.07}))
    camera = movie.scene.camera
    found = detect(camera.to_photons(movie.frames()), read_noise=camera.read_noise_photons)
    scores = detection_scores(found, movie.truth)
    assert scores.precision > 0.98
    assert scores.recall > 0.93


def test_equal_neighbours_are_one_maximum():
    image = np.zeros((6, 7))
    image[2, 3:5] = image[3, 3] = 4.0
    np.testing.assert_array_equal(
        np.argwhere(_local_maxima(image, reach=1) & (image > 0)), [[3, 3]]
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), reach=st.sampled_from([1, 2]))
def test_maxima_are_those_of_a_plain_loop_over_pixels(seed, reach):
    image = np.random.default_rng(seed).integers(-3, 3, (7, 8)).astype(float)
    padded = np.pad(image, reach, constant_values=-np.inf)
    side = 2 * reach + 1
    for row, column in np.ndindex(image.shape):
        window = padded[row : row + side, column : column + side].ravel()
        is_last_of_highest = window.size // 2 == np.flatnonzero(window == window.max())[-1]
        assert _local_maxima(image, reach)[row, column] == is_last_of_highest


def test_frames_are_numbered_from_the_first_one_on():
    frames = [picture([(2000, 2000)]), picture([]), picture([(2000, 2000)])]
    assert detect(frames, first_frame=40).frame.tolist() == [40, 42]


def test_the_width_of_a_spot_is_measured_on_demand():
    found = detect([picture([(2000, 2000)], sigma_nm=150.0)], fit_sigma=True)
    assert found.sigma_nm[0] == pytest.approx(150, rel=1e-3)


def test_no_frames_have_no_spots():
    assert len(detect(np.zeros((0, 16, 16)))) == 0


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan"), float("inf")])
def test_a_threshold_that_means_nothing_is_refused(threshold):
    with pytest.raises(InputError, match=r"threshold is .*above 0, such as 5"):
        detect(np.zeros((1, 16, 16)), threshold=threshold)


@pytest.mark.parametrize(
    ("frames", "sigma_nm", "message"),
    [
        (np.zeros((1, 16, 16)), -120.0, "psf_sigma_nm is -120"),
        (np.zeros((16, 16)), 120.0, r"shape \(16, 16\)"),
        (np.full((1, 16, 16), np.nan), 120.0, "NaN"),
    ],
)
def test_frames_and_widths_that_mean_nothing_are_refused(frames, sigma_nm, message):
    with pytest.raises(InputError, match=message):
        detect(frames, sigma_nm)
