"""A viewer, a movie with its truth, and models of which it is known what they find."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
import tifffile
import torch
from napari.components import ViewerModel
from napari.utils._proxies import PublicOnlyProxy

pytest.importorskip("pytestqt")

from qtpy.QtCore import QSettings

from napari_dl4smlm.backend import open_frames, render_density_map, save_model, write_thunderstorm
from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.models.model_file import ModelCard
from napari_dl4smlm.backend.models.network import SuperResolutionNetwork, enlarge
from napari_dl4smlm.backend.models.registry import MODELS
from napari_dl4smlm.backend.prediction import predictor
from napari_dl4smlm.backend.prediction.memory import Portion
from napari_dl4smlm.widgets.compare.widget import CompareWidget
from napari_dl4smlm.widgets.layers.layers import add_movie, show_localizations

# far above what anything here takes, so that a busy machine fails no test
TIMEOUT_MS = 120_000
FRAMES, SIDE, PIXEL_NM = 20, 24, 100.0


class SpreadNetwork(SuperResolutionNetwork):
    """Its density map is the frame, each camera pixel shared between its fine pixels."""

    name = "spread"

    def __init__(self, *, upsampling_factor):
        super().__init__(upsampling_factor)
        self.enlarge = enlarge(upsampling_factor, "nearest")
        # takes no part, but tells two models apart
        self.number = torch.nn.Parameter(torch.zeros(1))

    def _density(self, frames):
        return self.enlarge(frames) / self.upsampling_factor**2

    def _layers(self):
        return (self.enlarge,)


@pytest.fixture(autouse=True)
def spread_is_a_model(monkeypatch):
    monkeypatch.setitem(MODELS, SpreadNetwork.name, SpreadNetwork)


@pytest.fixture(autouse=True)
def own_settings(tmp_path):
    """No test sees, or changes, what the user predicted lately."""
    folder = str(tmp_path / "settings")
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, folder)


@pytest.fixture
def permits(monkeypatch):
    """Each batch that is predicted, be it to be timed, waits for one of these."""
    allowed = threading.Semaphore(0)
    # else it would be left to chance which of several batches takes one
    monkeypatch.setattr(Portion, "threads", 1)
    prepare = predictor.prepare

    def prepare_to_wait(network, device):
        prepared = prepare(network, device)
        prepared.register_forward_pre_hook(
            lambda *_: allowed.acquire(timeout=TIMEOUT_MS / 1000) and None
        )
        return prepared

    monkeypatch.setattr(predictor, "prepare", prepare_to_wait)
    yield allowed
    allowed.release(10_000)


@pytest.fixture
def truth():
    """Four emitters a frame, in pixel centres and far from each other, with photons."""
    generator = np.random.default_rng(0)
    rows = [
        (frame, 100 * y + 50.0, 100 * x + 50.0, generator.uniform(400, 1000))
        for frame in range(FRAMES)
        for y in (5, 17)
        for x in (6, 18)
    ]
    return Localizations(*np.array(rows).T)


@pytest.fixture
def pixels(truth):
    """The emitters as Gaussians of one pixel, of a sum of a thousandth of their photons."""
    frames = [
        render_density_map(
            truth.positions_nm()[truth.frame == number],
            height=SIDE,
            width=SIDE,
            pixel_size_nm=PIXEL_NM,
            upsampling_factor=1,
            sigma_px=1.0,
            weights=truth.photons[truth.frame == number] / 1000,
        )
        for number in range(FRAMES)
    ]
    return np.float32(frames)


@pytest.fixture
def make_model(tmp_path):
    """Saves a model; one of a high amplitude sees bright emitters only."""

    numbers = itertools.count()

    def make(name, amplitude=1.0, *, factor=1, **changes):
        fields = {
            "architecture": SpreadNetwork.name,
            "options": {},
            "upsampling_factor": factor,
            "pixel_size_nm": PIXEL_NM,
            "normalization": Normalization(offset=0, scale=1, background=0, brightest=0.14),
            "density_amplitude": amplitude,
            "training": {"simulation": {}},
            "history": [],
        }
        path = tmp_path / f"{name}.safetensors"
        network = SpreadNetwork(upsampling_factor=factor)
        torch.nn.init.constant_(network.number, next(numbers))
        save_model(path, network, ModelCard.model_validate(fields | changes))
        return path

    return make


@pytest.fixture
def movie_file(tmp_path, pixels):
    path = tmp_path / "movie.tif"
    metadata = {"axes": "TYX", "unit": "um"}
    resolution = (1000 / PIXEL_NM, 1000 / PIXEL_NM)
    tifffile.imwrite(path, pixels, imagej=True, metadata=metadata, resolution=resolution)
    return path


@pytest.fixture
def truth_file(tmp_path, truth):
    path = tmp_path / "positions.csv"
    write_thunderstorm(path, truth)
    return path


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def movie(viewer, pixels):
    return add_movie(viewer, open_frames(pixels, pixel_size_nm=PIXEL_NM), name="movie")


@pytest.fixture
def truth_layer(viewer, movie, truth):
    return show_localizations(viewer, movie, truth, name="truth", metadata={"role": "ground truth"})


@pytest.fixture
def open_widget(qtbot):
    """Opens the widget in a viewer."""
    opened = []

    def make(viewer):
        # as napari gives it to widgets
        widget = CompareWidget(PublicOnlyProxy(viewer))
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
def add(qtbot):
    """Adds models and waits until all were read."""

    def add(widget, *paths):
        widget._form.models.add(paths)
        models = widget._form.models._models
        qtbot.waitUntil(lambda: all(m.is_known for m in models.values()))

    return add


@pytest.fixture
def ready(qtbot):
    """Waits until everything that was chosen was looked at."""

    def wait(widget):
        def is_known():
            problem = widget._form.problem() or ""
            return "being" not in problem

        qtbot.waitUntil(is_known)

    return wait


@pytest.fixture
def wait_for_end(qtbot):
    """Waits until a run has ended, and its images and figures are shown."""

    def wait(widget):
        def is_over():
            drawing = widget._shown.is_busy or widget._results.plots._view.is_busy
            return not widget._state.is_active and not drawing

        qtbot.waitUntil(is_over)

    return wait


@pytest.fixture
def run(add, ready, wait_for_end):
    """Compares models on what is chosen, and waits for the end."""

    def run(widget, *models, **options):
        add(widget, *models)
        widget._form.set_values({"threshold": 0.3, "repeats": 1} | options)
        ready(widget)
        assert widget._form.problem() is None
        widget._buttons.start.click()
        wait_for_end(widget)

    return run
