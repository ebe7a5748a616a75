"""What a file of localizations tells: the table, the camera's field, and how both came about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_dl4smlm.backend.localizations.table import Localizations


@dataclass(frozen=True)
class FieldOfView:
    """The movie that localizations come from.

    Attributes
    ----------
    height, width
        Size of a frame in camera pixels.
    n_frames
        Length of the movie.
    pixel_size_nm
        Camera pixel.

    Raises
    ------
    InputError
        The pixel size is not a positive number.
    """

    height: int
    width: int
    n_frames: int
    pixel_size_nm: float

    def __post_init__(self) -> None:
        check_pixel_size(self.pixel_size_nm)

    @classmethod
    def around(cls, localizations: Localizations, pixel_size_nm: float) -> FieldOfView:
        """Return the smallest field, from its corner (0, 0) on, that holds all localizations."""
        check_pixel_size(pixel_size_nm)
        farthest = localizations.positions_nm().max(axis=0, initial=0.0)
        height, width = np.floor(farthest / pixel_size_nm).astype(int) + 1
        n_frames = int(localizations.frame.max(initial=0)) + 1
        return cls(int(height), int(width), n_frames, pixel_size_nm)

    @property
    def size_nm(self) -> tuple[float, float]:
        """Height and width in nm."""
        return self.height * self.pixel_size_nm, self.width * self.pixel_size_nm


@dataclass(frozen=True, eq=False)
class TableContent:
    """Localizations with what their file tells about them.

    Attributes
    ----------
    localizations
        The table.
    field
        Where they were filmed, if the file or its reader knows.
    history
        What was done to them, oldest first, in plain YAML types.
    """

    localizations: Localizations
    field: FieldOfView | None = None
    history: tuple[Mapping[str, Any], ...] = ()


def check_pixel_size(pixel_size_nm: float) -> None:
    """Refuse a camera pixel that is not a positive number.

    Raises
    ------
    InputError
        It is not.
    """
    if not 0 < pixel_size_nm < np.inf:
        raise InputError(f"The pixel size is {pixel_size_nm} nm. Give a positive number.")
