"""How the result is drawn, and which of its layers are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_dl4smlm.backend.processing.rendering import Rendering
from napari_dl4smlm.widgets.forms.columns import title_label, two_columns
from napari_dl4smlm.widgets.forms.config_form import ConfigForm
from napari_dl4smlm.widgets.forms.titled_rows import Message
from napari_dl4smlm.widgets.process.overlays import ProcessedLayers
from napari_dl4smlm.widgets.process.processing import Drawn

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Points

    from napari_dl4smlm.widgets.process.processing import NotDrawn, Processed

MOST_POINTS = 100_000
"""With more of them, every turn of the viewer is slow."""

_USED_BY = {
    "sigma_nm": ("gaussian",),
    "min_sigma_nm": ("uncertainty", "density"),
    "max_sigma_nm": ("uncertainty", "density"),
    "neighbours": ("density",),
}


class ShownResult(QWidget):
    """The form of the image, boxes for the layers, and the layers themselves.

    Parameters
    ----------
    viewer
        Gets the layers.

    Attributes
    ----------
    changed
        Emitted when something else is to be drawn.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._layers: ProcessedLayers | None = None
        self._processed: Processed | None = None
        self._are_forced = False
        self.form = ConfigForm(
            Rendering,
            ("mode", "pixel_nm", "sigma_nm"),
            advanced=("min_sigma_nm", "max_sigma_nm", "neighbours"),
        )
        self.image, self.points = QCheckBox("image"), QCheckBox("localizations")
        self.image.setToolTip("Draw what is left as an image")
        self.points.setToolTip("Show what is left as points")
        self._fault, self._too_many = Message(), Message()
        self.anyway = QPushButton("Show the points anyway")
        self.anyway.setToolTip("Moving around in the viewer may become slow")
        self._lay_out()
        self.form.changed.connect(self._on_change)
        for box in (self.image, self.points):
            box.setChecked(True)
            box.toggled.connect(self._on_box)
        self.anyway.clicked.connect(self._on_anyway)
        self._show_used()

    def rendering(self) -> Rendering | None:
        """Return how to draw; ``None`` if no image is wanted.

        Raises
        ------
        InputError
            It names each faulty field by its title.
        """
        return self.form.build() if self.image.isChecked() else None

    def set_rendering(self, rendering: Rendering) -> None:
        """Show a recorded form of the image."""
        self.form.set_values(rendering.model_dump(exclude={"region"}))

    def set_source(self, place: Points, name: str) -> bool:
        """Show what is made of other localizations in layers of their own.

        Parameters
        ----------
        place
            Where they are.
        name
            What they are called.

        Returns
        -------
        bool
            Whether they are others.
        """
        if self._layers is not None and self._layers.belong_to(place, name):
            self._layers.move_to(place)
            return False
        self._layers, self._processed = ProcessedLayers(self._viewer, place, name), None
        self._are_forced = False
        return True

    def show_processed(self, processed: Processed) -> None:
        """Show what is left as points, unless there are too many."""
        self._processed = processed
        self._show_points()

    def show_image(self, drawn: Drawn | NotDrawn) -> None:
        """Show the image, or why there is none."""
        if isinstance(drawn, Drawn):
            self._fault.show_fault("")
        else:
            self._fault.show_fault(drawn.message)
        if self._layers is not None:
            if isinstance(drawn, Drawn):
                self._layers.show_image(drawn)
            else:
                self._layers.hide_image()

    def has_layers(self) -> bool:
        """Tell whether there is anything in the viewer that could be out of date."""
        return self._layers is not None and self._layers.are_shown

    def message(self) -> str:
        """Return what is said about layers that are not shown."""
        return self._fault.toPlainText() or self._too_many.toPlainText()

    def _lay_out(self) -> None:
        boxes = QHBoxLayout()
        for box in (self.image, self.points):
            boxes.addWidget(box)
        boxes.addStretch(1)
        row = two_columns(QGridLayout())
        row.addWidget(title_label("Show", "Layers of what is left"), 0, 0)
        row.addLayout(boxes, 0, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        for widget in (self._too_many, self.anyway, self.form, self._fault):
            layout.addWidget(widget)
        self.anyway.setVisible(False)

    def _show_points(self) -> None:
        processed, layers = self._processed, self._layers
        if processed is None or layers is None:
            return
        n = len(processed.content.localizations)
        is_wanted = self.points.isChecked()
        are_too_many = is_wanted and n > MOST_POINTS and not self._are_forced
        self._too_many.show_text(
            f"{n:,} localizations are shown as an image only: more than {MOST_POINTS:,} points "
            "make the viewer slow."
            if are_too_many
            else ""
        )
        self.anyway.setVisible(are_too_many)
        if is_wanted and not are_too_many:
            layers.show_points(processed)
        else:
            layers.drop_points()

    def _on_box(self) -> None:
        if self._layers is not None:
            self._layers.bring_back()
            if not self.image.isChecked():
                self._layers.hide_image()
        self._on_change()

    def _on_anyway(self) -> None:
        self._are_forced = True
        self._show_points()

    def _on_change(self) -> None:
        self._show_used()
        self.changed.emit()

    def _show_used(self) -> None:
        """Enable the widths that the mode uses."""
        mode = self.form.values().get("mode", "gaussian")
        for name, modes in _USED_BY.items():
            why_not = None if mode in modes else f"The mode {mode} does not use this."
            self.form.set_disabled(name, why_not)
