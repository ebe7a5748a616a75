"""Density maps to localizations: local maxima with a sub-pixel centroid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_REACH = 2
"""Half width of the window, in fine pixels, in which a peak is the maximum and is integrated.

Two fine pixels on either side hold 97 % of the target's Gaussian (sigma of one fine pixel) in each
axis; emitters closer than that cannot be told apart on this grid.
"""

_SIDE = 2 * _REACH + 1
_OFFSETS = np.indices((_SIDE, _SIDE)).reshape(2, -1).T - _REACH
"""Rows (y, x), from the centre of a window to its pixels in reading order."""

_CENTRE = len(_OFFSETS) // 2


def find_peaks(
    density_maps: Tensor,
    *,
    pixel_size_nm: float,
    upsampling_factor: int,
    threshold: float,
    first_frame: int = 0,
    amplitude: float = 1.0,
) -> Localizations:
    """Find the emitters in density maps, on the device where the maps are.

    A peak is a pixel that no other in its 5 x 5 window exceeds, and the density summed over that
    window is its ``confidence``: about 1 for an isolated emitter that the network is sure of.
    Of equal neighbours on a plateau the last in reading order counts, so that rounding to few
    bits cannot double a localization.

    Parameters
    ----------
    density_maps
        Shape (N, f Y, f X); negative values count as zero.
    pixel_size_nm
        Camera pixel.
    upsampling_factor
        Fine pixels per camera pixel, f.
    threshold
        Smallest confidence that makes a localization.
    first_frame
        Number of the frame that the first map belongs to.
    amplitude
        What the maps hold where the density is one emitter per fine pixel.

    Returns
    -------
    Localizations
        With the column ``confidence``, in the order of frames. Positions are centroids over the
        window: the centre of fine pixel k is at (k + 0.5) p / f.

    Raises
    ------
    InputError
        The threshold is not positive: every pixel of an empty map would be a localization.
    """
    if not threshold > 0:
        raise InputError(f"The threshold is {threshold:g}; give a density above 0, such as 0.3.")
    # the maximum of a window is at least its mean, so that nothing above the threshold is lost
    least = amplitude * threshold / len(_OFFSETS)
    if density_maps.device.type == "cpu":
        pixels, windows = _maxima_one_by_one(density_maps.float(), least)
    else:
        pixels, windows = (part.cpu().numpy() for part in _maxima_at_once(density_maps, least))
    # in double, since a whole field does not fit into single precision
    parts = windows.astype(np.float64) / amplitude
    density = parts.sum(1)
    keep = density >= threshold
    pixels, density = pixels[keep], density[keep]
    centroids = parts[keep] @ _OFFSETS / density[:, None]
    y_nm, x_nm = ((pixels[:, 1:] + 0.5 + centroids) * (pixel_size_nm / upsampling_factor)).T
    return Localizations(pixels[:, 0] + first_frame, y_nm, x_nm, confidence=density)


def _maxima_one_by_one(maps: Tensor, least: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find maxima as `_maxima_at_once` does, with few values looked up, as a CPU likes it.

    Most pixels have a brighter neighbour beside them and are done with after a look at one or two.
    What is kept is taken by its numbers: a mask that nobody can foresee takes several times longer.
    """
    values, (_, height, width) = maps.numpy().ravel(), maps.shape
    pixels = np.flatnonzero(values >= np.float32(least))
    row = pixels // width
    column, row = pixels - row * width, row % height
    # what lies beside others in memory may be of another row, or of another frame
    is_inner = (row > 0) & (row < height - 1) & (column > 0) & (column < width - 1)
    at_border = pixels.take(np.flatnonzero(~is_inner))
    pixels = pixels.take(np.flatnonzero(is_inner))
    value = values.take(pixels)
    for step in (-1, 1, -width, width):
        other = values.take(pixels + step)
        kept = np.flatnonzero(other <= value if step < 0 else other < value)
        pixels, value = pixels.take(kept), value.take(kept)
    pixels = np.sort(np.concatenate([pixels, at_border]))
    # windows side by side, so that processors compare many of them at a time
    down, across = _OFFSETS.T[:, :, None]
    windows = values.take(pixels + down * width + across, mode="clip")
    frame, row, column = np.unravel_index(pixels, maps.shape)
    is_in_map = (row + down >= 0) & (row + down < height)
    is_in_map &= (column + across >= 0) & (column + across < width)
    windows = np.where(is_in_map, windows.clip(min=0), 0)
    before, value, after = np.split(windows, [_CENTRE, _CENTRE + 1])
    kept = np.flatnonzero((before <= value).all(0) & (after < value).all(0))
    return np.stack([frame, row, column], 1).take(kept, 0), windows.take(kept, 1).T


def _maxima_at_once(maps: Tensor, least: float) -> tuple[Tensor, Tensor]:
    """Find maxima that reach a density in maps (N, Y, X), in few and large steps.

    Returns
    -------
    tuple of Tensor
        Rows (n, y, x) in reading order, and for each the densities in its window, row by row; below
        zero and outside of the map they are 0.
    """
    pixels = torch.nonzero(maps >= least)
    # few are the maximum of 3 x 3, so that few windows are cut out as a whole
    for reach in (1, _REACH):
        windows = _windows(maps, pixels, reach)
        is_maximum = _exceeds_others(windows)
        pixels, windows = pixels[is_maximum], windows[is_maximum]
    return pixels, windows


def _windows(maps: Tensor, pixels: Tensor, reach: int) -> Tensor:
    """Cut what is around pixels out of maps; shape (pixels, (2 * reach + 1)²)."""
    height, width = maps.shape[1:]
    offsets = torch.arange(-reach, reach + 1, device=maps.device)
    frame, row, column = pixels.unbind(1)
    rows, columns = row[:, None] + offsets, column[:, None] + offsets
    in_rows, in_columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    is_inside = (rows == in_rows)[:, :, None] & (columns == in_columns)[:, None, :]
    flat = (frame[:, None] * height + in_rows)[:, :, None] * width + in_columns[:, None, :]
    # several times faster than to index the maps
    values = maps.flatten().index_select(0, flat.flatten()).float().clamp_min(0)
    return torch.where(is_inside.flatten(1), values.view(-1, len(offsets) ** 2), 0)


def _exceeds_others(windows: Tensor) -> Tensor:
    centre = windows.shape[1] // 2
    value = windows[:, centre : centre + 1]
    before, after = windows[:, :centre], windows[:, centre + 1 :]
    return (before <= value).all(1) & (after < value).all(1)
