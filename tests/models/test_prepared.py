"""A prepared network is the network: rewritten, faster, and equal to rounding."""

from __future__ import annotations

import copy
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from napari_dl4smlm.backend.errors import DeviceError, InputError
from napari_dl4smlm.backend.localizations.density_map import render_density_map
from napari_dl4smlm.backend.localizations.peaks import find_peaks
from napari_dl4smlm.backend.metrics.detection import detection_scores
from napari_dl4smlm.backend.models.network import (
    SuperResolutionNetwork,
    UpsampleConv,
    conv3x3,
    enlarge,
)
from napari_dl4smlm.backend.models.prepared import (
    available_precisions,
    convolutions,
    fastest,
    prepare,
)
from napari_dl4smlm.backend.models.prepared.convolutions import (
    ActivatedConv,
    DoubledMap,
    DoublingConv,
    MapConv,
    PooledConv,
    PreparedConv,
)
from napari_dl4smlm.backend.models.registry import MODELS, create_model
from napari_dl4smlm.backend.prediction.tiling import predict_tiled
from napari_dl4smlm.backend.simulation.config import MovieConfig
from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie

CPU = torch.device("cpu")
SMALL = {
    "srcnn": {},
    "deep_storm": {"channels": 4},
    "skip_storm": {"channels": 4},
    "u_storm": {"channels": 2, "depth": 2},
    "drl_storm": {"channels": 2, "psf_sigma_px": 0.6},
    "fid_storm": {"blocks": 2, "channels": 6},
}
every_network = pytest.mark.parametrize("name", MODELS)
every_factor = pytest.mark.parametrize("factor", [1, 2, 4, 8])


def in_half_the_bits(precision):
    available = precision in available_precisions(CPU)
    reason = f"this processor does not compute in {precision}"
    return pytest.param(precision, marks=pytest.mark.skipif(not available, reason=reason))


both_of_16_bits = pytest.mark.parametrize(
    "precision", [in_half_the_bits("bfloat16"), in_half_the_bits("float16")]
)


def trained_network(name, factor, **options):
    """A network whose every weight and statistic is random."""
    return copy.deepcopy(_trained_network(name, factor, tuple(options.items())))


@cache
def _trained_network(name, factor, options):
    torch.manual_seed(5)
    network = create_model(name, upsampling_factor=factor, **dict(options))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.reset_parameters()
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.3, 0.3)
            for scale in (layer.running_var, layer.weight):
                nn.init.uniform_(scale, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.3, 0.3)
    return network.eval()


