"""Frames of drawn emitters, and networks that echo them: what is found is known by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from torch import Tensor, nn

from napari_dl4smlm.backend.acquisition.frames import FrameStack, open_frames
from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.evaluation.comparison.candidates import Candidate
from napari_dl4smlm.backend.localizations.density_map import render_density_map
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.models.model_file import ModelCard, TrainedModel
from napari_dl4smlm.backend.models.network import SuperResolutionNetwork

FRAMES, SIDE, PIXEL_NM = 24, 24, 100.0


class _Spread(SuperResolutionNetwork):
    """Divides every pixel of a frame into equal parts."""

    name = "spread"

    def _density(self, frames: Tensor) -> Tensor:
        factor = self.upsampling_factor
        fine = frames.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
        return fine / factor**2

    def _layers(self) -> Iterable[nn.Module]:
        return (nn.Upsample(scale_factor=float(self.upsampling_factor), mode="nearest"),)


@pytest.fixture
def candidate() -> Callable[..., Candidate]:
    """Makes a model whose map is the frame over an amplitude; a high one sees bright spots."""

    def make(
        label: str, amplitude: float = 1.0, *, upsampling_factor: int = 1, **changes: Any
    ) -> Candidate:
        network = _Spread(upsampling_factor)
        fields = {
            "architecture": network.name,
            "options": network.options,
            "upsampling_factor": upsampling_factor,
            "pixel_size_nm": PIXEL_NM,
            "normalization": Normalization(offset=0, scale=1, background=0, brightest=0.14),
            "density_amplitude": amplitude,
            "training": {"simulation": {}},
            "history": [],
        }
        return Candidate(label, TrainedModel(network, ModelCard.model_validate(fields | changes)))

    return make


@pytest.fixture(scope="session")
def truth() -> Localizations:
    """Four emitters a frame, in pixel centres and far from each other, with photons."""
    generator = np.random.default_rng(0)
    rows = [
        (frame, 100 * y + 50.0, 100 * x + 50.0, generator.uniform(400, 1000))
        for frame in range(FRAMES)
        for y in (5, 17)
        for x in (6, 18)
    ]
    return Localizations(*np.array(rows).T)


@pytest.fixture(scope="session")
def movie(truth: Localizations) -> FrameStack:
    """The emitters as Gaussians of one pixel; their sum is that of a thousandth of the photons."""
    assert truth.photons is not None
    frames = [
        render_density_map(
            truth.positions_nm()[truth.frame == number],
            height=SIDE,
            width=SIDE,
            pixel_size_nm=PIXEL_NM,
            upsampling_factor=1,
            sigma_px=1.0,
            weights=truth.photons[truth.frame == number] / 1000,
        )
        for number in range(FRAMES)
    ]
    return open_frames(np.stack(frames), pixel_size_nm=PIXEL_NM)
