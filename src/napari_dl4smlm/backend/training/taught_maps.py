"""What a teacher makes of whole frames, computed once for all patches that are cut out of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.acquisition.normalization import Normalization
    from napari_dl4smlm.backend.training.data import TrainingData
    from napari_dl4smlm.backend.training.teacher import Teacher
    from napari_dl4smlm.backend.training.truth import Patch

_MOST_BYTES = 2**31
# 256 x 256: the features of larger frames would take many times what those of a batch of patches do
_MOST_PIXELS = 2**16
# of which a density, at most 1 in a pixel, has three digits
_KEPT_AS = np.float16


class TaughtMaps:
    """Density maps of a teacher, each made when its frame is asked for first, and kept.

    A teacher costs many times what its student does, and patches of the same frames come again and
    again. Whole frames also show the teacher what is around a patch.

    Parameters
    ----------
    teacher
        Predicts.
    data
        Frames of a movie.
    normalization
        How counts become its input.
    """

    def __init__(self, teacher: Teacher, data: TrainingData, normalization: Normalization) -> None:
        self._teacher = teacher
        self._frames = data.validation.frames
        self._factor = data.upsampling_factor
        self._normalization = normalization
        self._kept: dict[int, NDArray[np.float16]] = {}

    @classmethod
    def of(
        cls, teacher: Teacher, data: TrainingData, normalization: Normalization
    ) -> TaughtMaps | None:
        """Return the maps of the frames that train, if they are small and 2 GiB hold all of them.

        Parameters
        ----------
        teacher, data, normalization
            As for the class.
        """
        n_frames = data.n_training_frames
        if n_frames is None:
            return None
        frames = data.validation.frames
        pixels = frames.height * frames.width
        kept_bytes = n_frames * pixels * data.upsampling_factor**2 * np.dtype(_KEPT_AS).itemsize
        fits = pixels <= _MOST_PIXELS and kept_bytes <= _MOST_BYTES
        return cls(teacher, data, normalization) if fits else None

    def render(self, patch: Patch) -> NDArray[np.float32]:
        """Return the map of a patch: shape (f height, f width), as the losses see maps."""
        if patch.frame not in self._kept:
            self._kept[patch.frame] = self._predict(patch.frame)
        rows, columns = (
            slice(self._factor * first, self._factor * (first + length))
            for first, length in ((patch.top, patch.height), (patch.left, patch.width))
        )
        return self._kept[patch.frame][rows, columns].astype(np.float32)

    def _predict(self, number: int) -> NDArray[np.float16]:
        counts = self._frames.read(number, number + 1)
        frames = torch.from_numpy(self._normalization.apply(counts))[:, None]
        return self._teacher.maps(frames)[0, 0].cpu().numpy().astype(_KEPT_AS)
