"""Open a folder of TIFF files that hold one frame each as a movie."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dl4smlm.backend.acquisition.frame_readers import DecodingReader
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
from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from tifffile import TiffPage

    from napari_dl4smlm.backend.acquisition.frame_readers import FrameReader

TIFF_SUFFIXES = (".tif", ".tiff")


def open_tiff_folder(folder: Path) -> tuple[FrameReader, tuple[float, float] | None]:
    """Open the movie in a folder; each of its TIFF files is a frame, in natural order.

    Natural order puts ``f2.tif`` before ``f10.tif``. Hidden files and files of other types are
    passed over. The headers of all files are read once, one file at a time.

    Parameters
    ----------
    folder
        The folder.

    Returns
    -------
    FrameReader
        Reads the frames.
    tuple of float or None
        Height and width of a pixel in nm, from the first file.

    Raises
    ------
    InputError
        There is no TIFF file; or, naming the file, one is not TIFF, holds several frames, is cut
        short, is in colour, or differs in size or type from the first.
    """
    files = tiff_files(folder)
    if not files:
        raise InputError(
            f"The folder {folder.name} holds no TIFF files. Choose the folder with the frames, or "
            "the file with the movie."
        )
    with tiff_damage_reported(files[0].name), open_tiff_file(files[0]) as tif:
        first = first_image(tif, files[0].name)
        pixel_sides = pixel_sides_nm(tif, first, ome_images(tif))
    plain = True
    places = []
    for file in files:
        page = only_page(file)
        require_alike(page, first, (file.name, files[0].name))
        places.append((file, page.dataoffsets[0]))
        plain &= page.is_final
    if plain:
        return raw_reader(places, first), pixel_sides
    require_decodable(first, files[0].name)
    shape = (len(files), first.imagelength, first.imagewidth)
    dtype = np.dtype(first.dtype)
    return (
        DecodingReader(shape, dtype, lambda number: read_frame(files[number], first), lambda: None),
        pixel_sides,
    )


def tiff_files(folder: Path) -> list[Path]:
    """List the frames of a folder in natural order, without hidden files and other types."""
    return [
        file
        for file in sorted(folder.iterdir(), key=natural_order)
        if names_tiff(file.name) and file.is_file()
    ]


def names_tiff(name: str) -> bool:
    """Tell whether a file of this name is a TIFF that is not hidden."""
    return name.lower().endswith(TIFF_SUFFIXES) and not name.startswith(".")


def only_page(file: Path) -> TiffPage:
    """Return the page of a file that holds one frame; the file is closed again.

    Raises
    ------
    InputError
        The file cannot be read, is cut short, or holds more frames or something else.
    """
    with tiff_damage_reported(file.name), open_tiff_file(file) as tif:
        page = first_image(tif, file.name)
        # OME metadata may speak of all files in the folder
        n_frames = max(len(tif.pages), promised_frames(tif, page, [], file.name))
        if n_frames > 1:
            raise InputError(
                f"{file.name} holds {n_frames} frames; in a folder each file is one frame. Open "
                "that file itself, or remove it from the folder."
            )
        if not is_whole(page):
            raise cut_short(file.name, promised=1, held=0)
        return page


def read_frame(file: Path, first: TiffPage) -> NDArray[Any]:
    """Decode the frame of a file, shape (height, width).

    Raises
    ------
    InputError
        The file cannot be read any more, is damaged, or is no longer like the first page.
    """
    with tiff_damage_reported(file.name), open_tiff_file(file) as tif:
        page = tif.pages[0]
        if not are_alike(page, first):
            raise InputError(f"{file.name} has changed since it was opened. Open the folder again.")
        return page.asarray()


def natural_order(file: Path) -> tuple[list[tuple[int, str]], str]:
    """Make the key by which sorting puts numbers in file names in the order of their value."""
    parts = re.findall(r"\d+|\D+", file.name.lower())
    key = [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
    return key, file.name  # the name itself decides between f1 and f01
