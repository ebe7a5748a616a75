"""The frames of a folder into which another program is still writing TIFF files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dl4smlm.backend.acquisition.settling import Settling
from napari_dl4smlm.backend.acquisition.tiff_folder import (
    names_tiff,
    natural_order,
    only_page,
    read_frame,
)
from napari_dl4smlm.backend.acquisition.tiff_metadata import ome_images, pixel_sides_nm
from napari_dl4smlm.backend.acquisition.tiff_pages import (
    open_tiff_file,
    require_alike,
    require_decodable,
    tiff_damage_reported,
)
from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from tifffile import TiffPage


class GrowingFolder:
    """Reads a folder that gets one file for each frame, named in natural order.

    A file is taken in when a later one has come, or when it has settled.

    Parameters
    ----------
    path
        The folder; it may still be empty.
    """

    def __init__(self, path: Path) -> None:
        self.shape = (0, 0, 0)
        self.dtype: np.dtype[Any] = np.dtype(np.uint16)
        self.closed = False
        self.pixel_sides_nm: tuple[float, float] | None = None
        self._path = path
        self._files: list[Path] = []
        self._first: TiffPage | None = None
        # names of the files that are done with, and what is known of the others
        self._done: set[str] = set()
        self._settling: dict[str, Settling] = {}
        self._incomplete: str | None = None
        self._left_out: list[str] = []

    def look(self) -> None:
        """Take in the files that have become complete.

        Raises
        ------
        InputError
            The folder is gone, or a file is unlike the first.
        """
        try:
            with os.scandir(self._path) as entries:
                names = [entry.name for entry in entries if entry.name not in self._done]
        except OSError as error:
            raise InputError(f"{self._path.name} cannot be read: {error.strerror}.") from error
        new = sorted((self._path / name for name in names if names_tiff(name)), key=natural_order)
        settled = {file: self._has_settled(file) for file in new}
        self._incomplete = None
        for file, has_settled in settled.items():
            if self._files and natural_order(file) < natural_order(self._files[-1]):
                self._leave_out(file, "it came after frames that follow it")
            elif not self._take_in(file, has_settled, is_last=file == new[-1]):
                return

    def left_out(self) -> tuple[str, ...]:
        """Tell of files that came too late or are not complete."""
        if self._incomplete is None:
            return tuple(self._left_out)
        return (*self._left_out, self._incomplete)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return frames ``start`` to ``stop - 1``, in native byte order."""
        assert self._first is not None
        frames = np.empty((stop - start, *self.shape[1:]), self.dtype)
        for number, file in enumerate(self._files[start:stop]):
            frames[number] = read_frame(file, self._first)
        return frames

    def close(self) -> None:
        """Look no more."""
        self.closed = True

    def _has_settled(self, file: Path) -> bool:
        try:
            status = file.stat()
        except OSError:
            # renamed meanwhile, or not to be read yet
            return False
        return self._settling.setdefault(file.name, Settling()).has_settled(status)

    def _take_in(self, file: Path, has_settled: bool, *, is_last: bool) -> bool:
        """Take in a file, or leave it out for good; ``False`` if it may still become complete."""
        if is_last and not has_settled:
            return False
        try:
            page = only_page(file)
        except InputError as error:
            if not has_settled or is_last:
                self._incomplete = str(error) if has_settled else None
                return False
            self._leave_out(file, str(error))
        else:
            self._add(file, page)
        return True

    def _add(self, file: Path, page: TiffPage) -> None:
        if self._first is None:
            require_decodable(page, file.name)
            with tiff_damage_reported(file.name), open_tiff_file(file) as tif:
                self.pixel_sides_nm = pixel_sides_nm(tif, page, ome_images(tif))
            self._first = page
            self.dtype = np.dtype(page.dtype)
        first_name = self._files[0].name if self._files else file.name
        require_alike(page, self._first, (file.name, first_name))
        self._files.append(file)
        self.shape = (len(self._files), page.imagelength, page.imagewidth)
        self._forget(file)

    def _leave_out(self, file: Path, why: str) -> None:
        self._left_out.append(f"{file.name} was left out: {why}")
        self._forget(file)

    def _forget(self, file: Path) -> None:
        self._done.add(file.name)
        self._settling.pop(file.name, None)
