"""Everything but the windows: numpy, torch and tifffile, never napari or Qt.

The names below are what scripts need; each is imported when it is first used, so that importing
this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_dl4smlm.backend.acquisition.frames import FrameStack, open_frames
    from napari_dl4smlm.backend.errors import InputError
    from napari_dl4smlm.backend.localizations.density_map import render_density_map
    from napari_dl4smlm.backend.localizations.peaks import find_peaks
    from napari_dl4smlm.backend.localizations.table import Localizations
    from napari_dl4smlm.backend.localizations.thunderstorm import (
        read_thunderstorm,
        write_thunderstorm,
    )
    from napari_dl4smlm.backend.losses.registry import LOSSES, create_loss
    from napari_dl4smlm.backend.metrics.detection import detection_scores
    from napari_dl4smlm.backend.models.device import available_devices
    from napari_dl4smlm.backend.models.model_file import load_model, save_model
    from napari_dl4smlm.backend.models.registry import MODELS, create_model
    from napari_dl4smlm.backend.prediction.config import PredictionConfig
    from napari_dl4smlm.backend.prediction.output import predict_to_files
    from napari_dl4smlm.backend.prediction.predictor import Predictor
    from napari_dl4smlm.backend.training.config import DataConfig, TrainingConfig
    from napari_dl4smlm.backend.training.data import TrainingData
    from napari_dl4smlm.backend.training.datasets import ImageDataset
    from napari_dl4smlm.backend.training.trainer import Trainer

_HOMES = {
    "FrameStack": "acquisition.frames",
    "open_frames": "acquisition.frames",
    "InputError": "errors",
    "render_density_map": "localizations.density_map",
    "find_peaks": "localizations.peaks",
    "Localizations": "localizations.table",
    "read_thunderstorm": "localizations.thunderstorm",
    "write_thunderstorm": "localizations.thunderstorm",
    "LOSSES": "losses.registry",
    "create_loss": "losses.registry",
    "detection_scores": "metrics.detection",
    "available_devices": "models.device",
    "load_model": "models.model_file",
    "save_model": "models.model_file",
    "MODELS": "models.registry",
    "create_model": "models.registry",
    "PredictionConfig": "prediction.config",
    "predict_to_files": "prediction.output",
    "Predictor": "prediction.predictor",
    "DataConfig": "training.config",
    "TrainingConfig": "training.config",
    "ImageDataset": "training.datasets",
    "TrainingData": "training.data",
    "Trainer": "training.trainer",
}

__all__ = [  # noqa: RUF022 - in the order of the rooms
    "FrameStack",
    "open_frames",
    "InputError",
    "render_density_map",
    "find_peaks",
    "Localizations",
    "read_thunderstorm",
    "write_thunderstorm",
    "LOSSES",
    "create_loss",
    "detection_scores",
    "available_devices",
    "load_model",
    "save_model",
    "MODELS",
    "create_model",
    "PredictionConfig",
    "predict_to_files",
    "Predictor",
    "DataConfig",
    "TrainingConfig",
    "ImageDataset",
    "TrainingData",
    "Trainer",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
