"""What can go wrong before and during a training, in a real viewer: one message, and on it goes."""

from __future__ import annotations

import threading
import time

import napari
import numpy as np
import pytest
import torch

pytest.importorskip("pytestqt")

from napari.layers import Image, Labels, Points
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLabel, QPushButton, QTextEdit

from napari_dl4smlm.backend.config_file import read_config
from napari_dl4smlm.backend.localizations.thunderstorm import write_thunderstorm
from napari_dl4smlm.backend.models.model_file import load_model
from napari_dl4smlm.backend.simulation.config import MovieConfig
from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie
from napari_dl4smlm.backend.training.learner import Learner, NotANumberError
from napari_dl4smlm.widgets.data import widget as data
from napari_dl4smlm.widgets.data.widget import DataWidget
from napari_dl4smlm.widgets.layers.layers import movie_transform, table_layer_data
from napari_dl4smlm.widgets.session import Session
from napari_dl4smlm.widgets.train.form import TrainingForm
from napari_dl4smlm.widgets.train.widget import TrainWidget
from napari_dl4smlm.widgets.training.file import ModelFile

pytestmark = pytest.mark.gui

# far above what anything here takes, so that a busy machine fails no test
TIMEOUT_MS = 120_000
N_FRAMES, SIDE = 6, 32
SMALL = {
    "model_options": {"blocks": 1, "channels": 4},
    "patch_size": 16,
    "patches_per_epoch": 4,
    "batch_size": 2,
    "epochs": 2,
    "device": "cpu",
    "lambda": None,
    "early_stopping": 15,
}
ENDLESS = {"epochs": 100_000, "early_stopping": None}


@pytest.fixture(scope="module")
def filmed():
    return SimulatedMovie(MovieConfig(frames=N_FRAMES, height=SIDE, width=SIDE))


class Window:
    """A viewer with both widgets, which all tests here share: each leaves them fit for the next."""

    def __init__(self, filmed):
        self.viewer = napari.Viewer(show=True)
        # the fewer pixels, the faster they are drawn without a GPU
        self.viewer.window.resize(800, 500)
        self.session = Session.of(self.viewer)
        self.data, self.train = DataWidget(self.viewer), TrainWidget(self.viewer)
        for widget in (self.data, self.train):
            self.viewer.window.add_dock_widget(widget, tabify=True)
        self.form = self.train.findChild(TrainingForm)
        self.filmed = filmed

    def renew(self):
        """Show the Data widget of a viewer in which nothing was done but to open a sample."""
        self.session.data = None
        self.viewer.layers.clear()
        self.data.movie_page.pixel_size.set_value(None)
        self.movie = self.viewer.add_layer(movie_layer(self.filmed))
        self.points = self.viewer.add_layer(points_layer(self.filmed.truth))
        self.choose(movie=self.movie, positions=self.points)

    def settle(self):
        wait_until(lambda: not self.data.is_busy)

    def choose(self, page=0, **sources):
        self.show(self.data)
        self.data.choose(page)
        for name, source in sources.items():
            self.data.page.boxes[name].set_value(source)
        self.settle()

    def show(self, widget):
        """Raise the tab of a widget."""
        widget.parentWidget().raise_()
        wait_until(widget.isVisible)

    def assert_refused(self, message):
        """The only message is this one, and it is the reason why the data cannot be used."""
        [shown] = messages(self.data)
        assert message in shown
        assert not button(self.data, "Use for training").isEnabled()
        assert message in button(self.data, "Use for training").toolTip()

    def assert_data_usable(self):
        """What is right can be window and used afterwards."""
        self.data.movie_page.pixel_size.set_value(None)
        self.choose(movie=self.movie, positions=self.points)
        assert messages(self.data) == []
        press(self.data, "Use for training")
        self.settle()
        with self.session.data.open(0) as opened:
            assert opened.frames.n_frames == N_FRAMES

    def begin(self, **values):
        """Press Train in the Train widget, with data that can be used."""
        self.form.set_values(SMALL | values)
        self.show(self.train)
        press(self.train, "Train")

    def wait_for_rest(self):
        wait_until(button(self.train, "Train").isEnabled)

    def assert_failed(self, message):
        """The only message is this one, and it can be copied with its details."""
        self.wait_for_rest()
        assert len(messages(self.train)) == 1, messages(self.train)
        [shown] = messages(self.train)
        assert message in shown
        assert button(self.train, "Copy details").isVisible()
        assert not button(self.train, "Stop").isEnabled()

    def stop(self):
        press(self.train, "Stop")
        self.wait_for_rest()
        assert messages(self.train) == []

    def assert_training_works(self):
        """Another training comes to its end."""
        self.begin()
        self.wait_for_rest()
        assert messages(self.train) == []
        assert load_model(self.session.model_path).card.history


