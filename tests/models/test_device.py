"""Devices are listed with the reason why they cannot be used, and never replaced in silence."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from napari_dl4smlm.backend.errors import DeviceError
from napari_dl4smlm.backend.models.device import (
    DeviceInfo,
    available_devices,
    is_out_of_memory,
    select_device,
    supports_bfloat16,
)

GIB = 2**30


@pytest.fixture
def no_gpu(monkeypatch):
    """A machine on which PyTorch is built for the CPU alone."""
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def two_gpus(no_gpu, monkeypatch):
    """A machine with two NVIDIA GPUs, the second of which is taken by another program."""

    def ones(*size, device):
        if device == "cuda:1":
            raise RuntimeError("CUDA-capable device(s) is/are busy\nCUDA kernel errors might be")
        return torch.zeros(size)

    monkeypatch.setattr(torch.version, "cuda", "12.6")
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(
        torch.cuda, "get_device_name", ["NVIDIA RTX 3060", "NVIDIA A100"].__getitem__
    )
    monkeypatch.setattr(
        torch.cuda, "mem_get_info", [(9.1 * GIB, 11.8 * GIB), (0.2 * GIB, 80 * GIB)].__getitem__
    )
    monkeypatch.setattr(torch, "ones", ones)


@pytest.fixture
def apple_gpu(no_gpu, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)


def by_name(name: str) -> DeviceInfo:
    return next(device for device in available_devices() if device.name == name)


def test_this_machine_can_compute_on_every_device_that_is_listed_as_available():
    available = [device for device in available_devices() if device.available]
    assert "cpu" in [device.name for device in available]
    for device in available:
        assert torch.ones(2, device=select_device(device.name)).sum().item() == 2


def test_the_cpu_is_described_by_its_model_and_the_cores_this_process_may_use(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3}, raising=False)
    assert by_name("cpu").description.endswith(", 1 core")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 2, 3}, raising=False)
    model, cores = by_name("cpu").description.split(", ")
    assert cores == "3 cores"
    assert model


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("variables", "device"),
    [
        ({"LOCAL_RANK": "2"}, "cuda:0"),
        ({"LOCAL_RANK": "", "SLURM_LOCALID": "4"}, "cuda:0"),
        ({"LOCAL_RANK": " ", "SLURM_LOCALID": ""}, "cuda:0"),
    ],
)
def test_an_empty_number_of_a_process_is_none(monkeypatch, variables, device):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert select_device("auto") == torch.device(device)


@pytest.mark.parametrize("variable", ["LOCAL_RANK", "SLURM_LOCALID"])
def test_a_number_of_a_process_that_is_none_matters_only_where_it_decides(monkeypatch, variable):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setenv(variable, "first")
    with pytest.raises(DeviceError, match=f"{variable} is 'first'.* Unset it, or name a device"):
        select_device("auto")
    assert select_device("cpu") == torch.device("cpu")


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_is_described_by_its_model_its_memory_and_what_is_free_of_it():
    assert by_name("cuda:0") == DeviceInfo("cuda:0", "NVIDIA RTX 3060, 12 GiB (9.1 GiB free)")


@pytest.mark.usefixtures("two_gpus")
def test_the_devices_are_listed_from_the_fastest_kind_to_the_slowest():
    names = [(device.name, device.available) for device in available_devices()]
    assert names == [("cuda:0", True), ("cuda:1", False), ("mps", False), ("cpu", True)]


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_that_is_busy_is_listed_with_the_first_line_of_its_error():
    busy = by_name("cuda:1")
    assert (busy.available, busy.description) == (False, "NVIDIA A100")
    assert busy.reason == "CUDA-capable device(s) is/are busy"


@pytest.mark.usefixtures("no_gpu")
def test_each_kind_that_is_missing_is_listed_once_with_its_reason():
    assert [device.name for device in available_devices()] == ["cuda", "mps", "cpu"]
    assert "built without CUDA; to use a GPU, install it" in by_name("cuda").reason
    assert "built without MPS" in by_name("mps").reason


@pytest.mark.usefixtures("no_gpu")
def test_a_driver_that_cannot_be_started_is_reported_in_its_own_words(monkeypatch):
    def no_driver():
        raise RuntimeError("Found no NVIDIA driver on your system.\nPlease check")

    monkeypatch.setattr(torch.version, "cuda", "12.6")
    monkeypatch.setattr(torch.cuda, "current_device", no_driver)
    reason = by_name("cuda").reason
    assert reason.endswith("cannot start CUDA (Found no NVIDIA driver on your system)")


@pytest.mark.usefixtures("no_gpu")
def test_an_old_macos_is_told_apart_from_a_pytorch_without_mps(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: True)
    assert "recent macOS" in by_name("mps").reason


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cpu", "cpu"),
        ("cpu:0", "cpu"),
        ("cuda", "cuda:0"),
        ("cuda:0", "cuda:0"),
        ("auto", "cuda:0"),
    ],
)
@pytest.mark.usefixtures("two_gpus")
def test_a_name_selects_its_device(name, expected):
    assert select_device(name) == torch.device(expected)


@pytest.mark.usefixtures("apple_gpu")
def test_the_gpu_of_a_mac_is_selected_by_its_name_and_by_auto():
    assert {select_device(name) for name in ("mps", "mps:0", "auto")} == {torch.device("mps")}


@pytest.mark.usefixtures("no_gpu")
def test_auto_is_the_cpu_where_there_is_no_gpu():
    assert select_device("auto") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
@pytest.mark.usefixtures("no_gpu")
def test_a_missing_gpu_is_an_error_and_not_the_cpu(name):
    with pytest.raises(DeviceError, match=rf"'{name}' cannot be used: .+ here: cpu\."):
        select_device(name)


@pytest.mark.usefixtures("two_gpus")
def test_a_busy_gpu_is_an_error_and_not_another_device():
    with pytest.raises(DeviceError, match=r"'cuda:1' cannot be used: .+ busy\. .+: cuda:0, cpu\."):
        select_device("cuda:1")


@pytest.mark.usefixtures("two_gpus")
def test_an_index_out_of_range_is_told_how_many_gpus_there_are():
    with pytest.raises(DeviceError, match=r"2 CUDA device\(s\), counted from 0"):
        select_device("cuda:2")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("CUDA", "Did you mean 'cuda'"),
        ("cdua", "Did you mean 'cuda'"),
        ("cuda:-1", "Unknown device 'cuda:-1'"),
        ("cuda:", "Unknown device 'cuda:'"),
        ("cpu:1", "Did you mean 'cpu'"),
        ("gpu", "Say 'cuda' for an NVIDIA or AMD GPU"),
        ("", "Available: auto, cpu, cuda, cuda:1, mps"),
    ],
)
def test_an_unknown_name_is_refused_with_what_may_have_been_meant(name, message):
    with pytest.raises(DeviceError, match=message):
        select_device(name)


@pytest.mark.parametrize(("compute_capability", "supported"), [(7, False), (8, True), (9, True)])
@pytest.mark.usefixtures("two_gpus")
def test_nvidia_gpus_have_bfloat16_since_ampere(monkeypatch, compute_capability, supported):
    # compute capability 8.0, CUDA C++ Programming Guide, arithmetic instructions table
    class Properties:
        major = compute_capability

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Properties)
    # an older GPU can make such a tensor, and emulates the arithmetic
    monkeypatch.setattr(torch, "tensor", lambda *_, **__: None)
    assert supports_bfloat16(torch.device("cuda:0")) is supported


@pytest.mark.parametrize(
    ("capabilities", "supported"),
    [
        ({"avx2": True, "avx512_f": True}, False),
        ({"avx512_bf16": True}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
    ],
)
def test_a_cpu_has_bfloat16_with_the_instructions_for_it(monkeypatch, capabilities, supported):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert supports_bfloat16(torch.device("cpu")) is supported


def test_a_pytorch_that_cannot_tell_has_no_bfloat16(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert supports_bfloat16(torch.device("cpu")) is False


def test_the_gpu_of_a_mac_is_not_taken_for_bfloat16():
    assert supports_bfloat16(torch.device("mps")) is False


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("MPS backend out of memory (MPS allocated: 5.0 GB)"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes."),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_errors_for_lack_of_memory_are_known(error):
    assert is_out_of_memory(error)


def test_the_error_of_pytorch_on_this_cpu_is_known_to_be_for_lack_of_memory():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)


def test_other_errors_are_not_taken_for_lack_of_memory():
    assert not is_out_of_memory(RuntimeError("expected scalar type Float but found Double"))
    assert not is_out_of_memory(OSError("out of memory"))
