"""Parameters that are a number, or a range from which every acquisition draws its own number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

if TYPE_CHECKING:
    import numpy as np

Range = tuple[float, float]
"""Lowest and highest value; a number that does not vary is both."""


def draw(values: Range, generator: np.random.Generator) -> float:
    """Draw a number from a range, evenly; nothing is drawn where the range is a single number."""
    low, high = values
    return low if low == high else float(generator.uniform(low, high))


def _as_pair(value: Any) -> Any:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(":")]
    # "yes" in YAML is no 1
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (value, value)
    return (value[0], value[0]) if isinstance(value, list) and len(value) == 1 else value


def _rising(values: Range) -> Range:
    low, high = values
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"{low:g}:{high:g} is no range; give a number, or first the lower one")
    return values


def _not_negative(values: Range) -> Range:
    if values[0] < 0:
        raise ValueError(f"{values[0]:g} is below 0")
    return values


def _above_zero(values: Range) -> Range:
    if values[0] <= 0:
        raise ValueError(f"{values[0]:g} is not above 0")
    return values


def _at_least_one(values: Range) -> Range:
    if values[0] < 1:
        raise ValueError(f"{values[0]:g} is below 1")
    return values


def at_most(limit: float) -> AfterValidator:
    """Make the check that no value of a range is above a limit."""

    def check(values: Range) -> Range:
        if values[1] > limit:
            raise ValueError(f"{values[1]:g} is above {limit:g}, the most that can be simulated")
        return values

    return AfterValidator(check)


def _as_number_if_single(values: Range) -> float | list[float]:
    low, high = values
    return low if low == high else [low, high]


_RANGE = (BeforeValidator(_as_pair), AfterValidator(_rising))
_PLAIN = PlainSerializer(_as_number_if_single)

NotNegative = Annotated[Range, *_RANGE, AfterValidator(_not_negative), _PLAIN]
"""A number or range from 0 up; ``"500:2000"`` from a form or a command line is welcome."""

AboveZero = Annotated[Range, *_RANGE, AfterValidator(_above_zero), _PLAIN]
"""A number or range above 0."""

MOST_DEVIATION = 10.0
"""Of a standard deviation over its mean: most lognormal numbers are then far below their mean."""

Deviation = Annotated[NotNegative, at_most(MOST_DEVIATION)]
"""A standard deviation over its mean, or a range of it."""

MOST_PHOTONS = 1e9
"""From an emitter or in a pixel: many times what any camera takes, and what can be drawn."""

AtLeastOne = Annotated[Range, *_RANGE, AfterValidator(_at_least_one), _PLAIN]
"""A number or range from 1 up."""
