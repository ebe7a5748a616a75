"""U-STORM as a U-Net."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from napari_dl4smlm.backend.models.registry import create_model, parameter_count


def test_the_number_of_parameters_of_the_default_network():
    encoder = (
        (1 * 16 + 16 * 16) + (16 * 32 + 32 * 32) + (32 * 64 + 64 * 64) + (64 * 128 + 128 * 128)
    )
    upsampling = 128 * 64 + 64 * 32 + 32 * 16
    merging = (128 * 64 + 64 * 64) + (64 * 32 + 32 * 32) + (32 * 16 + 16 * 16)
    maps_with_norm = 2 * (16 + 32 + 64 + 128) + 3 * (64 + 32 + 16)
    expected = 9 * (encoder + upsampling + merging) + 2 * maps_with_norm + 16
    assert expected == 536_320
    assert parameter_count(create_model("u_storm")) == expected


def test_skips_are_taken_before_pooling():
    torch.manual_seed(1)
    network = create_model("u_storm", upsampling_factor=2, channels=2, depth=2).double().eval()
    frames = torch.randn(1, 1, 4, 6, dtype=torch.float64)
    encoder, decoder = network.encoder, network.decoder
    fine = encoder["level_0"](frames.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))
    half = encoder["level_1"](F.max_pool2d(fine, 2))
    quarter = network.bottleneck(F.max_pool2d(half, 2))
    half = decoder["level_1"].merge(torch.cat([half, decoder["level_1"].upsample(quarter)], dim=1))
    fine = decoder["level_0"].merge(torch.cat([fine, decoder["level_0"].upsample(half)], dim=1))
    torch.testing.assert_close(network(frames), network.head(fine), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("depth", "factor", "alignment"), [(1, 8, 1), (3, 8, 1), (4, 8, 2), (2, 1, 4)]
)
def test_the_depth_decides_the_alignment(depth, factor, alignment):
    network = create_model("u_storm", upsampling_factor=factor, channels=1, depth=depth)
    assert network.alignment == alignment
