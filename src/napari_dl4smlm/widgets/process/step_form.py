"""What is entered for one step: its parameters, and what it takes from the viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Points, Shapes
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.processing.config import STEPS
from napari_dl4smlm.widgets.forms.columns import title_label, two_columns
from napari_dl4smlm.widgets.forms.config_form import ConfigForm
from napari_dl4smlm.widgets.forms.field_editors import ChoiceEditor, Editor
from napari_dl4smlm.widgets.layers.layers import mark_of
from napari_dl4smlm.widgets.layers.placement import seen_in
from napari_dl4smlm.widgets.process.column_plot import ColumnPlot

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence, Sized

    from napari.layers import Layer

    from napari_dl4smlm.backend.processing.column_histogram import ColumnHistogram
    from napari_dl4smlm.backend.processing.config import Step

# what is most often filtered
_FIRST_COLUMNS = ("photons", "uncertainty_nm", "sigma_nm", "confidence", "frame")

_DRIFT_FIELDS = ("segment_frames", "pixel_nm", "max_shift_nm", "cell_nm", "max_step_nm")


class StepForm(QWidget):
    """Rows for the parameters of a step.

    Parameters
    ----------
    kind
        Name of the step.

    Attributes
    ----------
    changed
        Emitted when something else was entered.
    """

    changed = Signal()

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        model = STEPS[kind]
        names = [name for name in model.model_fields if name != "kind"]
        advanced = [name for name in names if name in (*_DRIFT_FIELDS, "include_limits")]
        plain = [name for name in names if name not in advanced]
        self.form: ConfigForm[Any] = ConfigForm(model, plain, advanced, editors=self._editors())
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(0, 0, 0, 0)
        self.column.addWidget(self.form)
        self.form.changed.connect(self.changed)

    def step(self) -> Step | None:
        """Make the step; ``None`` if it would do nothing yet.

        Raises
        ------
        InputError
            It names each faulty field by its title.
        """
        step: Step = self.form.build()
        return step

    def set_step(self, step: Step) -> None:
        """Show a step of the same kind."""
        self.form.set_values({name: getattr(step, name) for name in step.model_fields_set})

    def wanted_column(self) -> str | None:
        """Return the column whose histogram is wanted."""
        return None

    def show_columns(self, columns: Sequence[str], histogram: ColumnHistogram | None) -> None:
        """Tell what there is before the step."""

    def set_layers(self, layers: Iterable[Layer], place: Points | None) -> None:
        """Offer the layers that are there; positions are taken as they are seen on the place."""

    def uses(self, layer: Layer) -> bool:
        """Tell whether the step changes with a layer."""
        del layer
        return False

    def _editors(self) -> dict[str, Editor]:
        return {}


class FilterForm(StepForm):
    """A column, its histogram, and the limits between which values are kept."""

    def __init__(self) -> None:
        self._column = ChoiceEditor({"photons": "photons"})
        self._is_untouched = True
        self._plot = ColumnPlot()
        super().__init__("filter")
        self.column.insertWidget(0, self._plot)
        self.form.set_empty("minimum", "none")
        self.form.set_empty("maximum", "none")
        self._plot.dragged.connect(self._on_drag)
        self._column.changed.connect(self._on_column)
        self.form.changed.connect(self._show_limits)

    def step(self) -> Step | None:
        """Make the step; without any limit there is none."""
        values = self.form.values()
        if values.get("minimum") is None and values.get("maximum") is None:
            return None
        return super().step()

    def set_step(self, step: Step) -> None:
        """Show a filter."""
        self._is_untouched = False
        # one limit stays where the other one alone is given
        values = step.model_dump(exclude={"kind"})
        self.form.set_values(values)

    def wanted_column(self) -> str:
        """Return the column that is chosen."""
        column: str = self._column.value()
        return column

    def show_columns(self, columns: Sequence[str], histogram: ColumnHistogram | None) -> None:
        """Offer the columns, and show the histogram of the one that is chosen."""
        chosen = self.wanted_column()
        offered = list(columns) if chosen in columns or self._is_untouched else [chosen, *columns]
        if self._is_untouched and chosen not in columns:
            first = next((name for name in _FIRST_COLUMNS if name in columns), columns[0])
            self._column.set_value(first)
            self._is_untouched = True
        self._column.set_choices({name: name for name in offered})
        if histogram is None or histogram.column == self.wanted_column():
            self._plot.show_histogram(histogram)

    def _editors(self) -> dict[str, Editor]:
        return {"column": self._column}

    def _on_column(self) -> None:
        self._is_untouched = False
        self._plot.show_histogram(None)

    def _on_drag(self, minimum: float | None, maximum: float | None) -> None:
        self.form.set_values({"minimum": minimum, "maximum": maximum})

    def _show_limits(self) -> None:
        values = self.form.values()
        limits = (values.get(name) for name in ("minimum", "maximum"))
        self._plot.show_limits(*(x if isinstance(x, int | float) else None for x in limits))


class RegionForm(StepForm):
    """Sides of a rectangle, typed or taken from a shape that was drawn."""

    def __init__(self) -> None:
        super().__init__("region")
        self._place: Points | None = None
        self._shapes = ChoiceEditor({None: "as typed below"})
        self._shapes.setToolTip("Box around the last shape of a shapes layer")
        row = two_columns(QGridLayout())
        row.addWidget(title_label("Shape", self._shapes.toolTip()), 0, 0)
        row.addWidget(self._shapes, 0, 1)
        self.column.insertLayout(0, row)
        self._shapes.changed.connect(self._take_shape)

    def set_layers(self, layers: Iterable[Layer], place: Points | None) -> None:
        """Offer the shapes layers."""
        self._place = place
        _offer(self._shapes, "as typed below", layers, Shapes)

    def uses(self, layer: Layer) -> bool:
        """Take the shape again after it was changed."""
        if layer is self._shapes.value():
            self._take_shape()
        # the numbers tell
        return False

    def _take_shape(self) -> None:
        layer = self._shapes.value()
        if layer is None or self._place is None or not len(layer.data):
            return
        corners = seen_in(self._place, layer, np.asarray(layer.data[-1]))[:, -2:]
        (top, left), (bottom, right) = corners.min(axis=0), corners.max(axis=0)
        sides = {"top_nm": top, "left_nm": left, "height_nm": bottom - top}
        sides["width_nm"] = right - left
        rounded = {name: round(float(value), 1) for name, value in sides.items()}
        if rounded["height_nm"] > 0 and rounded["width_nm"] > 0:
            self.form.set_values(rounded)


class BeadsEditor(Editor):
    """The points of a layer, one on each bead."""

    def __init__(self) -> None:
        self._choice = ChoiceEditor({None: "points on the beads"})
        super().__init__(self._choice)
        self._place: Points | None = None
        self._choice.changed.connect(self.changed)

    def layer(self) -> Points | None:
        """Return the layer that is chosen."""
        chosen = self._choice.value()
        return chosen if isinstance(chosen, Points) else None

    def value(self) -> list[tuple[float, float]]:
        """Return the positions (y, x) in nm, rounded to 0.1 nm."""
        chosen = self._choice.value()
        if isinstance(chosen, tuple):
            return list(chosen)
        if chosen is None or self._place is None:
            return []
        seen = seen_in(self._place, chosen, chosen.data)[:, -2:]
        return [(y, x) for y, x in seen.round(1).tolist()]

    def set_value(self, value: tuple[tuple[float, float], ...]) -> None:
        """Take positions as they were recorded."""
        self._choice.set_choices({**self._offered(), value: _recorded(value)})
        self._choice.set_value(value)

    def set_layers(self, layers: Iterable[Layer], place: Points | None) -> None:
        """Offer the points layers that the user has made."""
        self._place = place
        chosen = self._choice.value()
        recorded = {chosen: _recorded(chosen)} if isinstance(chosen, tuple) else {}
        # drift that followed from the result, which follows from the drift, would find no end
        layers = [layer for layer in layers if not mark_of(layer)]
        _offer(self._choice, "points on the beads", layers, Points, recorded)

    def _offered(self) -> dict[Any, str]:
        layer = self.layer()
        return {None: "points on the beads"} | ({} if layer is None else {layer: layer.name})


class BeadsForm(StepForm):
    """Positions of beads, and how far they move."""

    def __init__(self) -> None:
        self._beads = BeadsEditor()
        super().__init__("fiducials")

    def step(self) -> Step | None:
        """Make the step."""
        if not self._beads.value():
            raise InputError(
                "Choose a points layer with one point on each bead: add a new points layer, and "
                "click on them."
            )
        return super().step()

    def set_layers(self, layers: Iterable[Layer], place: Points | None) -> None:
        """Offer the points layers."""
        self._beads.set_layers(layers, place)

    def uses(self, layer: Layer) -> bool:
        """Tell whether it is the one with the beads."""
        return layer is self._beads.layer()

    def _editors(self) -> dict[str, Editor]:
        return {"positions_nm": self._beads}


def step_form(kind: str) -> StepForm:
    """Make the form of a step by its name."""
    special = {"filter": FilterForm, "region": RegionForm, "fiducials": BeadsForm}
    return special[kind]() if kind in special else StepForm(kind)


def _recorded(positions: Sized) -> str:
    return f"{len(positions)} recorded position{'s' * (len(positions) > 1)}"


def _offer(
    choice: ChoiceEditor,
    nothing: str,
    layers: Iterable[Layer],
    kind: type[Layer],
    others: dict[Any, str] | None = None,
) -> None:
    offered = {layer: layer.name for layer in layers if isinstance(layer, kind)}
    chosen = choice.value()
    if isinstance(chosen, kind) and chosen not in offered:
        choice.set_value(None)
    choice.set_choices({None: nothing} | offered | (others or {}))
