"""Bring camera counts to the range a network was trained on, with numbers frozen at training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, Field

from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


class Normalization(BaseModel, frozen=True, extra="forbid"):
    """Affine map from camera counts to network input, fitted once on the training frames.

    The numbers travel inside the model file, so that a new movie is fed exactly as the training
    movie was. Per-frame scaling to the frame's own minimum and maximum, as published with
    Deep-STORM and FID-STORM, is not offered: it turns the noise of an empty frame into spots and
    makes the input of one emitter depend on the brightest other one.
    """

    offset: float = Field(allow_inf_nan=False, description="mean of the training frames, in counts")
    scale: float = Field(
        gt=0,
        allow_inf_nan=False,
        description="standard deviation of the training frames, in counts",
    )
    background: float = Field(description="median of the training frames, in counts")
    brightest: float = Field(description="99.9th percentile of the training frames, in counts")

    @classmethod
    def fit(cls, batches: Iterable[NDArray[np.generic]]) -> Normalization:
        """Measure the numbers on frames.

        Parameters
        ----------
        batches
            Frames of shape (..., Y, X), in counts; they are held in memory together.

        Raises
        ------
        InputError
            There is no frame, or every pixel has the same value.
        """
        pixels = [np.asarray(batch, dtype=np.float32).ravel() for batch in batches]
        counts = np.concatenate(pixels) if pixels else np.empty(0, np.float32)
        if counts.size == 0:
            raise InputError("There is no training frame to measure the intensities on.")
        scale = float(counts.std(dtype=np.float64))
        if scale == 0:
            raise InputError(
                f"Every pixel of the training frames has the value {counts[0]:g}: there is "
                "nothing to learn from. Check that the right file was chosen."
            )
        background, brightest = np.percentile(counts, [50, 99.9])
        return cls(
            offset=float(counts.mean(dtype=np.float64)),
            scale=scale,
            background=float(background),
            brightest=float(brightest),
        )

    def apply(self, frames: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return the frames as the network wants them.

        Parameters
        ----------
        frames
            Camera counts, any shape.
        """
        normalized = np.array(frames, dtype=np.float32)
        normalized -= np.float32(self.offset)
        normalized /= np.float32(self.scale)
        return normalized

    def mismatch(self, frames: NDArray[np.generic]) -> str | None:
        """Say how the intensities of frames differ from those of the training frames, if they do.

        Parameters
        ----------
        frames
            A sample of the movie to be predicted, in counts.

        Returns
        -------
        str or None
            A sentence for the user, or ``None`` while the background lies within a quarter, and
            the brightest spots within a factor of two, of the training range.
        """
        background, brightest = (
            float(v) for v in np.percentile(np.asarray(frames, np.float32), [50, 99.9])
        )
        trained_range = self.brightest - self.background
        movie_range = brightest - background
        if abs(background - self.background) > 0.25 * trained_range:
            differs = "background"
        elif not 0.5 * trained_range <= movie_range <= 2 * trained_range:
            differs = "brightness of the spots"
        else:
            return None
        return (
            f"The {differs} of this movie lies outside of what the model was trained on: median "
            f"{background:.4g} and 99.9th percentile {brightest:.4g} counts here, "
            f"{self.background:.4g} and {self.brightest:.4g} in training. Localizations may be "
            "missed or invented; train on frames like these."
        )
