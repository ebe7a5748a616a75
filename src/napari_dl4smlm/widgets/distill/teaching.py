"""What is taught: the stages, the weight of the truth, and the layers that give hints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_dl4smlm.backend.training.config import DistillationConfig
from napari_dl4smlm.widgets.distill.hints import HintPairs
from napari_dl4smlm.widgets.forms.config_form import ConfigForm
from napari_dl4smlm.widgets.forms.field_editors import ChoiceEditor
from napari_dl4smlm.widgets.forms.note import note
from napari_dl4smlm.widgets.forms.share_slider import ShareSliderEditor

if TYPE_CHECKING:
    from pathlib import Path

_STAGES = {
    "hint,transfer": "hints, then transfer",
    "transfer": "transfer alone",
    "hint": "hints alone",
}
_ABOUT_STAGES = {
    "hint,transfer": "First, layers of the student learn to put out what layers of the teacher do. "
    "Then its images learn from those of the teacher and from the true emitters.",
    "transfer": "The images of the student learn from those of the teacher and from the true "
    "emitters.",
    "hint": "Layers of the student learn to put out what layers of the teacher do. Its last layers "
    "do not learn: it predicts nothing until it is resumed with the transfer.",
}
_FIELDS = ("stages", "alpha")
_ADVANCED = ("hint_share", "attentive")
_ONLY_BOTH = "Only two stages share the epochs."
_NO_TRANSFER = "Hints alone have no α: it weighs what the transfer learns from."


class TeachingForm(QWidget):
    """The fields of a ``DistillationConfig`` but the teacher.

    Attributes
    ----------
    changed
        Emitted after something has changed.
    hints
        The layers.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        stages = ChoiceEditor(_STAGES)
        alpha = ShareSliderEditor(
            lower="0: the teacher\nalone", higher="1: the true\nemitters alone"
        )
        self._config = ConfigForm(
            DistillationConfig,
            _FIELDS,
            advanced=_ADVANCED,
            editors={"stages": stages, "alpha": alpha},
        )
        self._about = note()
        self.hints = HintPairs()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self._about, self._config, self.hints):
            layout.addWidget(widget)
        self._config.changed.connect(self._on_change)
        self.hints.changed.connect(self.changed)
        self._show_stages()

    def stages(self) -> str:
        """Return the chosen stages."""
        default = DistillationConfig.model_fields["stages"].default
        return str(self._config.values().get("stages", default))

    def build(self, teacher: Path) -> DistillationConfig:
        """Make the config.

        Raises
        ------
        InputError
            It names each faulty field by its title.
        """
        hints = self.hints.values() if "hint" in self.stages() else {}
        return self._config.build(teacher=teacher, hints=hints)

    def check(self, patch_px: int) -> None:
        """Check the layers, as `HintPairs.check`."""
        if "hint" in self.stages():
            self.hints.check(patch_px)

    def set_values(self, values: dict[str, Any]) -> None:
        """Show values by the names of the fields, among them the teacher, which has no row here.

        Raises
        ------
        InputError
            The config refuses a value.
        """
        self._config.set_values(values)
        if "hints" in values:
            self.hints.set_values(values["hints"])

    def set_disabled(self, reason: str | None) -> None:
        """Disable all rows and say why, or enable those that matter."""
        stages = self.stages()
        why_not = {
            "alpha": None if "transfer" in stages else _NO_TRANSFER,
            "hint_share": None if stages == "hint,transfer" else _ONLY_BOTH,
        }
        for name in _FIELDS + _ADVANCED:
            self._config.set_disabled(name, reason or why_not.get(name))
        self.hints.set_disabled(reason)

    def _on_change(self) -> None:
        self._show_stages()
        self.changed.emit()

    def _show_stages(self) -> None:
        self._about.setText(_ABOUT_STAGES[self.stages()])
        self.hints.setVisible("hint" in self.stages())
        self.set_disabled(None)
