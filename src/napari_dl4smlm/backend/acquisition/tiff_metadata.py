"""What the metadata in a TIFF file say about the movie: how many frames, and the pixel size."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from napari_dl4smlm.backend.acquisition.frame_readers import require_one_frame_axis

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from tifffile import TiffFile, TiffPage

NM_PER_CENTIMETRE = 1e7
NM_PER_UNIT = {
    "pm": 1e-3,
    "\N{LATIN CAPITAL LETTER A WITH RING ABOVE}": 0.1,
    "\N{LATIN SMALL LETTER A WITH RING ABOVE}": 0.1,  # in lower case, as ImageJ's are compared
    "\\u00c5": 0.1,  # as ImageJ writes it
    "angstrom": 0.1,
    "nm": 1.0,
    "um": 1e3,
    "\N{MICRO SIGN}m": 1e3,
    "\N{GREEK SMALL LETTER MU}m": 1e3,
    "\\u00b5m": 1e3,  # as ImageJ writes it
    "micron": 1e3,
    "microns": 1e3,
    "mm": 1e6,
    "cm": NM_PER_CENTIMETRE,
    "m": 1e9,
    "meter": 1e9,
}
CENTIMETRE = 3  # value of the tag ResolutionUnit, TIFF 6.0 section 8
PLAUSIBLE_PIXEL_SIZES_NM = (10.0, 1000.0)
UNKNOWN = (math.nan, math.nan)


def ome_images(tif: TiffFile) -> list[Element]:
    """Return the ``Pixels`` elements of the OME-XML, one for each image series.

    Parameters
    ----------
    tif
        The open file.

    Returns
    -------
    list of Element
        Empty without OME-XML, or if it cannot be parsed.
    """
    if tif.ome_metadata is None:
        return []
    try:
        return ElementTree.fromstring(tif.ome_metadata).findall(".//{*}Pixels")
    except ElementTree.ParseError:
        return []


def promised_frames(tif: TiffFile, first: TiffPage, ome: list[Element], name: str) -> int:
    """Count the frames that the metadata tell of, whether or not the file holds them.

    Parameters
    ----------
    tif
        The open file.
    first
        Its first page.
    ome
        Its `ome_images`, or nothing if they speak of more than this file.
    name
        What the user calls the file, for messages.

    Returns
    -------
    int
        According to OME, ImageJ, tifffile or MetaMorph metadata; 1 without them.

    Raises
    ------
    InputError
        The metadata tell of several long axes, such as time and channel.
    """
    axes = _ome_axes(ome) or _imagej_axes(tif) or _tifffile_axes(first) or _metamorph_axes(first)
    require_one_frame_axis(axes, first.shape, name)
    return math.prod(axes)


def pixel_sides_nm(
    tif: TiffFile, first: TiffPage, ome: list[Element]
) -> tuple[float, float] | None:
    """Find height and width of a pixel in the first metadata that tell them.

    Parameters
    ----------
    tif
        The open file.
    first
        Its first page.
    ome
        Its `ome_images`.

    Returns
    -------
    tuple of float or None
        From OME, ImageJ or Micro-Manager metadata, or from a resolution in pixels per centimetre.
        If a microscope does not count in the unit, only from 10 to 1000 nm: others describe a
        print, such as 72 dpi. ``None`` if nothing tells them.
    """
    sizes = (
        _ome_pixel_size_nm(ome),
        _imagej_pixel_size_nm(tif, first),
        _micro_manager_pixel_size_nm(first),
        _plain_pixel_size_nm(first),
    )
    told = next((size for size in sizes if _is_told(size)), None)
    if told is None:
        return None
    # resolution tags are fractions of integers: 133.5 nm comes back as 133.49999
    height, width = (float(f"{length:.6g}") for length in told)
    return height, width


def square_pixel_nm(sides_nm: tuple[float, float] | None) -> float | None:
    """Return the side of a pixel whose height and width differ by less than 1 %."""
    if sides_nm is None:
        return None
    height, width = sides_nm
    return width if abs(height - width) <= 0.01 * width else None


def _ome_axes(ome: list[Element]) -> tuple[int, ...]:
    """Return the axes of all series together; several series are an axis of their own."""
    if not ome:
        return ()
    sizes = ([int(pixels.get(f"Size{axis}", 1)) for pixels in ome] for axis in "TZC")
    return (len(ome), *(max(lengths) for lengths in sizes))


def _imagej_axes(tif: TiffFile) -> tuple[int, ...]:
    metadata = tif.imagej_metadata
    if metadata is None:
        return ()
    axes = tuple(int(metadata.get(axis, 1)) for axis in ("frames", "slices", "channels"))
    images = int(metadata.get("images", 1))
    # "images" may stand alone, and is what ImageJ itself goes by
    return axes if math.prod(axes) >= images else (images,)


def _tifffile_axes(first: TiffPage) -> tuple[int, ...]:
    """Return the leading axes of the shape that tifffile writes as JSON into the first page."""
    for description in (first.description, first.description1):
        if description.startswith("{") and '"shape":' in description:
            shape = tuple(json.loads(description)["shape"])
            for end in range(len(shape), 0, -1):
                if math.prod(shape[end:]) == math.prod(first.shape):
                    return shape[:end]
    return ()


def _metamorph_axes(first: TiffPage) -> tuple[int, ...]:
    """Return the number of planes, which MetaMorph tells by the length of its tag UIC2."""
    tag = first.tags.get("UIC2tag")
    return () if tag is None else (tag.count,)


def _is_told(size: tuple[float, float]) -> bool:
    return all(0 < length < math.inf for length in size)


def _ome_pixel_size_nm(ome: list[Element]) -> tuple[float, float]:
    if not ome:
        return UNKNOWN
    height, width = (
        _number(ome[0].get(f"PhysicalSize{axis}", ""))
        * NM_PER_UNIT.get(ome[0].get(f"PhysicalSize{axis}Unit", "um"), math.nan)
        for axis in "YX"
    )
    return height, width


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _imagej_pixel_size_nm(tif: TiffFile, first: TiffPage) -> tuple[float, float]:
    unit = str((tif.imagej_metadata or {}).get("unit"))
    height, width = _pixel_in_resolution_units(first)
    nm_per_unit = NM_PER_UNIT.get(unit.lower(), math.nan)
    size = height * nm_per_unit, width * nm_per_unit
    # ImageJ makes centimetres of the resolution of a print
    return size if nm_per_unit <= NM_PER_UNIT["um"] or _is_plausible(size) else UNKNOWN


def _micro_manager_pixel_size_nm(first: TiffPage) -> tuple[float, float]:
    metadata = first.tags.valueof("MicroManagerMetadata")
    size = metadata.get("PixelSizeUm") if isinstance(metadata, dict) else None
    return (size * 1e3, size * 1e3) if isinstance(size, int | float) else UNKNOWN


def _plain_pixel_size_nm(first: TiffPage) -> tuple[float, float]:
    if first.tags.valueof("ResolutionUnit") != CENTIMETRE:
        return UNKNOWN
    height, width = (length * NM_PER_CENTIMETRE for length in _pixel_in_resolution_units(first))
    return (height, width) if _is_plausible((height, width)) else UNKNOWN


def _is_plausible(size: tuple[float, float]) -> bool:
    smallest, largest = PLAUSIBLE_PIXEL_SIZES_NM
    return smallest <= min(size) and max(size) <= largest


def _pixel_in_resolution_units(first: TiffPage) -> tuple[float, float]:
    resolutions = (first.tags.valueof(tag, (0, 1)) for tag in ("YResolution", "XResolution"))
    height, width = (unit / pixels if pixels else math.nan for pixels, unit in resolutions)
    return height, width
