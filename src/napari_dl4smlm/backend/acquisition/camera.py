"""What a camera makes of photons, and how many photons its counts stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Camera(BaseModel, frozen=True, extra="forbid"):
    """An sCMOS, CCD or EMCCD camera.

    A pixel that expects n photons detects a Poisson distributed number of electrons with mean
    q n. In an EMCCD their number is multiplied at random, by the EM gain on average, which doubles
    the variance of the signal (a gamma distribution; Hirsch et al.). Normally distributed read
    noise is added, and the sum is digitized.

    References
    ----------
    M. Hirsch et al., PLoS ONE 8, e53671 (2013), doi:10.1371/journal.pone.0053671
    """

    quantum_efficiency: float = Field(1.0, gt=0, le=1, description="electrons per photon, q")
    em_gain: float = Field(1.0, ge=1, allow_inf_nan=False, description="1: no multiplication")
    read_noise: float = Field(
        1.0, ge=0, allow_inf_nan=False, description="electrons after multiplication, rms"
    )
    electrons_per_count: float = Field(
        0.5, gt=0, allow_inf_nan=False, description="after multiplication"
    )
    baseline: float = Field(100.0, ge=0, allow_inf_nan=False, description="counts without light")
    saturation: int = Field(65535, gt=0, le=65535, description="largest count")

    @property
    def excess_noise(self) -> float:
        """Variance of the multiplied signal over that of its electrons; 2 in an EMCCD."""
        return 2.0 if self.em_gain > 1 else 1.0

    @property
    def counts_per_photon(self) -> float:
        """Mean counts that one photon adds."""
        return self.quantum_efficiency * self.em_gain / self.electrons_per_count

    def expose(
        self,
        photons: NDArray[np.floating],
        generator: np.random.Generator,
        *,
        pixels: PixelMaps | None = None,
    ) -> NDArray[np.uint16]:
        """Film frames.

        Parameters
        ----------
        photons
            Expected photons in every pixel, shape (..., Y, X), not below 0.
        generator
            Source of the noise: the same state, the same frames.
        pixels
            What differs from pixel to pixel; it replaces the camera's own numbers.
        """
        electrons = generator.poisson(self.quantum_efficiency * np.asarray(photons, np.float64))
        signal = electrons.astype(np.float64)
        if self.em_gain > 1:
            # a gamma distribution of shape 0 is no distribution: without electrons, no signal
            multiplied = generator.gamma(np.maximum(signal, 1), self.em_gain)
            signal = np.where(electrons > 0, multiplied, 0.0)
        read_noise = self.read_noise if pixels is None else pixels.read_noise
        per_count = self.electrons_per_count if pixels is None else pixels.electrons_per_count
        baseline = self.baseline if pixels is None else pixels.baseline
        signal += read_noise * generator.standard_normal(signal.shape)
        counts = np.rint(signal / per_count + baseline)
        return counts.clip(0, self.saturation).astype(np.uint16)

    def to_photons(
        self, counts: NDArray[np.generic], *, pixels: PixelMaps | None = None
    ) -> NDArray[np.float32]:
        """Return the photons that counts stand for on average; below 0 where noise is.

        Parameters
        ----------
        counts
            Shape (..., Y, X).
        pixels
            What differs from pixel to pixel; it replaces the camera's own numbers.
        """
        per_count = self.electrons_per_count if pixels is None else pixels.electrons_per_count
        baseline = self.baseline if pixels is None else pixels.baseline
        electrons = (np.asarray(counts, np.float64) - baseline) * per_count / self.em_gain
        return (electrons / self.quantum_efficiency).astype(np.float32)

    def count_variance(self, photons: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the variance of the counts that expect so many photons.

        Rounding is included, as long as the noise is at least half a count and nothing saturates.
        """
        electrons = self.quantum_efficiency * np.asarray(photons, np.float64)
        signal: NDArray[np.float64] = self.excess_noise * self.em_gain**2 * electrons
        # a uniform error within one count has the variance 1/12
        return (signal + self.read_noise**2) / self.electrons_per_count**2 + 1 / 12


@dataclass(frozen=True)
class PixelMaps:
    """What differs between the pixels of an sCMOS camera; each map has the shape (Y, X).

    Attributes
    ----------
    baseline
        Counts without light.
    electrons_per_count
        Inverse of the gain.
    read_noise
        Electrons, rms.

    References
    ----------
    F. Huang et al., Nat. Methods 10, 653 (2013), doi:10.1038/nmeth.2488
    """

    baseline: NDArray[np.floating]
    electrons_per_count: NDArray[np.floating]
    read_noise: NDArray[np.floating]
