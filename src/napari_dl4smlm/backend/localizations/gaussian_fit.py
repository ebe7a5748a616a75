"""Spots in frames to localizations: maximum likelihood fits of an integrated Gaussian."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCH = 500
"""Fits that run side by side; their arrays of a few MB stay in the cache of a core."""

_MAX_ITERATIONS = 30
"""An isolated spot takes about five, and fewer than 20 even on a background of a tenth photon."""

_TOLERANCE = 1e-6
"""A fit has converged when its next step is below a thousandth of the standard errors."""

_FEWEST_PHOTONS = 1.0

_DARK_VARIANCE = 0.01
"""Smallest read noise, a tenth of a photon: without any, a dark pixel's weight were infinite."""


def fit_spots(
    frames: NDArray[np.floating],
    frame: NDArray[np.integer],
    row: NDArray[np.integer],
    column: NDArray[np.integer],
    *,
    pixel_size_nm: float,
    psf_sigma_nm: float,
    fit_sigma: bool = False,
    read_noise: float = 0.0,
    excess_noise: float = 1.0,
    first_frame: int = 0,
) -> tuple[Localizations, NDArray[np.bool_]]:
    r"""Fit a Gaussian that is integrated over square pixels, on a constant background, to spots.

    Maximum likelihood by Fisher scoring (Smith et al.), for counts with the variance
    :math:`F\mu + \sigma_r^2` at a mean of :math:`\mu`: the read noise joins the Poisson variance
    (Huang et al.). The fit knows one emitter; the light of another one in its window, which
    reaches 2.5 standard deviations of the PSF to each side, pulls it there. At the border of a
    frame the window is moved inside.

    A fit is dropped if it does not converge, ends outside of the frame or, in y or x, farther from
    the centre of the given pixel than 1.5 standard deviations of the PSF (at least one pixel),
    finds no more than one photon, or a width that is not between half and twice that of the PSF.

    Parameters
    ----------
    frames
        Photons, shape (N, Y, X), such as :meth:`Camera.to_photons` gives. Finite.
    frame, row, column
        Shape (M,): index of the frame and of the pixel in which each spot is brightest.
    pixel_size_nm
        Camera pixel.
    psf_sigma_nm
        Standard deviation of an emitter's image; where the fit starts with ``fit_sigma``.
    fit_sigma
        Let the standard deviation be what fits each spot best.
    read_noise
        Standard deviation, in photons.
    excess_noise
        Variance of the signal over its mean, F: 1 for a Poisson process, 2 for an EMCCD.
    first_frame
        Number of the frame that comes first in ``frames``.

    Returns
    -------
    tuple
        Localizations with photons, sigma, background and uncertainty, in the order of the spots,
        and which of the spots, shape (M,), have one. The background is not below 0. The uncertainty
        is the Cramér-Rao bound at the fitted values, as the root mean square of y and x.

    Raises
    ------
    InputError
        Frames, spots, sizes or noise are not as above, the PSF is less than a quarter of a pixel,
        or a frame is smaller than the window.

    References
    ----------
    C. S. Smith et al., Nat. Methods 7, 373 (2010), doi:10.1038/nmeth.1449

    F. Huang et al., Nat. Methods 10, 653 (2013), doi:10.1038/nmeth.2488
    """
    check_frames(frames, pixel_size_nm, psf_sigma_nm, read_noise, excess_noise)
    spots = _check_spots(frames, frame, row, column)
    sigma = psf_sigma_nm / pixel_size_nm
    # (signal + shift) / F has a variance equal to its mean, as Poisson counts have
    shift = max(read_noise**2 / excess_noise, _DARK_VARIANCE)
    fits = [
        _fit_batch(frames, batch, sigma, shift, n_free=5 if fit_sigma else 4)
        for batch in np.split(spots, range(_BATCH, spots.shape[1], _BATCH), axis=1)
    ]
    kept = np.concatenate([fit.kept for fit in fits])
    y, x, photons, background, sigmas = np.concatenate([fit.values for fit in fits])[kept].T
    variance = np.concatenate([fit.position_variance for fit in fits])[kept] * excess_noise
    fitted = Localizations(
        frame=spots[0, kept] + first_frame,
        y_nm=y * pixel_size_nm,
        x_nm=x * pixel_size_nm,
        photons=photons,
        sigma_nm=sigmas * pixel_size_nm,
        background=background,
        uncertainty_nm=np.sqrt(variance) * pixel_size_nm,
    )
    return fitted, kept