def random_tensor(*shape, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def error(found, expected):
    """Relative to the norm of what is expected."""
    return ((found - expected).norm() / expected.norm()).item()


def channels_last(features):
    return features.contiguous(memory_format=torch.channels_last)


@every_network
@every_factor
def test_it_gives_the_map_of_the_network_at_any_size(name, factor):
    network = trained_network(name, factor, **SMALL[name]).double()
    prepared = prepare(network, CPU, "float64")
    for size in [(1, 1), (1, 9), (3, 7), (10, 5), (16, 8)]:
        frames = random_tensor(2, 1, *size)
        with torch.inference_mode():
            expected = network(frames)
            density = prepared(frames)
        assert density.shape == expected.shape
        assert error(density, expected) <= 1e-12


@every_network
def test_in_single_precision_the_default_networks_differ_by_rounding(name):
    network = trained_network(name, 8)
    prepared = prepare(network, CPU)
    frames = random_tensor(1, 1, 11, 9).float()
    with torch.inference_mode():
        density = prepared(frames)
        assert density.dtype == torch.float32
        assert error(density, network(frames)) <= 5e-6


@both_of_16_bits
@every_network
@pytest.mark.parametrize("factor", [1, 8])
def test_with_16_bits_the_map_has_single_precision(name, factor, precision):
    network = trained_network(name, factor)
    prepared = prepare(network, CPU, precision)
    assert prepared.precision == precision
    frames = random_tensor(1, 1, 11, 9).float()
    with torch.inference_mode():
        density = prepared(frames)
        assert error(density, network(frames)) < {"bfloat16": 0.03, "float16": 0.004}[precision]
    assert density.dtype == torch.float32
    is_rounded = density == density.to(getattr(torch, precision)).float()
    assert is_rounded.float().mean() < 0.1


@both_of_16_bits
@pytest.mark.parametrize("name", ["fid_storm", "deep_storm", "u_storm", "srcnn"])
def test_with_16_bits_the_layer_that_sees_the_frames_has_single_precision(name, precision):
    prepared = prepare(trained_network(name, 8), CPU, precision)
    layers = [layer for layer in prepared.modules() if isinstance(layer, PreparedConv)]
    types = [next(layer.buffers()).dtype for layer in layers]
    low = getattr(torch, precision)
    assert types == [torch.float32, *[low] * (len(types) - 2), torch.float32]


@every_network
def test_the_network_stays_as_it_is_and_can_go_on_learning(name):
    network = trained_network(name, 2, **SMALL[name]).train()
    before = copy.deepcopy(network.state_dict())
    prepared = prepare(network, CPU)
    frames = random_tensor(1, 1, 5, 6).float()
    density = prepared(frames)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    for key, values in network.state_dict().items():
        assert torch.equal(values, before[key]), key
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    assert torch.equal(prepared(frames), density)
    assert not density.requires_grad


@every_network
@pytest.mark.parametrize("factor", [1, 2, 8])
def test_a_frame_is_left_as_it_is_and_each_call_has_a_map_of_its_own(name, factor):
    prepared = prepare(trained_network(name, factor, **SMALL[name]), CPU)
    frames = random_tensor(2, 1, 8, 8).float()
    before = frames.clone()
    first = prepared(frames)
    kept = first.clone()
    prepared(2 * frames)
    assert torch.equal(frames, before)
    assert torch.equal(first, kept)


@every_network
@every_factor
def test_tiles_with_its_halo_give_the_map_of_the_whole_frame(name, factor):
    network = trained_network(name, factor, **SMALL[name])
    prepared = prepare(network, CPU)
    assert (prepared.halo, prepared.alignment) == (network.halo, network.alignment)
    frames = random_tensor(1, 1, 5, 4 * (network.halo + network.alignment) + 9).float()
    with torch.inference_mode():
        whole = prepared(frames)
        tiled = predict_tiled(prepared, frames, tile_size=network.halo + 3)
    assert error(tiled, whole) <= 1e-6


@every_network
@every_factor
def test_tiles_with_one_pixel_less_than_its_halo_do_not(name, factor):
    network = trained_network(name, factor, **SMALL[name]).double()
    # no two paths from a pixel cancel, and every ReLU is open
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data.abs_()
            layer.weight.data /= layer.weight[0].sum()
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.zeros_(layer.running_mean)
            nn.init.zeros_(layer.bias)
    if name == "drl_storm":
        nn.init.constant_(network.psf_gain, -1)
    prepared = prepare(network, CPU, "float64")
    changed = []
    # the phase of the pooling cell that reaches farthest is one of these
    for kept in range(1, network.alignment + 1):
        end = kept + network.halo
        frame = torch.zeros(1, 1, network.alignment, end, dtype=torch.float64)
        frame[..., end - 1] = 1
        with torch.inference_mode():
            whole, short = (
                prepared(tile)[..., : factor * kept] for tile in (frame, frame[..., :-1])
            )
        changed.append(not torch.equal(whole, short))
    assert any(changed)


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("srcnn", {"Upsample"}),
        ("deep_storm", {"MaxPool2d"}),
        ("fid_storm", set()),
    ],
)
def test_what_is_left_to_do_besides_convolutions(name, left):
    prepared = prepare(trained_network(name, 8, **SMALL[name]), CPU)
    layers = {type(layer) for layer in prepared.modules() if not list(layer.children())}
    fast = {ActivatedConv, DoublingConv, MapConv, PooledConv}
    assert {layer.__name__ for layer in layers - fast} == left


