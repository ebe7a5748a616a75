"""Where the results of a movie go if nobody says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def result_folder(movie: Path, into: Path | None = None) -> Path:
    """Name the folder ``NAME-prediction``.

    Parameters
    ----------
    movie
        A file, or a folder of files.
    into
        Where the folder goes; by default beside the movie.
    """
    # "." and ".." are no names, and nothing can stand beside them
    place = movie if movie.name not in ("", "..") else movie.resolve()
    # what follows a dot in the name of a folder, as in "0.5 nM", is no suffix
    name = place.name if place.is_dir() else place.stem
    return (into or place.parent) / f"{name}-prediction"
