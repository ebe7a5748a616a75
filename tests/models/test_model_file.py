"""A model file gives back what was saved, and refuses everything else without opening it."""

from __future__ import annotations

import io
import json
import os
import pickle
import stat
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import tifffile
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.errors import DeviceError, InputError, ModelFileError
from napari_dl4smlm.backend.models.model_file import (
    ModelCard,
    TeacherRecord,
    load_model,
    load_training_state,
    read_card,
    save_model,
)
from napari_dl4smlm.backend.models.registry import MODELS, create_model

SMALL_OPTIONS = {
    "u_storm": {"channels": 2, "depth": 2},
    "drl_storm": {"channels": 2, "psf_sigma_px": 1.25},
    "fid_storm": {"channels": 3, "blocks": 2, "activation": "relu"},
}
CARD = "napari_dl4smlm.card"


def small_network(name: str = "fid_storm"):
    """A network whose batch statistics are not those of a new one either."""
    network = create_model(name, upsampling_factor=2, **SMALL_OPTIONS.get(name, {}))
    network(torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0)))
    return network


def card_of(network, **fields) -> ModelCard:
    return ModelCard(
        **{
            "architecture": network.name,
            "options": network.options,
            "upsampling_factor": network.upsampling_factor,
            "pixel_size_nm": 100.0,
            "normalization": Normalization(offset=120, scale=9.5, background=118, brightest=300),
            "density_amplitude": 100.0,
            "training": {"epochs": 2, "loss": {"name": "l1l2", "weight": 0.5}},
            "history": [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}],
            **fields,
        }
    )


@pytest.fixture
def network():
    return small_network()


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "model.safetensors"


@pytest.fixture
def saved(path, network) -> Path:
    save_model(path, network, card_of(network))
    return path


def rewrite(path: Path, *, tensors=None, **fields) -> None:
    """Change fields of the card, or the weights, behind the back of `save_model`."""
    length = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + length])
    card = json.loads(header["__metadata__"][CARD]) | fields
    weights = safetensors.torch.load_file(path) if tensors is None else tensors
    path.write_bytes(safetensors.torch.save(weights, {CARD: json.dumps(card)}))


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_network_gives_the_same_output_bit_for_bit(path, name):
    network = small_network(name)
    frames = torch.randn(2, 1, 9, 7, generator=torch.Generator().manual_seed(1))
    save_model(path, network, card_of(network))
    loaded = load_model(path).network
    assert type(loaded) is MODELS[name]
    assert loaded.options == network.options
    with torch.inference_mode():
        assert torch.equal(loaded(frames), network.eval()(frames))


def test_a_loaded_network_is_in_evaluation_mode_and_saving_leaves_the_mode_alone(path, network):
    network.train()
    save_model(path, network, card_of(network))
    assert network.training
    assert not any(module.training for module in load_model(path).network.modules())


def test_a_network_in_channels_last_order_is_saved_like_any_other(path, network):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.to(memory_format=torch.channels_last)
    save_model(path, network, card_of(network))
    loaded = load_model(path).network.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in before.items())


def test_the_card_says_which_model_a_network_learned_from(path, network):
    teacher = TeacherRecord(file="t.safetensors", architecture="u_storm", weights_sha256="ab" * 32)
    save_model(path, network, card_of(network, teacher=teacher))
    assert read_card(path).teacher == teacher
    save_model(path, network, card_of(network))
    assert read_card(path).teacher is None


def test_a_card_from_before_there_were_teachers_is_read(saved):
    card = read_card(saved).model_dump(mode="json", exclude={"teacher"})
    assert ModelCard.model_validate(card) == read_card(saved)


def test_loading_does_not_change_the_random_numbers_to_come(saved):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    load_model(saved)
    assert torch.equal(torch.rand(3), expected)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children),
    max_leaves=5,
)
json_objects = st.dictionaries(st.text(), json_values, max_size=3)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    training=json_objects,
    history=st.lists(json_objects, max_size=3),
    pixel_size_nm=st.none() | st.floats(1e-3, 1e4),
)
@example(
    training={"limit": float("-inf")},
    history=[{"loss": float("nan")}],
    pixel_size_nm=None,
)
def test_a_card_is_read_as_it_was_saved_diverged_losses_included(path, network, **fields):
    card = save_model(path, network, card_of(network, **fields))
    # compared as text, since not-a-number does not equal itself
    assert repr(read_card(path)) == repr(card)
    assert repr(load_model(path).card) == repr(card)


