from __future__ import annotations

import numpy as np
import pytest

from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.simulation.structures import Filaments


@pytest.fixture(scope="session")
def drift_nm() -> np.ndarray:
    """A drift of 200 nm that bends and turns, shape (4000 frames, 2), order (y, x)."""
    time = np.linspace(0, 1, 4000)
    y = 200 * time + 40 * np.sin(4 * np.pi * time)
    x = -150 * time**2 + 30 * np.sin(6 * np.pi * time)
    return np.column_stack([y, x])


@pytest.fixture(scope="session")
def drifting(drift_nm: np.ndarray) -> Localizations:
    """20 000 localizations of 2000 fluorophores on filaments of 12.8 x 12.8 µm, in any order.

    Each has an error of 12 nm in y and in x.
    """
    generator = np.random.default_rng(0)
    sites = Filaments().place((12800.0, 12800.0), generator)(2000, generator)
    frame = generator.integers(0, len(drift_nm), 20_000)
    position = sites[generator.integers(len(sites), size=len(frame))] + drift_nm[frame]
    position = position + generator.normal(0, 12, position.shape)
    return Localizations(frame, position[:, 0], position[:, 1])
