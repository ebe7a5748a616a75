"""How long napari does not answer while the widgets open, train and predict.

    xvfb-run --server-args "-screen 0 1600x1200x24" python benchmarks/window_response.py

A timer of the event loop rings every 10 ms; what is longer between two rings is time in which a
click would wait. Of each wait is told what is left of it without OpenGL's drawing, which on a
virtual display is emulated by the processor and says nothing of a computer with a GPU. So is
Python's search for cycles among all objects, during which nothing else runs. Waits in which napari
added a layer or switched its grid are told apart: that takes it some tenths of a second whoever
asks.

For comparison, the same three pictures are first added to napari and updated without the plugin,
while nothing else runs. One training of the first sample movie with default options, but for the
number of epochs, then a prediction of the second one.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import napari
import numpy as np
from napari.components import LayerList
from qtpy.QtCore import QEventLoop, QTimer
from qtpy.QtWidgets import QPushButton

from napari_dl4smlm.widgets.demo import PLUGIN, dock_widgets
from napari_dl4smlm.widgets.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

RING_MS = 10
NOTICED_MS = 100
# the last two ask PyTorch at once, which takes seconds to load in another thread
WIDGETS = ("Data", "Predict", "Compare", "Process", "Train", "Distill")


class Wait(NamedTuple):
    """Between two rings, in milliseconds."""

    whole: float
    without_drawing: float
    without_search: float
    """Nor drawing."""
    is_arranged: bool
    """napari added a layer or switched its grid."""


@dataclass
class Answers:
    """Waits of the event loop, by what was going on."""

    phase: str = ""
    waits: dict[str, list[Wait]] = field(default_factory=dict)
    drawing_s: float = 0.0
    search_s: float = 0.0
    arrangements: int = 0
    _last: float = 0.0
    _search_began: float = 0.0

    def begin(self, phase: str) -> None:
        """Count what comes as something else."""
        self.phase = phase
        self.waits[phase] = []
        self._reset()

    def ring(self) -> None:
        """Note the time since the last ring."""
        waited = time.perf_counter() - self._last
        less = waited - self.drawing_s
        lesser = less - self.search_s
        wait = Wait(1e3 * waited, 1e3 * less, 1e3 * lesser, self.arrangements > 0)
        self.waits[self.phase].append(wait)
        self._reset()

    def on_search(self, phase: str, about: dict[str, int]) -> None:
        """Note the time that Python looks for cycles, in whatever thread."""
        del about
        if phase == "start":
            self._search_began = time.perf_counter()
        else:
            self.search_s += time.perf_counter() - self._search_began

    def _reset(self) -> None:
        self.drawing_s = self.search_s = 0.0
        self.arrangements, self._last = 0, time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()
    # models go where the user's would
    os.chdir(tempfile.mkdtemp())
    answers = Answers()
    viewer = napari.Viewer()
    watch(answers, viewer)
    viewer.window.resize(1280, 800)
    timer = QTimer()
    timer.timeout.connect(answers.ring)
    answers.begin("napari opens")
    timer.start(RING_MS)
    wait(lambda: False, seconds=2)
    answers.begin("napari alone")
    add_and_update_pictures(viewer)
    answers.begin("widgets open")
    opened = {}
    for name in WIDGETS:
        opened[name] = open_widget(viewer, name)
        wait(lambda: False, seconds=8 if name == "Train" else 0.5)
    answers.begin("sample opens")
    use_all(viewer, answers, arguments.epochs)
    report(answers, opened)
    timer.stop()
    viewer.close()


def watch(answers: Answers, viewer: napari.Viewer) -> None:
    """Note when OpenGL draws, Python searches, and layers come."""
    # not before there is a viewer, which chooses it
    from vispy.app.backends import _qt

    def timed(method: Callable[..., Any]) -> Callable[..., Any]:
        def draw(*values: Any) -> Any:
            began = time.perf_counter()
            try:
                return method(*values)
            finally:
                answers.drawing_s += time.perf_counter() - began

        return draw

    def counted(method: Callable[..., Any]) -> Callable[..., Any]:
        def insert(*values: Any) -> Any:
            answers.arrangements += 1
            return method(*values)

        return insert

    gc.callbacks.append(answers.on_search)
    canvas = _qt.CanvasBackendDesktop
    canvas.paintGL = timed(canvas.paintGL)
    LayerList.insert = counted(LayerList.insert)
    viewer.canvas.grid.events.enabled.connect(counted(lambda event: None))


def add_and_update_pictures(viewer: napari.Viewer) -> None:
    """Show three pictures in a grid, as a preview of the training does, and update them."""
    random = np.random.default_rng(0)
    for _ in range(3):
        layer = napari.layers.Image(random.random((256, 256)), visible=False)
        layer.name_overlay.visible = True
        viewer.add_layer(layer)
        wait(lambda: False, seconds=0.5)
    viewer.canvas.grid.enabled = True
    for layer in viewer.layers:
        layer.visible = True
    wait(lambda: False, seconds=2)
    for _ in range(10):
        for layer in viewer.layers:
            layer.data = random.random((256, 256))
            wait(lambda: False, seconds=0.1)
    viewer.canvas.grid.enabled = False
    viewer.layers.clear()
    wait(lambda: False, seconds=1)


def open_widget(viewer: napari.Viewer, name: str) -> float:
    """Return the milliseconds until a widget is in the window."""
    began = time.perf_counter()
    dock, _ = viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
    taken = time.perf_counter() - began
    wait(lambda: False, seconds=0.2)
    viewer.window.remove_dock_widget(dock)
    return 1e3 * taken


def use_all(viewer: napari.Viewer, answers: Answers, epochs: int) -> None:
    """Go from the sample to a prediction, as a user would."""
    docked = dock_widgets(viewer)
    session = Session.of(viewer)
    wait(lambda: False, seconds=2)
    viewer.open_sample(PLUGIN, "filaments")
    wait(lambda: not docked.data.is_busy)
    docked.data.use_for_training()
    wait(lambda: session.data is not None)
    docked.tabs["Train"].raise_()
    docked.train.form.set_values({"epochs": epochs})
    wait(lambda: False, seconds=2)
    answers.begin("training")
    docked.train.start()
    wait(lambda: session.model_path is not None)
    wait(lambda: False, seconds=2)
    viewer.layers.clear()
    viewer.open_sample(PLUGIN, "unseen")
    docked.tabs["Predict"].raise_()
    wait(lambda: False, seconds=3)
    answers.begin("prediction")
    predict = next(
        button for button in docked.predict.findChildren(QPushButton) if button.text() == "Predict"
    )
    predict.click()
    wait(predict.isEnabled)
    wait(lambda: False, seconds=2)


def wait(until: Callable[[], bool], *, seconds: float = 3600) -> None:
    """Let the window work until something is true, or for some time."""
    end = time.monotonic() + seconds
    loop, timer = QEventLoop(), QTimer()
    timer.timeout.connect(lambda: loop.quit() if until() or time.monotonic() > end else None)
    timer.start(20)
    loop.exec()
    timer.stop()


def report(answers: Answers, opened: dict[str, float]) -> None:
    print("ms to open " + ", ".join(f"{name} {taken:.0f}" for name, taken in opened.items()))
    print("waits in ms; behind each longest one, how many were over 100 ms\n")
    columns = ("median", "99 %", "longest", "without drawing", "nor search", "nor new layers")
    print(f"{'':<14} {'rings':>6}" + "".join(f"{column:>18}" for column in columns))
    for phase, waits in answers.waits.items():
        every = [wait.whole for wait in waits]
        cells = [f"{np.median(every):.0f}", f"{np.percentile(every, 99):.0f}"]
        cells += [
            longest(every),
            longest([wait.without_drawing for wait in waits]),
            longest([wait.without_search for wait in waits]),
            longest([wait.without_search for wait in waits if not wait.is_arranged]),
        ]
        print(f"{phase:<14} {len(every):>6}" + "".join(f"{cell:>18}" for cell in cells))


def longest(waits: list[float]) -> str:
    return f"{max(waits, default=0):.0f} ({sum(wait > NOTICED_MS for wait in waits)})"


if __name__ == "__main__":
    main()
