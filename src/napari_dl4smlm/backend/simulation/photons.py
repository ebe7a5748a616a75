"""How bright fluorophores are: the photons of each that reach the camera in a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from napari_dl4smlm.backend.simulation.kinds import by_kind
from napari_dl4smlm.backend.simulation.lognormal import lognormal_around_one
from napari_dl4smlm.backend.simulation.ranges import (
    MOST_DEVIATION,
    MOST_PHOTONS,
    AboveZero,
    at_most,
    draw,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_Photons = Annotated[AboveZero, at_most(MOST_PHOTONS)]


class UniformPhotons(BaseModel, frozen=True, extra="forbid"):
    """Every number of photons between two limits is as likely."""

    kind: Literal["uniform"] = "uniform"
    low: _Photons = Field(
        (500.0, 500.0), title="Fewest photons", description="fewest photons in a frame"
    )
    high: _Photons = Field(
        (2000.0, 2000.0), title="Most photons", description="most photons in a frame"
    )

    @model_validator(mode="after")
    def _low_below_high(self) -> UniformPhotons:
        if self.low[1] > self.high[0]:
            raise ValueError(f"low reaches {self.low[1]:g}, above high from {self.high[0]:g}")
        return self

    def emit(self, n: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """Return what `emit` of :data:`Photons` does."""
        low = draw(self.low, generator)
        return generator.uniform(low, draw(self.high, generator), n)


class LognormalPhotons(BaseModel, frozen=True, extra="forbid"):
    """The logarithm of the photons is normally distributed, as brightness often is."""

    kind: Literal["lognormal"] = "lognormal"
    mean: _Photons = Field(
        (1000.0, 1000.0), title="Mean photons", description="mean photons in a frame"
    )
    relative_sd: Annotated[AboveZero, at_most(MOST_DEVIATION)] = Field(
        (0.5, 0.5),
        title="SD / mean",
        description="standard deviation of the photons over their mean",
    )

    def emit(self, n: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """Return what `emit` of :data:`Photons` does."""
        mean = draw(self.mean, generator)
        return mean * lognormal_around_one(draw(self.relative_sd, generator), n, generator)


class ExponentialPhotons(BaseModel, frozen=True, extra="forbid"):
    """Dim fluorophores are the most frequent."""

    kind: Literal["exponential"] = "exponential"
    mean: _Photons = Field(
        (1000.0, 1000.0), title="Mean photons", description="mean photons in a frame"
    )

    def emit(self, n: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """Return what `emit` of :data:`Photons` does."""
        return generator.exponential(draw(self.mean, generator), n)


Photons = Annotated[
    UniformPhotons | LognormalPhotons | ExponentialPhotons,
    Field(discriminator="kind"),
    by_kind("uniform", "lognormal", "exponential"),
]
"""Distribution of the photons that reach the camera from a fluorophore on for a whole frame.

``emit(n, generator)`` draws those of n fluorophores in one acquisition, shape (n,), before the
shot noise of the camera. A parameter that is a range is drawn once in every call.
"""
