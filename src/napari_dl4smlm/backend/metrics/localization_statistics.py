"""What a table of localizations tells of itself: photons, widths of the spots, counts over time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_dl4smlm.backend.metrics.measured import Measured

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_dl4smlm.backend.localizations.table import Localizations

_BINS = 80
_MOST_BLOCKS = 100

_photons = partial(
    Measured,
    label="median photons",
    unit="photons",
    assumption="Taken from the table as it is: a wrong camera gain or baseline changes all of "
    "them.",
)
_sigma = partial(
    Measured,
    label="median spot sigma",
    unit="nm",
    assumption="Taken from the table as it is, where a spot is one emitter in focus: crowded or "
    "defocused ones are wider.",
)
_per_frame = partial(
    Measured,
    label="localizations per frame",
    unit="",
    assumption="It counts what was found, not what was there: loss of focus looks like bleaching.",
)


@dataclass(frozen=True, eq=False)
class Distribution:
    """How one column of a table is distributed.

    Parameters
    ----------
    median
        Of the known values.
    edges
        Shape (bins + 1,), in the unit of the median; empty if nothing is known.
    counts
        Shape (bins,). The largest values, one in two hundred, are left out.
    """

    median: Measured
    edges: NDArray[np.float64]
    counts: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class LocalizationsPerFrame:
    """How many localizations the frames have, over time.

    Parameters
    ----------
    mean
        Over all frames, also those without any.
    edges
        Shape (blocks + 1,): numbers of the frames where each block of frames begins, and the end.
    per_frame
        Shape (blocks,), mean over the frames of each block.
    """

    mean: Measured
    edges: NDArray[np.intp]
    per_frame: NDArray[np.float64]


def photon_distribution(localizations: Localizations) -> Distribution:
    """Return how many photons the molecules have."""
    problem = "The table has no photons: a density map does not tell them."
    return _distribution(localizations.photons, _photons, problem)


def sigma_distribution(localizations: Localizations) -> Distribution:
    """Return how wide the fitted spots are, in nm."""
    problem = "The table has no widths of spots: a density map does not tell them."
    return _distribution(localizations.sigma_nm, _sigma, problem)


def localizations_per_frame(localizations: Localizations, frames: range) -> LocalizationsPerFrame:
    """Count the localizations over time.

    Parameters
    ----------
    localizations
        Those outside of the frames do not count.
    frames
        The frames that were searched, without gaps, at least one.
    """
    block = -(-len(frames) // _MOST_BLOCKS)
    edges = np.append(np.arange(frames.start, frames.stop, block), frames.stop)
    inside = localizations.in_frames(frames)
    counts = np.histogram(inside.frame, edges)[0]
    return LocalizationsPerFrame(
        _per_frame(value=len(inside) / len(frames)), edges, counts / np.diff(edges)
    )


def _distribution(
    values: NDArray[np.float64] | None, measured: Callable[..., Measured], no_column: str
) -> Distribution:
    known = np.empty(0) if values is None else values[np.isfinite(values)]
    if known.size == 0:
        problem = no_column if values is None else "No localization has a known value."
        return Distribution(measured(problem=problem), np.empty(0), np.empty(0, dtype=np.intp))
    # a few outliers would leave the rest in a single bin
    shown = known[known <= np.quantile(known, 0.995)]
    counts, edges = np.histogram(shown, _BINS)
    return Distribution(measured(value=float(np.median(known))), edges, counts)
