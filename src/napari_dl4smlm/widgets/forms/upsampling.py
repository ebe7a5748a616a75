"""The choice of an upsampling factor."""

from __future__ import annotations

from typing import get_args

from napari_dl4smlm.backend.training.config import DEFAULT_UPSAMPLING_FACTOR, UpsamplingFactor
from napari_dl4smlm.widgets.forms.field_editors import ChoiceEditor

UPSAMPLING_TIP = "Fine pixels of the super-resolution image per camera pixel, along each side"

FACTORS: tuple[int, ...] = get_args(get_args(UpsamplingFactor)[0])
"""What can be chosen."""


def upsampling_editor() -> ChoiceEditor:
    """Make a choice of the factor, with the default of the config as None."""
    return ChoiceEditor({None: f"auto: ×{DEFAULT_UPSAMPLING_FACTOR}"} | labelled(FACTORS))


def labelled(factors: tuple[int, ...]) -> dict[int | None, str]:
    """Return factors with their labels."""
    return {factor: f"×{factor}" for factor in factors}
