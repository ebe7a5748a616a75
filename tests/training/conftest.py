"""A movie that the smallest network learns from in a second."""

from __future__ import annotations

import pytest

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.simulation.filaments import FilamentMovieConfig, simulate_filaments
from napari_dl4smlm.backend.training.config import TrainingConfig
from napari_dl4smlm.backend.training.data import TrainingData, position_truth


@pytest.fixture(scope="session")
def tiny_data() -> TrainingData:
    config = FilamentMovieConfig(n_frames=8, height=16, width=16, emitters_per_frame=4, filaments=3)
    movie = simulate_filaments(config, seed=0)
    frames = open_frames(movie.frames, pixel_size_nm=config.pixel_size_nm)
    truth = position_truth(frames, movie.truth, upsampling_factor=2)
    return TrainingData(frames, truth, 2, config.pixel_size_nm, tuple(range(6)), (6, 7))


@pytest.fixture
def tiny_config() -> TrainingConfig:
    return TrainingConfig(
        model_options={"blocks": 1, "channels": 4},
        device="cpu",
        precision="float32",
        epochs=3,
        patches_per_epoch=12,
        batch_size=4,
        patch_size=16,
        min_emitters=0,
    )
