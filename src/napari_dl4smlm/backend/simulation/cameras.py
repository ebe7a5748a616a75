"""Cameras that differ from acquisition to acquisition, and from pixel to pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, ValidationError, ValidationInfo, field_validator

from napari_dl4smlm.backend.acquisition.camera import Camera, PixelMaps
from napari_dl4smlm.backend.simulation.lognormal import lognormal_around_one
from napari_dl4smlm.backend.simulation.ranges import Deviation, NotNegative, Range, draw

if TYPE_CHECKING:
    import numpy as np


def _of_camera(name: str, title: str) -> Any:
    """Field with the default and the description that it has in :class:`Camera`."""
    field = Camera.model_fields[name]
    default = field.default
    return Field(
        (default, default) if isinstance(default, float) else default,
        title=title,
        description=field.description,
    )


class CameraRanges(BaseModel, frozen=True, extra="forbid"):
    """A camera known in part: each number of :class:`Camera`, or the range in which it lies.

    Whatever describes a :class:`Camera` is welcome, and its limits hold for both ends of a range.
    """

    quantum_efficiency: NotNegative = _of_camera("quantum_efficiency", "Quantum efficiency")
    em_gain: NotNegative = _of_camera("em_gain", "EM gain")
    read_noise: NotNegative = _of_camera("read_noise", "Read noise (electrons)")
    electrons_per_count: NotNegative = _of_camera("electrons_per_count", "Electrons per count")
    baseline: NotNegative = _of_camera("baseline", "Baseline (counts)")
    saturation: int = _of_camera("saturation", "Saturation (counts)")

    @field_validator("*")
    @classmethod
    def _both_ends_are_cameras(cls, value: Range | int, info: ValidationInfo) -> Range | int:
        for end in value if isinstance(value, tuple) else (value,):
            try:
                Camera.model_validate({info.field_name: end})
            except ValidationError as error:
                raise ValueError(f"{end:g}: {error.errors()[0]['msg']}") from error
        return value

    def draw(self, generator: np.random.Generator) -> Camera:
        """Draw the camera of one acquisition, every number evenly from its range."""
        return Camera.model_validate(
            {
                name: draw(value, generator) if isinstance(value, tuple) else value
                for name, value in self
            }
        )


class PixelVariation(BaseModel, frozen=True, extra="forbid"):
    """How much the pixels of an sCMOS camera differ from each other; see :class:`PixelMaps`.

    Baselines are normally distributed around that of the camera. Gain (counts per electron) and
    read noise are lognormally distributed: they are above 0, and few pixels are very noisy.
    """

    baseline_sd: NotNegative = Field(
        (0.0, 0.0),
        title="Baseline SD (counts)",
        description="standard deviation of the baseline between pixels, in counts",
    )
    gain_relative_sd: Deviation = Field(
        (0.0, 0.0),
        title="Gain SD / mean",
        description="standard deviation of the gain between pixels, over its mean",
    )
    read_noise_relative_sd: Deviation = Field(
        (0.0, 0.0),
        title="Read noise SD / mean",
        description="standard deviation of the read noise between pixels, over its mean",
    )

    def draw(
        self, camera: Camera, height: int, width: int, generator: np.random.Generator
    ) -> PixelMaps:
        """Draw the pixels of one camera.

        Parameters
        ----------
        camera
            Has the mean baseline, gain and read noise of its pixels: uniform light gives the same
            mean counts with and without the maps.
        height, width
            Size of the maps in pixels.
        generator
            Source of the numbers: the same state, the same pixels. A parameter that is a range is
            drawn once.
        """
        size = (height, width)
        baseline_sd, gain_sd, read_noise_sd = (draw(sd, generator) for _, sd in self)
        gain = lognormal_around_one(gain_sd, size, generator) / camera.electrons_per_count
        return PixelMaps(
            baseline=generator.normal(camera.baseline, baseline_sd, size),
            electrons_per_count=1 / gain,
            read_noise=camera.read_noise * lognormal_around_one(read_noise_sd, size, generator),
        )
