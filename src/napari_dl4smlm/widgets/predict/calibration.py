"""Offers to set the scale of a layer that does not have the pixel size it is predicted with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_dl4smlm.widgets.forms.titled_rows import Message
from napari_dl4smlm.widgets.layers.layers import pixel_sides_nm, pixel_size_nm

if TYPE_CHECKING:
    from napari.layers import Image


class LayerCalibration(QWidget):
    """A note and a button, which are there only where scale and pixel size differ.

    The pixels of the layer may also be told not to be square, which no pixel size mends.

    Attributes
    ----------
    asked
        Emitted with the pixel size in nm that the layer is to have.
    """

    asked = Signal(float)

    def __init__(self) -> None:
        super().__init__()
        self._note = Message()
        self._button = QPushButton()
        self._size_nm: float | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._note)
        layout.addWidget(self._button)
        self._button.clicked.connect(lambda: self.asked.emit(self._size_nm))
        self.hide()

    def show_layer(self, layer: Image | None, size_nm: float | None, why_not: str | None) -> None:
        """Compare a layer with a pixel size.

        Parameters
        ----------
        layer
            The movie; ``None`` for no layer.
        size_nm
            What it is predicted with; ``None`` if that is not known.
        why_not
            Why the layer must not be changed now.
        """
        has_nm = None if layer is None else pixel_size_nm(layer)
        is_right = has_nm is not None and (size_nm is None or math.isclose(has_nm, size_nm))
        self.setVisible(layer is not None and not is_right)
        if layer is None or is_right:
            return
        sides = pixel_sides_nm(layer)
        # to stretch the layer would not make its pixels square
        self._button.setVisible(has_nm is not None or sides is None)
        if has_nm is None and sides is not None:
            self._note.show_text(
                f"The pixels of the layer are {sides[0]:.4g} nm high and {sides[1]:.4g} nm wide, "
                "but only square ones can be predicted."
            )
            return
        self._size_nm = size_nm
        self._note.show_text(
            "The layer has no pixel size: its scale bar counts pixels."
            if has_nm is None
            else f"The layer says {has_nm:.4g} nm: its scale bar is for that."
        )
        asked = "its pixel size" if size_nm is None else f"{size_nm:.4g} nm"
        self._button.setText(f"Set the layer's scale to {asked}")
        why_not = why_not or ("Enter the pixel size first." if size_nm is None else None)
        self._button.setEnabled(why_not is None)
        self._button.setToolTip(
            why_not or "Set scale and units of the layer and of the results on it"
        )
