"""Where a run is, where it may go from there, and what its buttons may do meanwhile."""

from __future__ import annotations

from enum import Enum
from typing import Literal, NamedTuple

Control = Literal["form", "start", "pause", "resume", "stop"]


class RunState(Enum):
    """What has become of a training or a prediction."""

    IDLE = "idle"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def is_active(self) -> bool:
        """Whether something is under way, even if it is held."""
        return self in (RunState.RUNNING, RunState.PAUSED, RunState.STOPPING)

    def becomes(self, new: RunState) -> RunState:
        """Return the new state.

        Raises
        ------
        ValueError
            It cannot follow this one: a defect of the widget, not of what the user did.
        """
        if new not in _TABLE[self].next_states:
            raise ValueError(f"A run that is {self.value} cannot become {new.value}.")
        return new

    def why_disabled(self, control: Control) -> str | None:
        """Return the sentence for the tooltip of a disabled control; ``None`` if it is enabled."""
        row = _TABLE[self]
        return None if control in row.enabled else row.why_not_others


class _Row(NamedTuple):
    next_states: frozenset[RunState]
    enabled: frozenset[Control]
    why_not_others: str


# what was asked for may come too late: the last step can be over, or have failed, by then
_ANY_END = frozenset({RunState.DONE, RunState.FAILED})
_AT_REST = _Row(
    next_states=frozenset({RunState.RUNNING}),
    enabled=frozenset({"form", "start"}),
    why_not_others="Nothing is running.",
)

_TABLE = {
    RunState.IDLE: _AT_REST,
    RunState.RUNNING: _Row(
        next_states=_ANY_END | {RunState.PAUSED, RunState.STOPPING},
        enabled=frozenset({"pause", "stop"}),
        why_not_others="Wait for the end of this run, or stop it first.",
    ),
    RunState.PAUSED: _Row(
        next_states=_ANY_END | {RunState.RUNNING, RunState.STOPPING},
        enabled=frozenset({"resume", "stop"}),
        why_not_others="This run is paused: resume or stop it first.",
    ),
    RunState.STOPPING: _Row(
        next_states=_ANY_END | {RunState.STOPPED},
        enabled=frozenset(),
        why_not_others="The run ends after the step under way.",
    ),
    RunState.DONE: _AT_REST,
    RunState.STOPPED: _AT_REST,
    RunState.FAILED: _AT_REST,
}
