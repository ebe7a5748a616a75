"""Results lie on their spots in napari's world, wherever the movie is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

pytest.importorskip("pytestqt")

from napari_dl4smlm.backend import save_model
from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.models.model_file import ModelCard
from napari_dl4smlm.backend.models.network import SuperResolutionNetwork, enlarge
from napari_dl4smlm.backend.models.registry import MODELS
from napari_dl4smlm.widgets.layers.layers import mark_of, pixel_size_nm

pytestmark = pytest.mark.gui

PIXEL_NM, PIXEL_UM, N_FRAMES = 100.0, 0.1, 6


class OneSpotNetwork(SuperResolutionNetwork):
    """Puts a Gaussian of one fine pixel at the centroid of a frame, which holds one emitter."""

    name = "one_spot"

    def __init__(self, *, upsampling_factor):
        super().__init__(upsampling_factor)
        self.enlarge = enlarge(upsampling_factor, "nearest")

    def _density(self, frames):
        # to share a pixel equally leaves the centroid where it is
        shared = self.enlarge(frames)
        profiles = []
        for axis in (-1, -2):
            counts = shared.sum(axis)
            centres = torch.ones_like(counts).cumsum(-1) - 0.5
            centroid = (counts * centres).sum(-1, keepdim=True) / counts.sum(-1, keepdim=True)
            profile = torch.exp(-((centres - centroid) ** 2) / 2)
            profiles.append(profile / profile.sum(-1, keepdim=True))
        rows, columns = profiles
        return frames.sum((-2, -1), keepdim=True) * rows[..., :, None] * columns[..., None, :]

    def _layers(self):
        return (self.enlarge,)


def centroid_in_world(layer):
    index = [np.average(grid, weights=layer.data) for grid in np.indices(layer.data.shape)]
    return np.array(layer.data_to_world(index))


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_emitters_lie_within_a_twentieth_of_a_camera_pixel_of_their_spots(
    make_napari_viewer,
    open_widget,
    run,
    results_in,
    pixels,
    spots_nm,
    tmp_path,
    monkeypatch,
    factor,
):
    monkeypatch.setitem(MODELS, OneSpotNetwork.name, OneSpotNetwork)
    card = ModelCard(
        architecture=OneSpotNetwork.name,
        options={},
        upsampling_factor=factor,
        pixel_size_nm=PIXEL_NM,
        normalization=Normalization(offset=0, scale=1, background=0, brightest=10),
        density_amplitude=100.0,
        training={},
        history=[],
    )
    model = tmp_path / "model.safetensors"
    save_model(model, OneSpotNetwork(upsampling_factor=factor), card)
    viewer = make_napari_viewer()
    angle = np.deg2rad(30)
    turned = np.eye(3)
    turned[1:, 1:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    movie = viewer.add_image(
        pixels,
        name="movie",
        scale=(0.05, PIXEL_UM, PIXEL_UM),
        rotate=turned,
        translate=(2, 3, -5),
        units=("s", "um", "um"),
        axis_labels=("time", "row", "column"),
    )

    widget = open_widget(viewer)
    run(widget, model)

    indices = np.column_stack([np.arange(N_FRAMES), spots_nm / PIXEL_NM - 0.5])
    spots = np.array([movie.data_to_world(index) for index in indices])
    image, points = results_in(viewer)
    seen = np.array([points.data_to_world(point) for point in points.data])
    assert_allclose(seen[:, 0], spots[:, 0])
    assert np.abs(seen - spots)[:, 1:].max() < 0.05 * PIXEL_UM
    assert np.abs(centroid_in_world(image) - spots[:, 1:].mean(0)).max() < 0.05 * PIXEL_UM
    # every emitter alone: the brightest fine pixel of the image is one of those around it
    for spot in spots:
        row, column = np.rint(image.world_to_data(spot[1:])).astype(int)
        assert image.data[row, column] > 0.1
    assert pixel_size_nm(image) == pytest.approx(PIXEL_NM / factor)
    for layer in (image, points):
        assert layer.units[-2:] == movie.units[-2:]
        assert layer.axis_labels[-2:] == ("row", "column")
    assert image.blending == "additive"


def test_names_and_metadata_say_which_model_and_which_data(
    viewer, widget, movie, run, make_model, results_in
):
    model = make_model("u-storm.safetensors")
    run(widget, model, frames="1:4", threshold=0.2)

    image, points = results_in(viewer)
    assert image.name == "prediction ×2: movie (u-storm)"
    assert points.name == "localizations: movie (u-storm)"
    for layer in (image, points):
        mark = mark_of(layer)
        assert (mark["movie"], mark["model"]) == ("movie", "u-storm")
        assert mark["model_file"] == str(model)
        origin = mark["origin"]
        assert origin["frames"] == ["1:4"]
        assert origin["threshold"] == 0.2
        assert origin["camera_pixel_size_nm"] == PIXEL_NM
        assert len(origin["model_weights_sha256"]) == 64
    assert list(points.features) == ["confidence"]
