"""Small simulated acquisitions to try everything on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image

from napari_dl4smlm.backend.localizations.density_map import render_density_map
from napari_dl4smlm.backend.simulation.config import MovieConfig, SimulationConfig
from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie
from napari_dl4smlm.backend.simulation.structures import Filaments
from napari_dl4smlm.widgets.layers.layers import (
    MARK,
    movie_transform,
    table_layer_data,
    upsampled_transform,
)

if TYPE_CHECKING:
    from typing import Any

_UPSAMPLING_FACTOR = 4
_MOVIE = MovieConfig(
    frames=60,
    height=64,
    width=64,
    simulation=SimulationConfig(
        structure=Filaments(length_um_per_um2=(1.0, 1.0)), density=(0.6, 0.6)
    ),
)


def filaments() -> list[tuple[Any, ...]]:
    """Film blinking filaments: the movie, and the true positions of the emitters."""
    movie = SimulatedMovie(_MOVIE)
    layer = _movie_layer(movie, name="filaments")
    positions = table_layer_data(
        movie.truth,
        name="filaments: true positions",
        mark={"role": "ground truth", "movie": layer.name},
    )
    return [layer.as_layer_data_tuple(), positions]


def unseen() -> list[tuple[Any, ...]]:
    """Film other filaments, for a network that learned from the first: a movie alone."""
    movie = SimulatedMovie(_MOVIE.model_copy(update={"frames": 500, "seed": 3}))
    return [_movie_layer(movie, name="other filaments").as_layer_data_tuple()]


def pairs() -> list[tuple[Any, ...]]:
    """Film blinking filaments: the frames, and for each the density map of its emitters."""
    movie = SimulatedMovie(_MOVIE)
    layer = _movie_layer(movie, name="pairs: frames")
    truth = movie.truth
    maps = np.stack(
        [
            render_density_map(
                truth.in_frames(range(number, number + 1)).positions_nm(),
                height=_MOVIE.height,
                width=_MOVIE.width,
                pixel_size_nm=_MOVIE.simulation.pixel_size_nm,
                upsampling_factor=_UPSAMPLING_FACTOR,
                sigma_px=1.0,
            )
            for number in range(_MOVIE.frames)
        ]
    )
    attributes = {
        "name": f"pairs: density maps ×{_UPSAMPLING_FACTOR}",
        "metadata": {MARK: {"role": "ground truth", "movie": layer.name}},
        "colormap": "inferno",
        "blending": "additive",
        **upsampled_transform(layer, _UPSAMPLING_FACTOR),
    }
    return [layer.as_layer_data_tuple(), (maps, attributes, "image")]


def _movie_layer(movie: SimulatedMovie, *, name: str) -> Image:
    return Image(
        movie.frames(),
        name=name,
        metadata={MARK: {"role": "movie"}},
        **movie_transform(_MOVIE.simulation.pixel_size_nm),
    )
