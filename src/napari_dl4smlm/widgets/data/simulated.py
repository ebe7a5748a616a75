"""Simulates a frame of what may train, to be compared with a movie of the user's own.

Everything here runs off the GUI thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.simulation.config import MovieConfig, SimulationConfig
from napari_dl4smlm.backend.training.config import DEFAULT_UPSAMPLING_FACTOR, DataConfig
from napari_dl4smlm.widgets.data.checks import some_pixels
from napari_dl4smlm.widgets.data.events import Fault, Ready, SimulatedFrame, about
from napari_dl4smlm.widgets.data.pictures import SIDE_PX, central_part, frame_picture
from napari_dl4smlm.widgets.data.training_source import simulated_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dl4smlm.widgets.sources.choices import MovieChoice


def check_simulation(
    config: SimulationConfig,
    *,
    upsampling_factor: Literal[1, 2, 4, 8] | None,
    seed: int,
    own: MovieChoice | None,
) -> Iterator[object]:
    """Simulate a frame.

    Parameters
    ----------
    config
        What is simulated.
    upsampling_factor
        Fine pixels per camera pixel; ``None`` for the default.
    seed
        The same seed, the same frame.
    own
        The movie to compare with.

    Yields
    ------
    SimulatedFrame, Ready
        In this order, and before them a `Fault` if the movie to compare with cannot be read: that
        keeps nobody from training.

    Raises
    ------
    RefusalError
        The simulation is impossible.
    """
    # imports scipy's special functions
    from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie

    with about("simulation"):
        movie = SimulatedMovie(
            MovieConfig(frames=1, height=SIDE_PX, width=SIDE_PX, seed=seed, simulation=config)
        )
        frame = movie.frame(0)
    size_nm = config.pixel_size_nm
    density = len(movie.truth) / (SIDE_PX * size_nm / 1000) ** 2
    text = (
        f"simulated: {SIDE_PX} × {SIDE_PX} · {size_nm:.4g} nm\n"
        f"{len(movie.truth):,} emitters · {density:.3g} /µm²"
    )
    compared: dict[str, Any] = {}
    if own is not None:
        try:
            compared = _own(own)
        except InputError as error:
            yield Fault("own", str(error))
    yield SimulatedFrame(text, frame, size_nm, **compared)
    source = simulated_source(
        DataConfig(simulation=config),
        f"{_about(config)}\n{size_nm:.4g} nm",
        upsampling_factor or DEFAULT_UPSAMPLING_FACTOR,
    )
    yield Ready(source)


def _own(movie: MovieChoice) -> dict[str, Any]:
    with movie.open(None) as frames:
        return {
            "own": frame_picture(frames, central_part(frames)).pixels,
            "own_pixels": some_pixels(frames),
            "own_name": movie.name,
            "own_pixel_size_nm": frames.pixel_size_nm,
        }


def _about(config: SimulationConfig) -> str:
    low, high = config.density
    density = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    kind = config.structure.kind.replace("_", " ")
    return f"simulation · {kind} · {density} emitters/µm²"
