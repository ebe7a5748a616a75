"""Chosen files as layers: the movie, and its ground truth in register."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.widgets.layers.layers import (
    MARK,
    add_movie,
    mark_of,
    show_localizations,
    upsampled_transform,
)
from napari_dl4smlm.widgets.layers.lazy_frames import LazyFrames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.components import ViewerModel

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.localizations.table import Localizations
    from napari_dl4smlm.widgets.data.events import TruthFacts

# a few bright pixels must not turn the rest black
_PERCENTILE = 99.9


@dataclass(frozen=True)
class OpenedMovies:
    """Opened files, by their path."""

    frames: dict[Path, FrameStack]


class DataLayers:
    """Shows movies from files, which stay open as long as anybody reads their layers.

    Parameters
    ----------
    viewer
        Gets the layers.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer

    def showing(self, movie: Image | Path | None) -> Image | None:
        """Return the layer of a movie: as it was chosen, or opened by this package."""
        if not isinstance(movie, Path):
            return movie
        shown = [layer for layer in self._viewer.layers if mark_of(layer).get("path") == str(movie)]
        return next((layer for layer in shown if isinstance(layer, Image)), None)

    def open_missing(
        self, *movies: Image | Path | None, pixel_size_nm: float | None
    ) -> Callable[[], Iterator[OpenedMovies]]:
        """Return a stream, to run off the GUI thread, that opens those that have no layer.

        Parameters
        ----------
        *movies
            The raw movie and, of a pair, the true images.
        pixel_size_nm
            Camera pixel, of the first of them.
        """
        missing = {
            movie: pixel_size_nm if movie is movies[0] else None
            for movie in movies
            if isinstance(movie, Path) and self.showing(movie) is None
        }
        return partial(_open, missing)

    def show(
        self,
        opened: OpenedMovies,
        movie: Image | Path,
        images: Image | Path | None,
        truth: TruthFacts | None,
        pixel_size_nm: float | None,
    ) -> None:
        """Show a movie, and over it its true positions or images, as far as they have no layer."""
        if isinstance(movie, Path) and movie in opened.frames:
            frames = opened.frames[movie]
            add_movie(self._viewer, frames, name=movie.stem or movie.name, path=movie)
        shown = self.showing(movie)
        if shown is None or truth is None:
            return
        if isinstance(images, Path) and images in opened.frames:
            self._add_images(shown, opened.frames[images], images, truth.upsampling_factor)
        if truth.table is not None and pixel_size_nm is not None:
            self._show_positions(shown, truth.table, pixel_size_nm)

    def _show_positions(self, movie: Image, table: Localizations, pixel_size_nm: float) -> None:
        show_localizations(
            self._viewer,
            movie,
            table,
            name=f"{movie.name}: true positions",
            pixel_size_nm=pixel_size_nm,
            metadata={"role": "ground truth"},
        )

    def _add_images(self, movie: Image, images: FrameStack, path: Path, factor: int) -> None:
        frame = images.read(len(images) // 2, len(images) // 2 + 1)
        positive = frame[frame > 0]
        brightest = float(np.percentile(positive, _PERCENTILE)) if positive.size else 1.0
        mark = {"role": "ground truth", "movie": movie.name, "path": str(path)}
        self._viewer.add_image(
            LazyFrames(images),
            name=f"{path.stem or path.name} ×{factor}",
            metadata={MARK: mark},
            colormap="inferno",
            blending="additive",
            contrast_limits=(0.0, brightest),
            **upsampled_transform(movie, factor, ndim=3),
        )


def _open(sizes_nm: dict[Path, float | None]) -> Iterator[OpenedMovies]:
    with ExitStack() as files:
        frames = {
            path: files.enter_context(open_frames(path, pixel_size_nm=size_nm))
            for path, size_nm in sizes_nm.items()
        }
        # they are closed with the arrays of their layers
        files.pop_all()
    yield OpenedMovies(frames)
