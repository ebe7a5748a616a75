"""The columns that a calibrated model adds, on their way through files and images."""

import numpy as np
import pytest

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.localizations.table_content import FieldOfView, TableContent
from napari_dl4smlm.backend.localizations.table_file import open_table, save_table
from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.output import predict_to_files
from napari_dl4smlm.backend.processing.rendering import Rendering, render_localizations

CALIBRATION = {
    "tolerance_nm": 100,
    "threshold": 0.25,
    "thresholds": [0.25],
    "precision": [0.9],
    "recall": [0.8],
    "jaccard": 0.75,
    "rmse_nm": 21.5,
    "confidence": {
        "densities": [0.25, 1],
        "probabilities": [0.5, 1],
        "expected_calibration_error": 0.01,
        "predicted": [0.7],
        "actual": [0.71],
        "counts": [100],
    },
    "uncertainty": {
        "densities": [0.25, 1],
        "uncertainties_nm": [40, 10],
        "expected_normalized_calibration_error": 0.05,
        "predicted_nm": [20],
        "actual_nm": [21],
        "counts": [100],
    },
}


@pytest.fixture
def predict(tmp_path, nearest_model):
    """Predicts four frames, with a peak of density 0.2, 0.4, 0.7 and 1; returns the table."""

    def run(threshold=None, pixel_size_nm=100.0, calibration=CALIBRATION):
        frames = np.zeros((4, 10, 12), np.float32)
        frames[np.arange(4), 3, 5] = [0.2, 0.4, 0.7, 1]
        movie = open_frames(frames, pixel_size_nm=pixel_size_nm)
        config = PredictionConfig(device="cpu", threshold=threshold)
        list(predict_to_files(nearest_model(calibration=calibration), movie, tmp_path, config))
        return tmp_path / "localizations.csv"

    return run


def test_the_table_has_probability_uncertainty_and_density(predict):
    path = predict()
    header = path.read_text().splitlines()[0]
    assert header == (
        '"id","frame","x [nm]","y [nm]","uncertainty [nm]","confidence","peak_density"'
    )
    table = read_thunderstorm(path)
    # the calibrated threshold is one of the density, whatever the probability
    assert table.frame.tolist() == [1, 2, 3]
    assert table.extra["peak_density"] == pytest.approx([0.4, 0.7, 1])
    assert table.confidence == pytest.approx([0.6, 0.8, 1])
    assert table.uncertainty_nm == pytest.approx([34, 22, 10], abs=1e-5)


def test_the_threshold_of_the_user_is_one_of_the_density(predict):
    assert read_thunderstorm(predict(threshold=0.5)).confidence == pytest.approx([0.8, 1])


def test_uncertainties_scale_with_the_pixels_of_the_movie(predict):
    # the model was trained with pixels of 100 nm
    table = read_thunderstorm(predict(pixel_size_nm=160.0))
    assert table.uncertainty_nm == pytest.approx([54.4, 35.2, 16], abs=1e-5)


def test_a_model_without_such_a_calibration_predicts_as_ever(predict):
    old = {
        name: value
        for name, value in CALIBRATION.items()
        if name not in ("confidence", "uncertainty")
    }
    path = predict(calibration=old)
    assert path.read_text().splitlines()[0] == '"id","frame","x [nm]","y [nm]","confidence"'
    assert read_thunderstorm(path).confidence == pytest.approx([0.4, 0.7, 1])


def test_picasso_gets_the_uncertainties_in_pixels(predict, tmp_path):
    h5py = pytest.importorskip("h5py")
    table = read_thunderstorm(predict())
    save_table(tmp_path / "locs.hdf5", TableContent(table, FieldOfView(10, 12, 4, 100.0)))
    with h5py.File(tmp_path / "locs.hdf5") as file:
        for name in ("lpx", "lpy"):
            assert file["locs"][name] == pytest.approx([0.34, 0.22, 0.1], rel=1e-6)
    back = open_table(tmp_path / "locs.hdf5").localizations
    for name, values in table.columns().items():
        if name != "id":
            np.testing.assert_allclose(back.column(name), values, rtol=1e-6)


def test_rendering_by_uncertainty_draws_surer_localizations_sharper(predict):
    table = read_thunderstorm(predict())
    config = Rendering(mode="uncertainty", pixel_nm=2)
    widths = []
    for row in range(3):
        one = render_localizations(table[row : row + 1], config, field_nm=(1000, 1200))
        share = one.sum(axis=0) / one.sum()
        column = np.arange(len(share))
        mean = (share * column).sum()
        widths.append(2 * np.sqrt((share * (column - mean) ** 2).sum()))
    # cut at three standard deviations, a Gaussian is 1.3 % narrower
    assert widths == pytest.approx([0.987 * sigma for sigma in (34, 22, 10)], rel=0.01)
