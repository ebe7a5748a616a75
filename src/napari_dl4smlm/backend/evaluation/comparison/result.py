"""What a comparison found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.evaluation.comparison.scores import Score
    from napari_dl4smlm.backend.evaluation.comparison.speed import Speed
    from napari_dl4smlm.backend.evaluation.quality import Quality
    from napari_dl4smlm.backend.localizations.table import Localizations
    from napari_dl4smlm.backend.metrics.accuracy import AccuracyByDensity, AccuracyByPhotons
    from napari_dl4smlm.backend.models.model_file import ModelCard


@dataclass(frozen=True, eq=False)
class DataSet:
    """What the models were compared on.

    Attributes
    ----------
    movie
        Its name.
    n_frames, height, width
        Of the whole movie, in camera pixels.
    frames
        Numbers of the frames that were compared, in rising order, from 0.
    pixel_size_nm
        Camera pixel.
    upsampling_factor
        Of the common grid on which images are compared: the finest of all models.
    n_emitters
        True emitters in these frames; ``None`` without truth.
    tolerance_nm, border_nm
        Largest distance of a pair, and the rim in which nothing is counted.
    mean_frame
        Shape (Y, X), in counts.
    true_image
        Shape (f Y, f X), emitters per pixel of the common grid; ``None`` without truth.
    """

    movie: str
    n_frames: int
    height: int
    width: int
    frames: tuple[int, ...]
    pixel_size_nm: float
    upsampling_factor: int
    n_emitters: int | None
    tolerance_nm: float
    border_nm: float
    mean_frame: NDArray[np.float64]
    true_image: NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class ComparedModel:
    """What was measured of one model.

    Attributes
    ----------
    label
        What it is called.
    path
        Its file, if it has one.
    card
        What its file tells.
    threshold
        Smallest confidence of its localizations.
    scores
        By the names of the columns; what could not be told is NaN.
    speeds
        One for each device.
    image
        Sum of the density maps, shape (f Y, f X) with the model's own factor, emitters per pixel.
    localizations
        With frames numbered as in the movie.
    by_density, by_photons
        Accuracy against the density and the photons of the emitters; ``None`` without truth, and
        without photons in it.
    quality
        What can be measured without truth; ``None`` with truth.
    computed_with
        Library and precision, such as ``"torch float32"``.
    warnings
        Sentences for the user, such as why another library than that asked for was taken.
    """

    label: str
    path: Path | None
    card: ModelCard
    threshold: float
    scores: dict[str, Score]
    speeds: tuple[Speed, ...]
    image: NDArray[np.float32]
    localizations: Localizations
    by_density: AccuracyByDensity | None
    by_photons: AccuracyByPhotons | None
    quality: Quality | None
    computed_with: str
    warnings: tuple[str, ...]

    @property
    def problems(self) -> dict[str, str]:
        """Why scores are NaN, by their names, where that is known."""
        measured = {} if self.quality is None else self.quality.measured()
        return {name: one.problem for name, one in measured.items()}


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several models on one data set.

    Attributes
    ----------
    data
        The data set.
    models
        In the order in which they were given; at least one.
    devices
        On which they were timed.
    seed, repeats
        Of the bootstrap, and the batches that were timed.
    warnings
        Sentences for the user, which every reader of the numbers should see.
    """

    data: DataSet
    models: tuple[ComparedModel, ...]
    devices: tuple[str, ...]
    seed: int
    repeats: int
    warnings: tuple[str, ...]
