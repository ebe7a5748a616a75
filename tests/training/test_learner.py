import pytest
import torch

from napari_dl4smlm.backend.losses.registry import create_loss
from napari_dl4smlm.backend.models.registry import create_model
from napari_dl4smlm.backend.training.arithmetic import DENSITY_AMPLITUDE, Arithmetic
from napari_dl4smlm.backend.training.learner import Learner, NotANumberError
from napari_dl4smlm.backend.training.objective import TruthObjective


def make_learner(model="fid_storm", learning_rate=1e-2, **options):
    torch.manual_seed(0)
    options = {"blocks": 1, "channels": 4} if model == "fid_storm" else options
    network = create_model(model, upsampling_factor=2, **options)
    arithmetic = Arithmetic(torch.device("cpu"))
    objective = TruthObjective(create_loss("l1l2"), arithmetic)
    return network, Learner(network, objective, arithmetic=arithmetic, learning_rate=learning_rate)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    spikes = (torch.rand(4, 1, 16, 16, generator=generator) > 0.98).float()
    frames = torch.nn.functional.avg_pool2d(spikes, 2) * 20
    return frames, spikes


def validation_loss(learner, batch):
    return float(learner.evaluate(*batch).loss)


def test_the_average_is_that_of_all_weights_so_far_with_falling_influence(batch):
    network, learner = make_learner()
    expected = {name: value.double().clone() for name, value in network.state_dict().items()}
    for step in range(1, 8):
        learner.step(*batch)
        keep = (1 + step) / (10 + step)
        for name, value in network.state_dict().items():
            expected[name] = keep * expected[name] + (1 - keep) * value.double()
    for name, average in learner.averaged.state_dict().items():
        if average.is_floating_point():
            torch.testing.assert_close(average.double(), expected[name], rtol=1e-5, atol=1e-7)
        else:
            assert average == 7


def test_learning_lowers_the_loss_of_the_average(batch):
    _, learner = make_learner()
    before = validation_loss(learner, batch)
    for _ in range(60):
        learner.step(*batch)
    assert validation_loss(learner, batch) < 0.8 * before


def test_predictions_are_in_emitters_per_fine_pixel(batch):
    _, learner = make_learner()
    with torch.no_grad():
        expected = learner.averaged(batch[0]) / DENSITY_AMPLITUDE
    torch.testing.assert_close(learner.predict(batch[0]), expected)


def test_evaluating_and_predicting_change_nothing(batch):
    network, learner = make_learner()
    learner.step(*batch)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    average = {name: value.clone() for name, value in learner.averaged.state_dict().items()}
    validation_loss(learner, batch)
    learner.predict(batch[0])
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    for name, value in learner.averaged.state_dict().items():
        assert torch.equal(value, average[name])


def test_a_step_whose_loss_is_no_number_changes_nothing(batch):
    network, learner = make_learner()
    before = {name: value.clone() for name, value in network.named_parameters()}
    with pytest.raises(NotANumberError, match="the loss became nan"):
        learner.step(batch[0] * torch.nan, batch[1])
    for name, value in network.named_parameters():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("model", ["fid_storm", "drl_storm"])
def test_a_restored_learner_goes_on_bit_for_bit(batch, model):
    _, learner = make_learner(model)
    learner.step(*batch)
    saved = {name: value.clone() for name, value in learner.averaged.state_dict().items()}
    state = {name: value.clone() for name, value in learner.state().items()}
    _, other = make_learner(model)
    other.restore(saved, state)
    assert [learner.step(*batch) for _ in range(3)] == [other.step(*batch) for _ in range(3)]
    assert validation_loss(learner, batch) == validation_loss(other, batch)


def test_the_learning_rate_can_be_changed(batch):
    network, learner = make_learner()
    learner.learning_rate = 0.0
    before = [value.clone() for value in network.parameters()]
    learner.step(*batch)
    assert learner.learning_rate == 0
    assert all(map(torch.equal, before, network.parameters()))
