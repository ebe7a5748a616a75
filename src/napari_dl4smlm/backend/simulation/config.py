"""What is simulated: sample, optics and camera of an acquisition, and the movie made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, model_validator

from napari_dl4smlm.backend.simulation.background import Background
from napari_dl4smlm.backend.simulation.blinking import Blinking
from napari_dl4smlm.backend.simulation.cameras import CameraRanges, PixelVariation
from napari_dl4smlm.backend.simulation.photons import Photons, UniformPhotons
from napari_dl4smlm.backend.simulation.psf import PSF, GaussianPSF
from napari_dl4smlm.backend.simulation.ranges import NotNegative
from napari_dl4smlm.backend.simulation.structures import Random, Structure


class SimulationConfig(BaseModel, frozen=True, extra="forbid"):
    """An acquisition, or with ranges in place of numbers, a family of them.

    Every movie, and every patch that trains a network, is an acquisition of its own: it draws one
    number from each range. Narrow ranges train a network that is precise on one microscope, broad
    ranges one that bears with more.
    """

    pixel_size_nm: float = Field(
        100.0, gt=0, allow_inf_nan=False, title="Pixel size", description="camera pixel in nm"
    )
    density: NotNegative = Field(
        (0.5, 3.0),
        title="Density (per µm²)",
        description="emitters per µm² that are on at any moment; mean over the field",
    )
    structure: Structure = Field(
        Random(), title="Structure", description="where in the sample the fluorophores are"
    )
    blinking: Blinking | None = Field(
        None,
        title="Blinking",
        description="how fluorophores turn on and off; without it, each is on for one whole frame",
    )
    photons: Photons = Field(
        UniformPhotons(),
        title="Photons",
        description="photons that reach the camera from a fluorophore in a frame during which it "
        "is always on",
    )
    psf: PSF = Field(GaussianPSF(), title="PSF", description="image of one emitter")
    background: Background = Field(
        Background(photons=(10.0, 50.0)), title="Background", description="light from elsewhere"
    )
    camera: CameraRanges = Field(CameraRanges(), title="Camera", description="photons to counts")
    pixel_variation: PixelVariation | None = Field(
        None, title="Pixel variation", description="how the pixels of an sCMOS camera differ"
    )
    pixel_maps: Path | None = Field(
        None,
        title="Pixel maps",
        description=".npz with the maps baseline, electrons_per_count and read_noise of an sCMOS "
        "camera, of which a random part is used",
    )

    @model_validator(mode="after")
    def _one_kind_of_maps(self) -> SimulationConfig:
        if self.pixel_maps is not None and self.pixel_variation is not None:
            raise ValueError("give either pixel_maps or pixel_variation, not both")
        return self


class MovieConfig(BaseModel, frozen=True, extra="forbid"):
    """A simulated movie: together with the version of this package, all that it depends on."""

    frames: int = Field(100, ge=1, title="Frames", description="length of the movie")
    height: int = Field(64, ge=8, title="Height", description="camera pixels")
    width: int = Field(64, ge=8, title="Width", description="camera pixels")
    seed: int = Field(0, ge=0, title="Seed", description="same seed, same movie")
    simulation: SimulationConfig = SimulationConfig()

    def to_dict(self) -> dict[str, Any]:
        """Return what :meth:`model_validate` reads back, in plain JSON types."""
        return self.model_dump(mode="json")
