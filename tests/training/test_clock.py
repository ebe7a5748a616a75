import itertools

import numpy as np
import pytest

from napari_dl4smlm.backend.training import trainer as trainer_module
from napari_dl4smlm.backend.training.clock import Clock
from napari_dl4smlm.backend.training.events import EpochFinished, StepFinished, TrainingFinished
from napari_dl4smlm.backend.training.trainer import Trainer


class Seconds:
    """Time that passes only when it is told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def passes(self, seconds):
        self.now += seconds


@pytest.fixture
def seconds():
    return Seconds()


def test_the_time_for_which_the_clock_is_held_does_not_count(seconds):
    clock = Clock(max_minutes=1, now=seconds)
    seconds.passes(10)
    clock.hold()
    seconds.passes(3600)
    clock.go_on()
    seconds.passes(5)
    assert clock.share_elapsed() == pytest.approx(0.25)
    clock.steps = 3
    assert clock.seconds_left(6) == pytest.approx(30)
    assert clock.seconds_left(60) == pytest.approx(45), "the limit comes first"
    seconds.passes(45)
    assert clock.is_over()


def test_waiting_for_batches_is_told_from_work_and_from_pauses(seconds):
    clock = Clock(None, now=seconds)

    def batches():
        for _ in range(4):
            seconds.passes(1)
            yield ()

    for _ in clock.timed_waiting(batches()):
        seconds.passes(3)
        clock.hold()
        seconds.passes(500)
        clock.go_on()
    assert clock.share_waited() == pytest.approx(1 / 4)


def test_a_stage_has_its_own_share_of_the_limit_and_its_own_pace(seconds):
    clock = Clock(max_minutes=10, now=seconds)
    seconds.passes(60)
    clock.begin_stage(ends_at=0.25)
    seconds.passes(45)
    assert clock.share_elapsed() == pytest.approx(0.5)
    seconds.passes(45)
    assert clock.is_over()
    clock.begin_stage()
    assert not clock.is_over()
    seconds.passes(20)
    clock.steps = 10
    assert clock.seconds_left(10) == pytest.approx(20)


def test_without_a_limit_no_share_of_it_ever_elapses(seconds):
    clock = Clock(None, now=seconds)
    seconds.passes(1e9)
    assert clock.share_elapsed() == 0
    assert not clock.is_over()


@pytest.fixture
def one_second_a_step(monkeypatch, seconds):
    """Let a step take one second of the trainer's clock, and nothing else any time."""
    monkeypatch.setattr(trainer_module, "Clock", lambda limit: Clock(limit, now=seconds))
    step = trainer_module.Learner.step

    def slow_step(learner, *batch):
        seconds.passes(1)
        return step(learner, *batch)

    monkeypatch.setattr(trainer_module.Learner, "step", slow_step)


def test_a_pause_of_those_who_follow_is_not_training(
    tiny_data, tiny_config, tmp_path, seconds, one_second_a_step
):
    config = tiny_config.model_copy(update={"epochs": 100, "max_minutes": 5 / 60})
    events = []
    for event in Trainer(tiny_data, config, tmp_path / "m.safetensors").events():
        events.append(event)
        seconds.passes(3600)
    steps = [event for event in events if isinstance(event, StepFinished)]
    assert [step.seconds_left for step in steps] == pytest.approx([4, 3, 2, 1, 0])
    assert isinstance(events[-1], TrainingFinished)
    assert events[-1].reason == "time limit reached"
    waited = [event.share_waited for event in events if isinstance(event, EpochFinished)]
    assert waited == [0, 0]


def test_a_followed_training_takes_as_many_steps_as_its_time_allows(
    tiny_data, tiny_config, tmp_path, one_second_a_step
):
    config = tiny_config.model_copy(update={"epochs": 100, "max_minutes": 8 / 60})
    events = list(Trainer(tiny_data, config, tmp_path / "m.safetensors").events())
    steps = [(e.epoch, e.step) for e in events if isinstance(e, StepFinished)]
    assert steps == list(itertools.product((1, 2, 3), (1, 2, 3)))[:8]


def test_a_time_limit_is_the_end_of_the_cosine(tiny_data, tiny_config, tmp_path, one_second_a_step):
    changes = {"schedule": "cosine", "epochs": 100_000, "max_minutes": 3}
    trainer = Trainer(tiny_data, tiny_config.model_copy(update=changes), tmp_path / "m.safetensors")
    rates = [event.learning_rate for event in trainer.events() if isinstance(event, EpochFinished)]
    # it rises over 50 steps, when 0.28 of the time are over, and is 0.01 of the highest at the end
    assert max(rates) == pytest.approx(1e-3 * 0.5 * (1 + np.cos(np.pi * 0.28)), rel=0.1)
    assert rates[-1] < 0.03 * max(rates)
