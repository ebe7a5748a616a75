"""The devices of this machine that networks can run on, found out off the GUI thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def usable_devices() -> Iterator[dict[str, str]]:
    """Yield, once, what to show of each device by its name, fastest first.

    It takes seconds: PyTorch is imported, and each GPU is started.
    """
    from napari_dl4smlm.backend.models.device import available_devices

    yield {
        device.name: f"{device.name} · {device.description}"
        for device in available_devices()
        if device.available
    }