def check_frames(
    frames: NDArray[np.floating],
    pixel_size_nm: float,
    psf_sigma_nm: float,
    read_noise: float,
    excess_noise: float,
) -> None:
    """Refuse what spots cannot be fitted in; the arguments are those of :func:`fit_spots`."""
    for name, length in (("pixel_size_nm", pixel_size_nm), ("psf_sigma_nm", psf_sigma_nm)):
        if not 0 < length < np.inf:
            raise InputError(f"{name} is {length:g}; give a length above 0 nm.")
    for name, value, least in (("read_noise", read_noise, 0), ("excess_noise", excess_noise, 1)):
        if not least <= value < np.inf:
            raise InputError(f"{name} is {value:g}; give a number of at least {least}.")
    if psf_sigma_nm < pixel_size_nm / 4:
        raise InputError(
            f"A PSF of {psf_sigma_nm:g} nm is less than a quarter of a pixel of {pixel_size_nm:g} "
            "nm, which does not tell where in the pixel it is. Is psf_sigma_nm in nm?"
        )
    if frames.ndim != 3 or frames.dtype.kind not in "iuf":
        raise InputError(
            f"frames are an array of {frames.dtype} with shape {frames.shape}. "
            "Give photons of shape (N, Y, X)."
        )
    side = _window_side(psf_sigma_nm / pixel_size_nm)
    if min(frames.shape[1:]) < side:
        raise InputError(
            f"Frames of {frames.shape[1]} x {frames.shape[2]} pixels are smaller than the window "
            f"of {side} x {side} pixels that a fit takes. Give larger frames."
        )
    if not np.isfinite(frames).all():
        raise InputError("frames hold NaN or infinity. Give photons in every pixel.")


def _check_spots(frames: NDArray[np.floating], *given: NDArray[np.integer]) -> NDArray[np.intp]:
    """Return frame, row and column of the spots as one array, shape (3, M)."""
    spots = [np.asarray(indices) for indices in given]
    if len({indices.shape for indices in spots}) > 1 or spots[0].ndim != 1:
        shapes = ", ".join(str(indices.shape) for indices in spots)
        raise InputError(
            f"frame, row and column have the shapes {shapes}. Give one index per spot in each."
        )
    for name, indices, end in zip(("frame", "row", "column"), spots, frames.shape, strict=True):
        whole = indices.dtype.kind in "iu" or not indices.size
        if not whole or ((indices < 0) | (indices >= end)).any():
            raise InputError(
                f"The {name} of every spot is a whole number from 0 to {end - 1}, the index into "
                f"frames of shape {frames.shape}; the given ones are not."
            )
    return np.stack(spots).astype(np.intp)


class _Fits(NamedTuple):
    """Fitted spots; those that are not kept have failed.

    Values (n, 5) are y, x, photons, background and sigma, lengths in pixels. The variance of the
    position (n,) is the mean of those of y and x, without excess noise.
    """

    values: NDArray[np.float64]
    position_variance: NDArray[np.float64]
    kept: NDArray[np.bool_]


def _window_side(sigma: float) -> int:
    # wider windows gain less than 1 % of precision, and lose spots that have neighbours
    return 2 * max(2, int(np.ceil(2.5 * sigma))) + 1


