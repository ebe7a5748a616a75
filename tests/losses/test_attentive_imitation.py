import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_dl4smlm.backend.losses.attentive_imitation import (
    attention,
    attentive_hint_loss,
    attentive_imitation_loss,
)
from napari_dl4smlm.backend.losses.registry import LOSSES, create_loss


@pytest.fixture
def maps():
    """A prediction, its truth as sharp spikes, and what a teacher makes of three samples."""
    generator = torch.Generator().manual_seed(0)
    prediction = torch.rand(3, 1, 16, 16, generator=generator, dtype=torch.float64) - 0.3
    truth = (torch.rand(3, 1, 16, 16, generator=generator) > 0.97).double()
    taught = torch.rand(3, 1, 16, 16, generator=generator, dtype=torch.float64) - 0.1
    return prediction, truth, taught


def test_attention_falls_from_1_at_the_smallest_to_0_at_the_largest_error():
    errors = torch.tensor([1.0, 2.0, 3.0, 5.0])
    assert attention(errors, 1.0, 5.0).tolist() == [1.0, 0.75, 0.5, 0.0]


def test_errors_beyond_those_that_were_measured_count_as_these():
    assert attention(torch.tensor([0.2, 9.0]), 1.0, 5.0).tolist() == [1.0, 0.0]


def test_a_teacher_that_is_equally_good_everywhere_is_followed_everywhere():
    assert attention(torch.tensor([0.3, 0.3]), 0.3, 0.3).tolist() == [1.0, 1.0]


def penalty(name, seen, other, truth):
    """Data term of each sample's pixels, written out with numpy."""
    difference = seen - other
    penalties = np.abs(difference) if name == "weighted_mae" else difference**2
    weights = np.ones_like(truth) if name == "l1l2" else np.where(truth > 0, 7.0, 1.0)
    return penalties, weights


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_what_its_formula_says(name, maps):
    prediction, truth, taught = maps
    followed, alpha = torch.tensor([1.0, 0.25, 0.0], dtype=torch.float64), 0.3
    loss = create_loss(name, lambda_=20, foreground_weight=7)

    def seen(image):
        return gaussian_filter(image, (0, 0, 1, 1), radius=(0, 0, 3, 3), mode="constant")

    p, t, q = (image.numpy() for image in maps)
    as_seen = (lambda image: image) if name != "l1l2" else seen
    own, weights = penalty(name, as_seen(p), as_seen(t), t)
    imitated, _ = penalty(name, as_seen(p), q, t)
    imitated = imitated * followed.numpy()[:, None, None, None]
    data_term = alpha * np.average(own, weights=weights)
    data_term += (1 - alpha) * np.average(imitated, weights=weights)
    # the L1 norm counts once, not once for each of the two terms
    expected = 10 * data_term + np.abs(p).mean()
    found = attentive_imitation_loss(loss, prediction, truth, taught, followed, alpha)
    assert float(found) == pytest.approx(expected)


@pytest.mark.parametrize("name", LOSSES)
def test_a_teacher_that_knows_the_truth_changes_nothing(name, maps):
    prediction, truth, _ = maps
    loss = create_loss(name, foreground_weight=5)
    perfect = loss.as_seen(truth)
    for alpha in (0.0, 0.4, 1.0):
        found = attentive_imitation_loss(loss, prediction, truth, perfect, torch.ones(3), alpha)
        assert float(found) == pytest.approx(float(loss(prediction, truth)))


@pytest.mark.parametrize("name", LOSSES)
def test_a_teacher_that_is_wrong_everywhere_teaches_nothing(name, maps):
    prediction, truth, taught = maps
    loss = create_loss(name)
    prediction = prediction.requires_grad_()
    found = attentive_imitation_loss(loss, prediction, truth, taught, torch.zeros(3), 0.0)
    (slope,) = torch.autograd.grad(found, prediction)
    torch.testing.assert_close(slope, prediction.sign() / prediction.numel())


def test_hints_are_compared_by_their_mean_square_weighted_by_attention():
    hints = torch.zeros(2, 3, 2, 2)
    guided = torch.stack([torch.full((3, 2, 2), 2.0), torch.full((3, 2, 2), 4.0)])
    # (1 · 4 + 0.5 · 16) / 2
    assert float(attentive_hint_loss(guided, hints, torch.tensor([1.0, 0.5]))) == 6.0
