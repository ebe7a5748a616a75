"""What a prediction is run with: the fastest of what finds the same localizations."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.errors import DeviceError, InputError
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.models import compiled
from napari_dl4smlm.backend.models.compiled import is_openvino_installed
from napari_dl4smlm.backend.models.prepared import prepare
from napari_dl4smlm.backend.prediction import memory
from napari_dl4smlm.backend.prediction.backends import (
    candidates,
    comparison,
    remembered,
    selection,
)
from napari_dl4smlm.backend.prediction.backends.candidates import (
    REFERENCE,
    Candidate,
    candidates_for,
)
from napari_dl4smlm.backend.prediction.backends.choice import (
    FEWEST_LOCALIZATIONS,
    choose,
    is_worth_a_trial,
)
from napari_dl4smlm.backend.prediction.backends.comparison import Comparison
from napari_dl4smlm.backend.prediction.backends.remembered import (
    remember_seconds,
    remembered_seconds,
)
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.events import BatchPredicted
from napari_dl4smlm.backend.prediction.predictor import Predictor

CPU = torch.device("cpu")
HALF = Candidate("torch", "bfloat16")
VINO = Candidate("openvino", "float32")
VINO_HALF = Candidate("openvino", "float16")
FINE_PIXEL_NM = 12.5
PER_FRAME = 50

needs_openvino = pytest.mark.skipif(
    not is_openvino_installed(), reason="OpenVINO, an extra, is not installed"
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder in which times are remembered."""
    monkeypatch.setenv(remembered.CACHE_FOLDER, str(tmp_path / "cache"))
    return tmp_path / "cache"


def emitters(frames, *, shift_nm=0.0, shifted=0, doubled=0):
    """The same 50 positions in every frame, of which some are elsewhere, or there twice."""
    grid = 100.0 * np.arange(PER_FRAME)
    moved = grid + np.where(np.arange(PER_FRAME) < shifted, shift_nm, 0)
    positions = np.concatenate([moved, moved[:doubled] + FINE_PIXEL_NM])
    return Localizations.concatenate(
        Localizations(
            frame=np.full(len(positions), frame),
            y_nm=np.full(len(positions), 7.0),
            x_nm=positions,
            confidence=np.ones(len(positions)),
        )
        for frame in frames
    )


class Clock:
    """Stands for the module `time`: passes only where it is told to."""

    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def compared(monkeypatch):
    """Makes a comparison of stand-ins: seconds and what is wrong with the localizations, of each.

    It also returns the candidates that were run, in order.
    """
    clock = Clock()
    monkeypatch.setattr(comparison, "time", clock)

    def make(stand_ins, n_batches=20):
        runs = []

        def localize(candidate, frames):
            seconds, wrong = stand_ins[candidate]
            clock.now += seconds * len(frames)
            runs.append(candidate)
            if isinstance(wrong, Exception):
                raise wrong
            return emitters(frames, **wrong)

        batches = [range(2 * k, 2 * k + 2) for k in range(n_batches)]
        return Comparison(stand_ins, lambda candidate: candidate, localize, batches), runs

    return make


def chosen(stand_ins, compared, among=None, **options):
    made, _ = compared(stand_ins)
    return choose(among or list(stand_ins), made, tolerance_nm=FINE_PIXEL_NM, **options)


def test_the_fastest_that_finds_the_same_is_taken(compared):
    stand_ins = {REFERENCE: (0.10, {}), VINO: (0.05, {}), VINO_HALF: (0.02, {})}
    taken = chosen(stand_ins, compared)
    assert taken.candidate == taken.network == VINO_HALF
    assert "5.0 times as fast, 100.0 %" in taken.reason
    assert not taken.is_refusal


@pytest.mark.parametrize(
    "wrong",
    [
        # 1 of 50 is beyond a fine pixel: found there in vain, and missing here
        {"shifted": 1, "shift_nm": 1.01 * FINE_PIXEL_NM},
        # a tie: 1 of 50 counts twice
        {"doubled": 1},
    ],
)
def test_what_finds_something_else_is_refused_for_the_next(compared, wrong):
    stand_ins = {REFERENCE: (0.10, {}), VINO: (0.05, {}), VINO_HALF: (0.02, wrong)}
    taken = chosen(stand_ins, compared)
    assert taken.candidate == VINO


def test_positions_within_a_fine_pixel_are_the_same(compared):
    stand_ins = {
        REFERENCE: (0.10, {}),
        HALF: (0.02, {"shifted": PER_FRAME, "shift_nm": 0.99 * FINE_PIXEL_NM}),
    }
    assert chosen(stand_ins, compared).candidate == HALF


