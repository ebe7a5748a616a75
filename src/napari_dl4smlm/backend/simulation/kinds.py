"""Parts of a simulation of which there are several kinds, such as photons and structures."""

from __future__ import annotations

from typing import Any

from pydantic import BeforeValidator


def by_kind(*kinds: str) -> BeforeValidator:
    """Let the name of a kind alone stand for its defaults, and say which there are if none is told.

    Parameters
    ----------
    *kinds
        Their names, as they are in the field ``kind``.
    """

    def named(value: Any) -> Any:
        if isinstance(value, str):
            return {"kind": value}
        if isinstance(value, dict) and "kind" not in value:
            raise ValueError(
                f"kind is missing; add 'kind: {kinds[0]}'. There are: {', '.join(kinds)}"
            )
        return value

    return BeforeValidator(named)
