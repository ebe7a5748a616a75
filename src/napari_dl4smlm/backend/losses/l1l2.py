"""The loss of Deep-STORM: a blurred squared difference plus the L1 norm of the prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dl4smlm.backend.gaussian_blur import GaussianBlur
from napari_dl4smlm.backend.losses.loss import Loss

if TYPE_CHECKING:
    from torch import Tensor

_SIGMA_PX = 1.0
_BLUR = GaussianBlur(_SIGMA_PX)


class L1L2Loss(Loss):
    r"""Compare blurred density maps and keep the prediction sparse.

    .. math:: \frac{\lambda}{2}\,\mathrm{mean}\big((g * p - g * s)^2\big) + \mathrm{mean}\,|p|

    with the Gaussian g of unit sum, 7 x 7 values and a sigma of one fine pixel, and the target s of
    spikes. A lower lambda gives a sparser prediction, a higher one keeps more signal. An isolated
    emitter is predicted with the amplitude 1 - 1 / (lambda sum(g²)) = 1 - 12.6 / lambda: below
    lambda = 12.6 the empty image wins. At 400 the balance is that of the code published with
    Deep-STORM, mean((100 g*s - 2 g*q)²) + mean|q|, in which q = 50 p.

    References
    ----------
    E. Nehme et al., Optica 5, 458 (2018), doi:10.1364/OPTICA.5.000458
    """

    target_sigma_px = 0.0
    blur_sigma_px = _SIGMA_PX
    default_lambda = 400.0

    def as_seen(self, maps: Tensor) -> Tensor:
        """Blur density maps."""
        blurred: Tensor = _BLUR(maps)
        return blurred

    def penalties(self, differences: Tensor) -> Tensor:
        """Square."""
        return differences.square()

    def average(self, penalties: Tensor, truth: Tensor) -> Tensor:
        """Average, whatever the truth: all pixels count the same."""
        del truth
        return penalties.mean()