def test_if_all_that_is_faster_is_refused_the_reference_stays_and_says_why(compared):
    stand_ins = {REFERENCE: (0.10, {}), HALF: (0.02, {"shifted": 5, "shift_nm": 20})}
    taken = chosen(stand_ins, compared)
    assert taken.candidate == taken.network == REFERENCE
    # 45 of 50 are the same, 5 are missing and 5 too many
    assert "torch bfloat16: 5.0 times as fast, only 81.8 % of" in taken.reason
    assert not taken.is_refusal
    asked_for = chosen(stand_ins, compared, among=[HALF])
    assert asked_for.candidate == REFERENCE
    assert asked_for.is_refusal


def test_what_is_hardly_faster_is_not_worth_another_result(compared):
    stand_ins = {REFERENCE: (0.10, {}), VINO: (0.095, {})}
    taken = chosen(stand_ins, compared)
    assert taken.candidate == REFERENCE
    assert taken.reason == "nothing else is faster here"


def test_too_few_localizations_prove_nothing(compared):
    n_batches = FEWEST_LOCALIZATIONS // PER_FRAME // 2 - 1
    made, _ = compared({REFERENCE: (0.10, {}), HALF: (0.02, {})}, n_batches)
    taken = choose([REFERENCE, HALF], made, tolerance_nm=FINE_PIXEL_NM)
    assert taken.candidate == REFERENCE
    assert taken.reason == "100 localizations are too few to compare"


def test_a_candidate_that_fails_is_left_out_and_named(compared):
    stand_ins = {
        REFERENCE: (0.10, {}),
        VINO: (0.01, RuntimeError("no kernel for this processor\nin line 7")),
        HALF: (0.02, {}),
    }
    assert chosen(stand_ins, compared).candidate == HALF
    taken = chosen({each: stand_ins[each] for each in (REFERENCE, VINO)}, compared)
    assert taken.candidate == REFERENCE
    assert taken.reason == "openvino float32: no kernel for this processor"


def test_a_reference_that_fails_is_not_hidden(compared):
    with pytest.raises(RuntimeError, match="out of memory"):
        chosen({REFERENCE: (1, RuntimeError("out of memory")), HALF: (1, {})}, compared)


def test_slow_networks_are_tried_on_few_frames(compared):
    stand_ins = {REFERENCE: (1.0, {}), HALF: (0.2, {})}
    made, runs = compared(stand_ins, n_batches=400)
    assert choose(list(stand_ins), made, tolerance_nm=FINE_PIXEL_NM).candidate == HALF
    # two batches of two frames are all that is needed for a time
    assert runs == [REFERENCE, HALF] * 2


CONDITIONS = {"torch": "2.13", "size_px": [64, 64], "options": {"blocks": 10, "slope": 0.01}}


def test_times_are_remembered_and_what_is_slow_is_not_tried_a_fourth_time(compared):
    stand_ins = {REFERENCE: (0.10, {}), VINO: (0.2, {}), HALF: (0.02, {})}
    for tried in (*3 * [list(stand_ins)], [REFERENCE, HALF]):
        made, runs = compared(stand_ins)
        taken = choose(
            list(stand_ins), made, tolerance_nm=FINE_PIXEL_NM, conditions=dict(CONDITIONS)
        )
        assert taken.candidate == HALF
        assert runs[: len(tried)] == tried
        assert set(runs) == set(tried)


def test_a_trial_on_a_busy_machine_is_made_good_by_the_next_ones(compared):
    busy = {REFERENCE: (0.30, {}), VINO: (0.9, {}), HALF: (0.2, {})}
    assert chosen(busy, compared, conditions=CONDITIONS).candidate == HALF
    idle = {REFERENCE: (0.10, {}), VINO: (0.01, {}), HALF: (0.02, {})}
    for stand_ins in (idle, busy, busy):
        taken = chosen(stand_ins, compared, conditions=CONDITIONS)
        assert taken.candidate == VINO
        assert "10.0 times as fast" in taken.reason


def test_each_candidate_has_its_own_trials(compared):
    stand_ins = {REFERENCE: (0.10, {}), VINO: (0.05, {}), VINO_HALF: (0.02, {})}
    for _ in range(3):
        chosen(stand_ins, compared, among=[VINO, VINO_HALF], conditions=CONDITIONS)
    # not tried so far, as something else was asked for
    made, runs = compared({REFERENCE: (0.10, {}), HALF: (0.01, {})})
    choose([REFERENCE, HALF], made, tolerance_nm=FINE_PIXEL_NM, conditions=CONDITIONS)
    assert HALF in runs


def test_what_was_fast_is_still_compared_on_every_movie(compared):
    chosen({REFERENCE: (0.10, {}), HALF: (0.02, {})}, compared, conditions=CONDITIONS)
    stand_ins = {REFERENCE: (0.10, {}), HALF: (0.02, {"doubled": 2})}
    assert chosen(stand_ins, compared, conditions=CONDITIONS).candidate == REFERENCE


