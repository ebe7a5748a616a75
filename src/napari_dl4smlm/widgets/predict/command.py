"""The commands that do in a terminal what the Predict widget does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dl4smlm.widgets.predict.files import result_folders

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_dl4smlm.backend.prediction.config import PredictionConfig


def predict_commands(
    model_path: Path,
    movies: Sequence[Path],
    config: PredictionConfig,
    into: Path | None = None,
    *,
    follows: bool = False,
) -> list[str]:
    """Write the command for each movie, with the folder that `predict_files` writes to."""
    # its import takes a second, and was done with that of the model
    from napari_dl4smlm.widgets.command_line import predict_command

    return [
        predict_command(movie, model_path, folder, config, follows=follows)
        for movie, folder in zip(movies, result_folders(movies, into), strict=True)
    ]
