"""Training and prediction say what confidence and uncertainty are worth."""

from pathlib import Path

import numpy as np
from click.testing import CliRunner

from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.models.calibration import Calibration, describe_columns
from napari_dl4smlm.backend.models.model_file import ModelCard, save_model
from napari_dl4smlm.backend.models.registry import create_model
from napari_dl4smlm.backend.training.events import EpochFinished, TrainingFinished
from napari_dl4smlm.cli.predict import predict
from napari_dl4smlm.cli.train import follow


def calibration(error):
    return Calibration.model_validate(
        {
            "tolerance_nm": 100,
            "threshold": 0.3,
            "thresholds": [0.3],
            "precision": [0.9],
            "recall": [0.8],
            "jaccard": 0.75,
            "rmse_nm": 20,
            "confidence": {
                "densities": [0.3],
                "probabilities": [0.9],
                "expected_calibration_error": error,
                "predicted": [0.9],
                "actual": [0.9],
                "counts": [200],
            },
        }
    )


def epoch(number, *, is_best, error):
    return EpochFinished(
        epoch=number,
        training_loss=1.0,
        validation_loss=1.0,
        learning_rate=1e-3,
        is_best=is_best,
        preview=None,
        calibration=calibration(error),
        share_waited=0.0,
        stage="training",
    )


def test_a_training_ends_with_the_calibration_of_its_best_epoch(capsys):
    path = Path("model.safetensors")
    events = [
        epoch(1, is_best=True, error=0.05),
        epoch(2, is_best=True, error=0.02),
        epoch(3, is_best=False, error=0.03),
        TrainingFinished(3, 2, 1.0, path, path, "all epochs done"),
    ]
    follow(iter(events), title="fid_storm")
    assert capsys.readouterr().out.splitlines()[-1] == describe_columns(calibration(0.02))


def test_a_prediction_begins_with_what_its_columns_mean(tmp_path):
    network = create_model("srcnn", upsampling_factor=2)
    for known, text in ((None, "density around the peak"), (calibration(0.02), "error 2.0 %")):
        card = ModelCard(
            architecture="srcnn",
            options=network.options,
            upsampling_factor=2,
            pixel_size_nm=100,
            normalization=Normalization(offset=0, scale=1, background=0, brightest=1),
            density_amplitude=1,
            training={},
            history=[],
            calibration=known,
        )
        save_model(tmp_path / "model.safetensors", network, card)
        np.save(tmp_path / "movie.npy", np.ones((2, 8, 8), np.uint16))
        paths = [str(tmp_path / "movie.npy"), f"--model={tmp_path / 'model.safetensors'}"]
        result = CliRunner().invoke(predict, [*paths, "--device=cpu"])
        assert result.exit_code == 0, result.output
        assert text in result.output.splitlines()[0]
