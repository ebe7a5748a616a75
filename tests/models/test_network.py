"""What every network promises: shapes, borders, tiles, precision, and no dead weight."""

from __future__ import annotations

import copy
from functools import cache

import pytest
import torch
from torch import nn

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.models.network import UpsampleConv, footprints
from napari_dl4smlm.backend.models.registry import MODELS, create_model

# as small as the architecture allows: the promises do not depend on the width
SMALL = {
    "srcnn": {},
    "deep_storm": {},
    "skip_storm": {},
    "u_storm": {"channels": 2},
    "drl_storm": {"channels": 2, "psf_sigma_px": 0.6},
    "fid_storm": {"blocks": 2, "channels": 5},
}
every_network = pytest.mark.parametrize("name", MODELS)
every_factor = pytest.mark.parametrize("factor", [1, 2, 4, 8])


def small_network(name, factor):
    """A network in double precision whose every weight and statistic is random."""
    return copy.deepcopy(_small_network(name, factor))


@cache
def _small_network(name, factor):
    torch.manual_seed(5)
    network = create_model(name, upsampling_factor=factor, **SMALL[name]).double().eval()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.reset_parameters()
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.3, 0.3)
            for scale in (layer.running_var, layer.weight):
                nn.init.uniform_(scale, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.3, 0.3)
    return network


