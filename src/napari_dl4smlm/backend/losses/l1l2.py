"""The loss of Deep-STORM: a blurred squared difference plus the L1 norm of the prediction."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from napari_dl4smlm.backend.losses.loss import Loss

if TYPE_CHECKING:
    from torch import Tensor

_REACH = 3
_SIGMA_PX = 1.0


@cache
def _profile() -> tuple[float, ...]:
    samples = [torch.tensor(-0.5 * (i / _SIGMA_PX) ** 2).exp() for i in range(-_REACH, _REACH + 1)]
    total = sum(samples)
    return tuple(float(sample / total) for sample in samples)


def blur(density_maps: Tensor) -> Tensor:
    """Convolve with the unit-sum 7 x 7 Gaussian (sigma of one fine pixel) of the L1L2 loss.

    Parameters
    ----------
    density_maps
        Shape (N, 1, Y, X). Outside of the map the density is zero.

    Returns
    -------
    Tensor
        The same shape; the centre of mass stays where it was.
    """
    # a sum of shifted maps: a convolution of one channel took ten times as long on a CPU
    for dim, margin in ((-2, (0, 0, _REACH, _REACH)), (-1, (_REACH, _REACH))):
        padded = F.pad(density_maps, margin)
        blurred = torch.zeros_like(density_maps)
        for start, share in enumerate(_profile()):
            part = padded.narrow(dim, start, density_maps.shape[dim])
            blurred = torch.add(blurred, part, alpha=share)
        density_maps = blurred
    return density_maps


class L1L2Loss(Loss):
    r"""Compare blurred density maps and keep the prediction sparse.

    .. math:: \frac{\lambda}{2}\,\mathrm{mean}\big((g * p - g * s)^2\big) + \mathrm{mean}\,|p|

    with the unit-sum Gaussian g of :func:`blur` and the target s of spikes. A lower lambda gives a
    sparser prediction, a higher one keeps more signal. An isolated emitter is predicted with the
    amplitude 1 - 1 / (lambda sum(g²)) = 1 - 12.6 / lambda: below lambda = 12.6 the empty image
    wins. At 400 the balance is that of the code published with Deep-STORM,
    mean((100 g*s - 2 g*q)²) + mean|q|, in which q = 50 p.

    References
    ----------
    E. Nehme et al., Optica 5, 458 (2018), doi:10.1364/OPTICA.5.000458
    """

    target_sigma_px = 0.0
    blur_sigma_px = _SIGMA_PX
    default_lambda = 400.0

    def as_seen(self, maps: Tensor) -> Tensor:
        """Blur density maps."""
        return blur(maps)

    def penalties(self, differences: Tensor) -> Tensor:
        """Square."""
        return differences.square()

    def average(self, penalties: Tensor, truth: Tensor) -> Tensor:
        """Average, whatever the truth: all pixels count the same."""
        del truth
        return penalties.mean()
