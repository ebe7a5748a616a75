"""Everything but the windows: numpy, torch and tifffile, never napari or Qt.

The names below are what scripts need; each is imported when it is first used, so that importing
this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_dl4smlm.backend.acquisition.camera import Camera
    from napari_dl4smlm.backend.acquisition.frames import FrameStack, open_frames
    from napari_dl4smlm.backend.errors import InputError
    from napari_dl4smlm.backend.evaluation.comparison.candidates import open_candidates
    from napari_dl4smlm.backend.evaluation.comparison.compare import compare_models
    from napari_dl4smlm.backend.evaluation.comparison.table import tabulate
    from napari_dl4smlm.backend.evaluation.quality import measure_quality
    from napari_dl4smlm.backend.evaluation.score_model import score_model
    from napari_dl4smlm.backend.localizations.density_map import render_density_map
    from napari_dl4smlm.backend.localizations.peaks import find_peaks
    from napari_dl4smlm.backend.localizations.spot_detection import detect_spots
    from napari_dl4smlm.backend.localizations.table import Localizations
    from napari_dl4smlm.backend.localizations.table_content import TableContent
    from napari_dl4smlm.backend.localizations.table_file import open_table, save_table
    from napari_dl4smlm.backend.localizations.thunderstorm import (
        read_thunderstorm,
        write_thunderstorm,
    )
    from napari_dl4smlm.backend.losses.registry import LOSSES, create_loss
    from napari_dl4smlm.backend.metrics.detection import detection_scores
    from napari_dl4smlm.backend.metrics.precision import localization_bound_nm
    from napari_dl4smlm.backend.models.device import available_devices
    from napari_dl4smlm.backend.models.model_file import load_model, save_model
    from napari_dl4smlm.backend.models.registry import MODELS, create_model
    from napari_dl4smlm.backend.prediction.config import PredictionConfig
    from napari_dl4smlm.backend.prediction.output import predict_to_files
    from napari_dl4smlm.backend.prediction.predictor import Predictor
    from napari_dl4smlm.backend.processing.config import ProcessingConfig
    from napari_dl4smlm.backend.processing.drift_curve import DriftCurve
    from napari_dl4smlm.backend.processing.pipeline import apply_steps
    from napari_dl4smlm.backend.processing.rendering import Rendering, render_localizations
    from napari_dl4smlm.backend.simulation.config import MovieConfig, SimulationConfig
    from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie
    from napari_dl4smlm.backend.training.config import (
        DataConfig,
        DistillationConfig,
        TrainingConfig,
    )
    from napari_dl4smlm.backend.training.data import open_training_data
    from napari_dl4smlm.backend.training.trainer import Trainer

_HOMES = {
    "Camera": "acquisition.camera",
    "FrameStack": "acquisition.frames",
    "open_frames": "acquisition.frames",
    "InputError": "errors",
    "render_density_map": "localizations.density_map",
    "find_peaks": "localizations.peaks",
    "detect_spots": "localizations.spot_detection",
    "Localizations": "localizations.table",
    "TableContent": "localizations.table_content",
    "open_table": "localizations.table_file",
    "save_table": "localizations.table_file",
    "read_thunderstorm": "localizations.thunderstorm",
    "write_thunderstorm": "localizations.thunderstorm",
    "LOSSES": "losses.registry",
    "create_loss": "losses.registry",
    "detection_scores": "metrics.detection",
    "localization_bound_nm": "metrics.precision",
    "available_devices": "models.device",
    "load_model": "models.model_file",
    "save_model": "models.model_file",
    "MODELS": "models.registry",
    "create_model": "models.registry",
    "PredictionConfig": "prediction.config",
    "predict_to_files": "prediction.output",
    "Predictor": "prediction.predictor",
    "ProcessingConfig": "processing.config",
    "DriftCurve": "processing.drift_curve",
    "apply_steps": "processing.pipeline",
    "Rendering": "processing.rendering",
    "render_localizations": "processing.rendering",
    "MovieConfig": "simulation.config",
    "SimulationConfig": "simulation.config",
    "SimulatedMovie": "simulation.simulator",
    "DataConfig": "training.config",
    "DistillationConfig": "training.config",
    "TrainingConfig": "training.config",
    "open_training_data": "training.data",
    "Trainer": "training.trainer",
    "score_model": "evaluation.score_model",
    "open_candidates": "evaluation.comparison.candidates",
    "compare_models": "evaluation.comparison.compare",
    "tabulate": "evaluation.comparison.table",
    "measure_quality": "evaluation.quality",
}

__all__ = [  # noqa: RUF022 - in the order of the rooms
    "Camera",
    "FrameStack",
    "open_frames",
    "InputError",
    "render_density_map",
    "find_peaks",
    "detect_spots",
    "Localizations",
    "TableContent",
    "open_table",
    "save_table",
    "read_thunderstorm",
    "write_thunderstorm",
    "LOSSES",
    "create_loss",
    "detection_scores",
    "localization_bound_nm",
    "available_devices",
    "load_model",
    "save_model",
    "MODELS",
    "create_model",
    "PredictionConfig",
    "predict_to_files",
    "Predictor",
    "ProcessingConfig",
    "DriftCurve",
    "apply_steps",
    "Rendering",
    "render_localizations",
    "MovieConfig",
    "SimulationConfig",
    "SimulatedMovie",
    "DataConfig",
    "DistillationConfig",
    "TrainingConfig",
    "open_training_data",
    "Trainer",
    "score_model",
    "open_candidates",
    "compare_models",
    "tabulate",
    "measure_quality",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