def test_a_folder_whose_name_is_no_utf8_holds_models_like_any_other(tmp_path, network):
    folder = tmp_path / os.fsdecode(b"\xff")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this system has no such names")
    path = folder / "model.safetensors"
    written = save_model(path, network, card_of(network), training_state={"a": torch.ones(2)})
    assert read_card(path) == written
    assert torch.equal(load_model(path).network.stem.conv.weight, network.stem.conv.weight)
    assert load_training_state(path)[0]["a"].tolist() == [1, 1]
    path.write_bytes(path.read_bytes()[:-9])
    assert_refused(path, "is damaged or incomplete")


def test_the_types_of_options_survive(path):
    options = {"text": "3", "whole": 3, "fraction": 3.0, "yes": True}

    class Network(torch.nn.Linear):
        name = "linear"
        upsampling_factor = 1

    network = Network(1, 1)
    network.options = options
    save_model(path, network, card_of(network))
    read = read_card(path).options
    assert [(key, type(value), value) for key, value in read.items()] == [
        (key, type(value), value) for key, value in options.items()
    ]


def test_saving_fills_the_versions_the_time_and_the_checksum(path, network):
    card = save_model(path, network, card_of(network, created="yesterday"))
    assert card.package_versions["torch"] == torch.__version__
    assert card.package_versions["numpy"] == np.__version__
    assert set(card.package_versions) == {"napari-dl4smlm", "numpy", "python", "torch"}
    assert card.created.endswith("+00:00")
    assert len(card.weights_sha256) == 64


def test_the_checksum_tells_weights_apart_and_nothing_else(path, network):
    first = save_model(path, network, card_of(network)).weights_sha256
    assert save_model(path, network, card_of(network, pixel_size_nm=None)).weights_sha256 == first
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] += 1e-3
    assert save_model(path, network, card_of(network)).weights_sha256 != first


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pixel_size_nm", 0.0),
        ("pixel_size_nm", float("inf")),
        ("density_amplitude", 0.0),
        ("density_amplitude", float("nan")),
        ("upsampling_factor", 0),
        ("schema_version", 2),
        ("wavelength_nm", 670.0),
    ],
)
def test_a_card_cannot_hold_nonsense(network, field, value):
    with pytest.raises(ValidationError, match=field):
        card_of(network, **{field: value})


def test_a_training_state_is_read_as_it_was_saved(path, network):
    state = {
        "0.step": torch.tensor(7.0),
        "0.exp_avg": torch.randn(3, 4).t(),
        "random": torch.get_rng_state(),
        "empty": torch.empty(0, 3, dtype=torch.bfloat16),
    }
    progress = {"epoch": 3, "best_loss": float("inf"), "history": [{"loss": 0.5}]}
    save_model(path, network, card_of(network), training_state=state, training_progress=progress)
    tensors, read = load_training_state(path)
    assert read == progress
    assert tensors.keys() == state.keys()
    assert all(torch.equal(tensors[name], state[name]) for name in state)
    assert all(tensors[name].dtype == state[name].dtype for name in state)
    # the model in the same file is not disturbed
    assert load_model(path).card == read_card(path)


def test_a_model_alone_cannot_resume_a_training(saved):
    with pytest.raises(InputError, match=r"model\.safetensors holds a model, but not the state"):
        load_training_state(saved)


def test_a_loaded_file_can_be_replaced_and_the_tensors_stay(path, network):
    save_model(path, network, card_of(network), training_state={"a": torch.ones(4)})
    tensors, _ = load_training_state(path)
    path.write_bytes(bytes(path.stat().st_size))
    assert torch.equal(tensors["a"], torch.ones(4))


def test_the_card_is_read_even_if_the_weights_are_damaged(saved):
    card = read_card(saved)
    contents = bytearray(saved.read_bytes())
    contents[-1] ^= 1
    saved.write_bytes(contents)
    assert read_card(saved) == card


