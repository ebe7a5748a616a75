"""The frames of a TIFF file that another program is still writing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tifffile import TiffPage

from napari_dl4smlm.backend.acquisition.settling import Settling
from napari_dl4smlm.backend.acquisition.tiff_metadata import (
    ome_images,
    pixel_sides_nm,
    promised_frames,
)
from napari_dl4smlm.backend.acquisition.tiff_pages import (
    DAMAGE,
    is_whole,
    open_tiff_file,
    raw_reader,
    require_alike,
    require_decodable,
    require_grey,
    tiff_damage_reported,
)
from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from tifffile import TiffFile


# Bytes of the first frame by which the file is known again: the noise of no two frames is alike.
_KNOWN_BYTES = 4096


class GrowingTiff:
    """Reads a file whose pages are linked one by one, as acquisition software writes them.

    A page is taken in when the next one has begun, or when the file has settled. Between two looks
    the file is closed, so that its writer may rename it.

    Parameters
    ----------
    path
        The file; it may still be empty.
    """

    def __init__(self, path: Path) -> None:
        self.shape = (0, 0, 0)
        self.dtype: np.dtype[Any] = np.dtype(np.uint16)
        self.closed = False
        self.pixel_sides_nm: tuple[float, float] | None = None
        self._path = path
        self._settling = Settling()
        self._size = 0
        self._first: TiffPage | None = None
        self._first_bytes = b""
        # of the pages that were taken in: their tags, and their pixels
        self._positions: list[int] = []
        self._offsets: list[int] = []
        self._is_raw = True
        self._next_pointer: int | None = None
        self._has_begun_another = False

    def look(self) -> None:
        """Take in the pages that have become complete.

        Raises
        ------
        InputError
            The file is gone, is no TIFF, has become shorter, has a page unlike the first, or
            another file has taken its place.
        """
        try:
            status = self._path.stat()
        except OSError as error:
            raise InputError(f"{self._path.name} cannot be read: {error.strerror}.") from error
        if status.st_size < self._size:
            raise self._replaced("has become shorter")
        self._size = status.st_size
        has_settled = self._settling.has_settled(status)
        try:
            tif = open_tiff_file(self._path)
        except (*DAMAGE, OSError) as error:
            # the first bytes of a file need not come at once, and its writer may lock it
            if has_settled and self._size:
                raise InputError(
                    f"{self._path.name} cannot be read as TIFF: {error}. Choose another file."
                ) from error
            return
        with tif:
            self._take_in(tif, has_settled)

    def left_out(self) -> tuple[str, ...]:
        """Tell of a page that was begun and not finished, and of frames that have no page."""
        n_frames, name = len(self._positions), self._path.name
        reasons = []
        if self._has_begun_another:
            reasons.append(
                f"Frame {n_frames} of {name}, counted from 0, is not complete and was left out."
            )
        promised = self._promised()
        if promised > n_frames + self._has_begun_another:
            reasons.append(
                f"{name} promises {promised:,} frames, but only {n_frames:,} could be followed: "
                "the others may lie in further files, or without pages of their own. If the "
                "recording is complete, predict it again without following it."
            )
        return tuple(reasons)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return frames ``start`` to ``stop - 1``, in native byte order."""
        assert self._first is not None
        if self._is_raw:
            places = [(self._path, offset) for offset in self._offsets[start:stop]]
            reader = raw_reader(places, self._first)
            try:
                return reader.read(0, stop - start)
            finally:
                reader.close()
        frames = np.empty((stop - start, *self.shape[1:]), self.dtype)
        what = f"Frames {start} to {stop - 1} of {self._path.name}"
        with tiff_damage_reported(what), open_tiff_file(self._path) as tif:
            for number in range(start, stop):
                page = _page_at(tif, self._positions[number], number)
                frames[number - start] = page.asarray()
        return frames

    def close(self) -> None:
        """Look no more."""
        self.closed = True

    def _promised(self) -> int:
        """Count the frames that the metadata tell of by now; 1 if they cannot be understood."""
        try:
            with open_tiff_file(self._path) as tif:
                first = tif.pages[0].aspage()
                return promised_frames(tif, first, ome_images(tif), self._path.name)
        except (*DAMAGE, OSError):
            return 1

    def _replaced(self, finding: str) -> InputError:
        return InputError(
            f"{self._path.name} {finding}: another file has taken its place. Start again to follow "
            "that one."
        )

    def _take_in(self, tif: TiffFile, has_settled: bool) -> None:
        if self._first is not None and _first_bytes(tif, self._first) != self._first_bytes:
            raise self._replaced("begins with another frame than before")
        # the address of the first page is in the header
        pointer = self._next_pointer or (8 if tif.tiff.is_bigtiff else 4)
        entry = _linked(tif, pointer)
        while entry is not None:
            after = _linked(tif, entry.next_pointer)
            page = _page_of(tif, entry, len(self._positions))
            self._has_begun_another = page is None
            if page is None or (after is None and not has_settled):
                return
            self._add(page, entry.position)
            self._next_pointer = entry.next_pointer
            entry = after
        self._has_begun_another = False

    def _add(self, page: TiffPage, position: int) -> None:
        name = self._path.name
        if self._first is None:
            require_grey(page, name)
            require_decodable(page, name)
            with tiff_damage_reported(name):
                self.pixel_sides_nm = pixel_sides_nm(page.parent, page, ome_images(page.parent))
            self._first, self._first_bytes = page, _first_bytes(page.parent, page)
            self.dtype = np.dtype(page.dtype)
        require_alike(page, self._first, (f"Page {len(self._positions)} of {name}", "page 0"))
        self._is_raw &= page.is_final
        self._positions.append(position)
        self._offsets.append(page.dataoffsets[0])
        self.shape = (len(self._positions), self._first.imagelength, self._first.imagewidth)


class _Entry(NamedTuple):
    """Where the tags of a page begin, and where the address of the next page is."""

    position: int
    next_pointer: int


def _linked(tif: TiffFile, pointer: int) -> _Entry | None:
    """Find the page whose address is at ``pointer``, if its tags have begun."""
    tiff = tif.tiff
    position = _number_at(tif, pointer, tiff.offsetsize)
    # some writers link a page, or make room for it, long before it comes
    count = _number_at(tif, position, tiff.tagnosize) if position else 0
    if not count:
        return None
    return _Entry(position, position + tiff.tagnosize + count * tiff.tagsize)


def _page_of(tif: TiffFile, entry: _Entry, number: int) -> TiffPage | None:
    """Read the tags of a page; ``None`` as long as they, or the pixels, are not all there."""
    if entry.next_pointer + tif.tiff.offsetsize > tif.filehandle.size:
        return None
    try:
        page = _page_at(tif, entry.position, number)
        return page if is_whole(page) else None
    except DAMAGE:
        return None


def _first_bytes(tif: TiffFile, page: TiffPage) -> bytes:
    """Read where the pixels of a page begin, as they are stored."""
    tif.filehandle.seek(page.dataoffsets[0])
    data: bytes = tif.filehandle.read(min(page.databytecounts[0], _KNOWN_BYTES))
    return data


def _number_at(tif: TiffFile, position: int, n_bytes: int) -> int:
    """Read an unsigned number; 0 where the file has not got so far."""
    tif.filehandle.seek(position)
    data = tif.filehandle.read(n_bytes)
    if len(data) < n_bytes:
        return 0
    return int.from_bytes(data, "little" if tif.byteorder == "<" else "big")


def _page_at(tif: TiffFile, position: int, number: int) -> TiffPage:
    tif.filehandle.seek(position)
    return TiffPage(tif, index=number)
