"""The time left follows a clock that is known."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from napari_dl4smlm.backend.evaluation.comparison.events import (
    ComparisonStarted,
    FramesPredicted,
    ImagesScored,
    ModelCompared,
    SpeedMeasured,
)
from napari_dl4smlm.widgets.compare.time_left import TimeLeft


@pytest.fixture
def clock():
    return SimpleNamespace(now=100.0)


def compare(left, clock, label):
    """10 s of frames, 2 s of images and 8 s of timing on two devices."""
    for done in range(1, 11):
        clock.now += 1
        left.follow(FramesPredicted(label, done, 10), 2)
        yield f"{label} frames {done}"
    for done in (1, 2):
        clock.now += 1
        left.follow(ImagesScored(label, done, 2), 2)
    for _ in range(2):
        clock.now += 4
        left.follow(SpeedMeasured(label, None), 2)
    yield f"{label} timed"
    left.follow(ModelCompared(None, None), 2)
    yield f"{label} compared"


def test_after_the_first_model_the_rest_is_known(clock):
    left = TimeLeft(lambda: clock.now)
    left.follow(ComparisonStarted(("a", "b", "c"), "cpu", 10, ()), 2)
    assert left.seconds() is None
    expected = {
        "a compared": 40,
        "b frames 5": 35,
        "b timed": 20,
        "b compared": 20,
        "c frames 10": 10,
        "c timed": 0,
    }
    found, shares = {}, []
    for label in "abc":
        for step in compare(left, clock, label):
            shares.append(left.share_done)
            found[step] = left.seconds()
    assert shares == sorted(shares)
    assert shares[-1] == 1
    for step, seconds in expected.items():
        # what was measured of the model under way counts, too
        assert found[step] == pytest.approx(seconds, abs=4), step


def test_the_first_model_is_guessed_by_its_steps(clock):
    left = TimeLeft(lambda: clock.now)
    left.follow(ComparisonStarted(("a",), "cpu", 10, ()), 2)
    steps = compare(left, clock, "a")
    for _ in range(5):
        next(steps)
    # half of the 60 % that prediction is guessed to be
    assert left.share_done == pytest.approx(0.3)
    assert left.seconds() == pytest.approx(5 * 0.7 / 0.3)
