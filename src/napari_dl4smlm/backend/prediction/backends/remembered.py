"""How fast each candidate was when it was tried, from one prediction to the next."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import platformdirs
from pydantic import BaseModel, JsonValue, PositiveFloat, TypeAdapter, ValidationError

from napari_dl4smlm.backend.atomic_file import atomic_file

CACHE_FOLDER = "DL4SMLM_CACHE"
"""Environment variable with another folder than the user's cache."""

_MOST_TRIALS = 200


class _Trial(BaseModel, frozen=True, extra="forbid"):
    """All that the times depend on, and the seconds that a frame took, by candidate and trial."""

    conditions: dict[str, JsonValue]
    seconds: dict[str, list[PositiveFloat]]


_TRIALS = TypeAdapter(list[_Trial])


def remembered_seconds(conditions: dict[str, JsonValue]) -> dict[str, list[float]]:
    """Return the seconds that a frame took in each trial under the very same conditions."""
    for trial in _read():
        if trial.conditions == conditions:
            return dict(trial.seconds)
    return {}


def remember_seconds(conditions: dict[str, JsonValue], seconds: dict[str, float]) -> None:
    """Remember the seconds that a frame took in one more trial.

    Parameters
    ----------
    conditions
        All that the times depend on.
    seconds
        By name of the candidate.
    """
    known = remembered_seconds(conditions)
    known |= {name: [*known.get(name, []), value] for name, value in seconds.items()}
    others = [trial for trial in _read() if trial.conditions != conditions]
    trials = [*others, _Trial(conditions=conditions, seconds=known)][-_MOST_TRIALS:]
    # who cannot write there is none the worse for it: the next prediction tries again
    with suppress(OSError):
        _file().parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(_file()) as temporary:
            temporary.write_bytes(_TRIALS.dump_json(trials, indent=1))


def _file() -> Path:
    folder = os.environ.get(CACHE_FOLDER)
    place = Path(folder) if folder else platformdirs.user_cache_path("napari-dl4smlm")
    return place / "backends.json"


def _read() -> list[_Trial]:
    try:
        return _TRIALS.validate_json(_file().read_bytes())
    except (OSError, ValidationError):
        # there is none, or something else has written it
        return []
