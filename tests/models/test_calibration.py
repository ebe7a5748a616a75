import json
import re

import numpy as np
import pytest

from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.errors import ModelFileError
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.models.calibration import (
    Calibration,
    ConfidenceCalibration,
    UncertaintyCalibration,
    describe_columns,
)
from napari_dl4smlm.backend.models.model_file import ModelCard, load_model, read_card, save_model
from napari_dl4smlm.backend.models.registry import create_model

CONFIDENCE = ConfidenceCalibration(
    densities=(0.2, 0.6, 0.9),
    probabilities=(0.1, 0.5, 1.0),
    expected_calibration_error=0.0123,
    predicted=(0.3, 0.95),
    actual=(0.25, 0.96),
    counts=(20, 80),
)
UNCERTAINTY = UncertaintyCalibration(
    densities=(0.2, 0.8),
    uncertainties_nm=(40.0, 10.0),
    expected_normalized_calibration_error=0.071,
    predicted_nm=(12.0, 30.0),
    actual_nm=(11.0, 33.0),
    counts=(60, 61),
)
# what models of earlier versions have
OLD = {
    "tolerance_nm": 100,
    "threshold": 0.3,
    "thresholds": [0.3, 0.4],
    "precision": [0.9, 1.0],
    "recall": [0.8, 0.7],
    "jaccard": 0.75,
    "rmse_nm": 21.5,
}


def calibration(**parts):
    return Calibration.model_validate(OLD | parts)


def peaks(*density):
    n = len(density)
    return Localizations(np.arange(n), np.arange(n) * 10.0, np.arange(n) * 20.0, confidence=density)


def test_confidence_and_uncertainty_are_read_from_the_tables_by_density():
    both = calibration(confidence=CONFIDENCE, uncertainty=UNCERTAINTY)
    found = both.apply(peaks(0.05, 0.2, 0.4, 0.75, 0.8, 1.3))
    # linear in between, constant beyond the ends
    assert found.confidence == pytest.approx([0.1, 0.1, 0.3, 0.75, 1 - 0.1 / 0.6, 1])
    assert found.uncertainty_nm == pytest.approx([40, 40, 30, 12.5, 10, 10])
    assert found.extra["peak_density"].tolist() == [0.05, 0.2, 0.4, 0.75, 0.8, 1.3]
    np.testing.assert_array_equal(found.positions_nm(), peaks(*range(6)).positions_nm())


@pytest.mark.parametrize(
    ("part", "fields", "message"),
    [
        ("confidence", {"densities": [0.2, 0.6]}, "2 densities, but 3 values"),
        ("confidence", {"densities": [0.6, 0.2, 0.9]}, "order of densities"),
        ("confidence", {"densities": [0.2, float("nan"), 0.9]}, "order of densities"),
        ("confidence", {"probabilities": [0.5, 0.1, 1]}, "order of densities"),
        ("confidence", {"probabilities": [0.1, 0.5, 1.2]}, "above 1"),
        ("uncertainty", {"uncertainties_nm": [40]}, "2 densities, but 1 values"),
        ("uncertainty", {"uncertainties_nm": [10, 40]}, "order of densities"),
        ("uncertainty", {"uncertainties_nm": [40, -1]}, "below 0"),
    ],
)
def test_a_model_file_whose_tables_make_no_sense_is_refused(tmp_path, part, fields, message):
    network = create_model("fid_storm", upsampling_factor=2, blocks=1, channels=1)
    both = calibration(confidence=CONFIDENCE, uncertainty=UNCERTAINTY)
    card = ModelCard(
        architecture=network.name,
        options=network.options,
        upsampling_factor=2,
        pixel_size_nm=100,
        normalization=Normalization(offset=100, scale=10, background=100, brightest=300),
        density_amplitude=100,
        training={},
        history=[],
        calibration=both,
    )
    path = tmp_path / "model.safetensors"
    save_model(path, network, card)
    written = path.read_bytes()
    length = int.from_bytes(written[:8], "little")
    header = json.loads(written[8 : 8 + length])
    # as only a file can have them that something else than this program has changed
    values = json.loads(header["__metadata__"]["napari_dl4smlm.card"])
    values["calibration"][part] |= fields
    header["__metadata__"]["napari_dl4smlm.card"] = json.dumps(values)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + written[8 + length :])
    with pytest.raises(ModelFileError, match=f"calibration.{part}.*{message}"):
        read_card(path)


def test_larger_pixels_have_larger_errors():
    both = calibration(confidence=CONFIDENCE, uncertainty=UNCERTAINTY)
    found = both.apply(peaks(0.2, 0.9), magnification=1.6)
    assert found.uncertainty_nm == pytest.approx([64, 16])
    assert found.confidence == pytest.approx([0.1, 1])


def test_a_model_of_an_earlier_version_keeps_the_density_as_confidence():
    found = calibration().apply(peaks(0.4, 1.1))
    assert list(found.columns()) == ["frame", "y_nm", "x_nm", "confidence"]
    assert found.confidence.tolist() == [0.4, 1.1]


def test_frames_without_localizations_have_the_same_columns():
    both = calibration(confidence=CONFIDENCE, uncertainty=UNCERTAINTY)
    assert list(both.apply(peaks()).columns()) == list(both.apply(peaks(0.5)).columns())


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (None, "the density around the peak, in emitters, and no probability; uncertainties are"),
        ({}, "the density around the peak, in emitters, and no probability; uncertainties are"),
        ({"confidence": CONFIDENCE}, r"within 100 nm \(calibration error 1.2 %\); uncertainties"),
        (
            {"confidence": CONFIDENCE, "uncertainty": UNCERTAINTY},
            r"error 1.2 %\), the uncertainty that of x and of y \(calibration error 7.1 %\)\.$",
        ),
    ],
)
def test_a_sentence_tells_what_the_columns_mean(parts, text):
    assert re.search(text, describe_columns(None if parts is None else calibration(**parts)))


@pytest.mark.parametrize("parts", [{}, {"confidence": CONFIDENCE, "uncertainty": UNCERTAINTY}])
def test_a_model_file_gives_the_calibration_back(tmp_path, parts):
    network = create_model("srcnn", upsampling_factor=2)
    card = ModelCard(
        architecture="srcnn",
        options=network.options,
        upsampling_factor=2,
        pixel_size_nm=100,
        normalization=Normalization(offset=0, scale=1, background=0, brightest=1),
        density_amplitude=1,
        training={},
        history=[],
        calibration=calibration(**parts),
    )
    path = tmp_path / "model.safetensors"
    save_model(path, network, card)
    assert read_card(path).calibration == card.calibration
    assert load_model(path).card.calibration == card.calibration
