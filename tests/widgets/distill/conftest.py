"""A viewer with data, a teacher in a file, and a Distill widget that learns in a second."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import torch

pytest.importorskip("pytestqt")

from napari.components import ViewerModel
from qtpy.QtCore import QSettings, Qt
from qtpy.QtWidgets import QLabel, QPushButton

from napari_dl4smlm.backend import open_training_data
from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.models.model_file import Calibration, ModelCard, save_model
from napari_dl4smlm.backend.models.registry import create_model
from napari_dl4smlm.backend.simulation.config import SimulationConfig
from napari_dl4smlm.backend.training.config import DataConfig
from napari_dl4smlm.widgets.distill.widget import DistillWidget
from napari_dl4smlm.widgets.session import Session, TrainingSource
from napari_dl4smlm.widgets.wrapped_text import WrappedText

# far above what anything here takes, so that a busy machine fails no test
TIMEOUT_MS = 120_000


def simulated(factor=2):
    """Patches whose upsampling the user may change."""
    config = DataConfig(
        simulation=SimulationConfig(), simulated_validation_frames=2, upsampling_factor=factor
    )
    return TrainingSource(
        open=lambda seed: open_training_data(config, seed=seed),
        config=config,
        movie_layer_name=None,
        summary=f"simulated patches · 100 nm · ×{factor}",
        upsampling_factor=factor,
        pixel_size_nm=100.0,
        at_upsampling=simulated,
    )


@pytest.fixture
def fixed():
    """Patches as if true images fixed their upsampling."""
    return replace(simulated(), at_upsampling=None)


@pytest.fixture(autouse=True)
def own_settings(tmp_path):
    """No test sees, or changes, which models the user had lately."""
    folder = str(tmp_path / "settings")
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, folder)


@pytest.fixture
def save_teacher(tmp_path):
    """Save a network of random weights as if it had been trained."""

    def save(name="teacher", architecture="fid_storm", upsampling_factor=2, **card):
        options = card.pop("options", {"blocks": 2, "channels": 6})
        with torch.random.fork_rng():
            torch.manual_seed(7)
            network = create_model(architecture, upsampling_factor=upsampling_factor, **options)
        found = {"tolerance_nm": 100, "threshold": 0.3, "rmse_nm": 20, "jaccard": 0.875}
        curve = {"thresholds": (0.3,), "precision": (1.0,), "recall": (0.8,)}
        values = {
            "architecture": architecture,
            "options": network.options,
            "upsampling_factor": upsampling_factor,
            "pixel_size_nm": 100.0,
            "normalization": Normalization(offset=100, scale=30, background=110, brightest=900),
            "density_amplitude": 50.0,
            "blur_sigma_px": 1.0,
            "training": {"loss": "l1l2"},
            "history": [],
            "calibration": Calibration(**found, **curve),
        }
        path = tmp_path / f"{name}.safetensors"
        save_model(path, network, ModelCard.model_validate(values | card))
        return path

    return save


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def session(viewer):
    session = Session.of(viewer)
    session.data = simulated()
    return session


class Driver:
    """The widget as a user sees and drives it."""

    def __init__(self, widget, qtbot):
        self.widget = widget
        self.form = widget.form
        self._qtbot = qtbot

    def button(self, text):
        buttons = self.widget.findChildren(QPushButton)
        return next(each for each in buttons if each.text() == text)

    def press(self, text):
        assert self.button(text).isEnabled(), self.button(text).toolTip()
        self._qtbot.mouseClick(self.button(text), Qt.MouseButton.LeftButton)

    def shown(self):
        """All texts that the widget shows."""
        labels = [
            label.text()
            for label in self.widget.findChildren(QLabel)
            if label.isVisibleTo(self.widget)
        ]
        texts = [text.toPlainText() for text in self.widget.findChildren(WrappedText)]
        return "\n".join(labels + texts)

    def wait(self, condition):
        self._qtbot.waitUntil(condition)

    def wait_for(self, text):
        self.wait(lambda: text in self.shown())

    def wait_until_at_rest(self):
        self.wait(self.button("Distill").isEnabled)

    def refusal(self):
        """Why no distillation can begin."""
        assert not self.button("Distill").isEnabled()
        return self.button("Distill").toolTip()

    def choose_teacher(self, path):
        """Choose a file, and wait until its layers are known."""
        self.form.teacher.set_value(path)
        self.wait(lambda: self.form.teacher.card is not None)
        self.wait_for_layers()

    def set_student(self, name, **options):
        """Choose a student, and wait until its layers are known."""
        self.form.student.set_choice(name, options)
        self.wait_for_layers()

    def wait_for_layers(self):
        self.wait(lambda: not self.form._outlines.is_running)
        assert self.form.teaching.hints._networks is not None

    def set_learning(self, **values):
        self.form._learning.set_values(values)

    def distill(self):
        self.press("Distill")
        self.wait_until_at_rest()

    def pairs(self):
        """The layers that are chosen."""
        return [row.pair() for row in self.form.teaching.hints._rows]


SMALL = {"patch_size": 16, "patches_per_epoch": 4, "batch_size": 2, "epochs": 4, "device": "cpu"}


@pytest.fixture
def open_widget(qtbot, tmp_path, monkeypatch):
    """Open the widget in a viewer, with ``tmp_path`` as the current folder."""
    monkeypatch.chdir(tmp_path)
    opened = []

    def open_in(viewer):
        widget = DistillWidget(viewer)
        qtbot.addWidget(widget)
        opened.append(widget)
        return Driver(widget, qtbot)

    yield open_in
    for widget in opened:
        widget._worker.close(TIMEOUT_MS / 1000)
        widget.form.close_all()
    qtbot.waitUntil(
        lambda: not any(thread.name.startswith("dl4smlm") for thread in threading.enumerate()),
    )


@pytest.fixture
def empty(open_widget, viewer, session):
    """The widget without a teacher."""
    return open_widget(viewer)


@pytest.fixture
def ready(empty, save_teacher):
    """The widget, with a teacher and a student that learns in a second."""
    empty.form.student.set_choice("fid_storm", {"blocks": 1, "channels": 4})
    empty.set_learning(**SMALL)
    empty.choose_teacher(save_teacher())
    return empty