def test_times_come_back_under_the_very_same_conditions_alone():
    seconds = {"torch float32": 0.1, "torch bfloat16": 0.02}
    remember_seconds(CONDITIONS, seconds)
    once = {"torch float32": [0.1], "torch bfloat16": [0.02]}
    assert remembered_seconds(json.loads(json.dumps(CONDITIONS))) == once
    for change in ({"torch": "2.14"}, {"size_px": [64, 65]}, {"more": None}):
        assert remembered_seconds(CONDITIONS | change) == {}
    remember_seconds(CONDITIONS | {"torch": "2.14"}, {"torch float32": 7.0})
    assert remembered_seconds(CONDITIONS) == once
    remember_seconds(CONDITIONS, {"torch float32": 3.0})
    assert remembered_seconds(CONDITIONS) == once | {"torch float32": [0.1, 3.0]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff\xfe",
        b'{"torch float32": 0.1}',
        b'[{"conditions": {}, "seconds": {"torch float32": 0.1}}]',
        b'[{"conditions": {}, "seconds": {"torch float32": ["fast"]}}]',
        b'[{"conditions": {}, "seconds": {"torch float32": [-1]}}]',
    ],
)
def test_a_damaged_file_is_as_good_as_none_and_is_replaced(cache, content):
    cache.mkdir()
    (cache / "backends.json").write_bytes(content)
    assert remembered_seconds({}) == {}
    remember_seconds({}, {"torch float32": 0.5})
    assert remembered_seconds({}) == {"torch float32": [0.5]}


def test_a_cache_that_cannot_be_written_is_no_error(cache):
    cache.write_text("a file where the folder should be")
    remember_seconds({}, {"torch float32": 0.5})
    assert remembered_seconds({}) == {}


def test_a_trial_is_for_predictions_of_more_than_half_a_minute(u_storm):
    def is_worth(frames, **options):
        defaults = {"on_gpu": False, "threads": 1}
        return is_worth_a_trial(u_storm.network, pixels=frames, **(defaults | options))

    class Layer:
        enlargement, weights, pooling = 1, 500, 1

    u_storm.network.footprints = [Layer]
    # a thousand operations for each pixel, 1e11 a second on each core
    assert not is_worth(2_900_000_000)
    assert is_worth(3_100_000_000)
    assert not is_worth(3_100_000_000, threads=2)
    assert not is_worth(3_100_000_000, on_gpu=True)


def offered(*, device=CPU, **config):
    return candidates_for(PredictionConfig(**config), device)


@pytest.fixture
def machine(monkeypatch):
    """An x86 processor with all precisions, and OpenVINO."""
    monkeypatch.setattr(candidates, "is_openvino_installed", lambda: True)
    monkeypatch.setattr(candidates, "check_openvino", lambda: None)
    monkeypatch.setattr(candidates, "is_x86", lambda: True)
    monkeypatch.setattr(candidates, "openvino_precisions", lambda: ("float16", "float32"))
    precisions = ("bfloat16", "float32", "float64")
    monkeypatch.setattr(candidates, "available_precisions", lambda device: precisions)
    return monkeypatch


@pytest.mark.usefixtures("machine")
def test_the_configuration_leaves_out_the_others():
    assert offered() == [REFERENCE, VINO, HALF, VINO_HALF]
    assert offered(backend="openvino") == [VINO, VINO_HALF]
    assert offered(backend="torch") == [REFERENCE, HALF]
    assert offered(precision="float16") == [VINO_HALF]
    assert offered(backend="torch", precision="float32") == [REFERENCE]
    assert offered(device=torch.device("cuda")) == [REFERENCE, HALF]


def test_other_processors_than_x86_use_openvino_only_when_asked(machine):
    machine.setattr(candidates, "is_x86", lambda: False)
    assert offered() == [REFERENCE, HALF]
    assert offered(backend="openvino") == [VINO, VINO_HALF]


@pytest.mark.usefixtures("machine")
def test_what_cannot_be_used_here_is_refused_with_the_remedy():
    with pytest.raises(InputError, match=r"runs on the CPU, but the device is 'cuda'"):
        offered(backend="openvino", device=torch.device("cuda"))
    with pytest.raises(DeviceError, match=r"in float16\. Choose one of bfloat16, float32, or auto"):
        offered(backend="torch", precision="float16")


def test_openvino_that_is_not_installed_is_refused_at_once(monkeypatch, nearest_model, noise):
    monkeypatch.setattr(compiled.network, "is_openvino_installed", lambda: False)
    config = PredictionConfig(device="cpu", backend="openvino")
    with pytest.raises(InputError, match=r"pip install napari-dl4smlm\[openvino\]"):
        Predictor(nearest_model(), open_frames(noise), config)


