"""The rows of a form: an editor for each field of a config, and groups for configs inside it."""

from __future__ import annotations

import html
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticUndefined
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_dl4smlm.backend.simulation.ranges import Range
from napari_dl4smlm.widgets.fold import Fold
from napari_dl4smlm.widgets.forms.columns import title_label, two_columns
from napari_dl4smlm.widgets.forms.config_faults import field_at
from napari_dl4smlm.widgets.forms.field_editors import (
    ChoiceEditor,
    Editor,
    FlagEditor,
    NumberEditor,
    OptionsEditor,
    PathEditor,
    RangeEditor,
    TextEditor,
)
from napari_dl4smlm.widgets.forms.field_terms import (
    about,
    empty_text,
    is_optional,
    nested_models,
    title_of,
    types_of,
    unit_of,
)
from napari_dl4smlm.widgets.forms.number_box import number_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic.fields import FieldInfo

    from napari_dl4smlm.backend.config_file import Fault


class ConfigRows(Editor):
    """Fields of a config in two columns, titles and editors, that align with those of its groups.

    Its value is a dict of the fields that differ from their defaults.

    Attributes
    ----------
    editors
        The editor of each field by the field's name.
    """

    def __init__(
        self,
        model: type[BaseModel],
        fields: Iterable[str],
        choices: Mapping[str, Mapping[Any, str]],
        level: int = 0,
        special: Mapping[str, Editor] | None = None,
    ) -> None:
        content = QWidget()
        super().__init__(content)
        self._model = model
        self._level = level
        self._grid = two_columns(QGridLayout(content))
        self.editors: dict[str, Editor] = {}
        self._titles: dict[str, QLabel] = {}
        self._faults: dict[str, QLabel] = {}
        self._unchanged: dict[str, Any] = {}
        self._if_empty: dict[str, str] = {}
        for name in fields:
            field = model.model_fields[name]
            editor = (special or {}).get(name) or _editor(name, field, choices, level)
            default = field.get_default(call_default_factory=True)
            if default is not PydanticUndefined:
                editor.set_value(default)
            self._unchanged[name] = editor.value()
            self._add(name, field, editor)
            editor.changed.connect(self.changed)

    def value(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults."""
        values = {name: editor.value() for name, editor in self.editors.items()}
        return {name: value for name, value in values.items() if value != self._unchanged[name]}

    def set_value(self, value: BaseModel) -> None:
        """Show a config."""
        for name, editor in self.editors.items():
            editor.set_value(getattr(value, name))

    def show_faults(self, faults: list[Fault]) -> list[Fault]:
        """Show faults below their rows; return those that belong to none of them."""
        placed: dict[str, list[Fault]] = {name: [] for name in self.editors}
        unplaced = []
        for loc, message in faults:
            name = field_at(self._model, loc[0]) if loc else None
            if name in placed:
                placed[name].append((loc[1:], message))
            else:
                unplaced.append((loc, message))
        for name, inside in placed.items():
            show_messages(self._faults[name], self.editors[name].show_faults(inside))
        return unplaced

    def set_disabled(self, name: str, reason: str | None) -> None:
        """Disable a row and say why, or enable it again."""
        editor = self.editors[name]
        editor.setEnabled(reason is None)
        if editor.below is not None:
            editor.below.setEnabled(reason is None)
        editor.setToolTip(self._tooltip(name) if reason is None else _wrapped(reason))

    def set_empty(self, name: str, text: str) -> None:
        """Say what it means that an optional field is empty."""
        self._if_empty[name] = text
        self.editors[name].set_placeholder(text)
        self._titles[name].setToolTip(self._tooltip(name))
        if self.editors[name].isEnabled():
            self.editors[name].setToolTip(self._tooltip(name))

    def _tooltip(self, name: str) -> str:
        return _tooltip(self._model.model_fields[name], self._if_empty.get(name, ""))

    def _add(self, name: str, field: FieldInfo, editor: Editor) -> None:
        row = self._grid.rowCount()
        title = title_of(name, field)
        if isinstance(editor, GroupEditor):
            editor.set_title(title)
            self._grid.addWidget(editor, row, 0, 1, 2)
        else:
            self._titles[name] = title_label(title, self._tooltip(name), self._level)
            self._grid.addWidget(self._titles[name], row, 0)
            self._grid.addWidget(editor, row, 1)
        self.editors[name] = editor
        editor.setToolTip(self._tooltip(name))
        if is_optional(field) and not isinstance(editor, OptionalGroupEditor):
            self.set_empty(name, empty_text(field))
        if editor.below is not None:
            self._grid.addWidget(editor.below, row + 1, 0, 1, 2)
        fault = fault_label()
        self._grid.addWidget(fault, row + 2, 0, 1, 2)
        self._faults[name] = fault


class GroupEditor(Editor):
    """A config inside another, folded away under its title."""

    def __init__(self, model: type[BaseModel], level: int) -> None:
        self._rows = ConfigRows(model, model.model_fields, {}, level + 1)
        self._fold = Fold(self._rows)
        super().__init__(self._fold)
        self._rows.changed.connect(self.changed)

    def set_title(self, title: str) -> None:
        """Name the group."""
        self._fold.set_title(title)

    def value(self) -> dict[str, Any]:
        """Return what differs from the defaults of the config inside."""
        return self._rows.value()

    def set_value(self, value: BaseModel) -> None:
        """Show a config."""
        self._rows.set_value(value)

    def show_faults(self, faults: list[Fault]) -> list[Fault]:
        """Show faults below their rows, which must not be folded away then."""
        if faults:
            self._fold.set_open(True)
        return self._rows.show_faults(faults)


class OptionalGroupEditor(Editor):
    """A config inside another that may be left out."""

    def __init__(self, model: type[BaseModel], level: int) -> None:
        self._flag = FlagEditor()
        super().__init__(self._flag)
        self._model = model
        self._rows = ConfigRows(model, model.model_fields, {}, level + 1)
        self._rows.setVisible(False)
        self.below = self._rows
        self._rows.changed.connect(self.changed)
        self._flag.changed.connect(self._show)

    def value(self) -> dict[str, Any] | None:
        """Return what differs from the defaults of the config inside; None where it is left out."""
        return self._rows.value() if self._flag.value() else None

    def set_value(self, value: BaseModel | None) -> None:
        """Show a config, or leave it out."""
        self._flag.set_value(value is not None)
        if value is not None:
            self._rows.set_value(value)

    def show_faults(self, faults: list[Fault]) -> list[Fault]:
        """Show faults below their rows."""
        return self._rows.show_faults(faults)

    def _show(self) -> None:
        self._rows.setVisible(self._flag.value())
        self.changed.emit()


class UnionEditor(Editor):
    """A choice between kinds of configs, and the fields of the chosen one below it."""

    def __init__(self, tag: str, kinds: Mapping[str, type[BaseModel]], level: int) -> None:
        self._choice = ChoiceEditor({kind: kind.replace("_", " ") for kind in kinds})
        super().__init__(self._choice)
        self._tag = tag
        self.below = QWidget()
        below = QVBoxLayout(self.below)
        below.setContentsMargins(0, 0, 0, 0)
        self._rows: dict[str, ConfigRows] = {}
        for kind, model in kinds.items():
            names = [name for name in model.model_fields if name != tag]
            rows = self._rows[kind] = ConfigRows(model, names, {}, level + 1)
            rows.changed.connect(self.changed)
            below.addWidget(rows)
            # the first line of a docstring, without those for programmers
            about = model.model_fields[tag].description or inspect.getdoc(model) or ""
            self._choice.describe(kind, _wrapped(about.partition("\n")[0]))
        self._choice.changed.connect(self._swap)
        self._show_chosen()

    def value(self) -> dict[str, Any]:
        """Return the kind and what differs from its defaults."""
        kind = self._choice.value()
        return {self._tag: kind, **self._rows[kind].value()}

    def set_value(self, value: BaseModel) -> None:
        """Show a config of any of the kinds."""
        kind = getattr(value, self._tag)
        self._rows[kind].set_value(value)
        self._choice.set_value(kind)

    def show_faults(self, faults: list[Fault]) -> list[Fault]:
        """Show faults below their rows; pydantic puts the kind before the place inside."""
        inside = [(loc[1:], message) for loc, message in faults]
        return self._rows[self._choice.value()].show_faults(inside)

    def _swap(self) -> None:
        self._show_chosen()
        self.changed.emit()

    def _show_chosen(self) -> None:
        chosen = self._rows[self._choice.value()]
        for rows in self._rows.values():
            rows.setVisible(rows is chosen)
        assert self.below is not None
        self.below.setVisible(bool(chosen.editors))


def fault_label() -> QLabel:
    """Make a label for :func:`show_messages`, hidden at first."""
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setVisible(False)
    return label


def show_messages(label: QLabel, faults: list[Fault]) -> None:
    """Show messages one below the other; without any, there is no label."""
    label.setText("\n".join(f"⚠ {message}" for _, message in faults))
    label.setVisible(bool(faults))


def _editor(
    name: str, field: FieldInfo, choices: Mapping[str, Mapping[Any, str]], level: int
) -> Editor:
    kinds, optional = types_of(field.annotation)
    nested = nested_models(field)
    if field.discriminator:
        return UnionEditor(str(field.discriminator), nested, level)
    if nested:
        (model,) = nested.values()
        return OptionalGroupEditor(model, level) if optional else GroupEditor(model, level)
    (kind,) = kinds
    offered = choices.get(name)
    if get_origin(kind) is Literal:
        offered = {value: str(value) for value in get_args(kind)}
    if offered is not None:
        editor: Editor = ChoiceEditor(({None: ""} if optional else {}) | dict(offered))
    else:
        editor = _plain_editor(name, field, kind, optional)
    if isinstance(editor, OptionsEditor):
        editor.set_placeholder(field.description or "")
    return editor


def _plain_editor(name: str, field: FieldInfo, kind: Any, optional: bool) -> Editor:
    if kind is bool:
        return FlagEditor()
    if kind in (int, float):
        return NumberEditor(whole=kind is int, unit=unit_of(name), accepts=_acceptance(name, field))
    if kind == Range:
        return RangeEditor(unit=unit_of(name), accepts=_acceptance(name, field))
    if kind is Path:
        return PathEditor()
    if kind is str:
        return TextEditor(optional=optional)
    if get_origin(kind) is dict:
        return OptionsEditor()
    raise TypeError(f"{name}: there is no editor for {field.annotation}")


def _acceptance(name: str, field: FieldInfo) -> Callable[[Any], bool]:
    annotation: Any = Annotated[field.annotation, name, *field.metadata]
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)

    def accepts(value: Any) -> bool:
        try:
            adapter.validate_python(value)
        except ValidationError:
            return False
        return True

    return accepts


def _tooltip(field: FieldInfo, if_empty: str) -> str:
    default = field.get_default(call_default_factory=True)
    text = about(field)
    if isinstance(default, int | float | str) and not isinstance(default, bool):
        shown = default if isinstance(default, str) else number_text(default)
        text += f"\nDefault: {shown}"
    if if_empty:
        text += f"\nIf empty: {if_empty.removeprefix('auto: ')}"
    return _wrapped(text)


def _wrapped(text: str) -> str:
    """Make a text that Qt breaks into lines: it does so with rich text only."""
    return f"<qt>{html.escape(text)}</qt>".replace("\n", "<br>") if text else ""
