"""The scores of a model: of every test frame, and of all of them together."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_dl4smlm.backend.metrics.image import (
    SMALLEST_MS_SSIM_PX,
    ms_ssim,
    nmse,
    pearson,
    psnr,
    ssim,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_dl4smlm.backend.metrics.detection import DetectionScores
    from napari_dl4smlm.backend.metrics.image import Scale


@dataclass(frozen=True)
class ImageScores:
    """How well a reconstruction agrees with the true image, once their sums are equal.

    What cannot be told is NaN: everything if the truth is black, all but ``nmse_percent`` if it has
    no contrast, and ``ms_ssim`` of images with a side of less than 176 pixels.

    Attributes
    ----------
    nmse_percent
        Normalized squared error; 0 is perfect, 100 is what a black image has.
    pearson
        Correlation of the pixels.
    psnr_db
        Peak signal-to-noise ratio.
    ssim, ms_ssim
        Structural similarity, on one and on five scales; 1 is perfect.
    """

    nmse_percent: float
    pearson: float
    psnr_db: float
    ssim: float
    ms_ssim: float


@dataclass(frozen=True)
class MapScores:
    """How well the density map of one frame agrees with the true one.

    All are NaN where no emitter is in the frame: there is nothing to compare with.

    Attributes
    ----------
    map_nmse_percent
        Normalized squared error. A missed emitter of n isolated ones adds 100 / n, and so does a
        false one of the same shape.
    map_pearson
        Correlation of the pixels.
    map_ssim
        Structural similarity. The emptier a frame, the closer to 1 it is whatever is predicted,
        since what is black in both maps agrees: compare it between models on the same frames only.
    """

    map_nmse_percent: float
    map_pearson: float
    map_ssim: float


@dataclass(frozen=True)
class SampleScores:
    """Scores of one test frame.

    Attributes
    ----------
    frame
        Its number in the movie, from 0.
    is_validation
        Whether it is among the frames on which the model's best epoch was chosen.
    detection
        ``None`` where only images tell the truth.
    density_map
        Of the density map.
    """

    frame: int
    is_validation: bool
    detection: DetectionScores | None
    density_map: MapScores

    def values(self) -> dict[str, float]:
        """Return all scores by their names, those of the detection first."""
        return {
            name: value
            for part in (self.detection, self.density_map)
            if part is not None
            for name, value in dataclasses.asdict(part).items()
        }


@dataclass(frozen=True)
class Spread:
    """How a score differs from frame to frame.

    Attributes
    ----------
    mean
        Over the frames of which the score is known; NaN if there is none.
    standard_deviation
        Of single frames around it; NaN with less than two.
    n_samples
        How many frames these are.
    """

    mean: float
    standard_deviation: float
    n_samples: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Measure the spread of the values that are not NaN."""
        known = [value for value in values if not math.isnan(value)]
        return cls(
            mean=float(np.mean(known)) if known else math.nan,
            standard_deviation=float(np.std(known, ddof=1)) if len(known) > 1 else math.nan,
            n_samples=len(known),
        )


@dataclass(frozen=True)
class ScoreSummary:
    """Scores of a whole test.

    Attributes
    ----------
    n_samples
        Test frames.
    detection
        Over the emitters of all frames together, so that a crowded frame counts more than an empty
        one; ``None`` where only images tell the truth.
    image
        Of the sum of all density maps against the sum of all true ones.
    per_sample
        How each of the scores of single frames is spread, by its name.
    """

    n_samples: int
    detection: DetectionScores | None
    image: ImageScores
    per_sample: dict[str, Spread]


def score_image(prediction: NDArray[np.floating], truth: NDArray[np.floating]) -> ImageScores:
    """Compare a reconstruction with the true image, scaled to its sum.

    Parameters
    ----------
    prediction, truth
        The same shape (Y, X).

    Raises
    ------
    InputError
        The shapes differ, an image holds NaN or infinity, or the images are smaller than 11 pixels.
    """
    if not truth.any():
        return ImageScores(*[math.nan] * 5)
    is_large = min(truth.shape) >= SMALLEST_MS_SSIM_PX
    return ImageScores(
        nmse_percent=nmse(prediction, truth, scale="sum"),
        pearson=pearson(prediction, truth),
        psnr_db=psnr(prediction, truth, scale="sum"),
        ssim=ssim(prediction, truth, scale="sum"),
        ms_ssim=ms_ssim(prediction, truth, scale="sum") if is_large else math.nan,
    )


def score_map(
    prediction: NDArray[np.floating], truth: NDArray[np.floating], *, scale: Scale
) -> MapScores:
    """Compare the density map of one frame with the true one.

    Parameters
    ----------
    prediction, truth
        The same shape (Y, X).
    scale
        ``"none"`` for maps that are both in emitters per pixel, ``"sum"`` where the unit of the
        truth is arbitrary.

    Raises
    ------
    InputError
        As for :func:`score_image`.
    """
    if not truth.any():
        return MapScores(*[math.nan] * 3)
    return MapScores(
        map_nmse_percent=nmse(prediction, truth, scale=scale),
        map_pearson=pearson(prediction, truth),
        map_ssim=ssim(prediction, truth, scale=scale),
    )


def spread_of_samples(samples: Sequence[SampleScores]) -> dict[str, Spread]:
    """Return how each score is spread over the frames, by its name."""
    values = [sample.values() for sample in samples]
    return {name: Spread.of(scores[name] for scores in values) for name in values[0]}
