"""Open a TIFF file as a movie, and refuse one that holds less than it promises."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dl4smlm.backend.acquisition.frame_readers import (
    DecodingReader,
    RawReader,
    require_one_frame_axis,
)
from napari_dl4smlm.backend.acquisition.tiff_metadata import (
    ome_images,
    pixel_sides_nm,
    promised_frames,
)
from napari_dl4smlm.backend.acquisition.tiff_pages import (
    are_alike,
    cut_short,
    first_image,
    is_whole,
    open_tiff_file,
    raw_reader,
    require_alike,
    require_decodable,
    tiff_damage_reported,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray
    from tifffile import TiffFile, TiffFrame, TiffPage, TiffPages

    from napari_dl4smlm.backend.acquisition.frame_readers import FrameReader


def open_tiff(path: Path) -> tuple[FrameReader, tuple[float, float] | None]:
    """Open the movie in a TIFF file, or in the set of files it belongs to.

    OME and NDTiff metadata order the frames and may join several files. In any other file every
    page is a frame, in the order of the pages, even if the metadata tell of fewer, as they do in a
    file written page by page. Frames behind a single page, as ImageJ writes them beyond 4 GB, are
    counted by the metadata.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    FrameReader
        Reads the frames.
    tuple of float or None
        Height and width of a pixel in nm.

    Raises
    ------
    InputError
        The file is not TIFF; it or another file of its set is cut short or missing; its pages
        differ in size or type, as thumbnails do; it is in colour; or it has two long axes besides
        y and x.
    """
    with ExitStack() as files, tiff_damage_reported(path.name):
        tif = files.enter_context(open_tiff_file(path))
        first = first_image(tif, path.name)
        ome = ome_images(tif)
        promised = promised_frames(tif, first, ome, path.name)
        reader = _frame_reader(tif, first, promised, path)
        pixel_sides = pixel_sides_nm(tif, first, ome)
        if isinstance(reader, DecodingReader):
            files.pop_all()  # the reader needs the file, and closes it
        return reader, pixel_sides


def _frame_reader(
    tif: TiffFile, first: TiffPage, promised: int, path: Path
) -> RawReader | DecodingReader:
    name = path.name
    offsets = _offsets_behind_one_page(tif, first, promised, name)
    joined = None if offsets else _joined_pages(tif, name)
    if offsets is None and joined is None:
        offsets = _offsets_of_even_pages(tif, first, promised)
    if offsets is not None:
        return raw_reader([(path, offset) for offset in offsets], first)
    places, plain = _scan(joined or (page.aspage() for page in tif.pages), first, name)
    if _next_page(tif) or len(places) < max(promised, len(joined or tif.pages)):
        raise cut_short(name, promised=max(promised, len(joined or ())), held=len(places))
    if plain:
        return raw_reader(places, first)
    require_decodable(first, name)
    shape = (len(places), first.imagelength, first.imagewidth)
    decode = partial(_decoded, joined or tif.pages, name)
    return DecodingReader(shape, np.dtype(first.dtype), decode, tif.close)


def _next_page(tif: TiffFile) -> int:
    """Return the byte at which a page should follow the last one; 0 in a complete file."""
    position = tif.pages.next_page_offset or 0
    tif.filehandle.seek(position)
    data = tif.filehandle.read(tif.tiff.offsetsize)
    if len(data) < tif.tiff.offsetsize:
        return position
    return int.from_bytes(data, "little" if tif.byteorder == "<" else "big")


def _offsets_behind_one_page(
    tif: TiffFile, first: TiffPage, promised: int, name: str
) -> range | None:
    """Locate the frames of a file in which only the first has a page, all lying end to end.

    ImageJ writes such files beyond 4 GB. A file that kept its other pages at its end, and was cut
    short, looks the same but for the address of its second page.
    """
    next_page = _next_page(tif)
    if len(tif.pages) > 1 or not first.is_final or not (next_page or promised > 1):
        return None
    if tif.is_ome and not next_page:  # in OME each frame has a page, if need be in another file
        return None
    start = first.dataoffsets[0]
    # metadata at the end are lost with it; but the second page was to lie behind all frames
    promised = max(promised, (next_page - start) // first.nbytes)
    held = max(0, min(promised, (tif.filehandle.size - start) // first.nbytes))
    if next_page or held < promised:
        raise cut_short(name, promised=promised, held=held)
    return range(start, start + promised * first.nbytes, first.nbytes)


def _offsets_of_even_pages(tif: TiffFile, first: TiffPage, promised: int) -> range | None:
    """Locate the frames of a file in which they lie end to end, without reading every page."""
    if len(tif.pages) != promised or not first.is_final or _next_page(tif):
        return None
    last = tif.pages[promised - 1].aspage()
    start = first.dataoffsets[0]
    offsets = range(start, start + promised * first.nbytes, first.nbytes)
    even = last.dataoffsets[0] == offsets[-1] and are_alike(last, first) and is_whole(last)
    return offsets if even else None


def _joined_pages(tif: TiffFile, name: str) -> list[TiffPage | TiffFrame] | None:
    """Return the pages in the order that OME or NDTiff metadata give, maybe from several files."""
    if not (tif.is_ome or tif.is_ndtiff):
        return None
    series = tif.series
    if len(series) != 1 or series[0].kind not in ("ome", "ndtiff"):
        return None
    sizes = zip(series[0].get_axes(squeeze=False), series[0].get_shape(squeeze=False), strict=True)
    lengths = [length for axis, length in sizes if axis not in "YXS"]
    require_one_frame_axis(lengths, series[0].keyframe.shape, name)
    pages = [page for page in series[0] if page is not None]
    if len(pages) < len(series[0]):
        raise cut_short(name, promised=len(series[0]), held=len(pages))
    # OME metadata that miscount the pages of their own file are not trusted with their order
    complete = series[0].is_multifile or tif.is_ndtiff or len(pages) == len(tif.pages)
    return pages if complete else None


def _scan(
    pages: Iterable[TiffPage | TiffFrame], first: TiffPage, name: str
) -> tuple[list[tuple[Path, int]], bool]:
    """Locate the pages that are complete, and tell whether all of them are plain bytes."""
    places = []
    plain = True
    for number, page in enumerate(pages):
        if is_whole(page):
            require_alike(page, first, (f"Page {number} of {name}", "page 0"))
            places.append((Path(page.parent.filehandle.path), page.dataoffsets[0]))
            plain &= page.is_final
    return places, plain


def _decoded(
    pages: Sequence[TiffPage | TiffFrame] | TiffPages, name: str, number: int
) -> NDArray[Any]:
    page = pages[number]
    file = page.parent.filehandle
    reopened = file.closed  # of several files, tifffile keeps only the first open
    with tiff_damage_reported(f"Frame {number} of {name}"):
        if reopened:
            file.open()
        try:
            return page.asarray()
        finally:
            if reopened:
                file.close()
