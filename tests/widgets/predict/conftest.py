"""A viewer, a movie and a model whose prediction is known, and ways to run it step by step."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.utils._proxies import PublicOnlyProxy
from napari.utils.notifications import notification_manager

pytest.importorskip("pytestqt")

from qtpy.QtCore import QSettings

from napari_dl4smlm.backend import (
    load_model,
    open_frames,
    predict_to_files,
    render_density_map,
    save_model,
)
from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.models.model_file import ModelCard
from napari_dl4smlm.backend.models.network import SuperResolutionNetwork, enlarge
from napari_dl4smlm.backend.models.registry import MODELS
from napari_dl4smlm.backend.prediction import predictor
from napari_dl4smlm.backend.prediction.memory import Portion
from napari_dl4smlm.widgets.layers.layers import add_movie, mark_of
from napari_dl4smlm.widgets.predict.widget import PredictWidget

# far above what anything here takes, so that a busy machine fails no test
TIMEOUT_MS = 120_000

FACTOR, HEIGHT, WIDTH, N_FRAMES = 2, 20, 24, 6
PIXEL_NM = 100.0


class NearestNetwork(SuperResolutionNetwork):
    """Its density map is the frame, each camera pixel shared between its fine pixels."""

    name = "nearest"

    def __init__(self, *, upsampling_factor):
        super().__init__(upsampling_factor)
        self.enlarge = enlarge(upsampling_factor, "nearest")

    def _density(self, frames):
        return self.enlarge(frames) / self.upsampling_factor**2

    def _layers(self):
        return (self.enlarge,)


@pytest.fixture(autouse=True)
def nearest_is_a_model(monkeypatch):
    monkeypatch.setitem(MODELS, NearestNetwork.name, NearestNetwork)


@pytest.fixture(autouse=True)
def own_settings(tmp_path):
    """No test sees, or changes, what the user predicted lately."""
    folder = str(tmp_path / "settings")
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, folder)


def before_batches(monkeypatch, call):
    """Let predictors that are made from now on call something with the frames of each batch.

    They work on one after the other, since the order of several would be left to chance.
    """
    monkeypatch.setattr(Portion, "threads", 1)
    prepare = predictor.prepare

    def prepare_to_call(network, device):
        prepared = prepare(network, device)

        def hook(_network, inputs):
            call(inputs[0])

        prepared.register_forward_pre_hook(hook)
        return prepared

    monkeypatch.setattr(predictor, "prepare", prepare_to_call)


@pytest.fixture
def permits(monkeypatch):
    """Predictions wait for these."""
    allowed = threading.Semaphore(0)

    def wait(_frames):
        assert allowed.acquire(timeout=TIMEOUT_MS / 1000)

    before_batches(monkeypatch, wait)
    yield allowed
    allowed.release(100)


@pytest.fixture
def fault(monkeypatch):
    """Makes predictions fail, or do something else, before each batch."""

    def set_fault(on_batch):
        before_batches(monkeypatch, on_batch)

    return set_fault


@pytest.fixture
def notified():
    """Tells what napari has notified the user of."""
    notification_manager.records.clear()
    return lambda: [record.message for record in notification_manager.records]


@pytest.fixture
def spots_nm():
    """Where the emitter of each frame is, (y, x) from the outer corner."""
    inside = np.array([HEIGHT - 10, WIDTH - 10])
    return (5 + inside * np.random.default_rng(2).random((N_FRAMES, 2))) * PIXEL_NM


@pytest.fixture
def pixels(spots_nm):
    """One emitter per frame, in counts of 100 per emitter."""
    maps = [
        render_density_map(
            spot[None],
            height=HEIGHT,
            width=WIDTH,
            pixel_size_nm=PIXEL_NM,
            upsampling_factor=1,
            sigma_px=1,
        )
        for spot in spots_nm
    ]
    return np.float32(100 * np.stack(maps))


@pytest.fixture
def make_model(tmp_path, pixels):
    """Saves a model; the arguments go to its card."""

    def make(name="model.safetensors", **changes):
        fields = {
            "architecture": NearestNetwork.name,
            "options": {},
            "upsampling_factor": FACTOR,
            "pixel_size_nm": PIXEL_NM,
            "normalization": Normalization(
                offset=0, scale=1, background=0, brightest=float(np.percentile(pixels, 99.9))
            ),
            "density_amplitude": 100.0,
            "training": {},
            "history": [],
        }
        path = tmp_path / name
        card = ModelCard.model_validate(fields | changes)
        save_model(path, NearestNetwork(upsampling_factor=FACTOR), card)
        return path

    return make


@pytest.fixture
def movie_file(tmp_path, pixels):
    path = tmp_path / "movie.tif"
    micrometres = {"axes": "TYX", "unit": "um"}
    tifffile.imwrite(
        path,
        pixels,
        imagej=True,
        metadata=micrometres,
        resolution=(1000 / PIXEL_NM, 1000 / PIXEL_NM),
    )
    return path


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def movie(viewer, pixels):
    return add_movie(viewer, open_frames(pixels, pixel_size_nm=PIXEL_NM), name="movie")


@pytest.fixture
def open_widget(qtbot):
    """Opens the widget in a viewer."""
    opened = []

    def make(viewer):
        # as napari gives it to widgets
        widget = PredictWidget(PublicOnlyProxy(viewer))
        opened.append(widget)
        qtbot.addWidget(widget)
        return widget

    yield make
    for widget in opened:
        widget._worker.close(TIMEOUT_MS / 1000)
        widget.close()


@pytest.fixture
def widget(open_widget, viewer):
    return open_widget(viewer)


@pytest.fixture
def wait_for_end(qtbot):
    """Waits until a run has ended."""

    def wait(widget):
        qtbot.waitUntil(lambda: not widget._state.is_active)

    return wait


@pytest.fixture
def choose(qtbot):
    """Chooses a model and waits until it was read."""

    def choose(widget, path):
        widget._form.model.set_value(path)
        qtbot.waitUntil(lambda: widget._form.model.card is not None)

    return choose


@pytest.fixture
def run(choose, wait_for_end):
    """Predicts, and waits for the end."""

    def run(widget, model, **options):
        choose(widget, model)
        widget._form.set_values(options)
        widget._buttons.start.click()
        wait_for_end(widget)

    return run


@pytest.fixture
def start_slowly(qtbot, permits):
    """Starts a run of one frame per batch, and holds it after some of them."""

    def start(widget, n_batches):
        widget._form.set_values({"batch_size": 1})
        permits.release(n_batches)
        widget._buttons.start.click()
        bar = widget._progress._bar
        qtbot.waitUntil(lambda: bar.value() == n_batches)

    return start


@pytest.fixture
def wait_for_threads(qtbot):
    """Waits until none of the threads of this package is left."""

    def wait():
        qtbot.waitUntil(
            lambda: not any(each.name.startswith("dl4smlm") for each in threading.enumerate()),
        )

    return wait


@pytest.fixture
def results_in():
    """Finds image and localizations in a viewer."""

    def find(viewer):
        by_role = {mark_of(layer).get("role"): layer for layer in viewer.layers}
        return by_role.get("super-resolution image"), by_role.get("localizations")

    return find


@pytest.fixture
def predicted_to():
    """Predicts to files, as the command line does."""

    def predict(folder: Path, model, source, config=None):
        with open_frames(source) as frames:
            list(predict_to_files(load_model(model), frames, folder, config))
        return folder

    return predict
