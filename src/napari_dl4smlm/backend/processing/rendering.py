"""Localizations as an image: counted, or each drawn as a Gaussian spot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import scipy
from pydantic import BaseModel, Field, model_validator

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.processing.filtering import Region

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.localizations.table import Localizations

_REACH = 3.0
"""Standard deviations at which a spot is cut; its sum stays 1."""

_LOCALIZATIONS_AT_A_TIME = 1024
_SMALLEST_TILE_PX = 16

_LARGEST_PX = 2**30
"""Pixels of the largest image, 4 GiB."""


class Rendering(BaseModel, frozen=True, extra="forbid"):
    """How localizations become an image.

    Each adds 1 to its sum, but for what lies beyond the edges of the image.
    """

    mode: Literal["histogram", "gaussian", "uncertainty", "density"] = Field(
        "gaussian",
        title="Mode",
        description="histogram: localizations per pixel; gaussian: spots of one width; "
        "uncertainty: each as wide as its uncertainty; density: each as wide as its neighbours are "
        "far",
    )
    pixel_nm: float = Field(
        10.0, gt=0, allow_inf_nan=False, title="Pixel", description="of the image, in nm"
    )
    sigma_nm: float = Field(
        20.0,
        gt=0,
        allow_inf_nan=False,
        title="Spot width",
        description="standard deviation of all spots in the mode gaussian, in nm",
    )
    min_sigma_nm: float = Field(
        5.0,
        gt=0,
        allow_inf_nan=False,
        title="Narrowest spot",
        description="in the modes uncertainty and density, in nm",
    )
    max_sigma_nm: float = Field(
        100.0,
        gt=0,
        allow_inf_nan=False,
        title="Widest spot",
        description="in the modes uncertainty and density, in nm",
    )
    neighbours: int = Field(
        5,
        ge=1,
        title="Neighbours",
        description="in the mode density, the distance to this nearest one is the width",
    )
    region: Region | None = Field(
        None, title="Region", description="what to draw; default: the whole field of view"
    )

    @model_validator(mode="after")
    def _widths_in_order(self) -> Rendering:
        if self.min_sigma_nm > self.max_sigma_nm:
            raise ValueError(
                f"min_sigma_nm {self.min_sigma_nm:g} is above max_sigma_nm {self.max_sigma_nm:g}"
            )
        return self


def render_localizations(
    localizations: Localizations,
    config: Rendering | None = None,
    *,
    field_nm: tuple[float, float] | None = None,
) -> NDArray[np.float32]:
    """Draw localizations.

    Parameters
    ----------
    localizations
        Those outside of the image add what reaches into it.
    config
        How and what.
    field_nm
        Height and width of the field of view, which is drawn from its corner (0, 0) on; by default
        to the farthest localization. A region of the config takes its place.

    Returns
    -------
    NDArray
        Shape (Y, X), localizations per pixel: a Gaussian is integrated over each pixel. Pixel
        (0, 0) begins at the corner of the field or of the region; the last ones reach beyond its
        end where that is no whole number of pixels.

    Raises
    ------
    InputError
        The image would have more than 2**30 pixels, or the table has no uncertainties to draw.
    """
    config = config or Rendering()
    region = drawn_region(localizations, config, field_nm)
    shape = _shape(region, config.pixel_nm)
    corner = (region.top_nm, region.left_nm)
    position_px = (localizations.positions_nm() - corner) / config.pixel_nm
    if config.mode == "histogram":
        return _counted(position_px, shape)
    return _drawn(position_px, _widths_nm(localizations, config) / config.pixel_nm, shape)


def drawn_region(
    localizations: Localizations, config: Rendering, field_nm: tuple[float, float] | None = None
) -> Region:
    """Return what :func:`render_localizations` draws."""
    if config.region is not None:
        return config.region
    if field_nm is None:
        farthest = localizations.positions_nm().max(axis=0, initial=0.0)
        # a localization on the edge lies in the next pixel
        height, width = (np.floor(farthest / config.pixel_nm) + 1) * config.pixel_nm
        field_nm = (float(height), float(width))
    return Region(height_nm=field_nm[0], width_nm=field_nm[1])


def _shape(region: Region, pixel_nm: float) -> tuple[int, int]:
    # a rounding error of the division makes no further pixel
    sides = np.array([region.height_nm, region.width_nm]) / pixel_nm
    height, width = np.ceil(sides - 1e-6).clip(min=1)
    if height * width > _LARGEST_PX:
        raise InputError(
            f"An image of {region.height_nm:g} x {region.width_nm:g} nm with pixels of "
            f"{pixel_nm:g} nm would have {height:.0f} x {width:.0f} px, too many. Choose larger "
            "pixels or a smaller region."
        )
    return int(height), int(width)


def _widths_nm(localizations: Localizations, config: Rendering) -> NDArray[np.float64]:
    n = len(localizations)
    if config.mode == "gaussian":
        return np.full(n, config.sigma_nm)
    if config.mode == "uncertainty":
        widths = _known_uncertainties(localizations)
    else:
        tree = scipy.spatial.cKDTree(localizations.positions_nm())
        # the nearest is the localization itself
        distance, _ = tree.query(localizations.positions_nm(), k=[config.neighbours + 1])
        widths = np.asarray(distance)[:, 0]
    return widths.clip(config.min_sigma_nm, config.max_sigma_nm)


def _known_uncertainties(localizations: Localizations) -> NDArray[np.float64]:
    """Return the uncertainties; where one is not known, the median of those that are."""
    uncertainty = localizations.uncertainty_nm
    if uncertainty is None:
        uncertainty = np.full(len(localizations), np.nan)
    known = np.isfinite(uncertainty) & (uncertainty > 0)
    if known.all():
        return uncertainty
    if not known.any():
        raise InputError(
            "The localizations have no uncertainty_nm that could be drawn. Choose the mode "
            "gaussian, density or histogram."
        )
    return np.where(known, uncertainty, np.median(uncertainty[known]))


def _counted(position_px: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float32]:
    inside = ((position_px >= 0) & (position_px < shape)).all(axis=1)
    row, column = position_px[inside].astype(np.int64).T
    image = np.zeros(shape, np.float32)
    # many times faster with one index than with two
    np.add.at(image.reshape(-1), row * shape[1] + column, np.float32(1))
    return image


def _drawn(
    position_px: NDArray[np.float64], sigma_px: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Add up spots, the narrow ones and the wide ones apart.

    The spots of a tile are the product of two matrices, the profiles of all spots along y and along
    x, which is many times faster than to add one spot after the other.
    """
    image = np.zeros(shape, np.float32)
    reach = np.ceil(_REACH * sigma_px).astype(np.int64)
    seen = ((position_px > -reach[:, None]) & (position_px < shape + reach[:, None])).all(axis=1)
    position_px, sigma_px, reach = position_px[seen], sigma_px[seen], reach[seen]
    # so that the profiles of spots that are drawn together are about equally long
    size_class = np.frexp(reach)[1]
    for each in np.unique(size_class):
        chosen = size_class == each
        largest = int(reach[chosen].max())
        tile_px = max(_SMALLEST_TILE_PX, 2 * largest)
        order, tile = _sorted_by_tile(position_px[chosen], tile_px)
        rows = np.flatnonzero(chosen)[order]
        starts = np.flatnonzero(np.diff(tile, prepend=-1))
        for part in np.split(rows, starts[1:]):
            for first in range(0, len(part), _LOCALIZATIONS_AT_A_TIME):
                some = part[first : first + _LOCALIZATIONS_AT_A_TIME]
                _add_spots(image, position_px[some], sigma_px[some], largest)
    return image


