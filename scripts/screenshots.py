"""Take the pictures of the plugin in the README and in docs, from the real window at work.

One session from the sample movie to the table, as docs/gui_tutorial.md tells it. It needs a
display, which may be virtual, and some minutes:

    xvfb-run --server-args "-screen 0 1600x1200x24" python scripts/screenshots.py
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import napari
from napari.settings import get_settings
from qtpy.QtWidgets import QApplication, QLabel, QPushButton, QWidget

from napari_dl4smlm.widgets.demo import PLUGIN, dock_widgets
from napari_dl4smlm.widgets.process.widget import ProcessWidget
from napari_dl4smlm.widgets.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE_PX = (1280, 800)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--theme", choices=["dark", "light"], default="dark")
    parser.add_argument("--epochs", type=int, default=12)
    arguments = parser.parse_args()
    out = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    # the model goes where the user's would
    os.chdir(tempfile.mkdtemp())
    get_settings().appearance.theme = arguments.theme
    viewer = napari.Viewer(title="napari-dl4smlm")
    viewer.window.resize(*SIZE_PX)
    take_all(viewer, out, arguments.epochs)
    viewer.close()


def take_all(viewer: napari.Viewer, out: Path, epochs: int) -> None:
    """Go through one session, and take a picture at each station."""

    def picture(name: str) -> None:
        wait(lambda: False, at_most_s=1)
        viewer.window.screenshot(str(out / f"gui-{name}.png"), canvas_only=False, flash=False)

    docked = dock_widgets(viewer)
    viewer.open_sample(PLUGIN, "filaments")
    viewer.fit_to_view()
    settle(docked.data)
    picture("data")

    docked.data.choose(2)
    settle(docked.data)
    press(docked.data, "Preview")
    settle(docked.data)
    picture("simulation")

    docked.data.choose(0)
    settle(docked.data)
    docked.data.use_for_training()
    session = Session.of(viewer)
    wait(lambda: session.data is not None)
    docked.tabs["Train"].raise_()
    docked.train.form.set_values({"epochs": epochs})
    docked.train.start()
    wait(lambda: says(docked.train, f"epoch {max(1, epochs - 1)} of"))
    picture("train")
    wait(lambda: session.model_path is not None)
    # the last previews still come, picture by picture
    wait(lambda: False, at_most_s=5)

    viewer.layers.clear()
    viewer.open_sample(PLUGIN, "unseen")
    docked.tabs["Predict"].raise_()
    wait(lambda: False, at_most_s=2)
    press(docked.predict, "Predict")
    wait(lambda: button(docked.predict, "Predict").isEnabled())
    picture("predict")

    process = ProcessWidget(viewer)
    viewer.window.add_dock_widget(process, name="Process", area="right", tabify=True)
    process.steps.add("filter")
    process.steps.add("merge")
    wait(lambda: not process.is_busy)
    picture("process")


def settle(data: QWidget) -> None:
    """Wait until the Data widget has looked at what was chosen."""
    wait(lambda: not data.is_busy)


def button(widget: QWidget, text: str) -> QPushButton:
    return next(found for found in widget.findChildren(QPushButton) if found.text() == text)


def says(widget: QWidget, start: str) -> bool:
    return any(label.text().startswith(start) for label in widget.findChildren(QLabel))


def press(widget: QWidget, text: str) -> None:
    button(widget, text).click()


def wait(until: Callable[[], bool], *, at_most_s: float = 900) -> None:
    """Let the window work until something is true, or for some time."""
    end = time.monotonic() + at_most_s
    while not until() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


if __name__ == "__main__":
    main()
