"""A movie that the smallest network learns from in a second."""

from __future__ import annotations

import pytest

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.simulation.config import MovieConfig
from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie
from napari_dl4smlm.backend.training.config import TrainingConfig
from napari_dl4smlm.backend.training.filmed import FilmedData, position_truth


@pytest.fixture(scope="session")
def tiny_data() -> FilmedData:
    config = MovieConfig(frames=8, height=16, width=16, simulation={"density": 1.6})
    movie = SimulatedMovie(config)
    frames = open_frames(movie.frames(), pixel_size_nm=100.0)
    truth = position_truth(frames, movie.truth, upsampling_factor=2)
    return FilmedData(frames, truth, 2, 100.0, tuple(range(6)), (6, 7))


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
