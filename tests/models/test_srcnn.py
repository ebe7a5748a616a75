"""SRCNN as published: bicubic enlargement and three convolutions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.models.registry import create_model, parameter_count


# 9-1-5 is Dong's base network with its 8,032 weights and 97 biases
@pytest.mark.parametrize(
    ("kernels", "parameters"), [("9-1-5", 8_129), ("9-3-5", 24_513), ("9-5-5", 57_281)]
)
def test_the_kernels_decide_the_number_of_parameters(kernels, parameters):
    assert parameter_count(create_model("srcnn", kernels=kernels)) == parameters


def test_it_is_three_convolutions_of_the_bicubically_enlarged_frame():
    network = create_model("srcnn", upsampling_factor=4).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    frames = torch.randn(2, 1, 5, 7, dtype=torch.float64)
    weights = list(network.parameters())
    features = F.interpolate(frames, scale_factor=4, mode="bicubic", align_corners=False)
    features = F.conv2d(features, *weights[:2], padding=4).relu()
    features = F.conv2d(features, *weights[2:4]).relu()
    expected = F.conv2d(features, *weights[4:], padding=2)
    torch.testing.assert_close(network(frames), expected, rtol=0, atol=1e-12)


def test_the_weights_start_as_published():
    torch.manual_seed(0)
    network = create_model("srcnn", kernels="9-5-5")
    for layer in (network.patch_extraction.conv, network.mapping.conv, network.reconstruction):
        assert layer.weight.std().item() == pytest.approx(0.001, rel=0.1)
        assert not layer.bias.any()


def test_other_kernels_are_refused():
    with pytest.raises(InputError, match=r"kernels must be one of '9-1-5', .*; got '3-1-3'"):
        create_model("srcnn", kernels="3-1-3")
