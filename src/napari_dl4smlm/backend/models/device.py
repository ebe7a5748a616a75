"""The devices a network can run on: which there are, and why another one cannot be used."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from napari_dl4smlm.backend.available_cores import available_cores
from napari_dl4smlm.backend.errors import DeviceError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DEVICE_NAME = re.compile(r"(cpu|mps)(:0)?|cuda(:\d+)?")

# What the libraries behind PyTorch say; only the first is an exception of its own.
_OUT_OF_MEMORY = (
    "out of memory",  # CUDA, MPS
    "can't allocate memory",  # CPU
    "not enough memory",  # CPU, on Windows
    "ALLOC_FAILED",  # cuDNN, cuBLAS
    "bad_alloc",  # OpenVINO
)


@dataclass(frozen=True)
class DeviceInfo:
    """A device of this machine, or a kind of device that cannot be used on it.

    Attributes
    ----------
    name
        What `select_device` takes, such as ``"cuda:0"``.
    description
        What to show to people, such as ``"NVIDIA RTX 3060, 12 GiB (9.1 GiB free)"``.
    available
        Whether networks can run on it now.
    reason
        Why they cannot, and what to do about it; empty for an available device.
    """

    name: str
    description: str
    available: bool = True
    reason: str = ""


def available_devices() -> list[DeviceInfo]:
    """List the devices, those that cannot be used included, fastest kind first.

    Returns
    -------
    list of DeviceInfo
        Every CUDA device, or one entry that says why there is none; Apple's GPU; the CPU.

    Notes
    -----
    Only a GPU that is at work tells its free memory, so that each is started: the first call takes
    seconds, and some hundred MiB of every GPU until the program ends.
    """
    return list(_devices())


def select_device(name: str) -> torch.device:
    """Return the device of a name, after making sure that networks can run on it.

    Parameters
    ----------
    name
        ``"cpu"``, ``"cuda"`` (the first one), ``"cuda:1"``, ``"mps"``, or ``"auto"`` for the first
        device of `available_devices` that can be used. No other name ever falls back to the CPU.
        Of processes that ``torchrun`` or Slurm started on one machine, each gets a GPU of its own
        with ``"auto"``.

    Raises
    ------
    DeviceError
        There is no device of that name, or it cannot be used; or ``"auto"`` cannot tell which GPU
        is that of this process.
    """
    rank = _local_rank() if name == "auto" else 0
    if rank and not _why_no_cuda():
        name = f"cuda:{rank % torch.cuda.device_count()}"
    if name == "auto":
        return torch.device(next(device.name for device in _devices() if device.available))
    if not _DEVICE_NAME.fullmatch(name):
        raise _unknown_device(name)
    kind, _, index = name.partition(":")
    if kind == "cuda":
        device = _cuda_device(int(index or 0))
    else:
        device = _mps_device() if kind == "mps" else _cpu_device()
    if not device.available:
        usable = ", ".join(other.name for other in _devices() if other.available)
        raise DeviceError(
            f"The device {name!r} cannot be used: {device.reason}. Devices to use here: {usable}."
        )
    return torch.device(device.name)


def describe_device(device: torch.device) -> str:
    """Return the model of a device that can be used, such as ``"NVIDIA RTX 3060"``."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return (_cpu_device() if device.type == "cpu" else _mps_device()).description


def supports_bfloat16(device: torch.device) -> bool:
    """Tell whether a device computes in bfloat16 faster than in float32.

    Parameters
    ----------
    device
        A device that can be used.

    Returns
    -------
    bool
        ``False`` for a device that only emulates bfloat16, which is slower than float32.
    """
    if device.type == "cuda":
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # older versions of PyTorch cannot tell: float32 is then the safe answer
        capabilities: Mapping[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
        return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
    return False


def _local_rank() -> int:
    """Return the number of this process among those that were started together on this machine."""
    for variable in ("LOCAL_RANK", "SLURM_LOCALID"):
        text = os.environ.get(variable, "").strip()
        if text.isdecimal():
            return int(text)
        if text:
            raise DeviceError(
                f"The environment variable {variable} is {text!r}, which is no number of a process "
                "from 0. Unset it, or name a device, such as 'cuda:1', instead of 'auto'."
            )
    return 0


def _unknown_device(name: str) -> DeviceError:
    if name.lower() == "gpu":
        # the closest name by its letters would be "cpu"
        return DeviceError(
            "Unknown device 'gpu'. Say 'cuda' for an NVIDIA or AMD GPU, 'mps' for an Apple GPU, or "
            "'auto' for the fastest device there is."
        )
    return DeviceError(str(unknown_name("device", name, ("auto", "cpu", "cuda", "cuda:1", "mps"))))


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error of numpy or PyTorch means that the memory did not suffice."""
    # under this name in all versions of PyTorch; the newer torch.OutOfMemoryError is the same
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)


def _devices() -> Iterator[DeviceInfo]:
    # one at a time, so that who takes the first does not start the other GPUs
    if _why_no_cuda():
        yield _cuda_device(0)
    else:
        yield from map(_cuda_device, range(torch.cuda.device_count()))
    yield _mps_device()
    yield _cpu_device()


def _cuda_device(index: int) -> DeviceInfo:
    reason = _why_no_cuda()
    if reason:
        return DeviceInfo("cuda", "NVIDIA or AMD GPU", available=False, reason=reason)
    name = f"cuda:{index}"
    count = torch.cuda.device_count()
    if index >= count:
        reason = f"this machine has {count} CUDA device(s), counted from 0"
        return DeviceInfo(name, "NVIDIA or AMD GPU", available=False, reason=reason)
    model = torch.cuda.get_device_name(index)
    try:
        free, total = torch.cuda.mem_get_info(index)
        # a GPU that is too old for this PyTorch, or taken by another program, fails only at work
        torch.ones(1, device=name).item()
    except RuntimeError as error:
        return DeviceInfo(name, model, available=False, reason=_first_line(error))
    return DeviceInfo(name, f"{model}, {total / 2**30:.0f} GiB ({free / 2**30:.1f} GiB free)")


def _why_no_cuda() -> str:
    if torch.version.cuda is None and torch.version.hip is None:
        return (
            f"this PyTorch ({torch.__version__}) is built without CUDA; to use a GPU, install it "
            "with CUDA as told on https://pytorch.org/get-started/locally"
        )
    try:
        # starts CUDA; unlike is_available(), which only says no, its error says why
        torch.cuda.current_device()
    except (RuntimeError, AssertionError) as error:
        return f"PyTorch {torch.__version__} cannot start CUDA ({_first_line(error)})"
    return ""


def _mps_device() -> DeviceInfo:
    reason = ""
    if not torch.backends.mps.is_built():
        reason = f"this PyTorch ({torch.__version__}) is built without MPS, which only macOS has"
    elif not torch.backends.mps.is_available():
        reason = "MPS needs a Mac with an Apple GPU and a recent macOS"
    return DeviceInfo("mps", "Apple GPU", available=not reason, reason=reason)


def _cpu_device() -> DeviceInfo:
    cores = available_cores()
    return DeviceInfo("cpu", f"{_cpu_model()}, {cores} core{'' if cores == 1 else 's'}")


def _cpu_model() -> str:
    linux = Path("/proc/cpuinfo")
    text = linux.read_text(errors="replace") if linux.is_file() else ""
    match = re.search(r"^model name\s*:\s*(.+)$", text, flags=re.MULTILINE)
    model = match[1] if match else platform.processor() or platform.machine()
    return re.sub(r"\((R|TM)\)", "", model)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0].rstrip(".")
