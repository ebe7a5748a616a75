"""Random paths that bend gently, as stiff polymers do, and cross a field from edge to edge."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FieldSize = tuple[float, float]
"""Height and width of the field in nm; it is [0, height) x [0, width)."""


def inside(positions: NDArray[np.float64], field_nm: FieldSize) -> NDArray[np.bool_]:
    """Tell which positions (..., 2), order (y, x), are in the field."""
    y, x = positions[..., 0], positions[..., 1]
    return (y >= 0) & (y < field_nm[0]) & (x >= 0) & (x < field_nm[1])


def direction(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return unit vectors (..., 2), order (y, x); angles turn from the x axis to the y axis."""
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1)


def cross_field(
    field_nm: FieldSize,
    generator: np.random.Generator,
    *,
    per_nm: float,
    persistence_nm: float,
    margin_nm: float,
    step_nm: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw worm-like chains all over the field and a margin around it; some enter the field.

    Parameters
    ----------
    per_nm
        Mean length of the chains per area, in nm/nm².

    Returns
    -------
    Where every straight step starts, shape (n, 2), and where it heads, shape (n,).
    """
    region_nm = (field_nm[0] + 2 * margin_nm, field_nm[1] + 2 * margin_nm)
    mean_count = per_nm * 2 * sum(region_nm) / math.pi
    # in a plane, the heading varies by s / P over a length s: the mean cosine is exp(-s / 2P)
    bend = math.sqrt(step_nm / persistence_nm)
    while True:
        start, heading = _enter(max(1, generator.poisson(mean_count)), region_nm, generator)
        starts, headings = _walk(start, heading, region_nm, step_nm, bend, generator)
        starts -= margin_nm
        # a few chains may all pass through the margin only
        if inside(starts, field_nm).any():
            return starts, headings


def _enter(
    count: int, region_nm: FieldSize, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw points (count, 2) on the edges of a region, and isotropic headings into it."""
    height, width = region_nm
    along = generator.uniform(0, height + width, count)
    from_left = along < height
    start = np.where(
        from_left[:, None],
        np.stack([along, np.zeros(count)], axis=1),
        np.stack([np.zeros(count), along - height], axis=1),
    )
    # isotropic lines meet an edge at angles to its normal whose sine is uniform
    heading = np.where(from_left, 0, math.pi / 2) + np.arcsin(generator.uniform(-1, 1, count))
    opposite = generator.random(count) < 0.5
    start[opposite] = region_nm - start[opposite]
    heading[opposite] += math.pi
    return start, heading


def _walk(
    start: NDArray[np.float64],
    heading: NDArray[np.float64],
    region_nm: FieldSize,
    step_nm: float,
    bend: float,
    generator: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Follow worm-like chains until they leave the region.

    Parameters
    ----------
    bend
        Standard deviation of the change of the heading from step to step, in rad.

    Returns
    -------
    Where every straight step starts, shape (n, 2), and where it heads, shape (n,).
    """
    # a chain that coils up may never leave
    steps = math.ceil(3 * math.hypot(*region_nm) / step_nm)
    turns = bend * generator.standard_normal((len(start), steps))
    headings = heading[:, None] + np.cumsum(turns, axis=1) - turns[:, :1]
    ends = start[:, None] + step_nm * np.cumsum(direction(headings), axis=1)
    starts = np.concatenate([start[:, None], ends[:, :-1]], axis=1)
    within = inside(starts, region_nm)
    # a path starts on the edge, where rounding decides what is inside
    within[:, 0] = True
    within = np.logical_and.accumulate(within, axis=1)
    return starts[within], headings[within]
