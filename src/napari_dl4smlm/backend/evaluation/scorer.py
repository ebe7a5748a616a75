"""Compare density maps and localizations with the truth, frame by frame."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_dl4smlm.backend.evaluation.scores import (
    SampleScores,
    ScoreSummary,
    score_image,
    score_map,
    spread_of_samples,
)
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.metrics.detection import detection_scores
from napari_dl4smlm.backend.training.truth import Patch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.evaluation.untrained import UntrainedFrames
    from napari_dl4smlm.backend.training.truth import Truth

_TRUTH_SIGMA_PX = 1.0
"""Width in fine pixels of the Gaussian that is drawn for a true emitter."""


class Scorer:
    """Scores frames, and gathers what the summary takes.

    Parameters
    ----------
    truth
        Of the whole movie.
    test_frames
        The frames that will be scored.
    height, width
        Size of a frame in camera pixels.
    upsampling_factor
        Fine pixels per camera pixel.
    pixel_size_nm
        Camera pixel.
    tolerance_nm, border_nm
        As for `detection_scores`.

    Attributes
    ----------
    samples
        Scores of the frames done so far.

    Raises
    ------
    InputError
        The tolerance or the border cannot be used.
    """

    def __init__(
        self,
        truth: Truth,
        test_frames: UntrainedFrames,
        *,
        height: int,
        width: int,
        upsampling_factor: int,
        pixel_size_nm: float,
        tolerance_nm: float,
        border_nm: float,
    ) -> None:
        self.samples: list[SampleScores] = []
        self._truth = truth
        self._test_frames = test_frames
        self._size = (height, width)
        self._detection_scores = partial(
            detection_scores,
            tolerance_nm=tolerance_nm,
            border_nm=border_nm,
            field_of_view_nm=(height * pixel_size_nm, width * pixel_size_nm),
        )
        # refuses what cannot be used before the first frame is predicted
        self._detection_scores(Localizations.empty(), Localizations.empty())
        self._found: list[Localizations] = []
        self._emitters: list[Localizations] = []
        # single precision would lose the dim half of a sum over more than some 10 000 frames
        self._predicted_sum = np.zeros((upsampling_factor * height, upsampling_factor * width))
        self._true_sum = np.zeros_like(self._predicted_sum)

    def score(
        self, number: int, density_map: NDArray[np.float32], found: Localizations
    ) -> SampleScores:
        """Score one frame.

        Parameters
        ----------
        number
            Of the frame in the movie.
        density_map
            Shape (f Y, f X), emitters per fine pixel.
        found
            The localizations in this frame; their own frame number does not matter.
        """
        patch = Patch(number, 0, 0, *self._size)
        true_map = self._truth.render(patch, _TRUTH_SIGMA_PX)
        self._predicted_sum += density_map
        self._true_sum += true_map
        positions_nm = self._truth.positions_nm(patch)
        detection = None
        if positions_nm is not None:
            found = dataclasses.replace(found, frame=np.full(len(found), number))
            emitters = Localizations(np.full(len(positions_nm), number), *positions_nm.T)
            self._found.append(found)
            self._emitters.append(emitters)
            detection = self._detection_scores(found, emitters)
        scores = SampleScores(
            frame=number,
            is_validation=number in self._test_frames.validation,
            detection=detection,
            density_map=score_map(
                # the unit of true images is arbitrary, that of drawn positions is not
                density_map,
                true_map,
                scale="sum" if positions_nm is None else "none",
            ),
        )
        self.samples.append(scores)
        return scores

    def summary(self) -> ScoreSummary:
        """Return the scores of all frames done so far; at least one."""
        detection = None
        if self._emitters:
            detection = self._detection_scores(
                Localizations.concatenate(self._found), Localizations.concatenate(self._emitters)
            )
        return ScoreSummary(
            n_samples=len(self.samples),
            detection=detection,
            image=score_image(self._predicted_sum, self._true_sum),
            per_sample=spread_of_samples(self.samples),
        )
