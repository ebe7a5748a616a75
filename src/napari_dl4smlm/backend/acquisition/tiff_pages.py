"""One page of a TIFF file as a frame: whole, grey, and like the others."""

from __future__ import annotations

import lzma
import struct
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from tifffile import TIFF, TiffFile, TiffFileError

from napari_dl4smlm.backend.acquisition.frame_readers import RawReader
from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tifffile import TiffFrame, TiffPage

# what tifffile and its decoders trip over when the bytes of a file make no sense
DAMAGE = (
    TiffFileError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    zlib.error,
)


def open_tiff_file(path: Path) -> TiffFile:
    """Open a TIFF file; the caller closes it."""
    # The index of a Micro-Manager stack speaks of the frames that were planned, its OME metadata
    # of those that were taken when the acquisition was stopped early.
    return TiffFile(path, is_mmstack=False)


@contextmanager
def tiff_damage_reported(what: str) -> Iterator[None]:
    """Turn the errors of reading a damaged or foreign file into one InputError.

    Parameters
    ----------
    what
        The file or frame that is read, for the message.
    """
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{what} cannot be read: {error.strerror or error}.") from error
    except DAMAGE as error:
        raise InputError(
            f"{what} cannot be read as TIFF: {error}. If it is damaged, copy it again; if it has "
            "another format, save it as an uncompressed TIFF, for example with Fiji."
        ) from error


def first_image(tif: TiffFile, name: str) -> TiffPage:
    """Return the first page, which shows the size and type of the frames.

    Raises
    ------
    InputError
        There is no page, or it is not a plane of grey values.
    """
    if len(tif.pages) == 0:
        raise cut_short(name, promised=1, held=0)
    first = tif.pages[0].aspage()
    require_grey(first, name)
    return first


def require_grey(page: TiffPage, name: str) -> None:
    """Refuse a page that is not a plane of grey values.

    Raises
    ------
    InputError
        It is in colour, or of a type that numpy does not know.
    """
    if page.axes != "YX" or page.dtype is None:
        raise InputError(
            f"{name} has pages with the axes {page.axes}, shape {page.shape} and type "
            f"{page.dtype}; a frame is one plane of grey values (y, x). If it is a colour image, "
            "convert it to grey values, for example with Fiji."
        )


def raw_reader(places: Sequence[tuple[Path, int]], first: TiffPage) -> RawReader:
    """Make the reader of uncompressed frames.

    Parameters
    ----------
    places
        For each frame, its file and the byte at which it starts there.
    first
        A page with the size, the type and the byte order of all frames.
    """
    stored_dtype = np.dtype(first.dtype).newbyteorder(first.parent.byteorder)
    return RawReader(places, (first.imagelength, first.imagewidth), stored_dtype)


def require_decodable(page: TiffPage, name: str) -> None:
    """Refuse a compression that cannot be undone on this machine.

    Parameters
    ----------
    page
        A page; the others are compressed in the same way.
    name
        What the user calls the file, for the message.

    Raises
    ------
    InputError
        The compression is unknown, or its decoder is not installed.
    """
    try:
        TIFF.DECOMPRESSORS[page.compression]
    except KeyError as error:
        raise InputError(
            f"{name} is compressed and cannot be decoded: {error.args[0]}. Install the imagecodecs "
            "package, or save the movie as an uncompressed TIFF, for example with Fiji."
        ) from error


def is_whole(page: TiffPage | TiffFrame) -> bool:
    """Tell whether all bytes of a page lie inside its file."""
    size = page.parent.filehandle.size
    if page.is_final:
        return 0 < page.dataoffsets[0] <= size - page.nbytes
    parts = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    return bool(parts) and all(0 < offset <= size - length for offset, length in parts)


def are_alike(page: TiffPage | TiffFrame, other: TiffPage | TiffFrame) -> bool:
    """Tell whether two pages have the same size, pixel type and byte order."""
    return (page.shape, page.dtype, page.parent.byteorder) == (
        other.shape,
        other.dtype,
        other.parent.byteorder,
    )


def require_alike(page: TiffPage | TiffFrame, first: TiffPage, names: tuple[str, str]) -> None:
    """Refuse a page that has another size, type or byte order than the first one.

    Parameters
    ----------
    page, first
        The pages.
    names
        What to call the two, for the message.

    Raises
    ------
    InputError
        They differ.
    """
    if not are_alike(page, first):
        raise InputError(
            f"{names[0]} is {_described(page, first)}, but {names[1]} is "
            f"{_described(first, page)}; the frames of a movie are alike. Save the movie without "
            "its other images, for example with Fiji."
        )


def cut_short(name: str, *, promised: int, held: int) -> InputError:
    """Build the error for a file that holds fewer frames than it promises.

    Parameters
    ----------
    name
        What the user calls the file.
    promised
        Frames that the metadata tell of, or fewer if they were lost with the end of the file.
    held
        Frames that are complete.
    """
    finding = (
        f"promises {promised} frame{'s' if promised > 1 else ''} but holds {held}"
        if held < promised
        else f"breaks off after {held} frame{'s' if held > 1 else ''}"
    )
    return InputError(
        f"{name} {finding}: it was cut short, or files that belong to it are missing. Copy the "
        "whole recording again, or save what is there as a new TIFF, for example with Fiji."
    )


def _described(page: TiffPage | TiffFrame, other: TiffPage | TiffFrame) -> str:
    """Tell size and type of a page, and the order of its bytes if that is not as in the other."""
    text = f"{' x '.join(str(length) for length in page.shape)} {page.dtype}"
    if page.parent.byteorder == other.parent.byteorder:
        return text
    return f"{text} in {'little' if page.parent.byteorder == '<' else 'big'}-endian order"
