"""A viewer with a movie and its localizations, and the widget that processes them."""

from __future__ import annotations

import shlex

import numpy as np
import pytest
from click.testing import CliRunner
from napari.components import ViewerModel
from napari.layers import Layer
from napari.utils._proxies import PublicOnlyProxy
from napari.utils.notifications import notification_manager

pytest.importorskip("pytestqt")

from napari_dl4smlm.backend import Localizations, open_frames, write_thunderstorm
from napari_dl4smlm.cli import main
from napari_dl4smlm.reader import read_tables
from napari_dl4smlm.widgets import worker
from napari_dl4smlm.widgets.layers.layers import add_movie
from napari_dl4smlm.widgets.process import widget as process
from napari_dl4smlm.widgets.process.widget import ProcessWidget

# far above what anything here takes, so that a busy machine fails no test

N_FRAMES, SIDE = 200, 16
PIXEL_NM = 100.0


@pytest.fixture
def table():
    """1400 localizations of 40 places; each lasts for two frames and drifts by up to 60 nm."""
    generator = np.random.default_rng(0)
    places = generator.uniform(100, 1450, (40, 2))
    first = np.repeat(generator.integers(0, N_FRAMES - 2, 700), 2)
    frame = first + np.tile([0, 1], 700)
    position = places[np.repeat(generator.integers(40, size=700), 2)]
    position = position + 60 * frame[:, None] / N_FRAMES + generator.normal(0, 8, (1400, 2))
    photons = generator.uniform(100, 1000, 1400)
    # as a file holds them
    rounded = np.round([*position.T, photons, 300 / np.sqrt(photons)], 5)
    return Localizations(
        frame, rounded[0], rounded[1], photons=rounded[2], uncertainty_nm=rounded[3]
    )


@pytest.fixture
def table_file(tmp_path, table):
    write_thunderstorm(tmp_path / "found.csv", table)
    return tmp_path / "found.csv"


@pytest.fixture
def movie_file(tmp_path, table):
    pixels = np.random.default_rng(1).poisson(100, (N_FRAMES, SIDE, SIDE)).astype(np.uint16)
    row, column = (table.positions_nm() // PIXEL_NM).astype(int).T
    np.add.at(pixels, (table.frame, row, column), np.uint16(500))
    np.save(tmp_path / "movie.npy", pixels)
    return tmp_path / "movie.npy"


@pytest.fixture
def viewer():
    viewer = ViewerModel()
    yield viewer
    viewer.layers.clear()


@pytest.fixture
def movie(viewer, movie_file):
    frames = open_frames(movie_file, pixel_size_nm=PIXEL_NM)
    return add_movie(viewer, frames, name="movie", path=movie_file)


@pytest.fixture
def points(viewer, table_file):
    """The table as napari opens it."""
    (data,) = read_tables(str(table_file))
    return viewer.add_layer(Layer.create(*data))


@pytest.fixture
def widget(qtbot, viewer, monkeypatch):
    monkeypatch.setattr(process, "_SETTLED_MS", 10)
    monkeypatch.setattr(worker, "_INTERVAL_MS", 5)
    notification_manager.records.clear()
    # as napari gives it to widgets
    widget = ProcessWidget(PublicOnlyProxy(viewer))
    qtbot.addWidget(widget)
    yield widget
    widget.close_runs()
    widget.close()


@pytest.fixture
def settle(qtbot, widget):
    """Waits until everything is done."""

    def settle():
        qtbot.waitUntil(lambda: not widget.is_busy)

    return settle


@pytest.fixture
def add(widget, settle):
    """Adds a step with parameters, and waits until it was done."""

    def add(kind, **values):
        row = widget.steps.add(kind)
        if values:
            row.form.form.set_values(values)
        settle()
        return row

    return add


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs a command as the widget shows it, from another folder."""

    def run(command):
        program, *words = shlex.split(command)
        assert program == "dl4smlm"
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / "elsewhere")
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output
        return result.output

    return run
