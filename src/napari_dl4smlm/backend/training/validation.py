"""What a network makes of the frames that are kept for validation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_dl4smlm.backend.localizations.peaks import find_peaks
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.models.network import GaussianBlur
from napari_dl4smlm.backend.training.calibration import THRESHOLDS, calibrate
from napari_dl4smlm.backend.training.datasets import PatchGrid, load_patch, prefetch
from napari_dl4smlm.backend.training.events import Preview
from napari_dl4smlm.backend.training.truth import Patch

if TYPE_CHECKING:
    from torch import Tensor

    from napari_dl4smlm.backend.acquisition.normalization import Normalization
    from napari_dl4smlm.backend.losses.registry import Loss
    from napari_dl4smlm.backend.models.model_file import Calibration
    from napari_dl4smlm.backend.training.data import TrainingData
    from napari_dl4smlm.backend.training.learner import Learner

_PREVIEW_PX = 64


class Validation:
    """The validation frames, cut into patches, and how to judge a network by them.

    Parameters
    ----------
    data
        Frames with truth.
    normalization
        How counts become network input.
    loss
        What the density maps are drawn for.
    patch_size
        Side of a training patch in camera pixels. Validation patches are twice as wide, so that
        fewer emitters are cut by an edge.
    batch_size
        Training patches in a batch; a batch here has as many pixels.
    """

    def __init__(
        self,
        data: TrainingData,
        normalization: Normalization,
        *,
        loss: Loss,
        patch_size: int,
        batch_size: int,
    ) -> None:
        self._data = data.validation
        self._upsampling_factor = data.upsampling_factor
        # without a pixel size there are no positions, and nothing is compared in nm
        self._pixel_size_nm = data.pixel_size_nm or 1.0
        self._normalization = normalization
        self._loss = loss
        self._batch_size = max(1, batch_size // 4)
        self._grid = PatchGrid(
            self._data,
            normalization,
            patch_size=2 * patch_size,
            target_sigma_px=loss.target_sigma_px,
        )

    def run(self, learner: Learner) -> tuple[float, Calibration | None]:
        """Return the mean loss, and which peaks to trust where their positions are known."""
        items = range(len(self._grid))
        batches = [items[start : start + self._batch_size] for start in items[:: self._batch_size]]
        total, found = 0.0, []
        loaded = prefetch(self._grid, batches)
        for indices, (frames, targets) in zip(batches, loaded, strict=True):
            density = learner.predict(frames)
            total += learner.loss(density, targets) * len(frames)
            found.append(self._peaks(density, first_item=indices[0]))
        truth = self._truth()
        calibration = calibrate(Localizations.concatenate(found), truth) if len(truth) else None
        return total / len(items), calibration

    def preview(self, learner: Learner) -> Preview:
        """Show the first validation frame, or its upper left part, as the loss sees it."""
        frames, number = self._data.frames, self._data.numbers[0]
        height, width = min(_PREVIEW_PX, frames.height), min(_PREVIEW_PX, frames.width)
        patch = Patch(number, 0, 0, height, width)
        sigma_px = max(self._loss.target_sigma_px, self._loss.blur_sigma_px)
        frame, truth = load_patch(self._data, patch, self._normalization, sigma_px)
        density = learner.predict(torch.from_numpy(frame)[None, None]).clamp_min(0)
        if self._loss.blur_sigma_px > 0:
            density = GaussianBlur(self._loss.blur_sigma_px).to(density.device)(density)
        (raw,) = frames.read(number, number + 1)
        return Preview(
            frame=raw[:height, :width].astype(np.float32),
            truth=truth,
            prediction=density[0, 0].cpu().numpy().copy(),
            frame_number=number,
        )

    def _peaks(self, density: Tensor, *, first_item: int) -> Localizations:
        """Find all peaks in patches; their frame is the number of the patch."""
        return find_peaks(
            density[:, 0],
            pixel_size_nm=self._pixel_size_nm,
            upsampling_factor=self._upsampling_factor,
            threshold=float(THRESHOLDS[0]),
            first_frame=first_item,
        )

    def _truth(self) -> Localizations:
        """Return the emitters in the patches; none where only images tell."""
        tables = []
        for item, patch in enumerate(self._grid.patches):
            positions = self._data.truth.positions_nm(patch)
            if positions is not None:
                frame = np.full(len(positions), item)
                tables.append(Localizations(frame, positions[:, 0], positions[:, 1]))
        return Localizations.concatenate(tables)
