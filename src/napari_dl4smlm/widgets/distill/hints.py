"""Which layers of the teacher guide which layers of the student."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QPushButton, QToolButton, QVBoxLayout, QWidget

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.training.hint_grid import check_grid
from napari_dl4smlm.widgets.forms.columns import title_label, two_columns
from napari_dl4smlm.widgets.forms.field_editors import ChoiceEditor
from napari_dl4smlm.widgets.forms.note import note

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_dl4smlm.backend.models.layers import Layer
    from napari_dl4smlm.widgets.distill.outline import Outline

_NOT_KNOWN = {None: "–"}
_LAST_PAIR = "Hints take at least one pair of layers."
_NO_NETWORKS = "The layers are known once teacher and student are."


class HintPairs(QWidget):
    """Rows of two layers each, the first ones being the default; pairs can be added and removed.

    Attributes
    ----------
    changed
        Emitted after something has changed.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._networks: tuple[Outline, Outline] | None = None
        self._rows: list[_PairRow] = []
        self._why_disabled: str | None = None
        self._add_button = QPushButton("Add a pair of layers")
        self._add_button.clicked.connect(self._on_add)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.addWidget(self._add_button)
        self.set_values({})

    def values(self) -> dict[str, str]:
        """Return layers of the student by those of the teacher; empty for the default."""
        if self._is_default():
            return {}
        pairs = (row.pair() for row in self._rows)
        return {hint: guided for hint, guided in pairs if hint and guided}

    def set_values(self, hints: Mapping[str, str]) -> None:
        """Show pairs of layers, or the default where there are none."""
        while self._rows:
            self._remove(self._rows[-1])
        for hint, guided in hints.items() or [self._default()]:
            self._add(hint, guided)
        self._on_change()

    def set_networks(self, teacher: Outline, student: Outline) -> None:
        """Offer the layers of other networks; what the user has chosen stays."""
        was_default = self._is_default()
        self._networks = teacher, student
        for row in self._rows:
            row.set_networks(self._networks)
        if was_default:
            self.set_values({})
        else:
            self._on_change()

    def check(self, patch_px: int) -> None:
        """Check that every pair can be compared.

        Parameters
        ----------
        patch_px
            Side of a training patch in camera pixels.

        Raises
        ------
        InputError
            A network has no such layer, a layer guides two, or its grid is too coarse.
        """
        if self._networks is None:
            return
        taught = [row.pair()[0] for row in self._rows]
        for row in self._rows:
            for name, network, whose in zip(
                row.pair(), self._networks, ("of the teacher", "of the student"), strict=True
            ):
                if name not in network.layers:
                    raise InputError(f"There is no layer {name!r} {whose}. Choose another one.")
                check_grid(name, whose, scale=network.layers[name].scale, patch_px=patch_px)
        for hint in taught:
            if taught.count(hint) > 1:
                raise InputError(
                    f"The teacher's layer {hint!r} is chosen twice; it can guide one layer. "
                    "Choose another one, or remove a pair."
                )

    def set_disabled(self, reason: str | None) -> None:
        """Disable all rows and say why, or enable them again."""
        self._why_disabled = reason
        self._show_state()

    def _is_default(self) -> bool:
        return [row.pair() for row in self._rows] == [self._default()]

    def _default(self) -> tuple[str | None, str | None]:
        if self._networks is None:
            return None, None
        teacher, student = self._networks
        return teacher.hint_layer, student.hint_layer

    def _on_add(self) -> None:
        taught = [row.pair()[0] for row in self._rows]
        assert self._networks is not None
        teacher, student = self._networks
        unused = [name for name in teacher.layers if name not in taught]
        self._add(unused[0] if unused else teacher.hint_layer, student.hint_layer)
        self._on_change()

    def _add(self, hint: str | None, guided: str | None) -> None:
        row = _PairRow(self._networks, hint, guided)
        row.changed.connect(self._on_change)
        row.remove_pressed.connect(lambda: self._on_remove(row))
        self._rows.append(row)
        self._layout.insertWidget(len(self._rows) - 1, row)

    def _on_remove(self, row: _PairRow) -> None:
        self._remove(row)
        self._on_change()

    def _remove(self, row: _PairRow) -> None:
        self._rows.remove(row)
        self._layout.removeWidget(row)
        row.hide()
        row.deleteLater()

    def _on_change(self) -> None:
        self._show_state()
        self.changed.emit()

    def _show_state(self) -> None:
        reason = self._why_disabled or (_NO_NETWORKS if self._networks is None else None)
        for row in self._rows:
            row.set_disabled(reason, _LAST_PAIR if len(self._rows) == 1 else None)
        self._add_button.setEnabled(reason is None)
        self._add_button.setToolTip(reason or "Let another layer of the teacher give a hint")


