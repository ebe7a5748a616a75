"""Density maps to localizations: local maxima with a sub-pixel centroid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

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


def find_peaks(
    density_maps: Tensor,
    *,
    pixel_size_nm: float,
    upsampling_factor: int,
    threshold: float,
    first_frame: int = 0,
) -> Localizations:
    """Find the emitters in density maps, on the device where the maps are.

    A peak is a pixel that no other in its 5 x 5 window exceeds, and the density summed over that
    window is its ``confidence``: about 1 for an isolated emitter that the network is sure of.
    Of equal neighbours on a plateau the last in reading order counts, so that rounding to few
    bits cannot double a localization.

    Parameters
    ----------
    density_maps
        Shape (N, f Y, f X), emitters per fine pixel; negative values count as zero.
    pixel_size_nm
        Camera pixel.
    upsampling_factor
        Fine pixels per camera pixel, f.
    threshold
        Smallest confidence that makes a localization.
    first_frame
        Number of the frame that the first map belongs to.

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
    side = 2 * _REACH + 1
    padded = F.pad(density_maps.float().clamp_min(0), (_REACH,) * 4)
    # the maximum of a window is at least its mean, so that nothing above the threshold is lost
    frame, row, column = torch.nonzero(
        padded[:, _REACH:-_REACH, _REACH:-_REACH] >= threshold / side**2, as_tuple=True
    )
    offsets = torch.arange(side, device=padded.device)
    windows = padded[
        frame[:, None, None],
        row[:, None, None] + offsets[:, None],
        column[:, None, None] + offsets[None, :],
    ].reshape(-1, side**2)
    centre = side**2 // 2
    value = windows[:, centre : centre + 1]
    is_peak = (windows[:, :centre] <= value).all(1) & (windows[:, centre + 1 :] < value).all(1)
    density = windows.sum(1)
    keep = is_peak & (density >= threshold)
    windows, density = windows[keep], density[keep]
    from_centre = offsets.float() - _REACH
    row_offset = windows @ from_centre.repeat_interleave(side) / density
    column_offset = windows @ from_centre.repeat(side) / density
    fine_pixel_nm = pixel_size_nm / upsampling_factor
    return Localizations(
        frame=frame[keep].cpu().numpy() + first_frame,
        y_nm=(_to_numpy(row[keep]) + 0.5 + _to_numpy(row_offset)) * fine_pixel_nm,
        x_nm=(_to_numpy(column[keep]) + 0.5 + _to_numpy(column_offset)) * fine_pixel_nm,
        confidence=_to_numpy(density),
    )


def _to_numpy(values: Tensor) -> NDArray[np.float64]:
    # double on the host, since not every device has it and a whole field does not fit into single
    return values.cpu().numpy().astype(np.float64)
