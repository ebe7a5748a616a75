"""A compiled network is the network: to rounding, at any size, for any number of frames."""

from __future__ import annotations

import pytest
import torch
from torch import fx, nn

from napari_dl4smlm.backend.errors import DeviceError, InputError
from napari_dl4smlm.backend.models import compiled
from napari_dl4smlm.backend.models.compiled import (
    GraphedNetwork,
    OpenVinoNetwork,
    is_openvino_installed,
    openvino_precisions,
)
from napari_dl4smlm.backend.models.prepared import prepare
from napari_dl4smlm.backend.models.prepared.rewriting import rewrite
from napari_dl4smlm.backend.models.registry import MODELS, create_model
from napari_dl4smlm.backend.prediction.tiling import predict_tiled

SMALL = {
    "srcnn": {},
    "deep_storm": {"channels": 4},
    "skip_storm": {"channels": 4},
    "u_storm": {"channels": 4, "depth": 2},
    "drl_storm": {"channels": 4, "psf_sigma_px": 0.6},
    "fid_storm": {"blocks": 2, "channels": 6},
}
every_network = pytest.mark.parametrize("name", MODELS)
needs_openvino = pytest.mark.skipif(
    not is_openvino_installed(), reason="OpenVINO, an extra, is not installed"
)


def learned(name, factor, **options):
    """A network of random weights, small by default, whose normalization is not the identity."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = create_model(name, upsampling_factor=factor, **(options or SMALL[name]))
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                layer.reset_parameters()
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.uniform_(layer.running_mean, -0.3, 0.3)
                for scale in (layer.running_var, layer.weight):
                    nn.init.uniform_(scale, 0.5, 1.5)
                nn.init.uniform_(layer.bias, -0.3, 0.3)
    return network.eval()


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(4))


def error(found, expected):
    """Relative to the norm of what is expected."""
    return ((found - expected).norm() / expected.norm()).item()


@needs_openvino
@every_network
@pytest.mark.parametrize("factor", [1, 2, 8])
def test_openvino_gives_the_map_of_the_network_at_any_size(name, factor):
    network = learned(name, factor)
    vino = OpenVinoNetwork(network)
    assert (vino.upsampling_factor, vino.halo, vino.alignment) == (
        factor,
        network.halo,
        network.alignment,
    )
    for shape in [(1, 1, 9, 14), (5, 1, 7, 3), (1, 1, 1, 1)]:
        frames = noise(*shape)
        with torch.inference_mode():
            expected = network.double()(frames.double())
            network.float()
            density = vino(frames)
        assert density.shape == expected.shape
        assert density.dtype == torch.float32
        assert error(density, expected) <= 5e-6


@needs_openvino
@pytest.mark.parametrize("shape", [(1, 1, 5, 8), (1, 1, 3, 1)])
def test_openvino_gives_the_map_of_a_wide_network_in_a_form_with_fewer_products(shape):
    from napari_dl4smlm.backend.models.compiled.graph import openvino_model

    network = learned("deep_storm", 8, channels=32)
    operations = openvino_model(rewrite(network), *shape[2:]).get_ops()
    assert "GroupConvolution" in [operation.get_type_name() for operation in operations]
    frames = noise(*shape)
    with torch.inference_mode():
        density = OpenVinoNetwork(network)(frames)
        assert error(density, network.double()(frames.double())) <= 5e-6


@needs_openvino
@every_network
def test_with_openvino_tiles_of_one_size_give_the_map_of_the_whole_frame(name):
    vino = OpenVinoNetwork(learned(name, 2))
    frames = noise(1, 1, 5, 4 * (vino.halo + vino.alignment) + 9)
    tiled = predict_tiled(vino, frames, tile_size=vino.halo + 3)
    assert vino._requests.cache_info().misses == 1
    assert error(tiled, vino(frames)) <= 1e-6


@needs_openvino
def test_with_openvino_frames_stay_as_they_are_and_each_call_has_a_map_of_its_own():
    vino = OpenVinoNetwork(learned("fid_storm", 2))
    frames = noise(3, 1, 8, 8)
    before = frames.clone()
    first = vino(frames)
    kept = first.clone()
    vino(2 * frames)
    assert torch.equal(frames, before)
    assert torch.equal(first, kept)


@needs_openvino
@pytest.mark.parametrize(("precision", "tolerance"), [("bfloat16", 0.05), ("float16", 0.006)])
@every_network
def test_with_16_bits_openvino_gives_the_map_to_as_many(name, precision, tolerance):
    if precision not in openvino_precisions():
        pytest.skip(f"this processor does not compute in {precision}")
    network = learned(name, 2)
    frames = noise(1, 1, 12, 12)
    with torch.inference_mode():
        found = error(OpenVinoNetwork(network, precision)(frames), network(frames))
    # not zero either: it is not computed in more
    assert 1e-5 < found < tolerance


@needs_openvino
def test_the_network_can_go_on_learning_beside_openvino():
    network = learned("fid_storm", 2).train()
    vino = OpenVinoNetwork(network)
    frames = noise(1, 1, 6, 6)
    density = vino(frames)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    assert network.training
    assert torch.equal(vino(frames), density)


@needs_openvino
def test_a_layer_without_translation_is_named():
    from napari_dl4smlm.backend.models.compiled.graph import openvino_model

    density = fx.symbolic_trace(nn.Sequential(nn.Softplus()))
    with pytest.raises(TypeError, match="Softplus has no translation"):
        openvino_model(density, 4, 4)


@needs_openvino
def test_a_precision_that_openvino_does_not_compute_in_is_refused(monkeypatch):
    monkeypatch.setattr(compiled.network, "openvino_precisions", lambda: ("float32",))
    with pytest.raises(DeviceError, match=r"does not compute in bfloat16.*one of float32\."):
        OpenVinoNetwork(learned("fid_storm", 2), "bfloat16")


def test_without_openvino_the_user_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setattr(compiled.network, "is_openvino_installed", lambda: False)
    with pytest.raises(InputError, match=r"pip install napari-dl4smlm\[openvino\]"):
        OpenVinoNetwork(learned("fid_storm", 2))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@every_network
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_recorded_graph_gives_what_the_network_gives(name, precision):
    prepared = prepare(learned(name, 2), torch.device("cuda"), precision)
    graphed = GraphedNetwork(prepared)
    with torch.inference_mode():
        first, second, short = noise(3, 1, 9, 8), 2 * noise(3, 1, 9, 8), noise(2, 1, 9, 8)
        maps = [graphed(frames.cuda()) for frames in (first, second, short)]
        for density, frames in zip(maps, (first, second, short), strict=True):
            assert error(density, prepared(frames.cuda())) <= 1e-6
