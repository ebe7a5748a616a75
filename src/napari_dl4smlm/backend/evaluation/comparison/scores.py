"""Scores with what chance does to them, and whether the scores of two models differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import scipy

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONFIDENCE = 0.95
"""Of all intervals."""

RESAMPLES = 2000
"""Drawings of the bootstrap: the ends of an interval then rest on some 50 of them each."""

# where a score has no value in more of the resamples, the others are no picture of its chance
_LARGEST_SHARE_UNDEFINED = 0.05

Spread = Literal["none", "single", "bootstrap", "jackknife", "repeats"]


@dataclass(frozen=True)
class Interval:
    """Where a number lies with 95 % confidence; of a time, between which ends it was measured."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the number is certainly not zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, eq=False)
class Score:
    """One number about a model, with the numbers that tell how much chance is in it.

    Parameters
    ----------
    value
        NaN where it cannot be told.
    spread
        What the replicates are. ``"none"``: the number is exact, as a count of parameters is.
        ``"single"``: it was measured once, so that nothing tells how sure it is.
        ``"bootstrap"``: scores of frames drawn with replacement, in the same order for all models.
        ``"jackknife"``: scores without one group of frames each, in the order of the groups.
        ``"repeats"``: the same measurement again and again, of which ``value`` is the median.
    replicates
        Shape (R,); empty for ``"none"`` and ``"single"``.
    """

    value: float
    spread: Spread = "single"
    replicates: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def interval(self) -> Interval | None:
        """Return where the number lies, or ``None`` if nothing tells."""
        if not np.isfinite(self.value) or len(self.replicates) < 2:
            return None
        if self.spread == "bootstrap":
            return _percentiles(self.replicates)
        if self.spread == "jackknife":
            return _jackknife(self.value, self.replicates)
        return Interval(float(self.replicates.min()), float(self.replicates.max()))

    def __abs__(self) -> Score:
        """Return how far the number is from zero, with its replicates."""
        return Score(abs(self.value), self.spread, np.abs(self.replicates))


@dataclass(frozen=True)
class Difference:
    """By how much one score exceeds another.

    Attributes
    ----------
    value
        The first score minus the second.
    interval
        Of the difference, which is paired where the same frames gave both scores; ``None`` if
        nothing tells.
    """

    value: float
    interval: Interval | None

    @property
    def is_significant(self) -> bool:
        """Whether the interval excludes zero."""
        return self.interval is not None and self.interval.excludes_zero


def difference(first: Score, second: Score) -> Difference:
    """Compare two scores of one kind.

    Bootstrap and jackknife resample the same frames for both, so that what makes a frame hard for
    all models cancels. Repeats are not paired: their difference lies between the closest and the
    farthest that two of them were.
    """
    value = first.value - second.value
    if first.spread == "none":
        return Difference(value, Interval(value, value) if np.isfinite(value) else None)
    if first.spread == "repeats":
        a, b = first.interval(), second.interval()
        apart = None if a is None or b is None else Interval(a.low - b.high, a.high - b.low)
        return Difference(value, apart)
    if len(first.replicates) != len(second.replicates):
        return Difference(value, None)
    # infinite scores, of a perfect image, have no difference
    with np.errstate(invalid="ignore"):
        replicates = first.replicates - second.replicates
    return Difference(value, Score(value, first.spread, replicates).interval())


def resampled_sums(
    per_frame: NDArray[np.float64], *, seed: int, resamples: int = RESAMPLES
) -> NDArray[np.float64]:
    """Draw as many frames as there are, with replacement, and add up what was counted in them.

    Parameters
    ----------
    per_frame
        Shape (frames, counts).
    seed
        Equal seeds draw equal frames, so that scores of several models are paired.
    resamples
        How often.

    Returns
    -------
    NDArray
        Shape (resamples, counts).
    """
    generator = np.random.default_rng(seed)
    n_frames = len(per_frame)
    sums = np.empty((resamples, per_frame.shape[1]))
    for row in sums:
        drawn = generator.integers(0, n_frames, n_frames)
        row[:] = np.bincount(drawn, minlength=n_frames) @ per_frame
    return sums


def _percentiles(replicates: NDArray[np.float64]) -> Interval | None:
    known = replicates[np.isfinite(replicates)]
    if len(known) < (1 - _LARGEST_SHARE_UNDEFINED) * len(replicates):
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(float(low), float(high))


def _jackknife(value: float, replicates: NDArray[np.float64]) -> Interval | None:
    """Student's t around the value, with the standard error of the scores that lack a group."""
    if not np.isfinite(replicates).all():
        return None
    groups = len(replicates)
    error = np.sqrt((groups - 1) * np.var(replicates))
    reach = float(scipy.stats.t.ppf((1 + CONFIDENCE) / 2, groups - 1) * error)
    return Interval(value - reach, value + reach)
