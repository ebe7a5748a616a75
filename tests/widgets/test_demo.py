"""The whole way in a real window: sample, training, prediction, overlay, table."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QPushButton

pytest.importorskip("pytestqt")

from napari_dl4smlm.backend import read_thunderstorm
from napari_dl4smlm.sample_data import filaments
from napari_dl4smlm.widgets.demo import PLUGIN, open_demo
from napari_dl4smlm.widgets.layers.layers import mark_of
from napari_dl4smlm.widgets.session import Session

# far above what anything here takes, so that a busy machine fails no test
TIMEOUT_MS = 900_000

SHORT = {
    "epochs": 2,
    "patches_per_epoch": 256,
    "batch_size": 8,
    "patch_size": 24,
    "learning_rate": 5e-3,
    "schedule": "cosine",
    "model_options": {"blocks": 2, "channels": 16},
    "device": "cpu",
}


def button(widget, text):
    return next(found for found in widget.findChildren(QPushButton) if found.text() == text)


def layer_with(viewer, role):
    (layer,) = (layer for layer in viewer.layers if mark_of(layer).get("role") == role)
    return layer


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_from_the_sample_to_the_saved_table(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    viewer = make_napari_viewer()
    docked = open_demo(viewer)
    docked.train.form.set_values(SHORT)
    session = Session.of(viewer)

    qtbot.waitUntil(lambda: session.model_path is not None, timeout=TIMEOUT_MS)
    previews = [layer for layer in viewer.layers if mark_of(layer).get("role") == "preview"]
    assert [mark_of(layer)["part"] for layer in previews] == ["frame", "ground truth", "prediction"]

    movie = layer_with(viewer, "movie")
    predict = docked.predict
    docked.tabs["Predict"].raise_()
    qtbot.waitUntil(button(predict, "Predict").isEnabled, timeout=TIMEOUT_MS)
    button(predict, "Predict").click()
    qtbot.waitUntil(button(predict, "Save table…").isEnabled, timeout=TIMEOUT_MS)
    image, points = (
        layer_with(viewer, "super-resolution image"),
        layer_with(viewer, "localizations"),
    )
    assert image.data.shape == (8 * 64, 8 * 64)
    np.testing.assert_allclose(
        image.data_to_world((-0.5, -0.5)), movie.data_to_world((0, -0.5, -0.5))[1:]
    )

    viewer.layers.selection = {points}
    viewer.layers.save(str(tmp_path / "points.csv"), selected=True, plugin=PLUGIN)
    found = read_thunderstorm(tmp_path / "points.csv")
    assert len(found) == len(points.data)
    # most are where an emitter is, which two short epochs suffice for
    truth = filaments()[1][0]
    nearest = [
        np.hypot(*(truth[truth[:, 0] == frame][:, 1:] - (y, x)).T).min()
        for frame, y, x in zip(found.frame, found.y_nm, found.x_nm, strict=True)
    ]
    assert np.median(nearest) < 100
    assert len(found) > 0.3 * len(truth)
