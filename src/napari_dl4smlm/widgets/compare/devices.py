"""Chooses the devices on which models are timed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QSizePolicy, QVBoxLayout, QWidget

from napari_dl4smlm.widgets.sources.devices import usable_devices
from napari_dl4smlm.widgets.worker import EventWorker

if TYPE_CHECKING:
    from collections.abc import Mapping

_AUTO = "auto"
_ABOUT = "Time all models on this device; the scores come from the first one that is chosen"


class DeviceBoxes(QWidget):
    """A box for each device, of which the fastest is chosen; before they are known, for that alone.

    Attributes
    ----------
    changed
        Others are chosen.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._boxes: dict[str, QCheckBox] = {}
        self._listing = EventWorker(parent=self)
        self._listing.event_arrived.connect(self.show_devices)
        self._is_listed = False
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        # as wide as its column, however long the names are
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.show_devices({_AUTO: "the fastest one"})

    def find_devices(self) -> None:
        """Find out, once, which devices there are; it imports PyTorch."""
        if not self._is_listed:
            self._is_listed = True
            self._listing.start(lambda stop: usable_devices())

    def show_devices(self, devices: Mapping[str, str]) -> None:
        """Offer devices by what to call them, fastest first."""
        layout = self.layout()
        assert layout is not None
        for box in self._boxes.values():
            layout.removeWidget(box)
            box.deleteLater()
        self._boxes = {name: QCheckBox(text) for name, text in devices.items()}
        for number, box in enumerate(self._boxes.values()):
            box.setChecked(number == 0)
            box.setToolTip(f"{_ABOUT}\n{box.text()}")
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            box.toggled.connect(lambda _: self.changed.emit())
            layout.addWidget(box)
        self.changed.emit()

    def names(self) -> list[str]:
        """Return the devices that are chosen, as `compare_models` takes them."""
        chosen = [name for name, box in self._boxes.items() if box.isChecked()]
        # what `auto` stands for
        return [_AUTO] if chosen == [next(iter(self._boxes))] else chosen

    def choose(self, *names: str) -> None:
        """Choose devices that are offered, and no others."""
        for name, box in self._boxes.items():
            box.setChecked(name in names)

    def problem(self) -> str | None:
        """Say why there is nothing to compare on."""
        return None if self.names() else "Choose at least one device."

    def set_disabled(self, reason: str | None) -> None:
        """Disable all boxes and say why, or enable them again."""
        for box in self._boxes.values():
            box.setEnabled(reason is None)
            box.setToolTip(reason or f"{_ABOUT}\n{box.text()}")

    def close_all(self) -> None:
        """Look no longer."""
        self._listing.close(timeout_s=0)
