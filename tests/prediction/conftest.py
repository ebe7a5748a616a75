"""A network whose density maps are known without computing them, and movies for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.models.model_file import ModelCard, TrainedModel
from napari_dl4smlm.backend.models.network import SuperResolutionNetwork, enlarge
from napari_dl4smlm.backend.models.registry import create_model


class NearestNetwork(SuperResolutionNetwork):
    """Shares the counts of a camera pixel equally between its fine pixels."""

    name = "nearest"

    def __init__(self, *, upsampling_factor: int) -> None:
        super().__init__(upsampling_factor)
        self.enlarge = enlarge(upsampling_factor, "nearest")

    def _density(self, frames: Tensor) -> Tensor:
        density: Tensor = self.enlarge(frames) / self.upsampling_factor**2
        return density

    def _layers(self) -> Iterable[nn.Module]:
        return (self.enlarge,)


def trained(network: SuperResolutionNetwork, **changes: object) -> TrainedModel:
    fields = {
        "architecture": network.name,
        "options": network.options,
        "upsampling_factor": network.upsampling_factor,
        "pixel_size_nm": 100.0,
        "normalization": Normalization(offset=0, scale=1, background=0, brightest=1),
        "density_amplitude": 1.0,
        "training": {},
        "history": [],
    }
    return TrainedModel(network, ModelCard.model_validate(fields | changes))


@pytest.fixture
def nearest_model() -> Callable[..., TrainedModel]:
    """Makes a model whose density is the frame itself; the arguments go to its card."""

    def make(upsampling_factor: int = 2, **changes: object) -> TrainedModel:
        return trained(NearestNetwork(upsampling_factor=upsampling_factor), **changes)

    return make


@pytest.fixture
def with_network() -> Callable[..., TrainedModel]:
    """Makes a model of a given network; the other arguments go to its card."""
    return trained


@pytest.fixture
def u_storm() -> TrainedModel:
    """A small network with pooling, batch normalization and a negative part, of random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = create_model("u_storm", upsampling_factor=2, channels=4, depth=2)
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.normal_(layer.running_mean)
                nn.init.uniform_(layer.running_var, 0.5, 2)
    normalization = Normalization(offset=120, scale=15, background=118, brightest=180)
    return trained(network, normalization=normalization, density_amplitude=0.5)


@pytest.fixture
def noise() -> np.ndarray:
    """Ten frames of 21 x 18 px, with an odd side and no structure."""
    return np.random.default_rng(1).poisson(120, size=(10, 21, 18)).astype(np.uint16)
