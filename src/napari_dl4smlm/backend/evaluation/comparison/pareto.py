"""Which models no other one beats in both accuracy and cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def pareto_frontier(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return the labels of the points that are not dominated, by rising cost.

    A point is dominated if another one costs no more, is worth no less, and is better in one of the
    two. Equal points do not dominate each other.

    Parameters
    ----------
    points
        Cost, which is better low, and worth, which is better high, by label; those with NaN are
        left out.
    """
    known = {label: point for label, point in points.items() if not any(map(math.isnan, point))}
    frontier: list[str] = []
    best = None
    # by rising cost and falling worth, so that whatever dominates a point comes before it
    for label in sorted(known, key=lambda label: (known[label][0], -known[label][1])):
        point = known[label]
        if best is None or point[1] > best[1] or point == best:
            frontier.append(label)
            best = point
    return frontier
