"""Compare the speed of prepared networks with that of a plain implementation.

    python benchmarks/prediction_speed.py [--networks …] [--size 64] [--threads 1] [--repeats 7]

In one run and in turns, on the same random frames and with the same number of threads:

- plain: float32, frame by frame, layers one by one as the published scripts have them. Layers that
  double the grid enlarge their input and convolve it; Deep-STORM and all others that work on the
  fine grid are given frames that were enlarged beforehand, for which no time is counted.
- network: ours as it is trained, float32, in batches as a prediction has them, channels-last.
- prepared: as a prediction runs it with PyTorch, in the same batches, in each precision of this
  processor.
- openvino: as a prediction runs it with OpenVINO, if that is installed.

The time is that of the processor with one thread, which other programs disturb little, and that of
the clock with more. Prints, per network and variant: median, smallest and largest time per frame;
how many times faster than plain it is, by the medians; the share of the peak, which is a 3 x 3
convolution of 128 to 128 channels measured in the same run and precision, counting 4 of the 9
multiplications in layers that double the grid; and the relative difference of the maps, in the
norm, from those of plain. Weights are random, which no time depends on.

With --tuned-malloc, the allocator of glibc keeps the memory that it once had: a third of what the
plain implementation takes is the system's work to find new pages.
"""

from __future__ import annotations

import argparse
import copy
import statistics
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from plain import ON_THE_FRAMES, add_machine_options, measure, plain_network, set_up
from torch import Tensor, nn

from napari_dl4smlm.backend.models.compiled import (
    OpenVinoNetwork,
    is_openvino_installed,
    openvino_precisions,
)
from napari_dl4smlm.backend.models.prepared import available_precisions, prepare
from napari_dl4smlm.backend.models.registry import MODELS, create_model
from napari_dl4smlm.backend.prediction.memory import plan_portion

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork

CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--networks", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--size", type=int, default=64, help="side of the frames in camera pixels")
    parser.add_argument("--repeats", type=int, default=7)
    add_machine_options(parser)
    arguments = parser.parse_args()
    clock = set_up(arguments)
    print(f"Frames of {arguments.size} x {arguments.size} px, x 8")
    print(
        f"{'':<24} {'ms/frame':>9} {'min':>8} {'max':>8} {'x plain':>8} {'of peak':>8} "
        f"{'difference':>11}"
    )
    with torch.inference_mode():
        for name in arguments.networks:
            compare(name, arguments.size, arguments.repeats, clock)


def compare(name: str, size: int, repeats: int, clock: Callable[[], float]) -> None:
    """Measure all variants of a network and print a line for each."""
    torch.manual_seed(0)
    network = random_network(name)
    batch = plan_portion(network, CPU, height=size, width=size).batch_size
    frames = torch.rand(batch, 1, size, size)
    plain, plain_frames = plain_network(network), frames
    if name not in ON_THE_FRAMES:
        plain.enlarge, plain_frames = nn.Identity(), network.enlarge(frames)
    precisions = [precision for precision in available_precisions(CPU) if precision != "float64"]
    variants: dict[str, Callable[[], Tensor]] = {
        "plain": lambda: torch.cat([plain(frame) for frame in plain_frames.split(1)]),
        "network": eager(network, frames),
        **{f"prepared {bits}": bound(prepare(network, CPU, bits), frames) for bits in precisions},
        **{
            f"openvino {bits}": bound(OpenVinoNetwork(network, bits), frames)
            for bits in (openvino_precisions() if is_openvino_installed() else ())
        },
    }
    peaks = {f"peak {bits}": peak_convolution(getattr(torch, bits)) for bits in precisions}
    expected = variants["plain"]()
    seconds = measure({**variants, **peaks}, repeats, clock)
    print(f"{name}, batches of {batch}")
    for label, run in variants.items():
        bits = label.split()[-1]
        peak = PEAK_OPERATIONS / min(seconds.get(f"peak {bits}", seconds["peak float32"]))
        difference = ((run() - expected).norm() / expected.norm()).item()
        report(label, seconds, batch, operations(network, size) / peak, difference)


def report(
    label: str, seconds: dict[str, list[float]], batch: int, at_peak: float, difference: float
) -> None:
    """Print a line; `at_peak` are the seconds per frame that the peak would take."""
    per_frame = sorted(1e3 * value / batch for value in seconds[label])
    median = statistics.median(per_frame)
    ratio = statistics.median(seconds["plain"]) / statistics.median(seconds[label])
    print(
        f"  {label:<22} {median:>9.2f} {per_frame[0]:>8.2f} {per_frame[-1]:>8.2f} "
        f"{ratio:>8.2f} {1e5 * at_peak / median:>7.0f}% {difference:>11.1e}",
        flush=True,
    )


def random_network(name: str) -> SuperResolutionNetwork:
    """Return a network in evaluation mode whose normalization is not the identity."""
    network = create_model(name).eval()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.reset_parameters()
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.3, 0.3)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
    return network


def eager(network: SuperResolutionNetwork, frames: Tensor) -> Callable[[], Tensor]:
    placed = copy.deepcopy(network).to(memory_format=torch.channels_last)
    return bound(placed, frames.contiguous(memory_format=torch.channels_last))


def bound(network: Callable[[Tensor], Tensor], frames: Tensor) -> Callable[[], Tensor]:
    return lambda: network(frames)


def operations(network: SuperResolutionNetwork, size: int) -> float:
    """Count the floating-point operations that a frame needs."""
    total, pixels = 0.0, float(size * size)
    for step in network.footprints:
        pixels *= step.enlargement**2
        share = 4 / 9 if step.enlargement == 2 else 1
        total += 2 * pixels * step.weights * share
        pixels /= step.pooling**2
    return total


PEAK_SIDE, PEAK_CHANNELS = 64, 128
PEAK_OPERATIONS = 2 * 9 * PEAK_CHANNELS**2 * PEAK_SIDE**2


def peak_convolution(dtype: torch.dtype) -> Callable[[], Tensor]:
    """Return a convolution that a processor can do at full speed."""
    features = torch.rand(1, PEAK_CHANNELS, PEAK_SIDE, PEAK_SIDE).to(dtype)
    weight = torch.rand(PEAK_CHANNELS, PEAK_CHANNELS, 3, 3).to(dtype)
    features, weight = (
        tensor.contiguous(memory_format=torch.channels_last) for tensor in (features, weight)
    )
    return lambda: F.conv2d(features, weight, padding=1)


if __name__ == "__main__":
    main()
