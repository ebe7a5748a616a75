"""What a camera makes of photons, and how many photons its counts stand for."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, Field

from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

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

    @property
    def variance_per_photon(self) -> float:
        """Variance that a photon adds to the photons which :meth:`to_photons` tells; at least 1."""
        return self.excess_noise / self.quantum_efficiency

    @property
    def read_noise_photons(self) -> float:
        """Read noise in the photons that :meth:`to_photons` tells, rms."""
        return self.read_noise / (self.em_gain * self.quantum_efficiency)

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

    @classmethod
    def read(cls, path: Path) -> PixelMaps:
        """Read the maps from an ``.npz`` file with arrays of the names above.

        Parameters
        ----------
        path
            As written by ``numpy.savez(path, baseline=..., electrons_per_count=...,
            read_noise=...)``. Pickled objects are not loaded.

        Raises
        ------
        InputError
            The file or one of its arrays is missing or cannot be read, or no camera has such maps.
        """
        maps = cls(**_read_arrays(path, [field.name for field in fields(cls)]))
        shapes = {name: values.shape for name, values in vars(maps).items()}
        if len(set(shapes.values())) > 1 or maps.baseline.ndim != 2 or not maps.baseline.size:
            listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise InputError(f"The maps in {path} need one shape (Y, X), but have: {listed}.")
        for name, values in vars(maps).items():
            if not np.isfinite(values).all():
                raise InputError(f"{name} in {path} holds NaN or infinite pixels. Replace them.")
        if maps.electrons_per_count.min() <= 0:
            lowest = f"{maps.electrons_per_count.min():g}"
            raise InputError(
                f"electrons_per_count in {path} is {lowest} somewhere; it must be above 0 "
                "everywhere. Replace dead pixels by their neighbours."
            )
        if maps.read_noise.min() < 0:
            lowest = f"{maps.read_noise.min():g}"
            raise InputError(
                f"read_noise in {path} is {lowest} somewhere, below 0. Give electrons, rms."
            )
        return maps

    def crop(self, top: int, left: int, height: int, width: int) -> PixelMaps:
        """Return the maps of a part of the camera.

        Parameters
        ----------
        top, left
            First row and column, counted from 0.
        height, width
            Size of the part in pixels.

        Raises
        ------
        InputError
            The part reaches beyond the maps.
        """
        n_rows, n_columns = self.baseline.shape
        if not (0 <= top <= n_rows - height and 0 <= left <= n_columns - width):
            raise InputError(
                f"The camera's maps have {n_rows} x {n_columns} pixels (Y x X); {height} x {width} "
                f"from row {top} and column {left} reach beyond them. Give maps of the whole "
                "sensor, or a smaller part."
            )
        part = np.s_[top : top + height, left : left + width]
        return PixelMaps(self.baseline[part], self.electrons_per_count[part], self.read_noise[part])


def _read_arrays(path: Path, names: list[str]) -> dict[str, NDArray[np.float64]]:
    if not path.is_file():
        raise InputError(f"There is no file {path}. Check the name.")
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path} is no .npz file. Write the maps with numpy.savez.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {n: np.asarray(archive[n], np.float64) for n in names if n in archive}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} cannot be read as an .npz file: {error}.") from error
    if missing := [name for name in names if name not in arrays]:
        raise InputError(
            f"{path} holds no {' and no '.join(missing)}. Name the arrays {', '.join(names)} in "
            "numpy.savez."
        )
    return arrays
