"""What a comparison tells those who watch it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_dl4smlm.backend.evaluation.comparison.result import ComparedModel, Comparison
    from napari_dl4smlm.backend.evaluation.comparison.speed import Speed


@dataclass(frozen=True)
class ComparisonStarted:
    """The comparison is set up; no frame has been predicted yet.

    Attributes
    ----------
    labels
        The models, in the order in which they will run.
    device
        Where their results come from.
    n_frames
        Frames that every model will predict.
    warnings
        Sentences for the user, such as of a movie unlike those that trained a model.
    """

    labels: tuple[str, ...]
    device: str
    n_frames: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class FramesPredicted:
    """One model has predicted some more of the frames."""

    label: str
    frames_done: int
    n_frames: int


@dataclass(frozen=True)
class ImagesScored:
    """One model's image was compared with the truth once more, now without some of the frames."""

    label: str
    done: int
    n_comparisons: int


@dataclass(frozen=True, eq=False)
class SpeedMeasured:
    """One model was timed on one device."""

    label: str
    speed: Speed


@dataclass(frozen=True, eq=False)
class ModelCompared:
    """All is known about one more model.

    Attributes
    ----------
    model
        The model.
    comparison
        Of the models that are done: what there is should a later one fail.
    """

    model: ComparedModel
    comparison: Comparison


@dataclass(frozen=True, eq=False)
class ComparisonStopped:
    """The user stopped; the comparison is that of the models done, ``None`` if none was."""

    comparison: Comparison | None


@dataclass(frozen=True, eq=False)
class ComparisonFinished:
    """All models are compared."""

    comparison: Comparison


ComparisonEvent = (
    ComparisonStarted
    | FramesPredicted
    | ImagesScored
    | SpeedMeasured
    | ModelCompared
    | ComparisonStopped
    | ComparisonFinished
)
