"""Which states of a run follow each other, and what the user can press in each."""

from __future__ import annotations

from itertools import product

import pytest

from napari_dl4smlm.widgets.run_state import RunState

ARROWS = """
idle -> running
running -> paused, stopping, done, failed
paused -> running, stopping, done, failed
stopping -> stopped, done, failed
done -> running
stopped -> running
failed -> running
"""
ALLOWED = {
    (RunState(old), RunState(new))
    for line in ARROWS.split("\n")
    if line
    for old, successors in [line.split(" -> ")]
    for new in successors.split(", ")
}


@pytest.mark.parametrize(("old", "new"), sorted(ALLOWED, key=str))
def test_an_arrow_leads_to_the_next_state(old, new):
    assert old.becomes(new) is new


@pytest.mark.parametrize(
    ("old", "new"), sorted(set(product(RunState, RunState)) - ALLOWED, key=str)
)
def test_there_is_no_other_way(old, new):
    with pytest.raises(ValueError, match=f"is {old.value} cannot become {new.value}"):
        old.becomes(new)


@pytest.mark.parametrize(
    ("state", "enabled"),
    [
        (RunState.IDLE, {"form", "start"}),
        (RunState.RUNNING, {"pause", "stop"}),
        (RunState.PAUSED, {"resume", "stop"}),
        (RunState.STOPPING, set()),
        (RunState.DONE, {"form", "start"}),
        (RunState.STOPPED, {"form", "start"}),
        (RunState.FAILED, {"form", "start"}),
    ],
)
def test_only_what_makes_sense_can_be_pressed(state, enabled):
    controls = ("form", "start", "pause", "resume", "stop")

    assert {name for name in controls if state.why_disabled(name) is None} == enabled


@pytest.mark.parametrize(
    ("state", "control", "reason"),
    [
        (RunState.IDLE, "stop", "Nothing is running."),
        (RunState.RUNNING, "start", "Wait for the end of this run, or stop it first."),
        (RunState.PAUSED, "form", "This run is paused: resume or stop it first."),
        (RunState.STOPPING, "stop", "The run ends after the step under way."),
    ],
)
def test_what_is_disabled_says_why(state, control, reason):
    assert state.why_disabled(control) == reason


def test_a_run_is_active_as_long_as_it_uses_the_device():
    active = {state.value for state in RunState if state.is_active}

    assert active == {"running", "paused", "stopping"}
