import numpy as np
import pytest

from napari_dl4smlm.backend.acquisition.camera import Camera
from napari_dl4smlm.backend.simulation.filaments import FilamentMovieConfig, simulate_filaments


def test_the_same_seed_films_the_same_movie_and_seed_0_is_a_seed():
    config = FilamentMovieConfig(n_frames=3)
    first, again = (simulate_filaments(config, seed=0) for _ in range(2))
    np.testing.assert_array_equal(first.frames, again.frames)
    np.testing.assert_array_equal(first.truth.x_nm, again.truth.x_nm)
    assert not np.array_equal(first.frames, simulate_filaments(config, seed=1).frames)


def test_without_emitters_the_camera_sees_the_background():
    config = FilamentMovieConfig(n_frames=20, emitters_per_frame=1e-9, background_photons=20)
    counts = simulate_filaments(config, seed=0).frames.astype(float)
    assert counts.mean() == pytest.approx(100 + 2 * 20, abs=0.15)
    assert counts.var() == pytest.approx(config.camera.count_variance(np.array(20.0)), rel=0.02)


def test_the_light_of_an_emitter_is_its_photons_around_its_position():
    config = FilamentMovieConfig(
        n_frames=200,
        emitters_per_frame=1,
        background_photons=0,
        camera=Camera(read_noise=0, baseline=0, electrons_per_count=1),
        filaments=1,
    )
    movie = simulate_filaments(config, seed=0)
    inside = (movie.truth.y_nm > 600) & (movie.truth.y_nm < 5800)
    inside &= (movie.truth.x_nm > 600) & (movie.truth.x_nm < 5800)
    alone = np.bincount(movie.truth.frame, minlength=200) == 1
    chosen = movie.truth[inside & alone[movie.truth.frame]]
    assert len(chosen) > 30
    frames = movie.frames[chosen.frame].astype(float)
    total = frames.sum((1, 2))
    # Poisson: the standardised difference has unit variance
    pull = (total - chosen.photons) / np.sqrt(chosen.photons)
    assert abs(pull.mean()) < 3 / np.sqrt(len(chosen))
    centres_nm = (np.arange(64) + 0.5) * 100
    y_error = (frames.sum(2) @ centres_nm) / total - chosen.y_nm
    # a centroid of N photons scatters by sigma / sqrt(N), about 3 nm here
    assert abs(y_error.mean()) < 3 * 4 / np.sqrt(len(chosen))
    assert y_error.std() < 6


def test_emitters_are_inside_the_field_and_in_every_range_asked_for():
    config = FilamentMovieConfig(n_frames=5, height=20, width=40, photons=(500, 600))
    movie = simulate_filaments(config, seed=0)
    movie.truth.check_inside(20, 40, 100.0)
    assert movie.frames.shape == (5, 20, 40)
    assert movie.truth.photons.min() >= 500
    assert movie.truth.photons.max() <= 600
