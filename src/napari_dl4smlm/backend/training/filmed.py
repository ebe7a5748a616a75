"""Movies with truth, opened from files or arrays, and divided into training and validation."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dl4smlm.backend.acquisition.frames import FrameStack, open_frames, parse_frame_range
from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.training.config import DEFAULT_UPSAMPLING_FACTOR
from napari_dl4smlm.backend.training.datasets import ImageDataset, LabelledFrames
from napari_dl4smlm.backend.training.division import split_frames
from napari_dl4smlm.backend.training.pairs import infer_upsampling_factor, open_pair
from napari_dl4smlm.backend.training.truth import Patch, Truth, image_truth, position_truth

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray
    from pydantic import JsonValue

    from napari_dl4smlm.backend.training.config import DataConfig

_PIXELS_TO_NORMALIZE = 2**25
"""Enough for four digits of a mean, and 128 MiB."""


@dataclass(frozen=True)
class FilmedData:
    """Frames with truth, and which of them train and which validate.

    Attributes
    ----------
    frames
        The raw movie.
    truth
        What is in its frames.
    upsampling_factor
        Fine pixels per camera pixel.
    pixel_size_nm
        Camera pixel; ``None`` where pairs of images do not tell it.
    training_frames, validation_frames
        Frame numbers in the movie; no frame is in both.
    """

    frames: FrameStack
    truth: Truth
    upsampling_factor: int
    pixel_size_nm: float | None
    training_frames: tuple[int, ...]
    validation_frames: tuple[int, ...]
    _files: ExitStack = field(default_factory=ExitStack, repr=False, compare=False)

    @classmethod
    def open(cls, config: DataConfig, *, seed: int) -> FilmedData:
        """Open the data that a config describes; ``seed`` draws the validation frames.

        Use the result as a context manager, or call :meth:`close` when done.

        Raises
        ------
        InputError
            A file cannot be used, frames and truth do not fit each other, or there are fewer than
            two frames.
        """
        with ExitStack() as files:
            frames, truth, factor = _open_frames_and_truth(config, files)
            training, validation = split_frames(
                parse_frame_range(config.frames, frames.n_frames),
                validation_fraction=config.validation_fraction,
                validation_frames=None
                if config.validation_frames is None
                else parse_frame_range(config.validation_frames, frames.n_frames),
                seed=seed,
            )
            kept_open = files.pop_all()
        return cls(frames, truth, factor, frames.pixel_size_nm, training, validation, kept_open)

    def close(self) -> None:
        """Close the files that :meth:`open` opened."""
        self._files.close()

    def __enter__(self) -> FilmedData:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def n_training_frames(self) -> int:
        """How many frames train."""
        return len(self.training_frames)

    @property
    def validation(self) -> LabelledFrames:
        """The frames to validate on."""
        return LabelledFrames(self.frames, self.truth, self.validation_frames)

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
    ) -> ImageDataset:
        """Return random patches of the training frames; see :class:`ImageDataset`."""
        return ImageDataset(
            LabelledFrames(self.frames, self.truth, self.training_frames),
            normalization,
            patch_size=patch_size,
            patches=patches,
            min_emitters=min_emitters,
            augment=augment,
            target_sigma_px=target_sigma_px,
            seed=seed,
        )

    def record(self) -> dict[str, JsonValue]:
        """Return what tells, later, which frames trained a model."""
        return {
            "movie": self.frames.name,
            "movie_fingerprint": self.frames.fingerprint(),
            "training_frames": list(self.training_frames),
            "validation_frames": list(self.validation_frames),
            "truth_fingerprint": self._truth_fingerprint,
        }

    @cached_property
    def _truth_fingerprint(self) -> str:
        """A checksum by which the truth of the frames in use is known again.

        Of all positions, in pixels and in any order, or else of up to 16 images.
        """
        used = sorted({*self.training_frames, *self.validation_frames})
        wholes = [Patch(k, 0, 0, self.frames.height, self.frames.width) for k in used]
        tables = [table for each in wholes if (table := self.truth.positions_nm(each)) is not None]
        parts: list[NDArray[Any]]
        if tables:
            parts = [_in_order(table / (self.pixel_size_nm or 1.0)) for table in tables]
        else:
            spread = np.linspace(0, len(wholes) - 1, min(16, len(wholes))).round().astype(int)
            parts = [self.truth.render(wholes[k], 0.0) for k in spread]
        digest = hashlib.sha256()
        for part in parts:
            digest.update(repr(part.shape).encode() + part.tobytes())
        return digest.hexdigest()

    def fit_normalization(self) -> Normalization:
        """Measure the intensities of training frames that are spread over the movie."""
        count = max(1, _PIXELS_TO_NORMALIZE // (self.frames.height * self.frames.width))
        count = min(count, len(self.training_frames))
        spread = np.linspace(0, len(self.training_frames) - 1, count).round()
        numbers = [self.training_frames[k] for k in np.unique(spread.astype(int))]
        return Normalization.fit(self.frames.read(k, k + 1) for k in numbers)


def _in_order(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    return positions[np.lexsort(positions.T)]


def _open_frames_and_truth(config: DataConfig, files: ExitStack) -> tuple[FrameStack, Truth, int]:
    """Return frames, truth and upsampling factor; ``files`` closes what was opened."""
    if config.pairs is not None:
        frames, images = open_pair(*config.pairs, pixel_size_nm=config.pixel_size_nm)
        files.enter_context(frames)
        files.enter_context(images)
        factor = infer_upsampling_factor(frames, images, config.upsampling_factor)
        return frames, image_truth(images, upsampling_factor=factor), factor
    assert config.movie is not None  # the config's own check, which mypy cannot see
    assert config.localizations is not None
    frames = files.enter_context(open_frames(config.movie, pixel_size_nm=config.pixel_size_nm))
    factor = config.upsampling_factor or DEFAULT_UPSAMPLING_FACTOR
    return frames, position_truth(frames, config.localizations, upsampling_factor=factor), factor
