"""Compare the speed of a training step with that of a plain implementation.

    python benchmarks/training_speed.py [--networks …] [--threads 1] [--repeats 5]

In one run and in turns, on the same batch of patches, with the L1L2 loss and Adam:

- plain: float32, layers one by one as the published scripts have them: layers that double the grid
  enlarge their input and convolve it, the loss blurs with a convolution of 7 x 7. Networks that
  work on the fine grid are given patches that were enlarged beforehand.
- ours: `Learner.step` in float32 and, where the processor computes in it, in bfloat16, with the
  average of the weights that it keeps.

Making the patches is left out. Prints median, smallest and largest time per step, how many times
faster than plain, and the loss of the first step relative to that of plain. The time is that of the
processor with one thread, and that of the clock with more.
"""

from __future__ import annotations

import argparse
import statistics
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from plain import ON_THE_FRAMES, add_machine_options, measure, plain_network, set_up
from torch import Tensor, nn

from napari_dl4smlm.backend.losses.registry import create_loss
from napari_dl4smlm.backend.models.device import supports_bfloat16
from napari_dl4smlm.backend.models.registry import MODELS, create_model
from napari_dl4smlm.backend.training.arithmetic import DENSITY_AMPLITUDE, Arithmetic
from napari_dl4smlm.backend.training.learner import Learner
from napari_dl4smlm.backend.training.objective import TruthObjective

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork

CPU = torch.device("cpu")
LEARNING_RATE = 1e-4
EMITTERS_PER_PATCH = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--networks", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--patch-size", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    add_machine_options(parser)
    arguments = parser.parse_args()
    clock = set_up(arguments)
    print(f"Batches of {arguments.batch_size} patches of {arguments.patch_size} px, x 8")
    print(f"{'':<24} {'ms/step':>9} {'min':>8} {'max':>8} {'x plain':>8} {'loss':>11}")
    for name in arguments.networks:
        compare(name, arguments, clock)


def compare(name: str, arguments: argparse.Namespace, clock: Callable[[], float]) -> None:
    """Measure plain and our steps of a network and print a line for each."""
    torch.manual_seed(0)
    network = create_model(name)
    size = arguments.patch_size
    frames = torch.randn(arguments.batch_size, 1, size, size)
    targets = torch.zeros(arguments.batch_size, 1, 8 * size, 8 * size)
    spots = torch.randint(0, (8 * size) ** 2, (arguments.batch_size, EMITTERS_PER_PATCH))
    targets.flatten(1).scatter_(1, spots, 1.0)
    variants = {"plain": plain_step(network, name, frames, targets)}
    for bits in ("float32", "bfloat16") if supports_bfloat16(CPU) else ("float32",):
        variants[f"ours {bits}"] = our_step(network, bits, frames, targets)
    losses = {label: step() for label, step in variants.items()}
    seconds = measure(variants, arguments.repeats, clock)
    print(name)
    for label, values in seconds.items():
        times = sorted(1e3 * value for value in values)
        ratio = statistics.median(seconds["plain"]) / statistics.median(values)
        print(
            f"  {label:<22} {statistics.median(times):>9.1f} {times[0]:>8.1f} {times[-1]:>8.1f} "
            f"{ratio:>8.2f} {losses[label] / losses['plain']:>11.5f}",
            flush=True,
        )


def plain_step(
    network: SuperResolutionNetwork, name: str, frames: Tensor, targets: Tensor
) -> Callable[[], float]:
    plain = plain_network(network).train()
    if name not in ON_THE_FRAMES:
        plain.enlarge, frames = nn.Identity(), network.enlarge(frames)
    optimizer = torch.optim.Adam(plain.parameters(), LEARNING_RATE)
    along = torch.exp(-0.5 * torch.arange(-3.0, 4.0) ** 2)
    kernel = torch.outer(along, along) / along.sum() ** 2
    kernel = kernel[None, None]
    lambda_ = create_loss("l1l2").lambda_

    def step() -> float:
        density = plain(frames) / DENSITY_AMPLITUDE
        difference = F.conv2d(density, kernel, padding=3) - F.conv2d(targets, kernel, padding=3)
        loss = 0.5 * lambda_ * difference.square().mean() + density.abs().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def our_step(
    network: SuperResolutionNetwork, precision: str, frames: Tensor, targets: Tensor
) -> Callable[[], float]:
    arithmetic = Arithmetic(CPU, bfloat16=precision == "bfloat16")
    objective = TruthObjective(create_loss("l1l2"), arithmetic)
    copied = create_model(network.name, **network.options)
    copied.load_state_dict(network.state_dict())
    learner = Learner(copied, objective, arithmetic=arithmetic, learning_rate=LEARNING_RATE)
    return lambda: learner.step(frames, targets)


if __name__ == "__main__":
    main()
