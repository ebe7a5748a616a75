"""A form for a config: everything it shows is taken from the config itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_dl4smlm.backend.config_file import faults_of
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.widgets.fold import Fold
from napari_dl4smlm.widgets.forms.config_faults import field_at, titled
from napari_dl4smlm.widgets.forms.config_rows import ConfigRows, fault_label, show_messages
from napari_dl4smlm.widgets.forms.field_editors import ChoiceEditor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_dl4smlm.backend.config_file import Fault
    from napari_dl4smlm.widgets.forms.field_editors import Editor

Config = TypeVar("Config", bound=BaseModel)


class ConfigForm(QWidget, Generic[Config]):
    """Rows for the fields of a config, with its titles, descriptions, units and defaults.

    Configs inside it are groups; where there are several kinds, a choice swaps what is below it.
    The config checks what is entered at every change, and its messages appear below the rows.

    Parameters
    ----------
    model
        The config.
    fields
        Names of the fields that have a row, in order; by default all that are not advanced.
    advanced
        Names of the fields that are folded away at the end.
    choices
        For fields that are texts but a choice to the user: the values, each with its label.
    editors
        For fields that need more than the usual control.

    Attributes
    ----------
    changed
        Emitted after a value has changed, by the user or by :meth:`set_values`.
    """

    changed = Signal()

    def __init__(
        self,
        model: type[Config],
        fields: Sequence[str] | None = None,
        advanced: Sequence[str] = (),
        choices: Mapping[str, Mapping[Any, str]] | None = None,
        editors: Mapping[str, Editor] | None = None,
    ) -> None:
        super().__init__()
        self._model = model
        if fields is None:
            fields = [name for name in model.model_fields if name not in advanced]
        self._rows = ConfigRows(model, fields, choices or {}, special=editors)
        self._advanced = ConfigRows(model, advanced, choices or {}, special=editors)
        self._fold = Fold(self._advanced, "Advanced")
        self._fold.setVisible(bool(advanced))
        self._fault = fault_label()
        self._updating = False
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self._rows, self._fold, self._fault):
            layout.addWidget(widget)
        for rows in (self._rows, self._advanced):
            rows.changed.connect(self._on_change)

    def values(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults, by name, in plain types.

        They may be faulty; :meth:`build` checks them.
        """
        return self._rows.value() | self._advanced.value()

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show values in any form that the config takes, such as those of its `model_dump`.

        Fields that are not among them stay as they are; those without a row are left out.

        Raises
        ------
        InputError
            The config refuses a value; nothing has changed then.
        """
        config = self._validated(values)
        self._updating = True
        try:
            for rows in (self._rows, self._advanced):
                for name in config.model_fields_set & rows.editors.keys():
                    rows.editors[name].set_value(getattr(config, name))
        finally:
            self._updating = False
        self._on_change()

    def build(self, **others: Any) -> Config:
        """Make the config.

        Parameters
        ----------
        **others
            Values of fields without a row.

        Raises
        ------
        InputError
            It names each faulty field by its title.
        """
        return self._validated(self.values() | others)

    def set_choices(self, name: str, choices: Mapping[Any, str]) -> None:
        """Offer other values for a field that got `choices`; the chosen one stays."""
        editor = self._rows_with(name).editors[name]
        assert isinstance(editor, ChoiceEditor)
        editor.set_choices(choices)

    def set_automatic(self, name: str, text: str) -> None:
        """Say what is used where an optional field is empty, such as ``400 for L1L2``."""
        self.set_empty(name, f"auto: {text}")

    def set_empty(self, name: str, text: str) -> None:
        """Say what it means that an optional field is empty, such as ``never``."""
        self._rows_with(name).set_empty(name, text)

    def set_disabled(self, name: str, reason: str | None) -> None:
        """Disable a row and say why in its tooltip; None enables it again."""
        self._rows_with(name).set_disabled(name, reason)

    def _rows_with(self, name: str) -> ConfigRows:
        return self._rows if name in self._rows.editors else self._advanced

    def _validated(self, values: Mapping[str, Any]) -> Config:
        try:
            return self._model.model_validate(values)
        except ValidationError as error:
            faults = faults_of(error)
            raise InputError("; ".join(titled(self._model, fault) for fault in faults)) from error

    def _on_change(self) -> None:
        if self._updating:
            return
        try:
            self._model.model_validate(self.values())
        except ValidationError as error:
            self._show_faults([fault for fault in faults_of(error) if self._concerns(fault)])
        else:
            self._show_faults([])
        self.changed.emit()

    def _concerns(self, fault: Fault) -> bool:
        """Tell whether a fault is not just that a required field has its row elsewhere."""
        loc, _ = fault
        name = field_at(self._model, loc[0]) if loc else None
        has_row = name in self._rows.editors or name in self._advanced.editors
        return name is None or has_row or not self._model.model_fields[name].is_required()

    def _show_faults(self, faults: list[Fault]) -> None:
        elsewhere = self._rows.show_faults(faults)
        unplaced = self._advanced.show_faults(elsewhere)
        if len(unplaced) < len(elsewhere):
            self._fold.set_open(True)
        show_messages(self._fault, unplaced)
