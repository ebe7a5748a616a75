"""The spectrum of an image with soft edges, and rings of equal spatial frequency in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy

if TYPE_CHECKING:
    from numpy.typing import NDArray

# an eighth of the image on each side, as in Nieuwenhuizen et al. (2013)
_TAPERED = 0.25


def windowed_spectrum(image: NDArray[np.floating]) -> NDArray[np.complexfloating]:
    """Return the Fourier transform of an image that fades out towards its edges.

    Without the Tukey window, the jump from one edge of the image to the opposite one would look
    like detail of all sizes. The mean under the window is taken away before: it tells nothing about
    detail, and would leak into the first rings.

    Parameters
    ----------
    image
        Shape (Y, X), finite.

    Returns
    -------
    NDArray
        Shape (Y, X // 2 + 1): the half of the spectrum that tells all of a real image.
    """
    height, width = image.shape
    if not np.issubdtype(image.dtype, np.floating):
        # neither the window nor differences from the mean are whole numbers, or above zero
        image = image.astype(np.float64)
    window = np.outer(
        scipy.signal.windows.tukey(height, _TAPERED), scipy.signal.windows.tukey(width, _TAPERED)
    ).astype(image.dtype)
    # an image of one value minus its mean would be rounding errors, and these have a spectrum too
    if image.min() == image.max():
        return np.zeros((height, width // 2 + 1), dtype=np.complex128)
    mean = np.sum(window * image, dtype=np.float64) / np.sum(window, dtype=np.float64)
    spectrum: NDArray[np.complexfloating] = scipy.fft.rfft2(
        (image - image.dtype.type(mean)) * window
    )
    return spectrum


class Rings:
    """Rings of equal spatial frequency in the spectrum of an image.

    Ring k holds the waves with k periods, give or take half of one, along the longer side of the
    image. The last ring is that of the finest stripes that pixels can show, two pixels a period;
    finer waves, which exist along the diagonals only, are in no ring.

    Parameters
    ----------
    shape
        Of the image, not of its spectrum.

    Attributes
    ----------
    frequency
        Shape (rings,), in periods per pixel, from 0 to 0.5.
    waves
        Shape (rings,): how many waves of the whole spectrum are in each ring.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        height, width = shape
        longer = max(shape)
        radius = np.hypot(scipy.fft.fftfreq(height)[:, None], scipy.fft.rfftfreq(width))
        self._ring = np.rint(radius * longer).astype(np.intp).ravel()
        # every wave beside the middle columns has a twin in the half that is not computed
        twins = np.full(radius.shape, 2.0)
        twins[:, 0] = 1
        if width % 2 == 0:
            twins[:, -1] = 1
        self._twins = twins
        self.frequency = np.arange(longer // 2 + 1) / longer
        self.waves = self.sum(np.ones_like(twins))

    def sum(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Add up values of the waves in each ring.

        Parameters
        ----------
        values
            Of the shape that `windowed_spectrum` returns.
        """
        count = len(self.frequency)
        sums = np.bincount(self._ring, (values * self._twins).ravel(), minlength=count)
        return sums[:count].astype(np.float64, copy=False)
