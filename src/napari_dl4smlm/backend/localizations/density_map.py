"""Localizations to density maps: with peaks.py, the only home of half-pixel arithmetic.

Convention: positions are in nanometres from the outer corner of camera pixel (0, 0). On the fine
grid of an upsampling factor f the pixel is p / f wide, and the emitter at x lies in column
floor(x f / p), whose centre is at (column + 0.5) p / f.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy

if TYPE_CHECKING:
    from numpy.typing import NDArray


def render_density_map(
    positions_nm: NDArray[np.float64],
    *,
    height: int,
    width: int,
    pixel_size_nm: float,
    upsampling_factor: int,
    sigma_px: float,
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """Draw every emitter as a spot of sum 1 on the fine grid.

    Parameters
    ----------
    positions_nm
        Shape (N, 2), order (y, x). Emitters outside of the field add what reaches into it.
    height, width
        Size of the field in camera pixels.
    pixel_size_nm
        Camera pixel.
    upsampling_factor
        Fine pixels per camera pixel.
    sigma_px
        Standard deviation of the Gaussian in fine pixels, integrated over each pixel and cut at
        three standard deviations. With 0 the emitter is a spike, shared between the up to four
        pixels around it such that their centroid is the emitter's position.
    weights
        Shape (N,): sum of each spot where it is not 1, such as photons.

    Returns
    -------
    NDArray
        Shape (height * upsampling_factor, width * upsampling_factor), emitters per fine pixel.
        The centroid of an isolated emitter is its position, not that of the nearest pixel: a
        target rounded to the grid would add p / (f sqrt(12)) of error to every localization.
    """
    shape = (height * upsampling_factor, width * upsampling_factor)
    density_map = np.zeros(shape, dtype=np.float32)
    fine = np.asarray(positions_nm, dtype=np.float64).reshape(-1, 2) * (
        upsampling_factor / pixel_size_nm
    )
    rows, row_weights = _spot_profiles(fine[:, 0], sigma_px)
    columns, column_weights = _spot_profiles(fine[:, 1], sigma_px)
    if weights is not None:
        row_weights *= weights[:, None]
    row_weights[(rows < 0) | (rows >= shape[0])] = 0
    column_weights[(columns < 0) | (columns >= shape[1])] = 0
    np.add.at(
        density_map,
        (rows.clip(0, shape[0] - 1)[:, :, None], columns.clip(0, shape[1] - 1)[:, None, :]),
        (row_weights[:, :, None] * column_weights[:, None, :]).astype(np.float32),
    )
    return density_map


def _spot_profiles(
    centres: NDArray[np.float64], sigma_px: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pixels (N, K) around each centre along one axis, and their shares of the spot."""
    if sigma_px == 0:
        # linear sharing between the two pixels whose centres enclose the emitter
        first = np.floor(centres - 0.5).astype(np.int64)
        pixels = first[:, None] + np.arange(2)
        share = centres - 0.5 - first
        return pixels, np.stack([1 - share, share], axis=1)
    reach = int(np.ceil(3 * sigma_px))
    pixels = np.floor(centres).astype(np.int64)[:, None] + np.arange(-reach, reach + 1)
    edges = np.concatenate([pixels, pixels[:, -1:] + 1], axis=1)
    weights = np.diff(scipy.special.ndtr((edges - centres[:, None]) / sigma_px), axis=1)
    return pixels, weights / weights.sum(axis=1, keepdims=True)
