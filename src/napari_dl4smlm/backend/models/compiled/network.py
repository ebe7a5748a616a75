"""A trained network run by OpenVINO, which has the faster kernels on many processors."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import threading
from functools import cache, lru_cache
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_dl4smlm.backend.errors import DeviceError, InputError
from napari_dl4smlm.backend.models.prepared.rewriting import rewrite

if TYPE_CHECKING:
    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork
    from napari_dl4smlm.backend.models.prepared import Precision

# as OpenVINO calls what a processor computes with, and how it is asked for it
_CAPABILITIES: dict[Precision, tuple[str, str]] = {
    "float16": ("FP16", "f16"),
    "bfloat16": ("BF16", "bf16"),
    "float32": ("FP32", "f32"),
}

# frames of one movie have one, and so have their tiles; each holds the memory for its activations
_MOST_SIZES = 4


class OpenVinoNetwork:
    """The function of a trained network on the CPU, compiled for each size of frame.

    Frames go through one by one, some of them side by side: that is faster than many threads on
    one. Several threads may call it at a time, and share what it has.

    Parameters
    ----------
    network
        Stays as it is.
    precision
        One of `openvino_precisions`. With 16 bits, OpenVINO rounds all layers, the first and the
        map included.
    at_a_time
        Frames side by side, at most as many as PyTorch has threads where this is made; default: so
        many.

    Attributes
    ----------
    precision
        What it is computed with.
    upsampling_factor, alignment, halo
        As in `SuperResolutionNetwork`.

    Raises
    ------
    InputError
        OpenVINO is not installed.
    DeviceError
        The processor does not compute with such numbers.
    """

    def __init__(
        self,
        network: SuperResolutionNetwork,
        precision: Precision = "float32",
        *,
        at_a_time: int | None = None,
    ) -> None:
        _check(precision)
        self._threads = torch.get_num_threads()
        self._at_a_time = min(at_a_time or self._threads, self._threads)
        self.precision = precision
        self.upsampling_factor = network.upsampling_factor
        self.alignment = network.alignment
        self.halo = network.halo
        self._density = rewrite(network)
        self._compiling = threading.Lock()
        self._requests = lru_cache(maxsize=_MOST_SIZES)(self._compile)

    def __call__(self, frames: Tensor) -> Tensor:
        """Predict the density map of every frame.

        Parameters
        ----------
        frames
            Shape (N, 1, Y, X), normalized, on the CPU, of any size from 1 x 1 px.

        Returns
        -------
        Tensor
            Shape (N, 1, f Y, f X) with f the upsampling factor, in single precision; that of the
            network, to rounding.
        """
        height, width = frames.shape[-2:]
        padding = (0, -width % self.alignment, 0, -height % self.alignment)
        padded = F.pad(frames.float(), padding).contiguous()
        with self._compiling:
            idle = self._requests(*padded.shape[-2:])
        density = _run(idle, padded, self.upsampling_factor)
        factor = self.upsampling_factor
        return density[..., : factor * height, : factor * width]

    def _compile(self, height: int, width: int) -> SimpleQueue[Any]:
        """Make the requests that run side by side; whoever takes one puts it back."""
        # OpenVINO takes a while to import, and not everybody has it
        from napari_dl4smlm.backend.models.compiled.graph import openvino_model

        compiled = _core().compile_model(
            openvino_model(self._density, height, width, in_16_bits=self.precision != "float32"),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": _CAPABILITIES[self.precision][1],
                "INFERENCE_NUM_THREADS": self._threads,
                "NUM_STREAMS": self._at_a_time,
                # other programs would have to wait for these cores while others are free
                "ENABLE_CPU_PINNING": False,
            },
        )
        idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self._at_a_time):
            idle.put(compiled.create_infer_request())
        return idle


def is_openvino_installed() -> bool:
    """Tell whether the package is there, without importing it."""
    return importlib.util.find_spec("openvino") is not None


def openvino_version() -> str | None:
    """Return the version that is installed, without importing it."""
    return importlib.metadata.version("openvino") if is_openvino_installed() else None


def openvino_precisions() -> tuple[Precision, ...]:
    """List what OpenVINO computes with on this processor: the fastest first."""
    available = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return tuple(precision for precision, (name, _) in _CAPABILITIES.items() if name in available)


def check_openvino() -> None:
    """Make sure that OpenVINO can be used.

    Raises
    ------
    InputError
        It is not installed.
    """
    if not is_openvino_installed():
        raise InputError(
            "OpenVINO is not installed. Install it with: pip install napari-dl4smlm[openvino]. Or "
            "choose the backend torch or auto."
        )


def is_x86() -> bool:
    """Tell whether this is a processor that OpenVINO is made for."""
    return platform.machine().lower() in ("x86_64", "amd64")


def _check(precision: Precision) -> None:
    check_openvino()
    available = openvino_precisions()
    if precision not in available:
        raise DeviceError(
            f"OpenVINO does not compute in {precision} on this processor. Choose one of "
            f"{', '.join(available)}."
        )


@cache
def _core() -> Any:
    import openvino

    return openvino.Core()


def _run(idle: SimpleQueue[Any], frames: Tensor, factor: int) -> Tensor:
    import openvino

    n_frames, _, height, width = frames.shape
    density = torch.empty(n_frames, 1, factor * height, factor * width)
    frames_in, maps_out = frames.numpy(), density.numpy()
    requests = _take(idle, n_frames)
    try:
        for number in range(n_frames):
            request = requests[number % len(requests)]
            request.wait()
            # both are shared, so that nothing is copied
            part = slice(number, number + 1)
            request.set_input_tensor(openvino.Tensor(frames_in[part], shared_memory=True))
            request.set_output_tensor(openvino.Tensor(maps_out[part], shared_memory=True))
            request.start_async()
        for request in requests:
            request.wait()
    finally:
        for request in requests:
            idle.put(request)
    return density


def _take(idle: SimpleQueue[Any], most: int) -> list[Any]:
    """Wait for one request, and take more of them as far as nobody else needs them."""
    requests = [idle.get()]
    while len(requests) < most:
        try:
            requests.append(idle.get_nowait())
        except Empty:
            break
    return requests
