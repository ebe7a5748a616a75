"""FID-STORM as in the authors' code."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.models.network import UpsampleConv
from napari_dl4smlm.backend.models.registry import create_model, parameter_count


# the three variants the authors released
@pytest.mark.parametrize(("blocks", "parameters"), [(5, 208_720), (10, 393_680), (13, 504_656)])
def test_the_number_of_parameters_is_that_of_the_released_networks(blocks, parameters):
    assert parameter_count(create_model("fid_storm", blocks=blocks)) == parameters


def graph_of_the_authors(network, frames, activation):
    """FID-STORM written out layer by layer."""
    state = network.state_dict()
    stem = features = F.leaky_relu(F.conv2d(frames, state["stem.conv.weight"], padding=1), 0.01)
    for number in range(3):
        block = f"residual_blocks.block_{number}"
        features = F.conv2d(features, state[f"{block}.conv.weight"], padding=1)
        gamma, beta, mean, variance = (
            state[f"{block}.norm.{key}"].view(-1, 1, 1)
            for key in ("weight", "bias", "running_mean", "running_var")
        )
        features = activation((features - mean) / (variance + 1e-5).sqrt() * gamma + beta)
    features = stem + features
    for stage in ("to_2x", "to_4x", "to_8x"):
        features = features.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        features = F.conv2d(features, state[f"tail.{stage}.conv.weight"], padding=1)
        features = F.leaky_relu(features, 0.01)
    return features


@pytest.mark.parametrize(
    ("name", "activation"), [("leaky_relu", lambda x: F.leaky_relu(x, 0.01)), ("relu", torch.relu)]
)
def test_it_is_the_graph_of_the_authors(name, activation):
    torch.manual_seed(4)
    network = create_model("fid_storm", blocks=3, activation=name).double().eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -1, 1)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
    frames = torch.randn(2, 1, 5, 6, dtype=torch.float64)
    expected = graph_of_the_authors(network, frames, activation)
    torch.testing.assert_close(network(frames), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("factor", "channels", "widths"),
    [
        (8, 64, [(64, 32), (32, 16), (16, 1)]),
        (4, 64, [(64, 32), (32, 1)]),
        (2, 64, [(64, 1)]),
        (8, 7, [(7, 3), (3, 1), (1, 1)]),
        (8, 1, [(1, 1), (1, 1), (1, 1)]),
    ],
)
def test_the_tail_halves_the_channels_at_every_doubling(factor, channels, widths):
    network = create_model("fid_storm", upsampling_factor=factor, blocks=1, channels=channels)
    stages = [layer for layer in network.tail.modules() if isinstance(layer, UpsampleConv)]
    assert [(stage.in_channels, stage.out_channels) for stage in stages] == widths


def test_without_upsampling_the_tail_is_one_convolution():
    network = create_model("fid_storm", upsampling_factor=1, blocks=1)
    convolutions = [layer for layer in network.tail.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.weight.shape for layer in convolutions] == [(1, 64, 3, 3)]
    assert not isinstance(convolutions[0], UpsampleConv)


def test_the_weights_start_as_published():
    torch.manual_seed(0)
    state = create_model("fid_storm", blocks=2).state_dict()
    for key, spread in {
        "stem.conv.weight": math.sqrt(2 / (64 * 9)),
        "residual_blocks.block_1.conv.weight": math.sqrt(2 / (64 * 9)),
        "tail.to_2x.conv.weight": math.sqrt(2 / (32 * 9)),
        "tail.to_4x.conv.weight": 0.001,
        "tail.to_8x.conv.weight": math.sqrt(2 / (1 * 9)),
    }.items():
        assert state[key].std().item() == pytest.approx(spread, rel=0.15), key


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_the_map_starts_near_zero_at_every_factor(factor):
    torch.manual_seed(0)
    network = create_model("fid_storm", upsampling_factor=factor)
    assert network(torch.randn(2, 1, 8, 8)).abs().max() < 0.2


def test_another_activation_is_refused():
    with pytest.raises(
        InputError, match="activation must be one of 'leaky_relu', 'relu'; got 'elu'"
    ):
        create_model("fid_storm", activation="elu")
