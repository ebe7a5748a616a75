"""How long something takes, as people write it."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Write a duration as 1:05, or 1:01:05 from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
