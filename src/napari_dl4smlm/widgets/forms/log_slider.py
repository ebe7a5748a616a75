"""A number of any magnitude, with a slider around its default."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QPushButton

from napari_dl4smlm.widgets.forms.field_editors import NumberEditor
from napari_dl4smlm.widgets.forms.slider import Slider, with_ends

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_DECADES = 2
_STEPS_PER_DECADE = 50
_END = _DECADES * _STEPS_PER_DECADE


class LogSliderEditor(NumberEditor):
    """A number and, below it, a logarithmic slider; none is the default, in the slider's middle.

    The slider reaches two decades to both sides. Numbers beyond can be typed.

    Parameters
    ----------
    accepts
        Whether the arrows may step to a number.
    lower, higher
        What numbers do that are lower or higher than the default, in short lines.
    """

    def __init__(self, *, accepts: Callable[[Any], bool], lower: str, higher: str) -> None:
        super().__init__(whole=False, unit="", accepts=accepts)
        self._default: float | None = None
        self._slider = Slider()
        self._slider.setRange(-_END, _END)
        self._slider.setPageStep(_STEPS_PER_DECADE // 3)
        self._restore = QPushButton("Default")
        self.below = with_ends(self._slider, lower, higher, self._restore)
        self._slider.valueChanged.connect(self._on_slider)
        self._restore.clicked.connect(lambda: self.set_value(None))
        self.changed.connect(self._show_number)
        self._show_number()

    def set_default(self, default: float) -> None:
        """Put another number into the middle of the slider."""
        self._default = default
        self._show_number()

    def _on_slider(self, position: int) -> None:
        assert self._default is not None
        number = self._default * 10 ** (position / _STEPS_PER_DECADE)
        # two digits are as fine as the steps
        self.set_value(float(f"{number:.2g}") if position else None)

    def _show_number(self) -> None:
        number = self.value()
        self._slider.setEnabled(self._default is not None)
        self._restore.setEnabled(number is not None)
        self._restore.setToolTip(
            "This is the default."
            if number is None
            else "Leave the number open, so that the default is used"
        )
        if self._default is None:
            self._slider.setToolTip("The default is known once PyTorch is there.")
            return
        self._slider.setToolTip(f"In the middle: the default, {self._default:g}")
        # a text that is no number is told below its row; the slider stays where it is
        if number is None or (isinstance(number, int | float) and 0 < number < math.inf):
            decades = math.log10((number or self._default) / self._default)
            was_blocked = self._slider.blockSignals(True)
            self._slider.setValue(round(decades * _STEPS_PER_DECADE))
            self._slider.blockSignals(was_blocked)