def test_a_map_of_concatenated_features_is_computed_from_its_parts():
    prepared = prepare(trained_network("skip_storm", 8, **SMALL["skip_storm"]), CPU)
    seen = []
    (head,) = (layer for layer in prepared.modules() if isinstance(layer, MapConv))
    head.register_forward_hook(lambda layer, parts, output: seen.append(len(parts)))
    prepared(torch.rand(1, 1, 4, 4))
    assert seen == [2]


class SharingNetwork(SuperResolutionNetwork):
    """Needs the features of its first layer before and after they are pooled and activated."""

    name = "sharing"

    def __init__(self):
        super().__init__(2)
        self.enlarge, self.pool = enlarge(2, "nearest"), nn.MaxPool2d(2)
        self.conv, self.activation = conv3x3(1, 3), nn.LeakyReLU()
        self.upsample, self.head = UpsampleConv(3, 3), nn.Conv2d(6, 1, 1)

    def _density(self, frames):
        linear = self.conv(self.enlarge(frames))
        coarse = self.pool(self.activation(linear))
        return self.head(torch.cat([linear, self.upsample(coarse)], dim=1))

    def _layers(self):
        return self.enlarge, self.conv, self.pool, self.upsample, self.head


def test_features_that_are_needed_elsewhere_stay_what_they_are():
    torch.manual_seed(4)
    network = SharingNetwork().double().eval()
    frames = random_tensor(2, 1, 5, 4)
    with torch.inference_mode():
        assert error(prepare(network, CPU, "float64")(frames), network(frames)) <= 1e-12


@every_network
@pytest.mark.parametrize("precision", ["float32", in_half_the_bits("bfloat16")])
def test_features_are_in_the_layout_that_is_fast_from_the_first_layer_on(name, precision):
    prepared = prepare(trained_network(name, 4), CPU, precision)
    layouts = []

    def note_layout(layer, inputs, output):
        if output.shape[1] > 1:
            layouts.append(output.is_contiguous(memory_format=torch.channels_last))

    for layer in prepared.modules():
        if isinstance(layer, ActivatedConv | DoublingConv | PooledConv):
            layer.register_forward_hook(note_layout)
    prepared(torch.rand(2, 1, 12, 12))
    assert len(layouts) > 1
    assert all(layouts)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("slope", [0, 0.01, 1])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("form", ["transposed", "phases", "differences"])
@pytest.mark.parametrize("channels", [1, 3])
def test_all_forms_of_a_doubling_are_enlargement_and_convolution(
    monkeypatch, fused, slope, biased, form, channels
):
    if not fused:
        monkeypatch.setattr(convolutions, "_can_fuse", lambda features: False)
    features, weight = random_tensor(2, 4, 3, 5), random_tensor(channels, 4, 3, 3, seed=4)
    bias = random_tensor(channels, seed=5) if biased else None
    enlarged = features.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    expected = F.leaky_relu(F.conv2d(enlarged, weight, bias, padding=1), slope)
    layer = DoublingConv(weight, bias, slope)
    layer.form = form
    torch.testing.assert_close(layer(features), expected, rtol=0, atol=1e-13)
    # oneDNN, with which activations are fused, has no double precision
    single = layer.float()(channels_last(features.float()))
    assert error(single, expected) < 1e-6