def test_a_card_of_another_network_is_a_defect_of_the_caller(path, network):
    with pytest.raises(ValueError, match=r"describes \('fid_storm'.*, 4\)"):
        save_model(path, network, card_of(network, upsampling_factor=4))
    assert not path.exists()


def test_an_unknown_device_is_refused(saved):
    with pytest.raises(DeviceError, match="Did you mean 'cpu'"):
        load_model(saved, device="cpuu")


READERS = [read_card, load_model, load_training_state]


def assert_refused(path: Path, message: str) -> None:
    for read in READERS:
        with pytest.raises(ModelFileError, match=message) as caught:
            read(path)
        assert path.name in str(caught.value)


def test_a_missing_file_is_refused(path):
    assert_refused(path, "There is no file")


def test_a_folder_is_refused(tmp_path):
    assert_refused(tmp_path, "is a folder")


@pytest.mark.parametrize("kept", [0, 5, 8, 100, -1000, -1])
def test_a_file_cut_short_is_refused(saved, kept):
    contents = saved.read_bytes()
    saved.write_bytes(contents[:kept])
    assert_refused(saved, r"is damaged or incomplete \(.+\)\. Copy it again")


def test_a_file_with_bytes_appended_is_refused(saved):
    saved.write_bytes(saved.read_bytes() + b"\0")
    assert_refused(saved, "is damaged or incomplete")


def test_an_absurd_header_length_is_refused_without_allocating_it(path):
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    assert_refused(path, "header too large")


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}])
def test_a_tiff_image_is_refused_by_its_kind(path, options):
    tifffile.imwrite(path, np.zeros((4, 4), np.uint16), **options)
    assert_refused(path, "is a TIFF image")


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "is a PNG image"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "is an HDF5 file"),
        (b"id,frame,x [nm],y [nm]\n1,1,5.0,6.0\n", r"does not begin as a \.safetensors file"),
        (bytes(1000), r"does not begin as a \.safetensors file"),
    ],
)
def test_a_file_of_another_kind_is_refused(path, contents, message):
    path.write_bytes(contents)
    assert_refused(path, message)


