"""Deep-STORM as in the authors' code, and Skip-STORM."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from napari_dl4smlm.backend.models.registry import create_model, parameter_count


def keras_graph(network, frames):
    """Deep-STORM's features written out layer by layer, and the enlarged frame."""
    state = network.state_dict()

    def conv_norm_relu(features, layer):
        features = F.conv2d(features, state[f"hourglass.{layer}.conv.weight"], padding=1)
        gamma, beta, mean, variance = (
            state[f"hourglass.{layer}.norm.{key}"].view(-1, 1, 1)
            for key in ("weight", "bias", "running_mean", "running_var")
        )
        return ((features - mean) / (variance + 1e-3).sqrt() * gamma + beta).relu()

    factor = network.upsampling_factor
    fine_frames = features = torch.kron(frames, torch.ones(factor, factor, dtype=frames.dtype))
    for level in (0, 1, 2):
        features = F.max_pool2d(conv_norm_relu(features, f"encoder.level_{level}"), 2)
    features = conv_norm_relu(features, "bottleneck.conv_0")
    for level in (2, 1, 0):
        features = features.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        features = conv_norm_relu(features, f"decoder.level_{level}")
    return features, fine_frames


def network_with_random_statistics(name):
    torch.manual_seed(2)
    network = create_model(name, upsampling_factor=4).double().eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.running_mean, layer.bias):
                nn.init.uniform_(values, -0.5, 0.5)
            for values in (layer.running_var, layer.weight):
                nn.init.uniform_(values, 0.5, 1.5)
    return network


@pytest.mark.parametrize(
    ("name", "parameters"), [("deep_storm", 1_366_208), ("skip_storm", 1_366_209)]
)
def test_the_number_of_parameters_is_the_published_one(name, parameters):
    assert parameter_count(create_model(name)) == parameters


def test_keras_counts_the_running_statistics_too():
    # Keras's summary of the original says 1,368,128
    state = create_model("deep_storm").state_dict()
    counted = [key for key in state if not key.endswith("num_batches_tracked")]
    assert sum(state[key].numel() for key in counted) == 1_368_128


def test_deep_storm_is_the_graph_of_the_authors():
    network = network_with_random_statistics("deep_storm")
    frames = torch.randn(2, 1, 4, 6, dtype=torch.float64)
    features, _ = keras_graph(network, frames)
    expected = F.conv2d(features, network.head.weight)
    torch.testing.assert_close(network(frames), expected, rtol=0, atol=1e-12)


def test_skip_storm_shows_the_enlarged_frame_to_its_last_layer():
    network = network_with_random_statistics("skip_storm")
    frames = torch.randn(2, 1, 4, 6, dtype=torch.float64)
    features, fine_frames = keras_graph(network, frames)
    expected = F.conv2d(torch.cat([features, fine_frames], dim=1), network.head.weight)
    torch.testing.assert_close(network(frames), expected, rtol=0, atol=1e-12)


def test_every_kernel_starts_orthogonal():
    for layer in create_model("deep_storm").modules():
        if isinstance(layer, nn.Conv2d):
            kernels = layer.weight.detach().flatten(1)
            kernels = kernels if len(kernels) <= kernels.shape[1] else kernels.T
            torch.testing.assert_close(kernels @ kernels.T, torch.eye(len(kernels)))


def test_running_statistics_move_ten_times_as_fast_as_in_keras():
    network = create_model("deep_storm", upsampling_factor=1)
    norm = network.hourglass.encoder.level_0.norm
    seen = []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(torch.rand(2, 1, 16, 16))
    # Keras: momentum 0.99, which PyTorch calls 0.01
    expected = 10 * 0.01 * seen[0].mean(dim=(0, 2, 3))
    torch.testing.assert_close(norm.running_mean, expected)