@pytest.mark.parametrize("slope", [0, 0.3, 1])
@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (4, 3)])
def test_pooling_on_the_grid_of_the_frames_is_pooling_of_what_was_enlarged(slope, factor, size):
    frames, weight = random_tensor(2, 2, *size), random_tensor(3, 2, 3, 3, seed=4)
    bias = random_tensor(3, seed=5)
    enlarged = frames.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)
    features = F.leaky_relu(F.conv2d(enlarged, weight, bias, padding=1), slope)
    density = PooledConv(weight, bias, slope, factor)(frames)
    torch.testing.assert_close(density, F.max_pool2d(features, 2), rtol=0, atol=1e-13)


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("values_in_cache", [1, 200, 10**9])
def test_a_map_of_parts_in_strips_is_that_of_their_concatenation(
    monkeypatch, size, values_in_cache
):
    monkeypatch.setattr(convolutions, "_VALUES_IN_CACHE", values_in_cache)
    # in another type than the weights, which is what strips are for
    parts = [random_tensor(2, channels, 7, 6, seed=channels).float() for channels in (3, 1)]
    weight, bias = random_tensor(1, 4, size, size, seed=4), random_tensor(1, seed=5)
    expected = F.conv2d(torch.cat(parts, 1).double(), weight, bias, padding=size // 2)
    density = MapConv(weight, bias, 0.1)(*parts)
    torch.testing.assert_close(density, F.leaky_relu(expected, 0.1), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["deep_storm", "skip_storm", "drl_storm"])
@pytest.mark.parametrize("values_of_strip", [1, 1000])
def test_in_strips_the_map_is_that_of_whole_features(monkeypatch, name, values_of_strip):
    monkeypatch.setattr(convolutions, "_VALUES_OF_STRIP", values_of_strip)
    network = trained_network(name, 8, channels=4).double()
    prepared = prepare(network, CPU, "float64")
    assert any(isinstance(layer, DoubledMap) for layer in prepared.modules())
    # 4 channels on a grid of 40 x 24 px: strips of 2 rows, or of 10 of them
    frames = random_tensor(2, 1, 5, 3)
    with torch.inference_mode():
        assert error(prepared(frames), network(frames)) <= 1e-12


class Clock:
    """Stands for the module `time`: passes only where it is told to."""

    now = 0.0

    def perf_counter(self):
        return self.now


def test_the_fastest_form_is_found_once_for_each_case(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(fastest, "time", clock)
    monkeypatch.setattr(fastest, "_winners", {})
    calls = []

    def form(name, *seconds):
        def run(example):
            # the first run sets something up
            clock.now += seconds[min(calls.count(name), len(seconds) - 1)]
            calls.append(name)
            return example

        return run

    forms = {"first": form("first", 0.1, 3, 2), "second": form("second", 9, 1)}
    example = torch.zeros(2, 3)
    assert fastest.fastest(forms, example, 8) == "second"
    tried = len(calls)
    assert fastest.fastest(forms, torch.ones(2, 3), 8) == "second"
    assert len(calls) == tried
    forms = {"first": form("first", 0), "second": form("second", 1)}
    assert fastest.fastest(forms, example, 16) == "first"
    assert fastest.fastest(forms, example.double(), 8) == "first"
    assert fastest.fastest(forms, torch.zeros(2, 4), 8) == "first"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1000)
    assert fastest.fastest(forms, torch.ones(2, 3), 8) == "first"


def test_a_form_that_is_disturbed_for_a_while_wins_all_the_same(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(fastest, "time", clock)
    monkeypatch.setattr(fastest, "_winners", {})
    calls = Counter()

    def disturbed(example):
        calls["disturbed"] += 1
        clock.now += 0.02 if calls["disturbed"] < 6 else 0.005
        return example

    def steady(example):
        clock.now += 0.01
        return example

    forms = {"steady": steady, "disturbed": disturbed}
    assert fastest.fastest(forms, torch.zeros(2, 3)) == "disturbed"
    assert clock.now < 0.3


def test_threads_that_ask_at_the_same_time_share_one_trial(monkeypatch):
    monkeypatch.setattr(fastest, "_winners", {})
    monkeypatch.setattr(fastest, "_ENOUGH_S", 0)
    calls = Counter()

    def form(name):
        def run(example):
            calls[name] += 1
            time.sleep(0.01)
            return example

        return run

    forms = {name: form(name) for name in "abc"}
    with ThreadPoolExecutor(4) as pool:
        example = torch.zeros(2, 3)
        winners = list(pool.map(lambda _: fastest.fastest(forms, example), range(4)))
    assert len(set(winners)) == 1
    # once to set up, and three times to be timed
    assert calls == dict.fromkeys("abc", 4)


def test_a_precision_that_is_not_computed_in_is_refused(monkeypatch):
    network = trained_network("fid_storm", 2, **SMALL["fid_storm"])
    with pytest.raises(InputError, match="Did you mean 'float16'"):
        prepare(network, CPU, "float1")
    module = "napari_dl4smlm.backend.models.prepared.network."
    monkeypatch.setattr(module + "supports_bfloat16", lambda device: False)
    monkeypatch.setattr(module + "_supports_float16", lambda device: False)
    with pytest.raises(
        DeviceError, match=r"'cpu' does not compute in bfloat16.*one of float32, float64"
    ):
        prepare(network, CPU, "bfloat16")


def test_an_apple_gpu_has_single_precision_alone():
    assert available_precisions(torch.device("mps")) == ("float32",)


def test_networks_at_work_in_other_threads_do_not_notice_that_one_is_prepared():
    torch.manual_seed(0)
    network = create_model("u_storm", upsampling_factor=2, channels=4, depth=1).eval()
    other = create_model("u_storm", upsampling_factor=2, channels=4, depth=1).train()
    frames = torch.rand(1, 1, 16, 16)
    expected = network(frames)
    is_over = threading.Event()
    faults = []

    def work():
        try:
            while not is_over.is_set():
                other(frames).sum().backward()
                assert torch.equal(network(frames), expected)
        except Exception as error:  # noqa: BLE001
            faults.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    with ThreadPoolExecutor(2) as others:
        prepared = list(others.map(lambda _: prepare(network, torch.device("cpu")), range(6)))
    is_over.set()
    worker.join()
    assert faults == []
    for each in prepared:
        torch.testing.assert_close(each(frames), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@every_network
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_it_gives_the_map_of_the_network_on_a_gpu(name, precision):
    network = trained_network(name, 8)
    frames = random_tensor(2, 1, 11, 9).float()
    with torch.inference_mode():
        expected = network(frames)
        density = prepare(network, torch.device("cuda"), precision)(frames.cuda())
    # convolutions of a GPU round float32 to TF32, of 10 bits
    assert error(density.cpu(), expected) < {"bfloat16": 0.03}.get(precision, 5e-3)


FACTOR, PIXEL_NM, AMPLITUDE = 4, 100.0, 50.0


def film(n_frames, side, seed):
    """Normalized frames of random emitters, and the emitters."""
    simulation = {"density": 1.5, "background": {"photons": 20}}
    movie = SimulatedMovie(
        MovieConfig(frames=n_frames, height=side, width=side, seed=seed, simulation=simulation)
    )
    frames = torch.from_numpy(movie.frames().astype("float32"))[:, None]
    return (frames - frames.mean()) / frames.std(), movie.truth


@pytest.fixture(scope="module")
def learned_network():
    """FID-STORM, narrow, after some seconds of training on simulated frames."""
    frames, truth = film(96, 24, seed=1)
    targets = torch.stack(
        [
            torch.from_numpy(
                render_density_map(
                    truth[truth.frame == number].positions_nm(),
                    height=24,
                    width=24,
                    pixel_size_nm=PIXEL_NM,
                    upsampling_factor=FACTOR,
                    sigma_px=1.0,
                )
            )
            for number in range(len(frames))
        ]
    ).float()[:, None]
    torch.manual_seed(0)
    network = create_model("fid_storm", upsampling_factor=FACTOR, blocks=4, channels=24)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 200)
    for step in range(200):
        batch = torch.arange(8) + 8 * (step % 12)
        loss = F.mse_loss(network(frames[batch]), AMPLITUDE * targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


@pytest.mark.slow
@both_of_16_bits
def test_with_16_bits_the_localizations_are_those_of_single_precision(learned_network, precision):
    frames, truth = film(40, 32, seed=2)
    found = []
    for bits in ("float32", precision):
        with torch.inference_mode():
            maps = prepare(learned_network, CPU, bits)(frames)[:, 0] / AMPLITUDE
        found.append(
            find_peaks(maps, pixel_size_nm=PIXEL_NM, upsampling_factor=FACTOR, threshold=0.3)
        )
    single, low = found
    # it has learned something, so that its peaks are those of emitters
    assert detection_scores(single, truth, tolerance_nm=100).jaccard > 0.7
    scores = detection_scores(low, single, tolerance_nm=PIXEL_NM / FACTOR)
    assert scores.jaccard >= 0.99
    # a map of few bits has equal pixels at a peak, of which each could count
    assert abs(len(low) - len(single)) <= 0.005 * len(single)
