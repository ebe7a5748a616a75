"""Learning from a teacher, most where the teacher is right: its maps, and its features.

M. R. U. Saputra, P. P. B. de Gusmao, Y. Almalioglu, A. Markham, N. Trigoni, "Distilling Knowledge
From a Deep Pose Regressor Network", ICCV 2019, 263, doi:10.1109/ICCV.2019.00035; hints are from
A. Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015, arXiv:1412.6550.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from napari_dl4smlm.backend.losses.loss import Loss


def attention(errors: Tensor, lowest: float, highest: float) -> Tensor:
    r"""Return how far a teacher is to be followed in each sample.

    .. math:: \Phi_i = \frac{e_\mathrm{max} - e_i}{e_\mathrm{max} - e_\mathrm{min}} \in [0, 1]

    Parameters
    ----------
    errors
        The teacher's mean squared error in each sample, shape (N,).
    lowest, highest
        The smallest and the largest error over many samples. Samples beyond them count as they do;
        if both are equal, the teacher is followed everywhere.

    Returns
    -------
    Tensor
        Shape (N,): 1 where the teacher is at its best, 0 where it is at its worst.
    """
    if highest <= lowest:
        return torch.ones_like(errors)
    return ((highest - errors) / (highest - lowest)).clamp(0, 1)


def attentive_imitation_loss(
    loss: Loss,
    prediction: Tensor,
    truth: Tensor,
    taught: Tensor,
    followed: Tensor,
    alpha: float,
) -> Tensor:
    r"""Compare a student's density maps with the truth and with those of its teacher.

    .. math::
        \frac{\lambda}{2}\Big(\alpha\,D(p, t) + (1 - \alpha)\,\Phi D(p, p_T)\Big)
        + \mathrm{mean}\,|p|

    with the data term D of a loss, in which the penalties of sample i are multiplied by
    :math:`\Phi_i`.

    Parameters
    ----------
    loss
        Whose data term, lambda and, where it has one, foreground weight are used.
    prediction
        Shape (N, 1, Y, X), emitters per fine pixel, of any sign.
    truth
        The same shape, drawn as the loss wants it. It tells the foreground in both data terms: of
        the teacher's map, about half of the background is above 0 as well.
    taught
        The teacher's density maps as the loss sees maps, that is with one fine pixel of blur.
    followed
        The :func:`attention`, shape (N,).
    alpha
        Weight of the truth against the teacher, from 0 to 1.
    """
    seen = loss.as_seen(prediction)
    own = loss.penalties(seen - loss.as_seen(truth))
    imitated = followed.view(-1, 1, 1, 1) * loss.penalties(seen - taught)
    data_term = alpha * loss.average(own, truth) + (1 - alpha) * loss.average(imitated, truth)
    return loss.total(data_term, prediction)


def attentive_hint_loss(guided: Tensor, hints: Tensor, followed: Tensor) -> Tensor:
    r"""Compare a student's features with those of its teacher.

    .. math:: \frac{1}{N}\sum_i \Phi_i\,\mathrm{mean}\big((v_i - u_i)^2\big)

    Parameters
    ----------
    guided, hints
        Features v of the student and u of the teacher, of equal shape (N, C, Y, X).
    followed
        The :func:`attention`, shape (N,).
    """
    errors = (guided - hints).square().flatten(1).mean(dim=1)
    return (followed * errors).mean()
