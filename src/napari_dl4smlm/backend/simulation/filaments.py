"""A small movie of blinking emitters on filaments, for the demo: Gaussian spots, camera noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, Field

from napari_dl4smlm.backend.acquisition.camera import Camera
from napari_dl4smlm.backend.localizations.density_map import render_density_map
from napari_dl4smlm.backend.localizations.table import Localizations

if TYPE_CHECKING:
    from numpy.typing import NDArray

_POINTS_PER_FILAMENT = 2000


class FilamentMovieConfig(BaseModel, frozen=True, extra="forbid"):
    """What is filmed, and with which camera."""

    n_frames: int = Field(100, ge=1)
    height: int = Field(64, ge=8, description="camera pixels")
    width: int = Field(64, ge=8, description="camera pixels")
    pixel_size_nm: float = Field(100.0, gt=0)
    psf_sigma_nm: float = Field(120.0, gt=0)
    filaments: int = Field(8, ge=1)
    filament_radius_nm: float = Field(
        12.0, ge=0, description="standard deviation of the emitters' distance from the axis"
    )
    emitters_per_frame: float = Field(60.0, gt=0, description="mean of a Poisson distribution")
    photons: tuple[float, float] = Field((800.0, 2500.0), description="lowest and highest, uniform")
    background_photons: float = Field(20.0, ge=0, description="per pixel")
    camera: Camera = Camera()


@dataclass(frozen=True)
class SimulatedMovie:
    """Frames (N, Y, X) in counts, and the positions and photons of the emitters in them."""

    frames: NDArray[np.uint16]
    truth: Localizations


def simulate_filaments(config: FilamentMovieConfig, *, seed: int) -> SimulatedMovie:
    """Film emitters that light up at random places of curved filaments, each for one frame.

    Parameters
    ----------
    config
        What is filmed, and with which camera.
    seed
        Same seed, same movie.
    """
    generator = np.random.default_rng(seed)
    axes = _filament_axes(config, generator)
    counts = generator.poisson(config.emitters_per_frame, config.n_frames)
    positions = axes[generator.integers(len(axes), size=counts.sum())]
    positions = positions + generator.normal(0, config.filament_radius_nm, positions.shape)
    truth = Localizations(
        frame=np.repeat(np.arange(config.n_frames), counts),
        y_nm=positions[:, 0],
        x_nm=positions[:, 1],
        photons=generator.uniform(*config.photons, len(positions)),
    )
    field_nm = np.array([config.height, config.width]) * config.pixel_size_nm
    truth = truth[((positions >= 0) & (positions < field_nm)).all(axis=1)]
    frames = np.stack([_film(truth, k, config, generator) for k in range(config.n_frames)])
    return SimulatedMovie(frames, truth)


def _filament_axes(
    config: FilamentMovieConfig, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Points (N, 2) in nm, spread evenly along arcs that cross the field from side to side."""
    field_nm = np.array([config.height, config.width]) * config.pixel_size_nm
    centre = field_nm / 2
    along = np.linspace(-0.75, 0.75, _POINTS_PER_FILAMENT)
    axes = []
    for angle in np.pi * (np.arange(config.filaments) + generator.random()) / config.filaments:
        direction = np.array([np.sin(angle), np.cos(angle)])
        normal = np.array([-direction[1], direction[0]])
        offset = generator.uniform(-0.35, 0.35)
        bend = generator.uniform(-0.4, 0.4)
        sideways = offset + bend * along**2
        axes.append(centre + field_nm * (np.outer(along, direction) + np.outer(sideways, normal)))
    return np.concatenate(axes)


def _film(
    truth: Localizations, frame: int, config: FilamentMovieConfig, generator: np.random.Generator
) -> NDArray[np.uint16]:
    in_frame = truth[truth.frame == frame]
    expected = config.background_photons + render_density_map(
        in_frame.positions_nm(),
        height=config.height,
        width=config.width,
        pixel_size_nm=config.pixel_size_nm,
        upsampling_factor=1,
        sigma_px=config.psf_sigma_nm / config.pixel_size_nm,
        weights=in_frame.photons,
    )
    return config.camera.expose(expected, generator)