def random_frames(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def with_positive_weights(network):
    """The network, changed so that no two paths from a pixel cancel, and every ReLU is open.

    Without bias, the response to darkness is exactly zero.
    """
    torch.manual_seed(6)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            mean = 1 / layer.weight[0].numel()
            nn.init.uniform_(layer.weight, 0.5 * mean, 1.5 * mean)
            if layer.bias is not None:
                nn.init.uniform_(layer.bias, 0.5, 1.0)
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.zeros_(layer.running_mean)
            nn.init.zeros_(layer.bias)
    if network.name == "drl_storm":
        nn.init.constant_(network.psf_gain, -1)
    return network


def influence(network, length):
    """Which column of camera pixels changes which fine pixels: shape (cause, effect, fine)."""
    dark = torch.zeros(1, 1, network.alignment, length, dtype=torch.float64)
    changed = []
    with torch.inference_mode():
        response_to_darkness = network(dark)
        for column in range(length):
            lit = dark.clone()
            lit[..., column] = 1
            changed.append((network(lit) != response_to_darkness).any(dim=2).flatten())
    return torch.stack(changed).unflatten(1, (length, network.upsampling_factor))


def stitched(network, frame, step, dim):
    """The map of the frame, from tiles that keep ``step`` pixels along one axis."""
    parts = []
    for first in range(0, frame.shape[dim], step):
        last = min(first + step, frame.shape[dim])
        start = max(0, first - network.halo) // network.alignment * network.alignment
        end = min(last + network.halo, frame.shape[dim])
        density = network(frame.narrow(dim, start, end - start))
        factor = network.upsampling_factor
        parts.append(density.narrow(dim, factor * (first - start), factor * (last - first)))
    return torch.cat(parts, dim)


@every_network
@every_factor
@pytest.mark.parametrize("size", [(1, 1), (3, 7), (10, 5)])
def test_a_frame_of_any_size_gives_a_map_of_that_size_times_the_factor(name, factor, size):
    network = small_network(name, factor)
    with torch.inference_mode():
        density = network(random_frames(2, 1, *size))
    assert density.shape == (2, 1, size[0] * factor, size[1] * factor)
    assert density.isfinite().all()


@every_network
def test_an_empty_frame_gives_a_finite_map(name):
    with torch.inference_mode():
        assert create_model(name, **SMALL[name]).eval()(torch.zeros(1, 1, 4, 4)).isfinite().all()


@every_network
@pytest.mark.parametrize("shape", [(4, 4), (1, 4, 4), (2, 3, 4, 4)])
def test_frames_of_another_shape_are_refused_with_the_shape_that_is_needed(name, shape):
    network = create_model(name, **SMALL[name])
    with pytest.raises(
        InputError, match=r"have shape \(.*4, 4\); the network takes \(N, 1, Y, X\)"
    ):
        network(torch.zeros(shape))


@every_network
@pytest.mark.parametrize("factor", [1, 8])
def test_a_batch_gives_what_its_frames_give_one_by_one(name, factor):
    network = small_network(name, factor)
    frames = random_frames(3, 1, 5, 6)
    with torch.inference_mode():
        one_by_one = torch.cat([network(frame[None]) for frame in frames])
        torch.testing.assert_close(network(frames), one_by_one, rtol=0, atol=1e-12)


@every_network
def test_every_parameter_learns_from_the_first_step_on(name):
    torch.manual_seed(0)
    network = create_model(name, upsampling_factor=2, **SMALL[name])
    frames = torch.rand(2, 1, 8, 8)
    nn.functional.mse_loss(network(frames), torch.rand(2, 1, 16, 16)).backward()
    idle = [
        key
        for key, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.any() or not parameter.grad.isfinite().all()
    ]
    assert not idle


@every_network
@pytest.mark.parametrize("factor", [1, 8])
def test_every_number_in_the_state_is_used(name, factor):
    network = small_network(name, factor)
    frames = random_frames(1, 1, 4, 4)
    unused = []
    for key, values in network.state_dict().items():
        if values.is_floating_point():
            kept = values.clone()
            values.fill_(torch.nan)
            with torch.inference_mode():
                if not network(frames).isnan().any():
                    unused.append(key)
            values.copy_(kept)
    assert not unused


@every_network
@pytest.mark.parametrize("factor", [1, 2, 8])
def test_a_mirrored_network_sees_the_mirrored_frame_mirrored(name, factor):
    # a shift by half a fine pixel anywhere between frame and map would break this
    network = small_network(name, factor)
    mirrored = copy.deepcopy(network)
    for layer in mirrored.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = layer.weight.data.flip(2, 3)
    frames = random_frames(1, 1, network.alignment, 2 * network.alignment)
    with torch.inference_mode():
        expected = network(frames).flip(2, 3)
        torch.testing.assert_close(mirrored(frames.flip(2, 3)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["deep_storm", "skip_storm", "u_storm", "drl_storm"])
def test_a_side_that_does_not_fit_the_pooling_is_continued_with_zeros(name):
    network = small_network(name, 2)
    frames = random_frames(1, 1, 6, 9)
    continued = torch.zeros(1, 1, 8, 12, dtype=torch.float64)
    continued[..., :6, :9] = frames
    with torch.inference_mode():
        expected = network(continued)[..., :12, :18]
        torch.testing.assert_close(network(frames), expected, rtol=0, atol=1e-12)


@every_network
@every_factor
@pytest.mark.parametrize("dim", [2, 3])
def test_tiles_with_halo_give_the_map_of_the_whole_frame(name, factor, dim):
    network = small_network(name, factor)
    frame = random_frames(1, 1, 3, 2 * network.halo + 7)
    frame = frame if dim == 3 else frame.mT
    with torch.inference_mode():
        tiles = stitched(network, frame, network.halo + 3, dim)
        torch.testing.assert_close(tiles, network(frame), rtol=0, atol=1e-12)


@every_network
@every_factor
def test_a_tile_with_one_pixel_less_than_the_halo_differs(name, factor):
    network = with_positive_weights(small_network(name, factor))
    differing = []
    # the phase of the pooling cell that reaches farthest is one of these
    for kept in range(1, network.alignment + 1):
        end = kept + network.halo
        frame = torch.zeros(1, 1, network.alignment, end + network.alignment, dtype=torch.float64)
        frame[..., end - 1] = 1
        with torch.inference_mode():
            whole, enough, short = (
                network(tile)[..., : factor * kept]
                for tile in (frame, frame[..., :end], frame[..., : end - 1])
            )
        torch.testing.assert_close(enough, whole, rtol=0, atol=1e-12)
        differing.append(not torch.equal(short, whole))
    assert any(differing)


@every_network
@every_factor
def test_the_halo_is_how_far_a_pixel_reaches_to_either_side(name, factor):
    network = with_positive_weights(small_network(name, factor))
    changed = influence(network, 2 * network.halo + 2 * network.alignment).any(dim=2)
    cause, effect = changed.nonzero(as_tuple=True)
    assert (effect - cause).max() == network.halo
    assert (cause - effect).max() == network.halo


# counted by hand from the published layers
@pytest.mark.parametrize(
    ("name", "factor", "options", "pixels"),
    [
        ("srcnn", 1, {"kernels": "9-1-5"}, 13),
        ("srcnn", 1, {"kernels": "9-3-5"}, 15),
        ("srcnn", 1, {"kernels": "9-5-5"}, 17),
        ("deep_storm", 1, {}, 54),
        ("skip_storm", 1, {}, 54),
        ("u_storm", 1, {"channels": 2}, 116),
        ("drl_storm", 8, {"channels": 1}, 25),
        ("fid_storm", 8, {"channels": 1, "blocks": 5}, 15),
        ("fid_storm", 8, {"channels": 1, "blocks": 10}, 25),
        ("fid_storm", 8, {"channels": 1, "blocks": 13}, 31),
    ],
)
def test_the_receptive_field_is_the_documented_one(name, factor, options, pixels):
    network = create_model(name, upsampling_factor=factor, **options).double().eval()
    changed = influence(with_positive_weights(network), 2 * network.halo + network.alignment)
    causes = changed.sum(dim=0)
    assert causes.max() == pixels


@pytest.mark.parametrize(
    ("name", "factor", "halo", "alignment"),
    [
        ("deep_storm", 8, 3, 1),
        ("deep_storm", 4, 7, 2),
        ("deep_storm", 1, 29, 8),
        ("fid_storm", 8, 12, 1),
        ("u_storm", 8, 7, 1),
    ],
)
def test_halo_and_alignment_of_the_default_networks(name, factor, halo, alignment):
    network = create_model(name, upsampling_factor=factor)
    assert (network.halo, network.alignment) == (halo, alignment)


@every_network
def test_the_channels_last_layout_changes_rounding_only(name):
    network = small_network(name, 4)
    frames = random_frames(2, 1, 6, 5)
    with torch.inference_mode():
        expected = network(frames)
        network.to(memory_format=torch.channels_last)
        density = network(frames.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(density, expected, rtol=0, atol=1e-12)


@every_network
def test_bfloat16_autocast_agrees_to_its_precision(name):
    network = small_network(name, 4).float()
    frames = random_frames(2, 1, 8, 8).float()
    with torch.inference_mode():
        expected = network(frames)
        with torch.autocast("cpu", torch.bfloat16):
            density = network(frames)
    assert (density - expected).norm() < 0.03 * expected.norm()


def test_upsample_conv_is_nearest_enlargement_and_then_a_convolution():
    layer = UpsampleConv(3, 2).double()
    features = random_frames(1, 3, 4, 5).requires_grad_()
    enlarged = features.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    expected = nn.functional.conv2d(enlarged, layer.weight, padding=1)
    torch.testing.assert_close(layer(features), expected, rtol=0, atol=1e-14)
    # what is learned is the same too
    leaves = (layer.weight, features)
    for gradient, other in zip(
        torch.autograd.grad(layer(features).square().sum(), leaves),
        torch.autograd.grad(expected.square().sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(gradient, other, rtol=0, atol=1e-13)


def test_a_layer_of_unknown_reach_is_not_taken_for_pointwise():
    with pytest.raises(TypeError, match="the reach of ConvTranspose2d is not known"):
        footprints([nn.ConvTranspose2d(1, 1, 2)])
