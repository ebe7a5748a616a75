"""A network that gives back what it sees."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from torch import Tensor, nn

from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.models.model_file import ModelCard, TrainedModel
from napari_dl4smlm.backend.models.network import SuperResolutionNetwork


class EchoNetwork(SuperResolutionNetwork):
    """Its density map is the frame."""

    name = "echo"

    def _density(self, frames: Tensor) -> Tensor:
        return frames.clone()

    def _layers(self) -> Iterable[nn.Module]:
        return (nn.Identity(),)


@pytest.fixture
def echo() -> Callable[..., TrainedModel]:
    """Makes a model whose density map is the frame; the arguments go to its card."""

    def make(**changes: object) -> TrainedModel:
        network = EchoNetwork(1)
        fields = {
            "architecture": network.name,
            "options": network.options,
            "upsampling_factor": 1,
            "pixel_size_nm": 100.0,
            "normalization": Normalization(offset=0, scale=1, background=0, brightest=1),
            "density_amplitude": 1.0,
            "training": {"simulation": {}},
            "history": [],
        }
        return TrainedModel(network, ModelCard.model_validate(fields | changes))

    return make
