"""The network that learns from the teacher: its architecture, its width and its depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_dl4smlm.backend.models.options import NETWORK_OPTIONS
from napari_dl4smlm.widgets.distill.outline import NetworkChoice
from napari_dl4smlm.widgets.forms.columns import editor_row
from napari_dl4smlm.widgets.forms.config_form import ConfigForm
from napari_dl4smlm.widgets.forms.field_editors import ChoiceEditor
from napari_dl4smlm.widgets.sources.model_text import MODEL_LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping

_ABOUT_STUDENT = "Network that learns from the teacher, and is used afterwards"
# much smaller than the networks by default: there would be no reason to distil
_FIRST_OPTIONS: dict[str, dict[str, Any]] = {
    "fid_storm": {"blocks": 3, "channels": 32},
    "deep_storm": {"channels": 8},
    "skip_storm": {"channels": 8},
    "drl_storm": {"channels": 8},
    "u_storm": {"channels": 8},
    "srcnn": {},
}


class StudentForm(QWidget):
    """A choice of the network and, below it, a row for each of its options.

    Attributes
    ----------
    changed
        Emitted after something has changed.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._network = ChoiceEditor(MODEL_LABELS)
        self._options = {name: ConfigForm(options) for name, options in NETWORK_OPTIONS.items()}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(editor_row("Student", _ABOUT_STUDENT, self._network))
        for name, form in self._options.items():
            form.set_values(_FIRST_OPTIONS[name])
            form.changed.connect(self.changed)
            layout.addWidget(form)
        self._network.changed.connect(self._on_network)
        self._show_options()

    def network(self) -> str:
        """Return the name of the chosen network."""
        name: str = self._network.value()
        return name

    def choice(self) -> NetworkChoice:
        """Return the network with the options that differ from its defaults.

        Raises
        ------
        InputError
            It names each faulty option by its title.
        """
        options = self._options[self.network()]
        options.build()
        return NetworkChoice(self.network(), options.values())

    def set_choice(self, name: str, options: Mapping[str, Any]) -> None:
        """Show a network; options that are left out have their defaults.

        Raises
        ------
        InputError
            The network has no such option, or it cannot have the value.
        """
        form = self._options[name]
        form.set_values({**NETWORK_OPTIONS[name]().model_dump(), **options})
        self._network.set_value(name)

    def set_disabled(self, reason: str | None) -> None:
        """Disable all rows and say why, or enable them again."""
        self._network.setEnabled(reason is None)
        self._network.setToolTip(reason or _ABOUT_STUDENT)
        for name, form in self._options.items():
            for option in NETWORK_OPTIONS[name].model_fields:
                form.set_disabled(option, reason)

    def _on_network(self) -> None:
        self._show_options()
        self.changed.emit()

    def _show_options(self) -> None:
        for name, form in self._options.items():
            form.setVisible(name == self.network())
