"""A test set that is simulated, of random numbers that no training has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.simulation.simulator import Simulator, stream

if TYPE_CHECKING:
    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.simulation.config import MovieConfig

# what the random numbers are for; movies use 0 and 1, validation and normalization 2 and 3
_TEST = 4


def simulate_test_set(config: MovieConfig) -> tuple[FrameStack, Localizations]:
    """Film frames of which each is an acquisition of its own.

    No frame is one of a training, nor of the movie of the same config, whatever the seeds.

    Parameters
    ----------
    config
        Number and size of the frames, seed, and what is simulated.

    Returns
    -------
    FrameStack
        The frames, in memory, with their pixel size.
    Localizations
        The emitters inside the frames, however dim they are.

    Raises
    ------
    InputError
        The simulation is impossible, such as with a PSF wider than the field.
    """
    simulator = Simulator(config.simulation)
    frames, tables = [], []
    for number in range(config.frames):
        generator = stream(config.seed, _TEST, number)
        scene = simulator.scene(generator, height=config.height, width=config.width)
        truth = scene.truth
        frames.append(scene.film(0, generator))
        tables.append(Localizations(np.full(len(truth), number), truth.y_nm, truth.x_nm))
    movie = open_frames(np.stack(frames), pixel_size_nm=config.simulation.pixel_size_nm)
    return movie, Localizations.concatenate(tables)