@pytest.fixture(scope="module")
def shared_window(qapp, filmed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "_SETTLED_MS", 10)
        window = Window(filmed)
        yield window
        window.viewer.close()
        wait_until(no_thread_is_left)


@pytest.fixture
def window(shared_window, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shared_window.renew()
    yield shared_window
    wait_until(no_thread_is_left)


@pytest.fixture
def ready(shared_window, tmp_path, monkeypatch):
    """The window, with data that train."""
    monkeypatch.chdir(tmp_path)
    if shared_window.session.data is None:
        shared_window.renew()
        press(shared_window.data, "Use for training")
        shared_window.settle()
    yield shared_window
    wait_until(no_thread_is_left)


def no_thread_is_left():
    return not any(thread.name.startswith("dl4smlm") for thread in threading.enumerate())


def wait_until(condition):
    ends = time.monotonic() + TIMEOUT_MS / 1000
    while not condition():
        assert time.monotonic() < ends
        QTest.qWait(10)


def movie_layer(filmed, **attributes):
    return Image(filmed.frames(), **{"name": "movie", **movie_transform(100.0), **attributes})


def points_layer(table):
    points, looks, _ = table_layer_data(table, name="points", mark={"role": "ground truth"})
    return Points(points, **looks)


def messages(widget):
    """Faults that can be seen."""
    texts = [label.text() for label in widget.findChildren(QLabel) if label.isVisible()]
    texts += [text.toPlainText() for text in widget.findChildren(QTextEdit) if text.isVisible()]
    return [line for text in texts for line in text.splitlines() if line.startswith("⚠")]


def button(widget, text):
    return next(each for each in widget.findChildren(QPushButton) if each.text() == text)


def press(widget, text):
    assert button(widget, text).isEnabled(), button(widget, text).toolTip()
    QTest.mouseClick(button(widget, text), Qt.MouseButton.LeftButton)


# data


NO_MOVIES = {
    "one frame": (
        lambda frames: Image(frames[0], name="photo"),
        "No frame is left to train on: 1 frame can be used",
    ),
    "in colour": (
        lambda frames: Image(np.zeros((SIDE, SIDE, 3), np.uint8), rgb=True, name="photo"),
        "The layer 'photo' is in colour. Choose a movie with one value per pixel",
    ),
    "two channels": (
        lambda frames: Image(np.stack([frames, frames], axis=1), name="channels"),
        "a movie has one axis of frames besides y and x. Choose one channel",
    ),
    "labels": (
        lambda frames: Labels((frames > 200).astype(int), name="cells"),
        "The layer 'cells' holds labels, not intensities. Choose an image layer.",
    ),
}


@pytest.mark.parametrize(("make", "message"), NO_MOVIES.values(), ids=NO_MOVIES)
def test_a_layer_that_is_no_movie_is_refused(window, filmed, make, message):
    layer = window.viewer.add_layer(make(filmed.frames()))
    window.data.movie_page.pixel_size.set_value(100)
    one_frame = filmed.truth.in_frames(range(1))
    window.choose(movie=layer, positions=window.viewer.add_layer(points_layer(one_frame)))

    window.assert_refused(message)

    window.assert_data_usable()


def test_without_a_layer_the_reason_is_told_and_a_layer_that_comes_can_be_used(window):
    window.viewer.layers.clear()
    fresh = DataWidget(window.viewer)
    wait_until(lambda: not fresh.is_busy)
    assert messages(fresh) == []
    assert button(fresh, "Use for training").toolTip() == "Choose a movie."
    fresh.deleteLater()
    window.settle()
    window.assert_refused("The layer 'movie' was removed. Choose another.")

    window.renew()
    window.assert_data_usable()


def test_a_pair_of_shapes_that_do_not_fit_is_refused(window, filmed):
    images = window.viewer.add_image(np.ones((N_FRAMES, 3 * SIDE, 2 * SIDE)), name="images")
    window.choose(1, raw=window.movie, images=images)

    window.assert_refused("Impossible upsampling: the frames are 32 x 32 px and the truth is 96 x")

    window.assert_data_usable()


def test_positions_outside_of_the_frame_are_refused(window, filmed):
    positions = window.points.data.copy()
    positions[:, 1] += 100.0 * SIDE
    moved = window.viewer.add_points(positions, name="moved", units=window.points.units)
    window.choose(movie=window.movie, positions=moved)

    window.assert_refused("lie outside of the field of view")

    window.assert_data_usable()


@pytest.mark.parametrize(
    ("size_nm", "message"),
    [(-5, "-5 nm is no pixel size"), (40, "lie outside of the field of view")],
    ids=["impossible", "too small for the positions"],
)
def test_a_wrong_pixel_size_is_refused(window, filmed, tmp_path, size_nm, message):
    # a layer of pixels takes the pixel size from the row, and a table is in nm
    unscaled = window.viewer.add_image(filmed.frames(), name="unscaled")
    write_thunderstorm(tmp_path / "positions.csv", filmed.truth)
    window.data.movie_page.pixel_size.set_value(size_nm)
    window.choose(movie=unscaled, positions=tmp_path / "positions.csv")

    window.assert_refused(message)

    window.assert_data_usable()


def test_a_check_that_breaks_is_told_and_the_next_one_works(window, monkeypatch):
    def defect(*_):
        raise ZeroDivisionError("division by zero")

    with monkeypatch.context() as patch:
        patch.setattr("napari_dl4smlm.widgets.data.checks.describe_movie", defect)
        window.data.movie_page.changed.emit()
        window.settle()
        window.assert_refused("Unexpected: ZeroDivisionError: division by zero")

    window.data.movie_page.changed.emit()
    window.assert_data_usable()


def test_a_simulation_that_cannot_be_saved_says_why(window, tmp_path):
    page = window.data.simulation_page
    window.choose(2)
    page._report(lambda: page.save(tmp_path / "absent" / "simulation.yaml"))
    [shown] = messages(window.data)
    assert "simulation.yaml cannot be written (No such file or directory)" in shown

    page._report(lambda: page.save(tmp_path / "simulation.yaml"))
    assert messages(window.data) == []
    assert read_config(tmp_path / "simulation.yaml")["frames"] == MovieConfig().frames


# training


def failing(error, after=1):
    """Learn some steps, and then fail."""
    step, done = Learner.step, []

    def fail(self, *patches):
        done.append(None)
        if len(done) > after:
            raise error
        return step(self, *patches)

    return fail


FAILURES = {
    "out of memory": (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        "The memory of cpu does not suffice for 2 patches of 16 x 16 px. Use a smaller batch",
    ),
    "a loss that is no number": (
        NotANumberError("the loss became nan"),
        "Training diverged: the loss became nan in epoch 1, step 2. Train with a learning rate",
    ),
    "a defect": (
        ZeroDivisionError("division by zero"),
        "Unexpected: ZeroDivisionError: division by zero",
    ),
    "a device that is gone": (
        RuntimeError("CUDA error: unspecified launch failure\nCompile with TORCH_USE_CUDA_DSA"),
        "CUDA error: unspecified launch failure",
    ),
}


@pytest.mark.parametrize(("error", "message"), FAILURES.values(), ids=FAILURES)
def test_a_failure_is_told_and_the_next_training_works(ready, monkeypatch, error, message):
    with monkeypatch.context() as patch:
        patch.setattr(Learner, "step", failing(error))
        ready.begin()
        ready.assert_failed(message)

    ready.assert_training_works()


def test_a_failure_after_an_epoch_leaves_the_best_model_to_predict_with(ready, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Learner, "step", failing(MemoryError(), after=3))
        ready.begin()
        ready.assert_failed("The best model (epoch 1) is kept in")

    assert load_model(ready.session.model_path).card.history
    assert button(ready.train, "Save as…").isVisible()
    ready.assert_training_works()


def test_a_device_that_is_not_there_is_told(ready):
    ready.begin(device="cuda:7")

    ready.assert_failed("The device 'cuda:7' cannot be used")

    ready.assert_training_works()


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_computed(
    ready, tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    ready.train.findChild(ModelFile).set_chosen(tmp_path / "file" / "model.safetensors")
    monkeypatch.setattr(Learner, "step", failing(AssertionError("it was computed"), after=0))
    ready.begin()
    ready.assert_failed(f"There is no folder {tmp_path / 'file'}")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)

    ready.train.findChild(ModelFile).set_chosen(None)
    ready.assert_training_works()


def test_layers_that_are_deleted_while_they_train_break_nothing(ready):
    ready.begin(**ENDLESS)
    wait_until(lambda: any("preview" in layer.name for layer in ready.viewer.layers))

    ready.viewer.layers.clear()

    epoch = ready.train._progress._line.text()
    wait_until(lambda: ready.train._progress._line.text() != epoch)
    ready.stop()
    ready.assert_training_works()


def test_a_training_that_runs_is_not_begun_again(ready):
    ready.begin(**ENDLESS)
    run = ready.train._run

    ready.train.start()
    QTest.mouseClick(button(ready.train, "Train"), Qt.MouseButton.LeftButton)

    assert ready.train._run is run
    ready.stop()
    ready.assert_training_works()


def test_without_data_nothing_begins_and_the_reason_is_told(window):
    window.show(window.train)

    window.train.start()

    assert not button(window.train, "Train").isEnabled()
    assert "Data widget" in button(window.train, "Train").toolTip()
