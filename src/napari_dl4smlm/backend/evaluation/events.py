"""What the test of a model tells those who watch it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_dl4smlm.backend.evaluation.scores import SampleScores, ScoreSummary


@dataclass(frozen=True)
class ScoringStarted:
    """The test is set up; no frame has been predicted yet.

    Attributes
    ----------
    device
        Where it runs.
    n_samples
        Frames to be tested.
    warnings
        Sentences for the user, such as of frames that validated the model.
    """

    device: str
    n_samples: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class SampleScored:
    """One more frame was predicted and compared with its truth.

    Attributes
    ----------
    scores
        Of this frame.
    samples_done, n_samples
        Frames tested so far, and in all.
    """

    scores: SampleScores
    samples_done: int
    n_samples: int


@dataclass(frozen=True)
class ScoringStopped:
    """The user stopped the test; the summary is that of the frames done so far."""

    summary: ScoreSummary


@dataclass(frozen=True)
class ScoringFinished:
    """All frames are tested."""

    summary: ScoreSummary


ScoringEvent = ScoringStarted | SampleScored | ScoringStopped | ScoringFinished
