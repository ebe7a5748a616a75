"""`dl4smlm simulate`: a movie whose every emitter is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

from napari_dl4smlm.backend.config_file import build, read_config, write_config
from napari_dl4smlm.backend.simulation.config import MovieConfig
from napari_dl4smlm.backend.simulation.structures import STRUCTURES
from napari_dl4smlm.cli.config_sections import section
from napari_dl4smlm.cli.options import report_errors

if TYPE_CHECKING:
    from napari_dl4smlm.backend.acquisition.camera import Camera
    from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie

_MOST_AT_ZERO = 0.001
"""Of the pixels: noise reaches three standard deviations below a baseline as often as that."""


@click.command(
    epilog="Example: dl4smlm simulate --out movie --frames 200 --density 2 --structure filaments"
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="folder for frames.tif, localizations.csv and simulation.yaml",
)
@click.option("--frames", type=int, help=f"length  [default: {MovieConfig().frames}]")
@click.option(
    "--size", type=int, help=f"height and width in camera pixels  [default: {MovieConfig().height}]"
)
@click.option("--seed", type=int, help="same seed, same movie  [default: 0]")
@click.option("--density", metavar="N[:N]", help="emitters per µm² that are on at any moment")
@click.option(
    "--structure",
    type=click.Choice(list(STRUCTURES)),
    help="where the fluorophores are  [default: random]",
)
@click.option("--pixel-size-nm", type=float, help="camera pixel  [default: 100]")
@click.option("--psf-sigma-nm", metavar="N[:N]", help="width of a Gaussian PSF")
@click.option("--photons", metavar="N:N", help="lowest and highest of evenly spread photons")
@click.option("--background", metavar="N[:N]", help="photons per pixel")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="YAML with everything that can be simulated, as simulation.yaml; options given here win",
)
@report_errors
def simulate(out: Path, config: Path | None, **options: Any) -> None:
    """Simulate a movie, with a table of the true positions.

    N:N is a range from which the movie draws one number. simulation.yaml has all parameters, also
    those that have no option here: blinking, cameras, measured PSFs, structured background. With
    it, the same movie can be made again, and networks can be trained for movies like it:
    dl4smlm train --simulate simulation.yaml.
    """
    movie_config = build(MovieConfig, _with_options(read_config(config), options))
    from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie

    movie = SimulatedMovie(movie_config)
    out.mkdir(parents=True, exist_ok=True)
    write_movie(movie, out)
    write_config(out / "simulation.yaml", movie_config.to_dict())
    area_um2 = movie_config.height * movie_config.width * movie.scene.pixel_size_nm**2 / 1e6
    per_frame = len(movie.truth) / movie_config.frames
    click.echo(
        f"{movie_config.frames:,} frames with {per_frame:.1f} emitters each, "
        f"{per_frame / area_um2:.2f} per µm². Written: {out / 'frames.tif'}, "
        f"{out / 'localizations.csv'}, {out / 'simulation.yaml'}"
    )


def write_movie(movie: SimulatedMovie, folder: Path) -> None:
    """Write frames.tif and localizations.csv, one frame after the other.

    Warns if the camera cuts off counts: networks that learn from these expect the same of movies.
    """
    from napari_dl4smlm.backend.acquisition.calibrated_tiff import calibrated_tiff
    from napari_dl4smlm.backend.atomic_file import atomic_file, set_aside
    from napari_dl4smlm.backend.localizations.thunderstorm import write_thunderstorm

    config, camera = movie.config, movie.scene.camera
    saturated = lowest = 0
    for name in ("frames.tif", "localizations.csv"):
        set_aside(folder / name)
    with (
        atomic_file(folder / "frames.tif") as temporary,
        calibrated_tiff(
            temporary,
            pixel_size_nm=config.simulation.pixel_size_nm,
            nbytes=2 * config.frames * config.height * config.width,
            information=config.to_dict(),
        ) as write,
    ):
        # on a terminal only
        for number in tqdm(range(config.frames), desc="filming", unit="frame", disable=None):
            frame = movie.frame(number)
            saturated += int((frame == camera.saturation).sum())
            lowest += int((frame == 0).sum())
            write(frame)
    write_thunderstorm(folder / "localizations.csv", movie.truth)
    pixels = config.frames * config.height * config.width
    _warn_of_cut_off_counts(saturated / pixels, lowest / pixels, camera)


def _warn_of_cut_off_counts(saturated: float, lowest: float, camera: Camera) -> None:
    """Say what share of the pixels is saturated, or has lost the negative half of its noise."""
    if saturated:
        click.echo(
            f"Warning: {100 * saturated:.2g} % of the pixels have {camera.saturation} counts, "
            "where the camera saturates. Raise electrons_per_count, or lower em_gain or photons.",
            err=True,
        )
    # without read noise, pixels without an electron are as they should be
    if lowest > _MOST_AT_ZERO and camera.read_noise > 0:
        click.echo(
            f"Warning: {100 * lowest:.2g} % of the pixels have 0 counts, where negative noise is "
            "cut off and the background looks brighter than it is. Raise the camera's baseline.",
            err=True,
        )


def _with_options(saved: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Let options win over a saved config."""
    given = {name: value for name, value in options.items() if value is not None}
    movie = dict(saved)
    if "size" in given:
        movie |= {"height": given["size"], "width": given["size"]}
    movie |= {name: given[name] for name in ("frames", "seed") if name in given}
    simulation = section(movie, "simulation")
    for name in ("density", "structure", "pixel_size_nm"):
        if name in given:
            simulation[name] = given[name]
    if "psf_sigma_nm" in given:
        named = isinstance(simulation.get("psf"), str)
        psf = {"kind": simulation["psf"]} if named else section(simulation, "psf")
        # of another kind, nothing fits a Gaussian
        kept = psf if psf.get("kind", "gaussian") == "gaussian" else {}
        simulation["psf"] = kept | {"kind": "gaussian", "sigma_nm": given["psf_sigma_nm"]}
    if "photons" in given:
        low, _, high = given["photons"].partition(":")
        simulation["photons"] = {"kind": "uniform", "low": low, "high": high or low}
    if "background" in given:
        background = section(simulation, "background")
        simulation["background"] = background | {"photons": given["background"]}
    return movie | ({"simulation": simulation} if simulation else {})
