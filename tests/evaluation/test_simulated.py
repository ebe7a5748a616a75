import numpy as np

from napari_dl4smlm.backend.evaluation.simulated import simulate_test_set
from napari_dl4smlm.backend.simulation.config import MovieConfig
from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie
from napari_dl4smlm.backend.training.config import DataConfig
from napari_dl4smlm.backend.training.simulated import SimulatedData

CONFIG = MovieConfig(frames=6, height=64, width=64, seed=0)


def test_the_same_seed_makes_the_same_test_set_and_seed_0_is_a_seed():
    (first, truth), (again, same_truth), (other, _) = (
        simulate_test_set(CONFIG.model_copy(update={"seed": seed})) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.read(0, 6), again.read(0, 6))
    np.testing.assert_array_equal(truth.positions_nm(), same_truth.positions_nm())
    assert not np.array_equal(first.read(0, 6), other.read(0, 6))


def test_its_positions_are_where_the_frames_are_bright():
    frames, truth = simulate_test_set(CONFIG)
    truth.check_inside(64, 64, frames.pixel_size_nm)
    counts = frames.read(0, 6).astype(float)
    row, column = (truth.positions_nm() // frames.pixel_size_nm).astype(int).T
    assert set(truth.frame) <= set(range(6))
    at_emitters = counts[truth.frame, row, column].mean()
    in_other_frames = counts[(truth.frame + 1) % 6, row, column].mean()
    assert at_emitters > in_other_frames + counts.std()


def test_every_frame_is_an_acquisition_of_its_own():
    config = CONFIG.model_validate(
        CONFIG.to_dict() | {"simulation": {"background": {"photons": [0, 1000]}}}
    )
    frames, _ = simulate_test_set(config)
    backgrounds = np.median(frames.read(0, 6), axis=(1, 2))
    assert len(np.unique(backgrounds.round(-1))) > 3


def test_no_frame_is_one_of_the_movie_or_of_the_training_with_the_same_seed():
    tested = simulate_test_set(CONFIG)[0].read(0, 6)
    filmed = SimulatedMovie(CONFIG).frames()
    with SimulatedData(DataConfig(simulation=CONFIG.simulation), seed=0) as training:
        validated = training.validation.frames.read(0, 24)
    for frame in tested:
        for others in (filmed, validated):
            correlation = [np.corrcoef(frame.ravel(), other.ravel())[0, 1] for other in others]
            assert max(correlation) < 0.5