@pytest.fixture
def crowd():
    """Frames with a bright pixel in every fifth one, of different brightness."""
    frames = np.zeros((12, 60, 60), np.float32)
    frames[:, 2::5, 2::5] = np.random.default_rng(0).uniform(1, 4, (12, 12, 12))
    return frames


def prediction(model, frames, **config):
    movie = open_frames(frames, pixel_size_nm=100)
    started, *events = Predictor(model, movie, PredictionConfig(device="cpu", **config)).events()
    batches = [event for event in events if isinstance(event, BatchPredicted)]
    return started, Localizations.concatenate(batch.localizations for batch in batches)


@needs_openvino
@pytest.mark.parametrize("tile_size", [None, 16])
def test_a_prediction_with_openvino_finds_what_torch_finds(nearest_model, crowd, tile_size):
    started, expected = prediction(nearest_model(), crowd)
    assert (started.backend, started.precision, started.why) == ("torch", "float32", "")
    started, found = prediction(
        nearest_model(), crowd, backend="openvino", batch_size=5, tile_size=tile_size
    )
    assert started.tile_size == tile_size
    assert (started.backend, started.precision) == ("openvino", "float32")
    # 144 in each frame of as many batches as are going to be predicted side by side
    compared = 144 * min(5 * started.streams, 12)
    expected_share = f"100.0 % of {compared:,} localizations are the same as with torch float32"
    assert expected_share in started.why
    assert len(expected) == 12 * 144
    np.testing.assert_array_equal(found.frame, expected.frame)
    np.testing.assert_allclose(found.positions_nm(), expected.positions_nm(), atol=1e-3)


def test_what_is_asked_for_and_not_used_is_told(nearest_model, crowd, monkeypatch):
    every = ("bfloat16", "float32")
    monkeypatch.setattr(candidates, "available_precisions", lambda device: every)

    def build_in_single(candidate, network, device, at_a_time):
        # not every processor computes with 16 bits
        return prepare(network, device)

    monkeypatch.setattr(selection, "build_network", build_in_single)
    started, found = prediction(nearest_model(), crowd[:1], precision="bfloat16")
    assert (started.backend, started.precision) == ("torch", "float32")
    assert started.why == "bfloat16 is not used: 144 localizations are too few to compare"
    assert len(found) == 144


def test_on_a_long_movie_what_finds_nothing_is_not_taken_however_fast(
    nearest_model, crowd, monkeypatch
):
    monkeypatch.setattr(selection, "is_worth_a_trial", lambda *args, **options: True)
    monkeypatch.setattr(selection, "candidates_for", lambda *args, **options: [REFERENCE, HALF])

    class Wrong(nn.Identity):
        """Finds nothing at all, at once."""

        precision = HALF.precision

        def forward(self, frames):
            return torch.zeros(len(frames), 1, 120, 120)

    monkeypatch.setattr(selection, "build_network", lambda *args, **options: Wrong())
    started, found = prediction(nearest_model(), crowd, batch_size=2)
    assert started.precision == "float32"
    assert len(found) == 12 * 144


def test_in_16_bits_more_frames_go_at_a_time(nearest_model, crowd, monkeypatch):
    class Exact(nn.Module):
        """Computes in single precision, whatever it says."""

        precision = HALF.precision

        def forward(self, frames):
            return nn.functional.interpolate(frames, scale_factor=2) / 4

    model = nearest_model()
    frame_bytes = crowd[0].size * memory.activation_bytes_per_pixel(model.network)
    monkeypatch.setattr(memory, "_CPU_BATCH_BYTES", 3 * frame_bytes)
    monkeypatch.setattr(selection, "build_network", lambda *args, **options: Exact())
    monkeypatch.setattr(candidates, "available_precisions", lambda device: ("bfloat16", "float32"))
    for precision, frames_at_a_time in (("bfloat16", 6), ("float32", 3)):
        started, found = prediction(model, crowd, precision=precision)
        assert (started.precision, started.batch_size) == (precision, frames_at_a_time)
        assert len(found) == 12 * 144


def test_a_frame_too_bright_for_16_bits_is_predicted_in_more(nearest_model, crowd, monkeypatch):
    class Overflowing(nn.Module):
        """Exact, as long as no value is above that of numbers of 16 bits."""

        precision = "float16"

        def forward(self, frames):
            maps = nn.functional.interpolate(frames, scale_factor=2) / 4
            return torch.where(frames.max() > 65504, torch.nan, 1.0) * maps

    monkeypatch.setattr(selection, "build_network", lambda *args, **options: Overflowing())
    every = ("float16", "float32")
    monkeypatch.setattr(candidates, "available_precisions", lambda device: every)
    crowd[9, 2, 2] = 1e6
    started, found = prediction(nearest_model(), crowd, precision="float16", batch_size=2)
    assert started.precision == "float16"
    assert len(found) == 12 * 144
    assert found.confidence.max() == pytest.approx(1e6)
