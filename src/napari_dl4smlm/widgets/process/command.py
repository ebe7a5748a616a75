"""The commands that do in a terminal what the forms say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dl4smlm.backend.localizations.picasso import HDF5_SUFFIXES
from napari_dl4smlm.backend.processing.fiducials import Fiducials
from napari_dl4smlm.backend.processing.filtering import Filter, Region
from napari_dl4smlm.backend.processing.merging import Merge
from napari_dl4smlm.backend.processing.rendering import Rendering
from napari_dl4smlm.backend.processing.saved_drift import SavedDrift
from napari_dl4smlm.widgets.forms.number_box import number_text
from napari_dl4smlm.widgets.shell import command_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_dl4smlm.backend.processing.config import ProcessingConfig, Step

# as the command does steps that are given by options
_PLACE = {"filter": 0, "region": 1, "merge": 3}
_PLACE_OF_DRIFT = 2
_MANY = _PLACE["filter"]

_RENDER_OPTIONS = {"mode": "--mode", "pixel_nm": "--render-pixel-nm", "sigma_nm": "--sigma-nm"}


def default_table(table: Path) -> Path:
    """Return the name that the command gives to the processed table."""
    suffix = table.suffix if table.suffix.lower() in HDF5_SUFFIXES else ".csv"
    return table.with_suffix(f".processed{suffix}")


def needs_file(config: ProcessingConfig) -> bool:
    """Tell whether options cannot say it all, so that the command reads the recorded steps."""
    return _words(config) is None


def process_command(
    table: Path,
    config: ProcessingConfig,
    *,
    steps_file: Path,
    out: Path | None = None,
    image: Path | None = None,
    pixel_size_nm: float | None = None,
) -> str:
    """Write the command that processes a table, from whichever folder.

    Parameters
    ----------
    table
        The file.
    config
        What is done.
    steps_file
        Where the steps are, or are going to be, recorded; read only if options cannot say it all.
    out
        The processed table, if it is not called as the command would call it.
    image
        The image, if there is to be one.
    pixel_size_nm
        Camera pixel, if it is given.
    """
    words = _words(config, with_image=image is not None)
    if words is None:
        words = ["--config", str(steps_file.absolute())]
    if pixel_size_nm is not None:
        words += ["--pixel-size-nm", number_text(pixel_size_nm)]
    if out is not None and out.absolute() != default_table(table.absolute()):
        words += ["--out", str(out.absolute())]
    if image is not None:
        words += ["--render", str(image.absolute())]
    return command_text(["process", str(table.absolute()), *words])


def quality_command(
    table: Path,
    path: Path,
    *,
    pixel_size_nm: float | None = None,
    frames: str | None = None,
    block_frames: int | None = None,
) -> str:
    """Write the command that measures the quality of a table, from whichever folder.

    Parameters
    ----------
    table
        The localizations.
    path
        The movie.
    pixel_size_nm, frames, block_frames
        As the options of the command.
    """
    options = {
        "--localizations": table.absolute(),
        "--movie": path.absolute(),
        "--pixel-size-nm": None if pixel_size_nm is None else number_text(pixel_size_nm),
        "--frames": frames,
        "--block-frames": block_frames,
    }
    given = [(flag, str(value)) for flag, value in options.items() if value is not None]
    return command_text(["quality", *(word for pair in given for word in pair)])


def _words(config: ProcessingConfig, *, with_image: bool = True) -> list[str] | None:
    words = _words_of_rendering(config.render) if with_image else []
    if words is None or not _is_in_order(config.steps):
        return None
    for step in config.steps:
        some = _words_of_step(step)
        if some is None:
            return None
        words += some
    return words


def _is_in_order(steps: Sequence[Step]) -> bool:
    """Tell whether steps come as the command would do them, and no two in one place but filters."""
    places = [_PLACE.get(step.kind, _PLACE_OF_DRIFT) for step in steps]
    once = [place for place in places if place != _MANY]
    return places == sorted(places) and len(once) == len(set(once))


def _words_of_rendering(render: Rendering) -> list[str] | None:
    different = {
        name: value for name, value in render if value != Rendering.model_fields[name].default
    }
    if different.keys() - _RENDER_OPTIONS.keys():
        return None
    return [
        word for name, value in different.items() for word in (_RENDER_OPTIONS[name], _text(value))
    ]


def _words_of_step(step: Step) -> list[str] | None:
    """Return the options that mean exactly this step, if there are any."""
    match step:
        case Filter():
            return _words_of_filter(step)
        case Region():
            sides = (step.top_nm, step.left_nm, step.height_nm, step.width_nm)
            return ["--region-nm", *map(number_text, sides)]
        case Merge():
            dark = step.max_dark_frames
            is_default = dark == Merge.model_fields["max_dark_frames"].default
            radius = ["--merge-radius-nm", number_text(step.radius_nm)]
            return radius + ([] if is_default else ["--max-dark-frames", str(dark)])
        case SavedDrift():
            return ["--drift", str(step.path.absolute())]
        case Fiducials():
            if step != Fiducials(positions_nm=step.positions_nm):
                return None
            beads = (map(number_text, bead) for bead in step.positions_nm)
            return [word for bead in beads for word in ("--fiducial-nm", *bead)]
        case _:
            return ["--drift", step.kind] if step == type(step)() else None


def _words_of_filter(step: Filter) -> list[str] | None:
    limits = [(sign, limit) for sign, limit in ((">", step.minimum), ("<", step.maximum))]
    (sign, limit), *others = [(sign, limit) for sign, limit in limits if limit is not None]
    if others or any(letter in step.column for letter in "<>="):
        return None
    equal = "=" if step.include_limits else ""
    return ["--filter", f"{step.column} {sign}{equal} {number_text(limit)}"]


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else number_text(value)
