"""All that a network does on a GPU, started at once instead of layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from napari_dl4smlm.backend.models.prepared import PreparedNetwork

# PyTorch asks for some runs before one is recorded, in which libraries set themselves up
_RUNS_BEFORE = 3


class GraphedNetwork:
    """A prepared network whose work on batches of one shape is recorded and replayed.

    A GPU finishes the layers of a small frame faster than they can be started one by one. The graph
    holds the memory for its activations, so that there is one, for the shape of the first batch;
    batches of other shapes run as without it.

    Parameters
    ----------
    network
        On a CUDA device.

    Attributes
    ----------
    precision, upsampling_factor, alignment, halo
        As in `PreparedNetwork`.
    """

    def __init__(self, network: PreparedNetwork) -> None:
        self.precision = network.precision
        self.upsampling_factor = network.upsampling_factor
        self.alignment = network.alignment
        self.halo = network.halo
        self._network = network
        self._graph: torch.cuda.CUDAGraph | None = None
        self._frames: Tensor
        self._density: Tensor

    def __call__(self, frames: Tensor) -> Tensor:
        """Predict the density map of every frame, as `PreparedNetwork` does."""
        if self._graph is None:
            self._graph = self._record(frames)
        if frames.shape != self._frames.shape:
            density: Tensor = self._network(frames)
            return density
        self._frames.copy_(frames)
        self._graph.replay()
        # the next batch is written over it
        return self._density.clone()

    def _record(self, frames: Tensor) -> torch.cuda.CUDAGraph:
        self._frames = frames.clone()
        side = torch.cuda.Stream(frames.device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(frames.device))
        with torch.cuda.stream(side):
            for _ in range(_RUNS_BEFORE):
                self._network(self._frames)
        torch.cuda.current_stream(frames.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(frames.device), torch.cuda.graph(graph):
            self._density = self._network(self._frames)
        return graph
