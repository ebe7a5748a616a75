"""Networks are built by name, with options that are checked, and their cost is known."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.gaussian_blur import GaussianBlur
from napari_dl4smlm.backend.models.layers import network_layers
from napari_dl4smlm.backend.models.network import UpsampleConv
from napari_dl4smlm.backend.models.registry import (
    MODELS,
    create_model,
    operations_per_frame,
    outline_model,
    parameter_count,
)

every_network = pytest.mark.parametrize("name", MODELS)


def test_the_networks_are_listed_from_the_simplest_on():
    assert list(MODELS) == [
        "srcnn",
        "deep_storm",
        "skip_storm",
        "u_storm",
        "drl_storm",
        "fid_storm",
    ]
    assert all(network.name == name for name, network in MODELS.items())


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("deepstorm", "deep_storm"), ("FID-STORM", "fid_storm"), ("unet_storm", "u_storm")],
)
def test_a_wrong_name_is_answered_with_the_closest(wrong, meant):
    with pytest.raises(InputError, match=f"Unknown model '{wrong}'. Did you mean '{meant}'"):
        create_model(wrong)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("fid_storm", "it has blocks, channels, activation"),
        ("srcnn", "it has kernels"),
        ("deep_storm", "it has channels"),
    ],
)
def test_an_unknown_option_is_answered_with_those_that_exist(name, answer):
    with pytest.raises(InputError, match=rf"{name} has no option 'dropout'; {answer}\."):
        create_model(name, dropout=0.1)


@every_network
@pytest.mark.parametrize("factor", [0, 3, 16, 8.0, "8", True])
def test_another_upsampling_factor_is_refused(name, factor):
    with pytest.raises(InputError, match="upsampling_factor must be one of 1, 2, 4, 8; got"):
        create_model(name, upsampling_factor=factor)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("fid_storm", "blocks"),
        ("fid_storm", "channels"),
        ("u_storm", "channels"),
        ("u_storm", "depth"),
        ("drl_storm", "channels"),
        ("deep_storm", "channels"),
        ("skip_storm", "channels"),
    ],
)
@pytest.mark.parametrize("value", [0, -3, 2.5, "10", True])
def test_a_count_below_1_or_that_is_no_whole_number_is_refused(name, option, value):
    with pytest.raises(InputError, match=f"{option} must be a whole number of at least 1; got"):
        create_model(name, **{option: value})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fid_storm", {"channels": 10**9}, "channels must be at most 512; got 1000000000"),
        ("fid_storm", {"blocks": 10**30}, "blocks must be at most 200"),
        ("deep_storm", {"channels": 5000}, "channels must be at most 512"),
        ("u_storm", {"depth": 70}, "depth must be at most 8"),
        ("u_storm", {"channels": 64, "depth": 7}, "8192 feature maps on its coarsest level"),
    ],
)
def test_a_network_that_takes_all_memory_is_refused_before_it_is_built(name, options, message):
    with pytest.raises(InputError, match=message):
        create_model(name, **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("srcnn", {"kernels": "9-5-5"}),
        ("deep_storm", {"channels": 2}),
        ("skip_storm", {"channels": 3}),
        ("u_storm", {"channels": 3, "depth": 2}),
        ("drl_storm", {"channels": 2, "psf_sigma_px": 1.3}),
        ("fid_storm", {"blocks": 2, "channels": 6, "activation": "relu"}),
    ],
)
def test_name_factor_and_options_rebuild_the_network_after_a_trip_through_json(name, options):
    network = create_model(name, upsampling_factor=2, **options).eval()
    assert network.options == options
    stored = json.loads(json.dumps([network.name, network.upsampling_factor, network.options]))
    rebuilt = create_model(stored[0], upsampling_factor=stored[1], **stored[2]).eval()
    rebuilt.load_state_dict(network.state_dict())
    frames = torch.rand(1, 1, 8, 8)
    assert torch.equal(rebuilt(frames), network(frames))


def test_defaults_are_recorded_so_that_a_later_default_does_not_change_a_saved_network():
    options = create_model("fid_storm").options
    assert options == {"blocks": 10, "channels": 64, "activation": "leaky_relu"}


@every_network
@pytest.mark.parametrize(("factor", "size"), [(8, (9, 7)), (1, (13, 19))])
def test_operations_are_those_that_torch_counts(name, factor, size, monkeypatch):
    def as_written(layer, features):
        return nn.functional.conv2d(
            nn.functional.interpolate(features, scale_factor=2), layer.weight, padding=1
        )

    def convolved(layer, maps):
        kernel = torch.tensor(layer.kernel)
        for shape in ((1, 1, -1, 1), (1, 1, 1, -1)):
            maps = nn.functional.conv2d(maps, kernel.view(shape), padding="same")
        return maps

    monkeypatch.setattr(UpsampleConv, "forward", as_written)
    monkeypatch.setattr(GaussianBlur, "forward", convolved)
    network = create_model(name, upsampling_factor=factor).eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 1, *size))
    assert operations_per_frame(network, *size) == counter.get_total_flops() // 2


# per frame of 256 x 256 px at a factor of 8, counted from the authors' code and ONNX files
@pytest.mark.parametrize(
    ("name", "options", "per_pixel", "giga"),
    [
        ("srcnn", {}, 64 * 8_032, 33.7),
        ("srcnn", {"kernels": "9-5-5"}, 64 * 57_184, 239.8),
        ("deep_storm", {}, 64 * 92_480, 387.9),
        ("skip_storm", {}, 64 * 92_481, 387.9),
        ("fid_storm", {"blocks": 5}, 341_568, 22.4),
        ("fid_storm", {"blocks": 10}, 525_888, 34.5),
        ("fid_storm", {"blocks": 13}, 636_480, 41.7),
        ("u_storm", {}, 64 * 47_392, 198.8),
        ("drl_storm", {}, 64 * 157_998, 662.7),
    ],
)
def test_the_cost_of_a_camera_pixel(name, options, per_pixel, giga):
    operations = operations_per_frame(create_model(name, **options), 256, 256)
    assert operations == 256**2 * per_pixel
    assert operations / 1e9 == pytest.approx(giga, abs=0.05)


@every_network
def test_an_outline_has_the_size_and_the_layers_of_the_network_but_no_weights(name):
    before = torch.random.get_rng_state()
    outline = outline_model(name, upsampling_factor=4)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(value.is_meta for value in outline.state_dict().values())
    network = create_model(name, upsampling_factor=4)
    assert parameter_count(outline) == parameter_count(network)
    assert operations_per_frame(outline, 50, 70) == operations_per_frame(network, 50, 70)
    assert network_layers(outline) == network_layers(network)
