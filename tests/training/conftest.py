"""A movie that the smallest network learns from in a second."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.models.model_file import ModelCard, save_model
from napari_dl4smlm.backend.models.registry import create_model
from napari_dl4smlm.backend.simulation.config import MovieConfig
from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie
from napari_dl4smlm.backend.training.config import TrainingConfig
from napari_dl4smlm.backend.training.filmed import FilmedData
from napari_dl4smlm.backend.training.truth import position_truth


@pytest.fixture(scope="session")
def tiny_data() -> FilmedData:
    config = MovieConfig(frames=8, height=16, width=16, simulation={"density": 1.6})
    movie = SimulatedMovie(config)
    frames = open_frames(movie.frames(), pixel_size_nm=100.0)
    truth = position_truth(frames, movie.truth, upsampling_factor=2)
    return FilmedData(frames, truth, 2, 100.0, tuple(range(6)), (6, 7))


@pytest.fixture
def save_teacher(tiny_data, tmp_path):
    """Save a network with random weights as if it had been trained on the tiny movie."""

    def save(name="teacher", architecture="fid_storm", upsampling_factor=2, **card):
        default = {"blocks": 2, "channels": 6} if architecture == "fid_storm" else {"channels": 2}
        options = card.pop("options", default)
        torch.manual_seed(7)
        network = create_model(architecture, upsampling_factor=upsampling_factor, **options)
        # weights and statistics unlike those of a new network, whose maps are all but empty
        convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
        for convolution in convolutions:
            convolution.reset_parameters()
        with torch.no_grad():
            convolutions[-1].weight *= 50
        network(torch.randn(4, 1, 16, 16))
        values = {
            "architecture": architecture,
            "options": network.options,
            "upsampling_factor": upsampling_factor,
            "pixel_size_nm": 100.0,
            "normalization": tiny_data.fit_normalization(),
            "density_amplitude": 50.0,
            "blur_sigma_px": 1.0,
            "training": {"loss": "l1l2"},
            "history": [],
        }
        path = tmp_path / f"{name}.safetensors"
        save_model(path, network, ModelCard(**values | card))
        return path

    return save


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
