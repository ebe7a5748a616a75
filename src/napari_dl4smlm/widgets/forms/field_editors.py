"""Native controls for one value each: texts, numbers, ranges, choices, files and options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QToolButton,
    QWidget,
)

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.option_pairs import options_text, parse_options
from napari_dl4smlm.widgets.forms.number_box import NumberBox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qtpy.QtGui import QPaintEvent, QWheelEvent

    from napari_dl4smlm.backend.config_file import Fault


# both ends of a name stay
_ELIDED = Qt.TextElideMode.ElideMiddle
# left of the text of a choice, which the style leaves free
_MARGIN_PX = 2


class Editor(QWidget):
    """What all editors have: a value that can be read, set and watched.

    A text that is no value of its kind is returned as it is: the config says what is wrong with it.

    Attributes
    ----------
    below
        What belongs to the editor but takes the whole width below it.
    """

    changed = Signal()
    below: QWidget | None = None

    def __init__(self, *controls: QWidget) -> None:
        super().__init__()
        # as wide as its column, whatever it holds: the columns of all forms align
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for control in controls:
            layout.addWidget(control)
            if isinstance(control, QLineEdit | QComboBox | NumberBox):
                control.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
                layout.setStretchFactor(control, 1)

    def value(self) -> Any:
        """Return the value in plain types, as the config reads it."""
        raise NotImplementedError

    def set_value(self, value: Any) -> None:
        """Show a value of the config."""
        raise NotImplementedError

    def set_placeholder(self, text: str) -> None:
        """Say what it means that nothing is entered; not every editor can be empty."""

    def show_faults(self, faults: list[Fault]) -> list[Fault]:
        """Show the faults that lie inside the value; return the others."""
        return faults


class TextEditor(Editor):
    """Text; an empty one is None where `optional`."""

    def __init__(self, *, optional: bool) -> None:
        self._line = QLineEdit()
        super().__init__(self._line)
        self._optional = optional
        self._line.textChanged.connect(self.changed)

    def value(self) -> str | None:
        """Return the text."""
        return self._line.text().strip() or (None if self._optional else "")

    def set_value(self, value: str | None) -> None:
        """Show a text."""
        self._line.setText(value or "")

    def set_placeholder(self, text: str) -> None:
        """Say what no text means."""
        self._line.setPlaceholderText(text)


class NumberEditor(Editor):
    """A number; none is None."""

    def __init__(self, *, whole: bool, unit: str, accepts: Callable[[Any], bool]) -> None:
        self._box = NumberBox(whole=whole, unit=unit, accepts=accepts)
        super().__init__(self._box)
        self._box.changed.connect(self.changed)

    def value(self) -> float | str | None:
        """Return the number."""
        return self._box.value()

    def set_value(self, value: float | None) -> None:
        """Show a number."""
        self._box.set_value(value)

    def set_placeholder(self, text: str) -> None:
        """Say what no number means."""
        self._box.set_placeholder(text)


class RangeEditor(Editor):
    """Lowest and highest value; where the highest is left empty, the number does not vary."""

    def __init__(self, *, unit: str, accepts: Callable[[Any], bool]) -> None:
        self._low, self._high = (
            NumberBox(unit=unit, accepts=accepts, arrows=False) for _ in range(2)
        )
        to = QLabel("to")
        to.setAlignment(Qt.AlignmentFlag.AlignCenter)
        super().__init__(self._low, to, self._high)
        self._high.set_placeholder("fixed")
        self._low.setToolTip("lowest value, or the only one")
        self._high.setToolTip("highest value; empty where the number does not vary")
        for box in (self._low, self._high):
            # the style of the viewer makes number boxes too wide for two in a row
            box.setStyleSheet("min-width: 1px")
            box.changed.connect(self.changed)

    def value(self) -> Any:
        """Return the number, or both as a list."""
        low, high = self._low.value(), self._high.value()
        return low if high is None or high == low else [low, high]

    def set_value(self, value: tuple[float, float]) -> None:
        """Show both, or one number where they are equal."""
        low, high = value
        self._low.set_value(low)
        self._high.set_value(None if high == low else high)


class FlagEditor(Editor):
    """Yes or no."""

    def __init__(self) -> None:
        self._box = QCheckBox()
        super().__init__(self._box)
        self._box.toggled.connect(self.changed)

    def value(self) -> bool:
        """Return whether the box is checked."""
        return self._box.isChecked()

    def set_value(self, value: bool) -> None:
        """Check the box or not."""
        self._box.setChecked(value)


class _Combo(QComboBox):
    def __init__(self) -> None:
        super().__init__()
        view = self.view()
        assert view is not None
        view.setTextElideMode(_ELIDED)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        # Qt cuts off the end of a long name, which often is what tells it from others
        painter = QStylePainter(self)
        style = self.style()
        assert style is not None
        painter.setPen(self.palette().color(QPalette.ColorRole.Text))
        shown = QStyleOptionComboBox()
        self.initStyleOption(shown)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, shown)
        field = style.subControlRect(
            QStyle.ComplexControl.CC_ComboBox,
            shown,
            QStyle.SubControl.SC_ComboBoxEditField,
            self,
        )
        shown.currentText = self.fontMetrics().elidedText(
            shown.currentText, _ELIDED, field.width() - _MARGIN_PX
        )
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, shown)

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        # scrolling a form must not change what happens to lie under the pointer
        if event is not None:
            event.ignore()


class ChoiceEditor(Editor):
    """One of several values, each with a label."""

    def __init__(self, choices: Mapping[Any, str]) -> None:
        self._combo = _Combo()
        super().__init__(self._combo)
        self._values: list[Any] = []
        self._add(choices)
        self._combo.currentIndexChanged.connect(lambda _: self.changed.emit())

    def value(self) -> Any:
        """Return the chosen value."""
        return self._values[self._combo.currentIndex()]

    def set_value(self, value: Any) -> None:
        """Choose a value; one that was not offered is added, so that it is not lost."""
        if value not in self._values:
            self._add({value: str(value)})
        self._combo.setCurrentIndex(self._values.index(value))

    def set_choices(self, choices: Mapping[Any, str]) -> None:
        """Offer other values; the chosen one stays."""
        chosen = self.value()
        blocked = self._combo.blockSignals(True)
        self._combo.clear()
        self._values.clear()
        self._add(choices)
        self.set_value(chosen)
        self._combo.blockSignals(blocked)

    def set_placeholder(self, text: str) -> None:
        """Label the choice of nothing."""
        if None in self._values:
            self._combo.setItemText(self._values.index(None), text)

    def describe(self, value: Any, text: str) -> None:
        """Explain a choice by a tooltip of its own."""
        self._combo.setItemData(self._values.index(value), text, Qt.ItemDataRole.ToolTipRole)

    def _add(self, choices: Mapping[Any, str]) -> None:
        self._values.extend(choices)
        self._combo.addItems(list(choices.values()))


class PathEditor(Editor):
    """A file, typed or picked; none is None."""

    def __init__(self) -> None:
        self._line = QLineEdit()
        browse = QToolButton()
        browse.setText("…")
        browse.setToolTip("Choose a file")
        super().__init__(self._line, browse)
        self._line.textChanged.connect(self.changed)
        browse.clicked.connect(self._browse)

    def value(self) -> Path | None:
        """Return the path."""
        text = self._line.text().strip()
        return Path(text) if text else None

    def set_value(self, value: Path | None) -> None:
        """Show a path."""
        self._line.setText("" if value is None else str(value))

    def set_placeholder(self, text: str) -> None:
        """Say what no file means."""
        self._line.setPlaceholderText(text)

    def _browse(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, self.toolTip(), self._line.text())
        if chosen:
            self.set_value(Path(chosen))


class OptionsEditor(Editor):
    """Named options as text, such as blocks=5,channels=32."""

    def __init__(self) -> None:
        self._line = QLineEdit()
        super().__init__(self._line)
        self._line.textChanged.connect(self.changed)

    def value(self) -> dict[str, Any] | str:
        """Return the options."""
        try:
            return parse_options(self._line.text())
        except ValueError:
            return self._line.text()

    def set_value(self, value: Mapping[str, Any]) -> None:
        """Show options.

        Raises
        ------
        InputError
            Some cannot be written in one line.
        """
        text = options_text(value)
        if text is None:
            raise InputError(
                f"The options {dict(value)} cannot be edited as text; use a config file."
            )
        self._line.setText(text)

    def set_placeholder(self, text: str) -> None:
        """Say what no options mean."""
        self._line.setPlaceholderText(text)
