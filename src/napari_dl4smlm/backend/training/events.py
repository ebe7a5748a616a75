"""What a training run tells those who watch it: widget, command line and tests alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.models.calibration import Calibration

StageName = Literal["training", "hint", "transfer"]
"""Ordinary training, and the two stages of a distillation: its student's features, its maps."""

EndReason = Literal["all epochs done", "no longer improving", "time limit reached"]


@dataclass(frozen=True)
class Preview:
    """Part of a validation frame that holds many emitters, its truth and what the network sees.

    Attributes
    ----------
    frame
        Shape (Y, X), camera counts.
    truth, prediction
        Shape (f Y, f X), emitters per fine pixel; the prediction is clamped at 0. Both are blurred
        by one fine pixel where the loss sees nothing finer.
    frame_number
        Where the frame is in the movie, from 0.
    corner_px
        Row and column of the frame's camera pixel that is the first one here.
    teacher
        What the teacher predicts, as sharp as the truth; ``None`` in a training without one.
    """

    frame: NDArray[np.float32]
    truth: NDArray[np.float32]
    prediction: NDArray[np.float32]
    frame_number: int
    corner_px: tuple[int, int]
    teacher: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class TrainingStarted:
    """Training is set up; nothing has been computed yet.

    Attributes
    ----------
    device, precision
        Where and with what arithmetic it runs.
    parameters
        Trainable numbers of the network.
    training_frames
        Frames to cut patches from; ``None`` if every patch is simulated.
    first_epoch
        1, or the epoch at which a resumed training goes on.
    warnings
        Sentences for the user, such as a lambda at which the empty image wins.
    stage
        With which it begins, or goes on.
    """

    device: str
    precision: Literal["float32", "bfloat16"]
    parameters: int
    epochs: int
    steps_per_epoch: int
    training_frames: int | None
    validation_frames: int
    first_epoch: int
    warnings: tuple[str, ...]
    stage: StageName = "training"


@dataclass(frozen=True)
class FirstPreview:
    """What the network sees before the first step of this run.

    It has learned nothing yet, or what it had learned when a resumed training was stopped.
    """

    preview: Preview


@dataclass(frozen=True)
class TeacherTested:
    """So many of the patches were predicted by which a teacher is judged before the first step."""

    patches: int
    total: int


@dataclass(frozen=True)
class StepFinished:
    """One batch was learned from. Epochs and steps count from 1; epochs go on over stages."""

    epoch: int
    step: int
    loss: float
    seconds_left: float
    stage: StageName = "training"


@dataclass(frozen=True)
class EpochFinished:
    """One pass over the training patches is over, and the validation frames were looked at.

    Attributes
    ----------
    training_loss, validation_loss, is_best
        Of the stage: those of different stages cannot be compared.
    preview
        In the stage of hints it shows nothing yet: the last layers do not learn.
    calibration
        Threshold, Jaccard index and error on the validation frames; ``None`` if their positions
        are unknown, and in the stage of hints.
    share_waited
        Share of the time of all steps so far that was spent waiting for patches.
    """

    epoch: int
    training_loss: float
    validation_loss: float
    learning_rate: float
    is_best: bool
    preview: Preview
    calibration: Calibration | None
    share_waited: float
    stage: StageName = "training"


@dataclass(frozen=True)
class ModelSaved:
    """A model is on disk: the best so far, or the last one, from which training can go on."""

    path: Path
    kind: Literal["best", "last"]
    epoch: int


@dataclass(frozen=True)
class TrainingStopped:
    """The user stopped the training; best and last model are on disk."""

    epoch: int
    best_path: Path
    last_path: Path


@dataclass(frozen=True)
class TrainingFinished:
    """Training came to its end; best and last model, of the last stage, are on disk."""

    epoch: int
    best_epoch: int
    best_validation_loss: float
    best_path: Path
    last_path: Path
    reason: EndReason


TrainingEvent = (
    TrainingStarted
    | FirstPreview
    | TeacherTested
    | StepFinished
    | EpochFinished
    | ModelSaved
    | TrainingStopped
    | TrainingFinished
)
