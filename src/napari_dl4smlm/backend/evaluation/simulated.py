"""A test set that is simulated, of random numbers that no training has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.simulation.simulator import Purpose, Simulator, film_independently

if TYPE_CHECKING:
    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.localizations.table import Localizations
    from napari_dl4smlm.backend.simulation.config import MovieConfig


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
    frames, truth = film_independently(
        Simulator(config.simulation),
        config.frames,
        height=config.height,
        width=config.width,
        seed=config.seed,
        purpose=Purpose.TEST,
    )
    return open_frames(frames, pixel_size_nm=config.simulation.pixel_size_nm), truth
