"""Random factors that leave the mean as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def lognormal_around_one(
    relative_sd: float, size: int | tuple[int, int], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Draw lognormal factors whose own mean is 1, not that of their logarithm 0.

    Parameters
    ----------
    relative_sd
        Standard deviation of the factors; 0 gives ones.
    size
        Number or shape of the factors.
    generator
        Source of the factors.
    """
    log_variance = np.log1p(relative_sd**2)
    return generator.lognormal(-log_variance / 2, np.sqrt(log_variance), size)
