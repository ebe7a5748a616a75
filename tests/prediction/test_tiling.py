from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from napari_dl4smlm.backend.models.registry import MODELS, create_model
from napari_dl4smlm.backend.prediction.tiling import plan_tiles, predict_tiled

SMALL = {
    "fid_storm": {"channels": 8},
    "u_storm": {"channels": 4},
    "drl_storm": {"channels": 4},
}


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    tile_size=st.integers(1, 40),
    halo=st.integers(0, 30),
    alignment=st.sampled_from([1, 2, 4, 8]),
)
def test_tiles_cover_the_frame_once_and_see_their_halo_from_an_aligned_start(
    height, width, tile_size, halo, alignment
):
    covered = np.zeros((height, width), dtype=int)
    tiles = plan_tiles(height, width, tile_size=tile_size, halo=halo, alignment=alignment)
    for tile in tiles:
        covered[tile.rows.kept, tile.columns.kept] += 1
        for (seen, kept), length in zip(tile, (height, width), strict=True):
            assert kept.stop > kept.start
            assert seen.start % alignment == 0
            assert 0 <= seen.start <= max(0, kept.start - halo)
            assert length >= seen.stop >= min(kept.stop + halo, length)
            assert seen.stop - seen.start <= tile_size + 2 * (halo + alignment)
    assert (covered == 1).all()
    # one size for which the network is compiled
    sizes = {tuple(seen.stop - seen.start for seen, _ in tile) for tile in tiles}
    assert len(sizes) == 1


def test_a_frame_a_little_larger_than_a_tile_is_cut_into_equal_parts():
    tiles = plan_tiles(33, 10, tile_size=32, halo=0, alignment=1)
    assert [tile.rows.kept for tile in tiles] == [slice(0, 16), slice(16, 33)]


def test_where_a_tile_needs_no_halo_it_keeps_the_more():
    tiles = plan_tiles(300, 10, tile_size=100, halo=10, alignment=4)
    # 3 x 116 seen pixels, of which two overlaps of 24 are in two tiles
    assert [tile.rows.seen for tile in tiles] == [slice(0, 116), slice(92, 208), slice(184, 300)]
    assert [tile.rows.kept for tile in tiles] == [slice(0, 102), slice(102, 194), slice(194, 300)]


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
@pytest.mark.parametrize("name", MODELS)
def test_tiles_give_the_map_of_the_whole_frame(name, factor):
    network = _random_network(name, factor).double()
    halo, alignment = network.halo, network.alignment
    # some tiles along x, whose inner borders are farther from the frame's than the halo reaches
    frames = _frames(1, 7, 4 * (halo + alignment) + 5).double()
    for turned in (frames, frames.mT):
        tile_size = halo + alignment + 3
        assert (
            len(plan_tiles(*turned.shape[-2:], tile_size=tile_size, halo=halo, alignment=alignment))
            > 1
        )
        with torch.inference_mode():
            whole = network(turned)
            tiled = predict_tiled(network, turned, tile_size=tile_size)
        scale = float(whole.abs().max())
        assert float((tiled - whole).abs().max()) <= 1e-12 * scale


@pytest.mark.parametrize("name", MODELS)
def test_in_single_precision_tiles_are_as_right_as_the_whole_frame(name):
    network = _random_network(name, 4)
    frames = _frames(2, 35, 41)
    with torch.inference_mode():
        exact = network.double()(frames.double())
        network.float()
        whole = network(frames)
        tiled = predict_tiled(network, frames, tile_size=16)
    # the layers add in another order where the shape is another one, but no less exactly
    rounding = float((whole - exact).abs().max())
    assert 0 < rounding < 5e-6 * float(exact.abs().max())
    assert float((tiled - exact).abs().max()) <= 2 * rounding


def test_a_smaller_halo_would_change_the_map(monkeypatch):
    network = _random_network("u_storm", 4)
    frames = _frames(1, 40, 40)
    with torch.inference_mode():
        whole = network(frames)
        monkeypatch.setattr(network, "halo", network.halo - 2 * network.alignment)
        tiled = predict_tiled(network, frames, tile_size=20)
    assert not torch.allclose(tiled, whole, rtol=0, atol=1e-6 * float(whole.abs().max()))


def _frames(number, height, width):
    return torch.rand(number, 1, height, width, generator=torch.Generator().manual_seed(0))


def _random_network(name, factor):
    """A network in evaluation mode whose batch norms do something."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = create_model(name, upsampling_factor=factor, **SMALL.get(name, {}))
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.normal_(layer.running_mean)
                nn.init.uniform_(layer.running_var, 0.5, 2)
                nn.init.uniform_(layer.weight, 0.5, 2)
                nn.init.normal_(layer.bias)
    return network.eval()
