"""What a network makes of the frames that are kept for validation."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_dl4smlm.backend.gaussian_blur import GaussianBlur
from napari_dl4smlm.backend.localizations.peaks import find_peaks
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.training.calibration import THRESHOLDS, calibrate
from napari_dl4smlm.backend.training.datasets import PatchGrid, load_patch, prefetch
from napari_dl4smlm.backend.training.events import Preview
from napari_dl4smlm.backend.training.truth import Patch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.acquisition.normalization import Normalization
    from napari_dl4smlm.backend.losses.loss import Loss
    from napari_dl4smlm.backend.models.calibration import Calibration
    from napari_dl4smlm.backend.training.course import Course
    from napari_dl4smlm.backend.training.data import TrainingData
    from napari_dl4smlm.backend.training.learner import Learner

# small enough for single emitters to be seen beside each other in a third of a window
_PREVIEW_PX = 32
_MARGIN_PX = 16
_PARTS_PER_AXIS = 8


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
        """Return the mean loss, and which peaks to trust.

        There is no such thing where positions are not known, or while density maps do not matter.
        """
        items = range(len(self._grid))
        batches = [items[start : start + self._batch_size] for start in items[:: self._batch_size]]
        total, found = 0.0, []
        loaded = prefetch(self._grid, batches)
        for indices, (frames, targets) in zip(batches, loaded, strict=True):
            loss, density = learner.evaluate(frames, targets)
            total += float(loss) * len(frames)
            if density is not None:
                found.append(self._peaks(density, first_item=indices[0]))
        truth = self._truth()
        if not found or not len(truth):
            return total / len(items), None
        calibration = calibrate(
            Localizations.concatenate(found), truth, second_half=self._second_half()
        )
        return total / len(items), calibration

    def preview(self, learner: Learner, course: Course) -> Preview:
        """Show the most crowded part of the first validation frame, as the loss sees it."""
        shown = self._shown
        near = _with_margin(shown, self._data.frames)
        sigma_px = max(self._loss.target_sigma_px, self._loss.blur_sigma_px)
        frame, truth = load_patch(self._data, near, self._normalization, sigma_px)
        inputs = torch.from_numpy(frame)[None, None]
        density = learner.predict(inputs).clamp_min(0)
        taught = course.taught(inputs)
        if self._loss.blur_sigma_px > 0:
            density = GaussianBlur(self._loss.blur_sigma_px)(density)
        (raw,) = self._data.frames.read(shown.frame, shown.frame + 1)
        rows, columns = _within(shown, near, factor=self._upsampling_factor)
        return Preview(
            frame=raw[_within(shown)].astype(np.float32),
            truth=truth[rows, columns].copy(),
            prediction=_on_host(density[0, 0, rows, columns]),
            frame_number=shown.frame,
            corner_px=(shown.top, shown.left),
            teacher=None if taught is None else _on_host(taught[0, 0, rows, columns]),
        )

    @cached_property
    def _shown(self) -> Patch:
        """The part of the first validation frame that is shown."""
        frames, number = self._data.frames, self._data.numbers[0]
        height, width = min(_PREVIEW_PX, frames.height), min(_PREVIEW_PX, frames.width)
        patches = [
            Patch(number, top, left, height, width)
            for top in _starts(frames.height - height)
            for left in _starts(frames.width - width)
        ]
        return max(patches, key=self._data.truth.count_emitters)

    def _peaks(self, density: Tensor, *, first_item: int) -> Localizations:
        """Find all peaks in patches; their frame is the number of the patch."""
        return find_peaks(
            density[:, 0],
            pixel_size_nm=self._pixel_size_nm,
            upsampling_factor=self._upsampling_factor,
            threshold=float(THRESHOLDS[0]),
            first_frame=first_item,
        )

    def _second_half(self) -> int:
        """Return the first patch of the second half of the frames, or else of the only frame."""
        n_patches, n_frames = len(self._grid), len(self._data.numbers)
        return n_patches // 2 if n_frames == 1 else n_frames // 2 * (n_patches // n_frames)

    def _truth(self) -> Localizations:
        """Return the emitters in the patches; none where only images tell."""
        tables = []
        for item, patch in enumerate(self._grid.patches):
            positions = self._data.truth.positions_nm(patch)
            if positions is not None:
                frame = np.full(len(positions), item)
                tables.append(Localizations(frame, positions[:, 0], positions[:, 1]))
        return Localizations.concatenate(tables)


def _on_host(density: Tensor) -> NDArray[np.float32]:
    on_host: NDArray[np.float32] = density.cpu().numpy().copy()
    return on_host


def _starts(last: int) -> list[int]:
    """Choose some first rows, or columns, from 0 to the last one that is possible."""
    number = min(_PARTS_PER_AXIS, 1 + math.ceil(2 * last / _PREVIEW_PX))
    return [round(start) for start in np.linspace(0, last, number)]


def _with_margin(patch: Patch, frames: FrameStack) -> Patch:
    """Return a patch with what the network should see around it, as far as the frame goes."""
    top, left = max(0, patch.top - _MARGIN_PX), max(0, patch.left - _MARGIN_PX)
    bottom = min(frames.height, patch.top + patch.height + _MARGIN_PX)
    right = min(frames.width, patch.left + patch.width + _MARGIN_PX)
    return Patch(patch.frame, top, left, bottom - top, right - left)


def _within(patch: Patch, outer: Patch | None = None, factor: int = 1) -> tuple[slice, slice]:
    """Return rows and columns of a patch in the map of a larger one, or in the frame."""
    top, left = (0, 0) if outer is None else (outer.top, outer.left)
    return (
        slice(factor * (patch.top - top), factor * (patch.top - top + patch.height)),
        slice(factor * (patch.left - left), factor * (patch.left - left + patch.width)),
    )
