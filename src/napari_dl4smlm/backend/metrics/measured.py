"""A number measured without knowing the truth, with what has to hold for it to mean anything."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """A number with its unit and its assumption, or else the reason why there is none.

    Parameters
    ----------
    label
        What it is called in tables and figures.
    unit
        Empty for a pure number.
    assumption
        One plain sentence: what the number rests on, and when not to believe it.
    value
        ``None`` where it cannot be measured: there is then no number that could mislead.
    problem
        One plain sentence on why there is no value; empty where there is one.
    """

    label: str
    unit: str
    assumption: str
    value: float | None = None
    problem: str = ""

    @property
    def text(self) -> str:
        """The value with its unit, to three digits, or ``not measured``."""
        if self.value is None:
            return "not measured"
        digits = 3 - 1 - math.floor(math.log10(abs(self.value))) if self.value else 0
        return f"{self.value:,.{max(digits, 0)}f} {self.unit}".rstrip()
