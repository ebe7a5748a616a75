"""What the benchmarks of speed share: the plain implementation, the machine, and taking turns."""

from __future__ import annotations

import copy
import os
import platform
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_dl4smlm.backend.models.network import SuperResolutionNetwork, UpsampleConv

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

TUNED_MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**31),
    "MALLOC_TOP_PAD_": str(2**28),
}

ON_THE_FRAMES = ("drl_storm", "fid_storm")
"""Networks that see frames as they are; all others are given enlarged ones."""


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tuned-malloc", action="store_true")


def set_up(arguments: argparse.Namespace) -> Callable[[], float]:
    """Get the process ready, print what it runs on, and return the clock.

    It is that of the processor with one thread, which other programs disturb little.
    """
    if arguments.tuned_malloc and not TUNED_MALLOC.items() <= os.environ.items():
        # glibc reads them as a program starts
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | TUNED_MALLOC)
    torch.set_num_threads(arguments.threads)
    print(
        f"{processor()}, {arguments.threads} of {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, torch {torch.__version__}, allocator "
        f"{'tuned' if arguments.tuned_malloc else 'as it is'}"
    )
    return time.process_time if arguments.threads == 1 else time.perf_counter


def processor() -> str:
    information = Path("/proc/cpuinfo")
    text = information.read_text() if information.is_file() else ""
    match = re.search(r"^model name\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return match[1] if match else platform.processor()


def measure(
    variants: dict[str, Callable[[], object]], repeats: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Run the variants in turns, and return the seconds of each run."""
    seconds: dict[str, list[float]] = {label: [] for label in variants}
    for repeat in range(repeats + 1):
        for label, run in variants.items():
            began = clock()
            run()
            # the first round also pays for what is set up once
            if repeat > 0:
                seconds[label].append(clock() - began)
    return seconds


class EnlargeAndConvolve(nn.Module):
    """What `UpsampleConv` stands for, layer by layer."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, features: Tensor) -> Tensor:
        """Shape (N, in_channels, Y, X) to (N, out_channels, 2 Y, 2 X)."""
        return F.conv2d(F.interpolate(features, scale_factor=2.0), self.weight, padding=1)


def plain_network(network: SuperResolutionNetwork) -> SuperResolutionNetwork:
    """Return the network with layers that enlarge and then convolve."""
    # what is computed from its layers, which are about to be unknown ones
    assert network.alignment
    plain = copy.deepcopy(network)
    for path, layer in list(plain.named_modules()):
        if isinstance(layer, UpsampleConv):
            parent, _, child = path.rpartition(".")
            setattr(plain.get_submodule(parent), child, EnlargeAndConvolve(layer.weight))
    return plain
