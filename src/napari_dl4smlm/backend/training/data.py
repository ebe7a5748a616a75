"""What a network learns from: a movie with truth, pairs of images, or simulated patches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from napari_dl4smlm.backend.training.filmed import FilmedData
from napari_dl4smlm.backend.training.simulated import SimulatedData

if TYPE_CHECKING:
    from types import TracebackType

    from pydantic import JsonValue

    from napari_dl4smlm.backend.acquisition.normalization import Normalization
    from napari_dl4smlm.backend.training.config import DataConfig
    from napari_dl4smlm.backend.training.datasets import LabelledFrames, Patches


class TrainingData(Protocol):
    """Where training patches and validation frames come from.

    Use it as a context manager, or call :meth:`close` when done.
    """

    @property
    def upsampling_factor(self) -> int:
        """Fine pixels per camera pixel."""
        ...

    @property
    def pixel_size_nm(self) -> float | None:
        """Camera pixel; ``None`` where pairs of images do not tell it."""
        ...

    @property
    def n_training_frames(self) -> int | None:
        """How many frames train; ``None`` if patches are made anew, without end."""
        ...

    @property
    def validation(self) -> LabelledFrames:
        """The frames to validate on, the same throughout; none of them trains."""
        ...

    def fit_normalization(self) -> Normalization:
        """Measure the intensities of frames that train."""
        ...

    def training_set(
        self,
        normalization: Normalization,
        *,
        patch_size: int,
        patches: int,
        min_emitters: int,
        augment: bool,
        target_sigma_px: float,
        seed: int,
    ) -> Patches:
        """Return patches to train on; the parameters are those of ``ImageDataset``."""
        ...

    def record(self) -> dict[str, JsonValue]:
        """Return what tells, later, which data trained a model."""
        ...

    def close(self) -> None:
        """Close all files."""
        ...

    def __enter__(self) -> TrainingData: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


def open_training_data(config: DataConfig, *, seed: int) -> TrainingData:
    """Open or simulate the data that a config describes.

    Parameters
    ----------
    config
        A movie with positions, a pair of images, or a simulation.
    seed
        Draws the frames that validate; of a simulation, all of them.

    Raises
    ------
    InputError
        A file cannot be used, frames and truth do not fit each other, there are fewer than two
        frames, or the simulation is impossible.
    """
    if config.simulation is not None:
        return SimulatedData(config, seed=seed)
    return FilmedData.open(config, seed=seed)