def _fit_batch(
    frames: NDArray[np.floating],
    spots: NDArray[np.intp],
    sigma: float,
    shift: float,
    n_free: int,
) -> _Fits:
    side = _window_side(sigma)
    pixel = spots[1:].T
    size = np.array(frames.shape[1:])
    corner = np.clip(pixel - side // 2, 0, size - side)
    seen = corner[:, :, None] + np.arange(side)
    windows = frames[spots[0][:, None, None], seen[:, 0, :, None], seen[:, 1, None, :]]
    # the likelihood of a Poisson process does not know counts below 0
    counts = np.maximum(windows.reshape(-1, side**2).astype(np.float64) + shift, 0)

    centre = (pixel - corner).astype(np.float64) + 0.5
    lowest, highest = _limits(centre, -corner, size - corner, sigma)
    start = _starting_values(counts - shift, centre, sigma, side)
    values, converged = _maximize_likelihood(counts, start, lowest, highest, shift, n_free)
    expected, slopes = _expected_counts(values, shift, side, n_free)
    covariance = np.linalg.inv(_information(expected, slopes))
    position_variance = (covariance[:, 0, 0] + covariance[:, 1, 1]) / 2
    inside = (values > lowest) & (values < highest)
    inside[:, 3] = True
    values[:, :2] += corner
    return _Fits(values, position_variance, converged & inside.all(axis=1))


def _limits(
    centre: NDArray[np.float64],
    first: NDArray[np.integer],
    end: NDArray[np.integer],
    sigma: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lowest and the highest values (n, 5) of fits within a frame from first to end."""
    roam = max(1.5 * sigma, 1.0)
    n = len(centre)
    lowest = np.broadcast_to([_FEWEST_PHOTONS, 0, sigma / 2], (n, 3))
    highest = np.broadcast_to([np.inf, np.inf, 2 * sigma], (n, 3))
    return (
        np.hstack([np.maximum(centre - roam, first), lowest]),
        np.hstack([np.minimum(centre + roam, end), highest]),
    )


def _starting_values(
    photons: NDArray[np.float64], centre: NDArray[np.float64], sigma: float, side: int
) -> NDArray[np.float64]:
    """Regress each window (n, side²) on a spot in the centre (n, 2) of its brightest pixel."""
    ones = np.ones(len(centre))
    start = np.column_stack([centre, ones, 0 * ones, sigma * ones])
    spot, _ = _expected_counts(start, 0.0, side, 4)
    mean = spot.mean(axis=1)
    deviation = spot - mean[:, None]
    slope = (deviation * photons).sum(axis=1) / (deviation**2).sum(axis=1)
    start[:, 2] = np.maximum(slope, 10 * _FEWEST_PHOTONS)
    start[:, 3] = np.maximum(photons.mean(axis=1) - start[:, 2] * mean, 0)
    return start


def _maximize_likelihood(
    counts: NDArray[np.float64],
    start: NDArray[np.float64],
    lowest: NDArray[np.float64],
    highest: NDArray[np.float64],
    shift: float,
    n_free: int,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Go from the starting values (n, 5) to the fitted ones, and tell which have converged."""
    values = start.copy()
    misfit, step, remaining = _scoring_step(counts, values, shift, n_free)
    fraction = np.ones(len(values))
    for _ in range(_MAX_ITERATIONS):
        active = np.flatnonzero(remaining > _TOLERANCE)
        if not active.size:
            break
        trial = values[active] + fraction[active, None] * step[active]
        trial = np.clip(trial, lowest[active], highest[active])
        found = _scoring_step(counts[active], trial, shift, n_free)
        gain = misfit[active] - found[0]
        fraction[active] = _next_fraction(fraction[active], gain, remaining[active])
        better = gain >= 0
        improved = active[better]
        values[improved] = trial[better]
        for kept, new in zip((misfit, step, remaining), found, strict=True):
            kept[improved] = new[better]
    return values, remaining <= _TOLERANCE


def _next_fraction(
    fraction: NDArray[np.float64], gain: NDArray[np.float64], remaining: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return which fraction of the step leads to the minimum of the misfit.

    That is where the parabola has its minimum that begins with the slope of the misfit along the
    step, -remaining, and has fallen by the gain after the fraction of the step that was tried.
    Where the curvature that is expected of the misfit is the true one, it is the full step.
    """
    full = fraction**2 * remaining / 2
    return np.maximum(full / np.maximum(fraction * remaining - gain, full), fraction / 10)


def _scoring_step(
    counts: NDArray[np.float64], values: NDArray[np.float64], shift: float, n_free: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return half the deviance (n,), the step (n, 5) to lower it, and the square of its length.

    The length is in standard errors.
    """
    side = round(counts.shape[1] ** 0.5)
    expected, slopes = _expected_counts(values, shift, side, n_free)
    misfit = scipy.special.kl_div(counts, expected).sum(axis=1)
    information = _information(expected, slopes)
    score = (slopes @ (counts / expected - 1)[:, :, None])[:, :, 0]
    # a background of 0 that should be lower stays where it is, and the others make the best of it
    held = (values[:, 3] <= 0) & (score[:, 3] < 0)
    score[held, 3] = 0
    information[held, 3] = 0
    information[held, :, 3] = 0
    information[held, 3, 3] = 1
    step = np.zeros_like(values)
    step[:, :n_free] = np.linalg.solve(information, score[:, :, None])[:, :, 0]
    return misfit, step, (score * step[:, :n_free]).sum(axis=1)


def _information(expected: NDArray[np.float64], slopes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fisher information of Poisson counts, shape (n, n_free, n_free)."""
    information: NDArray[np.float64] = (slopes / expected[:, None]) @ slopes.transpose(0, 2, 1)
    return information


def _expected_counts(
    values: NDArray[np.float64], shift: float, side: int, n_free: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the model (n, side²) and its derivatives by the free values (n, n_free, side²)."""
    photons, background, sigma = values[:, 2:, None, None].transpose(1, 0, 2, 3)
    scaled = (np.arange(side + 1) - values[:, :2, None]) / sigma
    density = np.exp(-(scaled**2) / 2) / np.sqrt(2 * np.pi)
    # along y and along x: each pixel's share of the light, and its change with centre and sigma
    share_y, share_x = _column_and_row(np.diff(scipy.special.ndtr(scaled)))
    moved_y, moved_x = _column_and_row(-np.diff(density) / sigma)
    spot = share_y * share_x
    slopes = [photons * moved_y * share_x, photons * share_y * moved_x, spot, np.ones_like(spot)]
    if n_free == 5:
        wider_y, wider_x = _column_and_row(-np.diff(scaled * density) / sigma)
        slopes.append(photons * (wider_y * share_x + share_y * wider_x))
    expected = photons * spot + background + shift
    n = len(values)
    return expected.reshape(n, side**2), np.stack(slopes, axis=1).reshape(n, n_free, side**2)


def _column_and_row(
    profiles: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Stand the profiles along y up, so that profiles (n, 2, side) span images (n, side, side)."""
    return profiles[:, 0, :, None], profiles[:, 1, None, :]
