"""Localization precision from the distances between neighbours in consecutive frames (NeNA)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import scipy

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.metrics.measured import Measured

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.localizations.table import Localizations

# Longer than blinks, and shorter than drift and bleaching take.
_LATER_FRAMES = 100

_BINS = 300
# Bins that hold fewer neighbours by chance are taken together with the next ones.
_FEWEST_BY_CHANCE = 20

# A standard error of σ / (2 √n): 5 % with 100 pairs.
_FEWEST_PAIRS = 100
# in standard deviations of the difference of two counts
_SIGNIFICANT = 5.0
# Wider ones cannot be told from chance within the largest distance.
_WIDEST = 0.25


@dataclass(frozen=True, eq=False)
class NearestNeighbourPrecision:
    """Localization precision from nearest neighbours, and the histogram that tells it.

    Parameters
    ----------
    precision
        Standard deviation of positions along one axis, in nm.
    edges_nm
        Shape (bins + 1,), of the distance to the nearest neighbour in the next frame.
    counts
        Shape (bins,): localizations with their nearest neighbour at that distance.
    expected
        The same according to the fit; empty without one.
    by_chance
        Nearest neighbours some frames later, which are other molecules.
    later_frames
        How many frames later.
    """

    precision: Measured
    edges_nm: NDArray[np.float64]
    counts: NDArray[np.intp]
    expected: NDArray[np.float64]
    by_chance: NDArray[np.intp]
    later_frames: int


def nearest_neighbour_precision(
    localizations: Localizations, *, max_distance_nm: float = 300.0
) -> NearestNeighbourPrecision:
    r"""Measure the localization precision of an experiment (Endesfelder et al.).

    A molecule that shines in two consecutive frames is localized twice, with independent errors of
    the standard deviation σ along each axis. The two positions are at a distance d of the density

    .. math:: p(d) = \frac{d}{2 \sigma^2} \exp\left(-\frac{d^2}{4 \sigma^2}\right)

    Other molecules may be closer by chance. The original fits them together with σ, by a Gaussian
    and a line without a physical meaning; where no molecule lasts, such a fit still finds a σ, set
    by the distance between molecules. Here they are measured: as the nearest neighbours some frames
    later, when the blink is over but the structure is the same. If a share a of the
    molecules is found again, the nearest neighbour is farther than d with the probability
    :math:`(1 - a \, (1 - e^{-d^2 / 4 \sigma^2})) \, B(d)`, with B that of the later frame, and a
    and σ follow by maximum likelihood. Without an excess of neighbours there is no result.

    The precision is that of repeating, not the accuracy: an error that is the same in both frames,
    such as the pull of a crowd of neighbours or of the pixel grid, does not show.

    Parameters
    ----------
    localizations
        Of one movie, before localizations of consecutive frames are merged.
    max_distance_nm
        Farther neighbours are not told apart; several times the precision.

    Raises
    ------
    InputError
        The largest distance is not positive.

    References
    ----------
    U. Endesfelder et al., Histochem. Cell Biol. 141, 629 (2014), doi:10.1007/s00418-014-1192-3

    L. S. Churchman, H. Flyvbjerg, J. A. Spudich, Biophys. J. 90, 668 (2006),
    doi:10.1529/biophysj.105.065599
    """
    if not 0 < max_distance_nm < np.inf:
        raise InputError(
            f"The largest distance is {max_distance_nm} nm. Give a positive number, such as 300."
        )
    span = int(np.ptp(localizations.frame)) if len(localizations) else 0
    later = min(_LATER_FRAMES, span // 2)
    measured = partial(
        Measured,
        label="localization precision (NeNA)",
        unit="nm",
        assumption="More neighbours in the next frame than by chance are the same molecules "
        "again: an error that repeats, such as that of crowded emitters, does not show.",
    )
    edges_nm = np.linspace(0, max_distance_nm, _BINS + 1)
    result = partial(NearestNeighbourPrecision, edges_nm=edges_nm, later_frames=later)
    unsuited = _unsuited(localizations)
    if unsuited:
        nothing = np.zeros(_BINS, dtype=np.intp)
        return result(
            measured(problem=unsuited),
            counts=nothing,
            expected=np.empty(0),
            by_chance=nothing,
        )
    neighbours = _Neighbours(localizations, later, edges_nm)
    share, sigma_nm = neighbours.fit()
    problem = neighbours.problem(sigma_nm)
    return result(
        measured(problem=problem) if problem else measured(value=sigma_nm),
        counts=neighbours.counts,
        expected=np.empty(0) if problem else neighbours.expected(share, sigma_nm)[:-1],
        by_chance=neighbours.by_chance,
    )


def _unsuited(localizations: Localizations) -> str:
    """Say why a table cannot tell the precision at all; nothing if it may."""
    if len(localizations) == 0:
        return "The table has no localizations."
    span = int(np.ptp(localizations.frame)) + 1
    if span < 5:
        return f"The localizations lie within {span} frame{'s' * (span > 1)}; it takes at least 5."
    if localizations.detections is not None and (localizations.detections > 1).any():
        return "Localizations of successive frames are merged in this table: none is found twice."
    return ""


class _Neighbours:
    """Histograms of the distance to the nearest neighbour, in the next frame and later."""

    def __init__(
        self, localizations: Localizations, later: int, edges_nm: NDArray[np.float64]
    ) -> None:
        localizations = localizations.sorted_by_frame()
        # with frames further apart than any distance along a third axis, one tree serves them all
        step_nm = 2 * edges_nm[-1]
        frame = localizations.frame - localizations.frame.min()
        places = np.column_stack([step_nm * frame, localizations.positions_nm()])
        tree = scipy.spatial.KDTree(places)
        from_ = places[frame <= frame.max() - later]

        def histogram(frames_later: int) -> NDArray[np.intp]:
            there = from_ + np.array([step_nm * frames_later, 0, 0])
            distance_nm, _ = tree.query(there, distance_upper_bound=edges_nm[-1])
            return np.histogram(distance_nm, edges_nm)[0]

        self.total = len(from_)
        self.counts = histogram(1)
        self.by_chance = histogram(later)
        self._edges_nm = edges_nm
        self._later = later
        self._farther_by_chance = _smooth_survival(self.by_chance, self.total)

    def expected(self, share: float, sigma_nm: float) -> NDArray[np.float64]:
        """Return the counts in each bin, and behind the last, if a share is found again."""
        found = share * -np.expm1(-((self._edges_nm / sigma_nm) ** 2) / 4)
        farther = (1 - found) * self._farther_by_chance
        return self.total * np.append(-np.diff(farther), farther[-1])

    def fit(self) -> tuple[float, float]:
        """Return the most likely share of molecules found again, and their sigma in nm."""
        counts = np.append(self.counts, self.total - self.counts.sum())

        def minus_log_likelihood(parameters: NDArray[np.float64]) -> float:
            odds, sigma_nm = np.exp(parameters)
            expected = self.expected(odds / (1 + odds), sigma_nm)
            return -float(counts @ np.log(np.maximum(expected, 1e-9)))

        # half of the molecules found again, with a sigma of 10 nm for 300 nm; the first steps are
        # given, since they would be a share of the start, of which one number is zero
        start = np.log([1.0, self._edges_nm[-1] / 30])
        steps = start + 0.5 * np.array([[0, 0], [1, 0], [0, 1]])
        best = scipy.optimize.minimize(
            minus_log_likelihood, start, method="Nelder-Mead", options={"initial_simplex": steps}
        )
        odds, sigma_nm = np.exp(best.x)
        return float(odds / (1 + odds)), float(sigma_nm)

    def problem(self, sigma_nm: float) -> str:
        """Say why the fit cannot be believed; nothing if it can."""
        # hardly any pair is farther than that
        close = slice(int(np.searchsorted(self._edges_nm, 4 * sigma_nm)))
        near, by_chance = int(self.counts[close].sum()), int(self.by_chance[close].sum())
        excess = near - by_chance
        if excess < _SIGNIFICANT * math.sqrt(near + by_chance):
            return (
                f"As many neighbours are found {self._later} frames later as in the next frame: "
                "no molecules can be told that shine in two frames in a row and then no more."
            )
        if excess < _FEWEST_PAIRS:
            return f"Only about {excess} molecules were found twice; it takes {_FEWEST_PAIRS}."
        if sigma_nm > _WIDEST * self._edges_nm[-1]:
            return (
                "The positions of one molecule scatter too far to be told from its neighbours: by "
                f"more than {_WIDEST * self._edges_nm[-1]:g} nm."
            )
        return ""


def _smooth_survival(counts: NDArray[np.intp], total: int) -> NDArray[np.float64]:
    """Probability to be farther than each edge, from counts in bins, of which many may be empty.

    The hazard is taken to be even where bins are taken together, and half a count in each of these
    wide bins keeps it above zero.
    """
    closer = np.cumsum(counts) - counts
    _, wide_bin, bins = np.unique(
        closer // _FEWEST_BY_CHANCE, return_inverse=True, return_counts=True
    )
    wide = np.bincount(wide_bin, counts)
    at_risk = total - np.append(0, np.cumsum(wide)[:-1])
    hazard = -np.log1p(-(wide + 0.5) / (at_risk + 1)) / bins
    survival: NDArray[np.float64] = np.exp(-np.append(0, np.cumsum(hazard[wide_bin])))
    return survival