def _sorted_by_tile(
    position_px: NDArray[np.float64], tile_px: int
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Return an order in which the spots of a tile follow each other, and the tile of each."""
    row, column = np.floor(position_px / tile_px).astype(np.int64).T
    tile = (row - row.min()) * (int(np.ptp(column)) + 1) + column - column.min()
    order = np.argsort(tile, kind="stable")
    return order, tile[order]


def _add_spots(
    image: NDArray[np.float32],
    position_px: NDArray[np.float64],
    sigma_px: NDArray[np.float64],
    reach: int,
) -> None:
    first = np.floor(position_px.min(axis=0)).astype(int) - reach
    last = np.floor(position_px.max(axis=0)).astype(int) + reach
    top, left = first.clip(min=0)
    bottom, right = np.minimum(last + 1, image.shape)
    rows = _profiles(position_px[:, 0], sigma_px, top, bottom)
    columns = _profiles(position_px[:, 1], sigma_px, left, right)
    image[top:bottom, left:right] += rows.T @ columns


def _profiles(
    centre: NDArray[np.float64], sigma: NDArray[np.float64], start: int, stop: int
) -> NDArray[np.float32]:
    """Return the share of each spot in each pixel of a row or a column, shape (spots, pixels)."""
    edges = np.arange(start, stop + 1)
    scaled = ((edges - centre[:, None]) / sigma[:, None]).astype(np.float32)
    below: NDArray[np.float32] = scipy.special.ndtr(scaled.clip(-_REACH, _REACH))
    return np.diff(below, axis=1) / np.float32(
        scipy.special.ndtr(_REACH) - scipy.special.ndtr(-_REACH)
    )
