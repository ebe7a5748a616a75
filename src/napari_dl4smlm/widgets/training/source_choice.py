"""The data of the session, and the upsampling at which they train."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_dl4smlm.widgets.forms.field_editors import ChoiceEditor
from napari_dl4smlm.widgets.forms.note import note
from napari_dl4smlm.widgets.forms.titled_rows import TitledRows
from napari_dl4smlm.widgets.forms.upsampling import FACTORS, UPSAMPLING_TIP, labelled

if TYPE_CHECKING:
    from napari_dl4smlm.widgets.session import TrainingSource

NO_DATA = "No training data yet: choose them in the Data widget and press “Use for training”."
_FIXED = "The true images are {} times as fine as the frames: they fix the upsampling."


class SourceChoice(QWidget):
    """What was chosen in the Data widget; where nothing else fixes it, the upsampling can change.

    Attributes
    ----------
    changed
        Emitted when the user has chosen another upsampling.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._given: TrainingSource | None = None
        self._why_disabled: str | None = None
        self._summary = note()
        self._factor = ChoiceEditor({None: "–"})
        rows = TitledRows()
        rows.add("upsampling", "Upsampling", self._factor)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._summary)
        layout.addWidget(rows)
        self._factor.changed.connect(self._on_factor)
        self.set_source(None)

    def source(self) -> TrainingSource | None:
        """Return the data at the chosen upsampling."""
        given, factor = self._given, self._factor.value()
        if given is None or given.at_upsampling is None or factor == given.upsampling_factor:
            return given
        return given.at_upsampling(factor)

    def set_source(self, source: TrainingSource | None) -> None:
        """Show other data, at the upsampling that they were chosen with."""
        self._given = source
        blocked = self._factor.blockSignals(True)
        factor = None if source is None else source.upsampling_factor
        self._factor.set_value(factor)
        fixed = {factor: "–" if factor is None else f"×{factor}"}
        can_change = source is not None and source.at_upsampling is not None
        self._factor.set_choices(labelled(FACTORS) if can_change else fixed)
        self._factor.blockSignals(blocked)
        self._show()

    def set_factor(self, factor: int) -> None:
        """Choose an upsampling, if the data can have it."""
        if self._given is not None and self._given.at_upsampling is not None:
            self._factor.set_value(factor)

    def set_disabled(self, reason: str | None) -> None:
        """Fix the upsampling and say why, or let it be chosen as far as the data allow."""
        self._why_disabled = reason
        self._show()

    def _on_factor(self) -> None:
        self._show()
        self.changed.emit()

    def _show(self) -> None:
        source = self.source()
        self._summary.setText(NO_DATA if source is None else source.summary)
        why_fixed = None
        if source is None:
            why_fixed = NO_DATA
        elif source.at_upsampling is None:
            why_fixed = _FIXED.format(source.upsampling_factor)
        reason = self._why_disabled or why_fixed
        self._factor.setEnabled(reason is None)
        self._factor.setToolTip(reason or UPSAMPLING_TIP)
