"""The layers of the networks: what they are called, and what they put out."""

from __future__ import annotations

import pytest
import torch

from napari_dl4smlm.backend.models.layers import layer_outputs, network_layers
from napari_dl4smlm.backend.models.registry import MODELS, create_model

SMALL = {
    "deep_storm": {"channels": 2},
    "skip_storm": {"channels": 2},
    "u_storm": {"channels": 2},
    "drl_storm": {"channels": 2},
    "fid_storm": {"blocks": 2, "channels": 4},
}
every_network = pytest.mark.parametrize("name", MODELS)


def small_network(name, factor=2):
    torch.manual_seed(1)
    return create_model(name, upsampling_factor=factor, **SMALL.get(name, {})).eval()


def test_the_layers_of_fid_storm_lie_on_the_camera_grid_until_they_are_enlarged():
    assert network_layers(create_model("fid_storm", blocks=2, channels=16)) == {
        "stem": (16, 1),
        "residual_blocks.block_0": (16, 1),
        "residual_blocks.block_1": (16, 1),
        "residual_blocks": (16, 1),
        "tail.to_2x": (8, 2),
        "tail.to_4x": (4, 4),
        "tail.to_8x": (1, 8),
        "tail": (1, 8),
    }


def test_the_bottleneck_of_deep_storm_lies_on_the_camera_grid_at_its_published_factor():
    assert network_layers(create_model("deep_storm"))["hourglass.bottleneck"] == (512, 1)
    quarter = network_layers(create_model("deep_storm", upsampling_factor=2, channels=2))
    assert quarter["hourglass.bottleneck"] == (32, 0.25)


@every_network
def test_the_layer_for_hints_is_one_that_is_listed_and_not_the_last(name):
    layers = list(network_layers(small_network(name)))
    assert small_network(name).hint_layer in layers[:-1]


@every_network
def test_the_output_of_a_layer_stays_as_it_was_when_the_network_goes_on(name):
    network = small_network(name)
    names = network_layers(network).keys()
    frames = torch.rand(2, 1, 16, 16)
    at_once = {}
    for layer in names:
        with torch.no_grad(), layer_outputs(network, [layer], skip_rest=True) as outputs:
            network(frames)
        at_once[layer] = outputs[layer].clone()
    with torch.no_grad(), layer_outputs(network, names) as outputs:
        network(frames)
    assert outputs.keys() == at_once.keys()
    for layer, output in outputs.items():
        assert torch.equal(output, at_once[layer]), layer


def test_what_comes_after_the_last_layer_is_skipped_and_no_hook_is_left():
    network = small_network("fid_storm")
    calls = []
    network.tail.register_forward_pre_hook(lambda *_: calls.append("tail"))
    with layer_outputs(network, ["residual_blocks", "stem"], skip_rest=True) as outputs:
        network(torch.rand(1, 1, 8, 8))
    assert outputs.keys() == {"stem", "residual_blocks"}
    assert calls == []
    network(torch.rand(1, 1, 8, 8))
    assert calls == ["tail"]


def test_looking_at_the_layers_leaves_the_network_alone():
    network = create_model("u_storm", channels=2, upsampling_factor=2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network_layers(network)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