class Trap:
    """Creates a file as soon as it is unpickled."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self):
        return Path.touch, (self.sprung,)


def zipped(trap: Trap) -> bytes:
    buffer = io.BytesIO()
    torch.save(trap, buffer)
    return buffer.getvalue()


def unzipped(contents: bytes) -> None:
    torch.load(io.BytesIO(contents), weights_only=False)


@pytest.mark.parametrize(
    ("dump", "load"),
    [
        *((partial(pickle.dumps, protocol=protocol), pickle.loads) for protocol in range(2, 6)),
        (zipped, unzipped),
    ],
)
def test_a_pickle_is_refused_without_running_the_code_in_it(path, tmp_path, dump, load):
    trap = Trap(tmp_path / "sprung")
    path.write_bytes(dump(trap))
    assert_refused(path, r"carry code .+ it was not opened")
    assert not trap.sprung.exists()
    # the trap is a real one
    load(path.read_bytes())
    assert trap.sprung.exists()


def test_a_pickle_of_the_oldest_protocol_is_refused_without_running_the_code_in_it(path, tmp_path):
    trap = Trap(tmp_path / "sprung")
    path.write_bytes(pickle.dumps(trap, 0))
    assert_refused(path, "does not begin as")
    assert not trap.sprung.exists()


def test_a_header_whose_length_looks_like_a_pickle_is_still_read(path, network):
    def header_length(padding: int) -> int:
        save_model(path, network, card_of(network, training={"note": "x" * padding}))
        return int.from_bytes(path.read_bytes()[:8], "little")

    padding = 0x10280 - header_length(0)
    assert header_length(padding) == 0x10280
    assert path.read_bytes()[:2] == pickle.PROTO + b"\x02"
    assert load_model(path).card.training == {"note": "x" * padding}


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_weights_of_another_program_are_refused(path, metadata):
    safetensors.torch.save_file({"weight": torch.ones(3)}, path, metadata)
    assert_refused(path, "saved by another program")


def test_a_newer_file_is_refused_with_both_versions_whatever_else_is_in_it(saved):
    rewrite(saved, schema_version=2, architecture=None, new_field=[1])
    assert_refused(saved, "version 2, the newest known here is 1. Update")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"density_amplitude": -1.0}, "density_amplitude: Input should be greater than 0"),
        ({"normalization": {"offset": 1.0}}, r"normalization\.scale: Field required"),
        ({"schema_version": "one"}, "schema_version"),
        ({"extra": 1}, "extra: Extra inputs are not permitted"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused_with_its_field(saved, fields, message):
    rewrite(saved, **fields)
    assert_refused(saved, rf"is damaged or incomplete \({message}")


def test_a_card_that_is_not_json_is_refused(path):
    safetensors.torch.save_file({"network.a": torch.ones(1)}, path, {CARD: "{" * 10_000})
    assert_refused(path, r"is damaged or incomplete \(card: Invalid JSON")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"architecture": "fid_strom"}, "Did you mean 'fid_storm'"),
        ({"options": {"chanels": 3}}, "no option 'chanels'"),
        ({"options": {"channels": -3}}, "channels must be a whole number"),
        ({"options": {"name": "fid_storm"}}, "multiple values"),
        ({"upsampling_factor": 3}, "upsampling_factor must be one of"),
    ],
)
def test_a_network_that_cannot_be_built_is_refused(saved, fields, message):
    rewrite(saved, **fields)
    with pytest.raises(ModelFileError, match=rf"cannot be built\. .*{message}"):
        load_model(saved)


@pytest.mark.parametrize(
    "fields", [{"architecture": "srcnn", "options": {}}, {"options": {"channels": 4, "blocks": 2}}]
)
def test_weights_of_another_network_are_refused_with_the_first_that_differs(saved, fields):
    rewrite(saved, **fields)
    with pytest.raises(
        ModelFileError, match=r"do not fit the network .+: \d+ of \d+ tensors differ, the first is"
    ):
        load_model(saved)


def test_a_bit_flipped_in_the_weights_is_noticed(saved):
    contents = bytearray(saved.read_bytes())
    contents[-5] ^= 0b100
    saved.write_bytes(contents)
    with pytest.raises(ModelFileError, match="not those that were saved"):
        load_model(saved)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_anywhere_changes_a_weight_or_ends_in_another_error(
    tmp_path, network, position, bit
):
    path = tmp_path / "whole.safetensors"
    if not path.exists():
        save_model(path, network, card_of(network))
    contents = bytearray(path.read_bytes())
    contents[int(position * len(contents))] ^= 1 << bit
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(contents)
    try:
        loaded = load_model(damaged).network.state_dict()
    except ModelFileError:
        return
    weights = load_model(path).network.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in weights.items())


def test_a_missing_folder_is_an_error_and_is_not_made(tmp_path, network):
    with pytest.raises(InputError, match=r"There is no folder .+runs"):
        save_model(tmp_path / "runs" / "m.safetensors", network, card_of(network))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["taken", "n" * 300])
def test_a_path_that_cannot_be_written_is_told(tmp_path, network, name):
    (tmp_path / "taken").mkdir()
    with pytest.raises(InputError, match=rf"{name} could not be written \(.+\)\. If there was"):
        save_model(tmp_path / name, network, card_of(network))
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]


def test_a_full_disk_leaves_the_old_file_as_it_was(saved, network):
    resource = pytest.importorskip("resource")
    before = saved.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"could not be written \(File too large\)\. .+ room"):
            save_model(saved, network, card_of(network, pixel_size_nm=65))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_a_disk_that_drops_bytes_in_silence_is_noticed_before_the_old_file_is_replaced(
    saved, network, monkeypatch
):
    before = saved.read_bytes()
    write_bytes = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda self, data: write_bytes(self, data[:-8]))
    with pytest.raises(InputError, match=r"could not be written \(.*incomplete"):
        save_model(saved, network, card_of(network))
    assert saved.read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_others_can_read_the_file_if_the_user_wants_it_so(path, network):
    previous = os.umask(0o022)
    try:
        save_model(path, network, card_of(network))
    finally:
        os.umask(previous)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
