"""Images as TIFF with the size of their pixels, for ImageJ and all that reads its files."""

from __future__ import annotations

import json
from contextlib import contextmanager
from itertools import chain, repeat
from typing import TYPE_CHECKING

import tifffile

from napari_dl4smlm import __version__
from napari_dl4smlm.backend.atomic_file import naming_file

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray
    from pydantic import JsonValue

LARGEST_TIFF_BYTES = 2**32 - 2**25
"""Pixels that a TIFF file holds beside its metadata; tifffile draws the line here as well."""

# Without the number of images, which is not known before the last: readers then count the pages.
_IMAGEJ_DESCRIPTION = "ImageJ=1.11a\nunit=micron\n"


@contextmanager
def calibrated_tiff(
    path: str | os.PathLike[str],
    *,
    pixel_size_nm: float,
    nbytes: int,
    information: Mapping[str, JsonValue],
) -> Iterator[Callable[[NDArray[np.float32 | np.uint16]], None]]:
    """Write images of one size, one after the other, in constant memory.

    Parameters
    ----------
    path
        The file; it is written in place.
    pixel_size_nm
        Side of a pixel. Resolution tags and the unit tell it as ImageJ does.
    nbytes
        At most so many bytes of pixels are going to be written. If they do not fit into a TIFF
        file, it becomes a BigTIFF, which ImageJ opens with Bio-Formats only.
    information
        Where the images come from; JSON under ``Info``, which ImageJ shows on Image > Show Info.

    Yields
    ------
    callable
        Appends an image, shape (Y, X).

    Raises
    ------
    OSError
        An image cannot be written; it names the file.
    """
    pixels_per_um = 1000 / pixel_size_nm
    is_big = nbytes > LARGEST_TIFF_BYTES
    with tifffile.TiffWriter(path, bigtiff=is_big, byteorder="<") as tiff:
        text = json.dumps(dict(information), indent=1, ensure_ascii=False)
        # file names may hold bytes that stand for no letter
        text = text.encode(errors="replace").decode()
        # in the first page only: the movie may have a million frames
        pages_tags = chain([tifffile.imagej_metadata_tag({"Info": text}, "<")], repeat(()))

        def write(image: NDArray[np.float32 | np.uint16]) -> None:
            with naming_file(path):
                tiff.write(
                    image,
                    photometric="minisblack",
                    resolution=(pixels_per_um, pixels_per_um),
                    resolutionunit="NONE",
                    description=_IMAGEJ_DESCRIPTION,
                    software=f"napari-dl4smlm {__version__}",
                    metadata=None,
                    extratags=next(pages_tags),
                )

        yield write
