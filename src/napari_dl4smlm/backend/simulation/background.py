"""Light that comes from no emitter: even, sloping, or with the structure of a cell out of focus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, Field, field_validator

from napari_dl4smlm.backend.simulation.ranges import (
    MOST_PHOTONS,
    AboveZero,
    Deviation,
    NotNegative,
    Range,
    at_most,
    draw,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Background(BaseModel, frozen=True, extra="forbid"):
    """A background that stays as it is throughout an acquisition.

    It is the product of a plane and a texture, scaled such that its mean over the field is exact.
    The texture's logarithm is a Gaussian random field: the texture is nowhere below 0, and its
    relative standard deviation is the one asked for on average over many fields that are much
    larger than its length. Within a field as small as that length there is less variation.
    """

    photons: Annotated[NotNegative, at_most(MOST_PHOTONS)] = Field(
        (20.0, 20.0), title="Photons per pixel", description="per pixel, mean over the field"
    )
    slope: NotNegative = Field(
        (0.0, 0.0),
        title="Relative gradient",
        description="relative change from one end of the field to the other, in a random direction",
    )
    texture: Deviation = Field(
        (0.0, 0.0),
        title="Texture (SD / mean)",
        description="relative standard deviation of smooth structure",
    )
    texture_nm: AboveZero = Field(
        (1000.0, 1000.0),
        title="Texture length",
        description="length of that structure: the distance at which the correlation is 1/e",
    )

    @field_validator("slope")
    @classmethod
    def _nowhere_below_zero(cls, slope: Range) -> Range:
        if slope[1] > 2:
            raise ValueError(f"{slope[1]:g} is above 2: one end of the field would be below 0")
        return slope

    def draw(
        self, height: int, width: int, pixel_size_nm: float, generator: np.random.Generator
    ) -> NDArray[np.float64]:
        """Draw the background of one acquisition.

        Parameters
        ----------
        height, width
            Size of the field in camera pixels.
        pixel_size_nm
            Camera pixel.
        generator
            The same state, the same background.

        Returns
        -------
        NDArray
            Expected photons, shape (height, width), not below 0.
        """
        photons = draw(self.photons, generator)
        profile = _plane(height, width, draw(self.slope, generator), generator)
        texture = draw(self.texture, generator)
        length_px = draw(self.texture_nm, generator) / pixel_size_nm
        if texture > 0:
            profile *= _texture(height, width, texture, length_px, generator)
        background: NDArray[np.float64] = photons * (profile / profile.mean())
        return background


def _plane(
    height: int, width: int, slope: float, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Rise from 1 - slope / 2 to 1 + slope / 2 between the field's ends in a random direction."""
    angle = generator.uniform(0, 2 * np.pi)
    rise_y, rise_x = np.sin(angle), np.cos(angle)
    y = np.arange(height)[:, None] + 0.5 - height / 2
    x = np.arange(width) + 0.5 - width / 2
    extent = height * abs(rise_y) + width * abs(rise_x)
    plane: NDArray[np.float64] = 1 + slope * (rise_y * y + rise_x * x) / extent
    return plane


def _texture(
    height: int, width: int, deviation: float, length_px: float, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Draw a log-normal random field of this relative standard deviation, up to a factor."""
    white = generator.standard_normal((height, width))
    # a correlation exp(-r² / length²) is the product of one along y and one along x
    smooth = _correlating(height, length_px) @ white @ _correlating(width, length_px).T
    # the variance of the logarithm of a log-normal number
    field: NDArray[np.float64] = np.exp(np.sqrt(np.log1p(deviation**2)) * smooth)
    return field


def _correlating(n: int, length_px: float) -> NDArray[np.floating]:
    """Return a matrix that gives n independent numbers the correlation exp(-r² / length²)."""
    distance = np.arange(n)[:, None] - np.arange(n)
    correlation = np.exp(-((distance / length_px) ** 2))
    # smooth correlations are singular to within rounding, which a white noise of 1e-4 mends
    return np.linalg.cholesky(correlation + 1e-8 * np.eye(n))