class _PairRow(QWidget):
    """A layer of the teacher, one of the student, and how the two are compared."""

    changed = Signal()
    remove_pressed = Signal()

    def __init__(
        self, networks: tuple[Outline, Outline] | None, hint: str | None, guided: str | None
    ) -> None:
        super().__init__()
        self._networks = networks
        self._layers = ChoiceEditor(_NOT_KNOWN), ChoiceEditor(_NOT_KNOWN)
        self._remove = QToolButton()
        self._remove.setText("✕")
        self._about = note()
        self._lay_out()
        for editor, name in zip(self._layers, (hint, guided), strict=True):
            editor.set_value(name)
        self.set_networks(networks)
        for editor in self._layers:
            editor.changed.connect(self._on_change)
        self._remove.clicked.connect(self.remove_pressed)

    def pair(self) -> tuple[str | None, str | None]:
        """Return the names of both layers."""
        taught, guided = self._layers
        return taught.value(), guided.value()

    def set_networks(self, networks: tuple[Outline, Outline] | None) -> None:
        """Offer the layers of both networks."""
        self._networks = networks
        if networks is not None:
            for editor, network in zip(self._layers, networks, strict=True):
                editor.set_choices({name: name for name in network.layers})
                for name, layer in network.layers.items():
                    editor.describe(name, f"{name}: {_about_layer(layer)}")
        self._show_about()

    def set_disabled(self, reason: str | None, why_kept: str | None) -> None:
        """Disable the row and say why; or only its button, where there is no other pair."""
        for editor in self._layers:
            editor.setEnabled(reason is None)
            editor.setToolTip(reason or str(editor.value()))
        self._remove.setEnabled((reason or why_kept) is None)
        self._remove.setToolTip(reason or why_kept or "Remove this pair")

    def _lay_out(self) -> None:
        taught, guided = self._layers
        first = QHBoxLayout()
        first.addWidget(taught, 1)
        first.addWidget(self._remove)
        grid = two_columns(QGridLayout(self))
        about = "What this layer of the teacher puts out is the hint"
        grid.addWidget(title_label("Teacher's layer", about), 0, 0)
        grid.addLayout(first, 0, 1)
        about = "This layer of the student learns to put out the same"
        grid.addWidget(title_label("guides student's", about), 1, 0)
        grid.addWidget(guided, 1, 1)
        grid.addWidget(self._about, 2, 0, 1, 2)

    def _on_change(self) -> None:
        self._show_about()
        self.changed.emit()

    def _show_about(self) -> None:
        text = ""
        if self._networks is not None:
            taught, guided = (
                network.layers.get(str(name))
                for network, name in zip(self._networks, self.pair(), strict=True)
            )
            text = "" if taught is None or guided is None else _about_pair(taught, guided)
        self._about.setText(text)
        self._about.setVisible(bool(text))


def _about_layer(layer: Layer) -> str:
    grid = (
        f"{layer.scale:g} × {layer.scale:g} per camera pixel"
        if layer.scale >= 1
        else f"one for {1 / layer.scale:g} × {1 / layer.scale:g} camera pixels"
    )
    return f"{layer.channels} feature maps, {grid}"


def _about_pair(taught: Layer, guided: Layer) -> str:
    """Tell how the features of a student are brought to the shape of the teacher's."""
    channels = f"{taught.channels} feature maps each"
    if taught.channels != guided.channels:
        channels = (
            f"{guided.channels} feature maps, translated to {taught.channels} by a convolution "
            "that learns along"
        )
    finer = taught.scale / guided.scale
    if finer == 1:
        grid = "same grid"
    elif finer > 1:
        grid = f"interpolated to a grid {finer:g} times as fine"
    else:
        grid = f"averaged over {1 / finer:g} × {1 / finer:g} pixels, the teacher's grid"
    return f"{channels} · {grid}"
