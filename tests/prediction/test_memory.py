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
    assert plan_portion(network, CPU, height=512, width=512) == Portion(1, None, streams=1)


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


def test_of_numbers_of_half_the_size_twice_as_many_frames_go_at_a_time():
    network = create_model("fid_storm", upsampling_factor=8)
    size = {"height": 64, "width": 64}
    per_frame = 64**2 * activation_bytes_per_pixel(network)
    assert plan_portion(network, CPU, **size).batch_size == 64 * 2**20 // per_frame
    in_16_bits = plan_portion(network, CPU, **size, value_bytes=2)
    assert in_16_bits.batch_size == 2 * 64 * 2**20 // per_frame
    assert plan_portion(network, CPU, **size, batch_size=3, value_bytes=2).batch_size == 3


def test_what_the_user_gives_is_kept():
    network = create_model("fid_storm", upsampling_factor=2)
    portion = plan_portion(network, CPU, height=64, width=64, batch_size=5, tile_size=32)
    assert portion == Portion(5, 32, streams=1)


def test_a_tile_as_large_as_the_frame_is_no_tile():
    network = create_model("fid_storm", upsampling_factor=2)
    portion = plan_portion(network, CPU, height=64, width=48, tile_size=64)
    assert portion.tile_size is None


def streams(name, side, threads, monkeypatch, **options):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    network = create_model(name, upsampling_factor=8)
    return plan_portion(network, CPU, height=side, width=side, **options).streams


def test_small_frames_are_predicted_side_by_side_and_large_ones_are_not(monkeypatch):
    for threads in (1, 2, 16):
        assert streams("fid_storm", 64, threads, monkeypatch) == threads
        assert streams("fid_storm", 512, threads, monkeypatch) == 1
    assert streams("fid_storm", 256, 2, monkeypatch) == 2
    assert streams("fid_storm", 64, 16, monkeypatch, batch_size=64) == 1
    assert streams("fid_storm", 64, 16, monkeypatch, tile_size=32) == 1


def test_what_is_predicted_side_by_side_stays_within_4_gib_together(monkeypatch):
    n_streams = streams("deep_storm", 128, 16, monkeypatch)
    per_frame = 128**2 * activation_bytes_per_pixel(create_model("deep_storm", upsampling_factor=8))
    assert 1 < n_streams < 16
    assert n_streams * per_frame <= 4 * 2**30 < (n_streams + 1) * per_frame


def test_without_openmp_nothing_is_predicted_side_by_side(monkeypatch):
    monkeypatch.setattr(torch.backends.openmp, "is_available", lambda: False)
    assert streams("fid_storm", 64, 16, monkeypatch) == 1


def test_beside_a_single_network_another_batch_is_read_or_searched_unless_memory_is_dear():
    assert Portion(1, None).threads == 2
    assert Portion(1, None, streams=5).threads == 5
    assert Portion(1, 64).threads == 1


def test_planning_leaves_the_network_as_it_was():
    network = create_model("fid_storm", upsampling_factor=2)
    plan_portion(network, CPU, height=64, width=64)
    assert network.training
    assert {parameter.device for parameter in network.parameters()} == {CPU}
    assert not any(layer._forward_hooks for layer in network.modules())


def test_portions_shrink_to_one_frame_at_a_time_and_then_to_tiles_of_16_px():
    portion, steps = Portion(4, None, streams=3), []
    while portion is not None:
        steps.append((portion.streams, portion.batch_size, portion.tile_size))
        portion = portion.reduced(100, 70)
    assert steps == [
        (3, 4, None),
        (1, 4, None),
        (1, 2, None),
        (1, 1, None),
        (1, 1, 50),
        (1, 1, 25),
    ]
