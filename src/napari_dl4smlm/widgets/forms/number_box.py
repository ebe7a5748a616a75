"""An entry for numbers of any magnitude, such as 1e-3 or 400 nm."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractSpinBox, QLineEdit

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtGui import QWheelEvent


def number_text(value: float) -> str:
    """Write a number as short as it can be read back exactly."""
    return repr(value).removesuffix(".0")


class NumberBox(QAbstractSpinBox):
    """A number as text, that the arrows change by a step which fits its magnitude.

    Qt's own boxes have a fixed number of decimals and limits; what may be entered here is decided
    by whoever reads the value.

    Parameters
    ----------
    whole
        Steps are of 1; otherwise they are of one in the second digit.
    unit
        Shown behind the number; it need not be typed.
    accepts
        Whether a number may be stepped to.
    arrows
        Whether there are arrows to click; the keys step in any case.
    """

    changed = Signal()

    def __init__(
        self,
        *,
        whole: bool = False,
        unit: str = "",
        accepts: Callable[[float], bool] = lambda value: True,
        arrows: bool = True,
    ) -> None:
        super().__init__()
        self._whole = whole
        self._unit = unit
        self._accepts = accepts
        self._line = QLineEdit()
        self.setLineEdit(self._line)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._arrows = arrows
        self._line.textChanged.connect(self._on_text)
        self._show_arrows()
        self.editingFinished.connect(self._tidy)

    def value(self) -> float | str | None:
        """Return the number, or None where there is no text, or the text where it is no number."""
        text = self._line.text().strip().removesuffix(self._unit).strip()
        if not text:
            return None
        try:
            return int(text) if self._whole else float(text)
        except ValueError:
            return text

    def set_value(self, value: float | None) -> None:
        """Show a number, or nothing for None."""
        self._line.setText("" if value is None else f"{number_text(value)} {self._unit}".strip())

    def set_placeholder(self, text: str) -> None:
        """Say what it means that there is no number."""
        self._line.setPlaceholderText(text)

    def stepBy(self, steps: int) -> None:
        """Change the number, unless there is none or it would not be accepted."""
        value = self.value()
        if isinstance(value, int | float) and math.isfinite(value):
            stepped = value + steps if self._whole else _rounded(value + steps * _step(value))
            if self._accepts(stepped):
                self.set_value(stepped)

    def stepEnabled(self) -> QAbstractSpinBox.StepEnabledFlag:
        """Tell which arrows do something."""
        flags = QAbstractSpinBox.StepEnabledFlag
        if isinstance(self.value(), int | float):
            return flags.StepUpEnabled | flags.StepDownEnabled
        return flags.StepNone

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Leave the wheel to the scrolling of the form unless the number is being edited."""
        if self.hasFocus():
            super().wheelEvent(event)
        elif event is not None:
            event.ignore()

    def _on_text(self) -> None:
        self._show_arrows()
        self.changed.emit()

    def _show_arrows(self) -> None:
        # without a number they would do nothing but hide a part of the placeholder
        symbols = QAbstractSpinBox.ButtonSymbols
        shown = self._arrows and bool(self._line.text())
        self.setButtonSymbols(symbols.UpDownArrows if shown else symbols.NoButtons)

    def _tidy(self) -> None:
        value = self.value()
        if isinstance(value, int | float):
            self.set_value(value)


def _step(value: float) -> float:
    return float(10.0 ** (math.floor(math.log10(abs(value))) - 1)) if value else 0.1


def _rounded(value: float) -> float:
    """Remove what adding decimal fractions leaves behind."""
    return float(f"{value:.12g}")
