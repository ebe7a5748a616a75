from __future__ import annotations

import torch

from napari_dl4smlm.backend.models.registry import create_model
from napari_dl4smlm.backend.prediction.memory import (
    Portion,
    activation_bytes_per_pixel,
    plan_portion,
)

CPU = torch.device("cpu")


def test_a_large_frame_is_tiled_so_that_one_tile_with_its_halo_stays_within_4_gib():
    network = create_model("deep_storm", upsampling_factor=8)
    portion = plan_portion(network, CPU, height=2048, width=2048)
    side = portion.tile_size + 2 * network.halo
    per_pixel = activation_bytes_per_pixel(network)
    assert 0.9 * 4 * 2**30 < side**2 * per_pixel <= 4 * 2**30
    assert portion.batch_size == 1


def test_a_frame_of_usual_size_is_not_tiled():
    network = create_model("fid_storm", upsampling_factor=8)
    assert plan_portion(network, CPU, height=512, width=512) == Portion(1, None)


def test_the_estimate_covers_the_two_maps_of_32_channels_at_the_end_of_deep_storm():
    # its last 3 x 3 convolution reads 64 enlarged channels and writes 32, in 64 fine pixels of 4 B
    network = create_model("deep_storm", upsampling_factor=8)
    assert activation_bytes_per_pixel(network) >= (64 + 32) * 64 * 4


def test_on_a_cpu_small_frames_go_in_batches_and_larger_ones_alone():
    network = create_model("fid_storm", upsampling_factor=8)
    sizes = [
        plan_portion(network, CPU, height=side, width=side).batch_size for side in (1, 32, 64, 256)
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 64
    assert sizes[-1] == 1


def test_what_the_user_gives_is_kept():
    network = create_model("fid_storm", upsampling_factor=2)
    portion = plan_portion(network, CPU, height=64, width=64, batch_size=5, tile_size=32)
    assert portion == Portion(5, 32)


def test_a_tile_as_large_as_the_frame_is_no_tile():
    network = create_model("fid_storm", upsampling_factor=2)
    portion = plan_portion(network, CPU, height=64, width=48, tile_size=64)
    assert portion.tile_size is None


def test_planning_leaves_the_network_as_it_was():
    network = create_model("fid_storm", upsampling_factor=2)
    plan_portion(network, CPU, height=64, width=64)
    assert network.training
    assert {parameter.device for parameter in network.parameters()} == {CPU}
    assert not any(layer._forward_hooks for layer in network.modules())


def test_portions_shrink_to_one_frame_and_then_to_tiles_of_16_px():
    portion, steps = Portion(4, None), []
    while portion is not None:
        steps.append((portion.batch_size, portion.tile_size))
        portion = portion.reduced(100, 70)
    assert steps == [(4, None), (2, None), (1, None), (1, 50), (1, 25)]
