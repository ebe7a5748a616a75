"""Movies and tables of positions that the user has chosen, each as a layer or as a file.

They are made in the GUI thread and read in another one, where layers must not be touched.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm
from napari_dl4smlm.widgets.layers.layers import frames_of, localizations_of, mark_of, table_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.layers import Image, Layer, Points

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.localizations.table import Localizations

# half of the last digit of positions in a table, which has five
_ROUNDED_NM = 1e-5


@dataclass(frozen=True)
class MovieChoice:
    """A movie.

    Attributes
    ----------
    path
        The file or folder; of a layer, the one that it was read from, as far as it is known.
    layer_frames
        What the layer shows; ``None`` for a file.
    """

    path: Path | None
    layer_frames: FrameStack | None = None

    @classmethod
    def of(cls, chosen: Image | Path) -> MovieChoice:
        """Take what the user chose.

        Raises
        ------
        InputError
            The layer is no movie.
        """
        if isinstance(chosen, Path):
            return cls(chosen)
        if isinstance(chosen, Labels):
            raise InputError(
                f"The layer {chosen.name!r} holds labels, not intensities. Choose an image layer."
            )
        return cls(_origin(chosen), frames_of(chosen))

    @property
    def name(self) -> str:
        """Name of the layer or the file."""
        if self.layer_frames is not None:
            return self.layer_frames.name
        assert self.path is not None
        return self.path.name

    @contextmanager
    def open(self, pixel_size_nm: float | None) -> Iterator[FrameStack]:
        """Open the movie; that of a layer is not closed in the end."""
        if self.layer_frames is not None:
            yield open_frames(self.layer_frames, pixel_size_nm=pixel_size_nm)
            return
        assert self.path is not None
        with open_frames(self.path, pixel_size_nm=pixel_size_nm) as frames:
            yield frames

    def in_file(self) -> MovieFile | None:
        """Return the file; for a layer, only if it still holds the same pixels."""
        if self.path is None:
            return None
        try:
            with open_frames(self.path) as stored:
                if self.layer_frames is None or _same(stored, self.layer_frames):
                    return MovieFile(self.path, stored.pixel_size_nm)
        except InputError:
            if self.layer_frames is None:
                raise
        return None


@dataclass(frozen=True)
class MovieFile:
    """The file or folder of a movie, and the pixel size that it tells."""

    path: Path
    pixel_size_nm: float | None


@dataclass(frozen=True)
class TableChoice:
    """True positions.

    Attributes
    ----------
    name
        Of the layer or the file.
    path
        The file; of a layer, the one that it was read from, as far as it is known.
    layer_table
        What the layer shows; ``None`` for a file.
    """

    name: str
    path: Path | None
    layer_table: Localizations | None = None

    @classmethod
    def of(
        cls, chosen: Points | Path, movie: Image | Path, pixel_size_nm: float | None
    ) -> TableChoice:
        """Take what the user chose.

        Parameters
        ----------
        chosen
            The positions.
        movie
            What they are positions in: points belong to the movie that they lie on.
        pixel_size_nm
            Camera pixel; ``None`` leaves it to the movie.

        Raises
        ------
        InputError
            The points cannot be positions in the movie.
        """
        if isinstance(chosen, Path):
            return cls(chosen.name, chosen)
        if isinstance(movie, Path):
            table = table_of(chosen)
        else:
            table = localizations_of(chosen, movie, pixel_size_nm=pixel_size_nm)
        return cls(chosen.name, _origin(chosen), table)

    def read(self, pixel_size_nm: float) -> Localizations:
        """Return the table."""
        if self.layer_table is not None:
            return self.layer_table
        assert self.path is not None
        return read_thunderstorm(self.path, pixel_size_nm=pixel_size_nm)

    def in_file(self, pixel_size_nm: float) -> Path | None:
        """Return the file; for a layer, only if it still holds the same positions."""
        if self.path is None or self.layer_table is None:
            return self.path
        try:
            stored = read_thunderstorm(self.path, pixel_size_nm=pixel_size_nm)
        except InputError:
            return None
        shown = self.layer_table
        same = np.array_equal(stored.frame, shown.frame) and np.allclose(
            stored.positions_nm(), shown.positions_nm(), rtol=0, atol=_ROUNDED_NM
        )
        return self.path if same else None


def _origin(layer: Layer) -> Path | None:
    """Return the file that a layer was read from, by us or by napari."""
    path = mark_of(layer).get("path") or layer.source.path
    return Path(path) if path else None


def _same(stored: FrameStack, shown: FrameStack) -> bool:
    return stored.shape == shown.shape and stored.fingerprint() == shown.fingerprint()
