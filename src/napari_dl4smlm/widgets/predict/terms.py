"""What the user reads about a model, a movie and the progress of a prediction."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_dl4smlm.backend.prediction.config import UNCALIBRATED_THRESHOLD
from napari_dl4smlm.widgets.train.facts import MODEL_LABELS

if TYPE_CHECKING:
    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.models.model_file import ModelCard
    from napari_dl4smlm.backend.prediction.events import BatchPredicted

# as in the backend, which tells the same once it runs
_PIXEL_SIZE_TOLERANCE = 0.05


def architecture_label(card: ModelCard) -> str:
    """Return the name of a network as its paper writes it."""
    return MODEL_LABELS.get(card.architecture, card.architecture)


def describe_model(card: ModelCard) -> str:
    """Tell what a model was trained for."""
    pixel = "unknown pixel size" if card.pixel_size_nm is None else f"{card.pixel_size_nm:.4g} nm"
    intensities = card.normalization
    lines = [
        f"{architecture_label(card)} · ×{card.upsampling_factor} · {pixel}",
        f"background {intensities.background:.4g}, spots to {intensities.brightest:.4g} counts",
    ]
    if card.calibration is None:
        lines.append("threshold not calibrated")
    else:
        found = card.calibration
        lines.append(
            f"threshold {found.threshold:.2g}, calibrated · Jaccard index {found.jaccard:.2f}"
        )
    return "\n".join(lines)


def describe_movie(movie: FrameStack) -> str:
    """Tell what a movie is."""
    pixel = "" if movie.pixel_size_nm is None else f" · {movie.pixel_size_nm:.4g} nm"
    count = f"{movie.n_frames:,} frame{'' if movie.n_frames == 1 else 's'}"
    return f"{count} · {movie.height} × {movie.width}{pixel} · {movie.dtype}"


def pixel_size_warning(card: ModelCard, pixel_size_nm: float | None) -> str | None:
    """Say, before the run, that a model was trained for another pixel size than the movie's."""
    trained = card.pixel_size_nm
    if trained is None or pixel_size_nm is None:
        return None
    if math.isclose(trained, pixel_size_nm, rel_tol=_PIXEL_SIZE_TOLERANCE):
        return None
    return (
        f"The pixel size is {pixel_size_nm:.4g} nm here, but {trained:.4g} nm where the model was "
        "trained. Localizations may be missed or invented."
    )


def automatic_threshold(card: ModelCard | None) -> str:
    """Tell which threshold is used where none is entered."""
    if card is None:
        return "of the model"
    if card.calibration is None:
        return f"{UNCALIBRATED_THRESHOLD}, not calibrated"
    return f"{card.calibration.threshold:.2g}, calibrated"


def automatic_pixel_size(movie_nm: float | None, card: ModelCard | None) -> str:
    """Tell which pixel size is used where none is entered."""
    if movie_nm is not None:
        return f"{movie_nm:.4g} nm, movie"
    if card is not None and card.pixel_size_nm is not None:
        return f"{card.pixel_size_nm:.4g} nm, model"
    return "not known"


def describe_progress(batch: BatchPredicted) -> str:
    """Tell how far a prediction is, how fast, and how long it still takes."""
    return (
        f"{batch.frames_done:,} / {batch.n_frames:,} frames · {batch.frames_per_second:.3g} fps · "
        f"{duration(batch.seconds_left)} left"
    )


def duration(seconds: float) -> str:
    """Write a duration as 1:05, or 1:01:05 from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
