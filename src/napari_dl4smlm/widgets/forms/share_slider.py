"""A share from 0 to 1, with a slider."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker

from napari_dl4smlm.widgets.forms.field_editors import NumberEditor
from napari_dl4smlm.widgets.forms.slider import Slider, with_ends

_STEPS = 20


class ShareSliderEditor(NumberEditor):
    """A number and, below it, a slider from 0 to 1 in steps of 0.05; others can be typed.

    Parameters
    ----------
    lower, higher
        What 0 and 1 mean, in short lines.
    """

    def __init__(self, *, lower: str, higher: str) -> None:
        super().__init__(whole=False, unit="", accepts=lambda share: 0 <= share <= 1)
        self._slider = Slider()
        self._slider.setRange(0, _STEPS)
        self.below = with_ends(self._slider, lower, higher)
        self._slider.valueChanged.connect(lambda step: self.set_value(step / _STEPS))
        self.changed.connect(self._show_number)

    def _show_number(self) -> None:
        share = self.value()
        # a text that is no share is told below its row; the slider stays where it is
        if isinstance(share, int | float) and 0 <= share <= 1:
            blocker = QSignalBlocker(self._slider)
            self._slider.setValue(round(_STEPS * share))
            del blocker
