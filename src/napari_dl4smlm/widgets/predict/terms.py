"""What the user reads about a model and the progress of a prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_dl4smlm.backend.prediction.config import UNCALIBRATED_THRESHOLD
from napari_dl4smlm.widgets.durations import duration
from napari_dl4smlm.widgets.train.facts import MODEL_LABELS

if TYPE_CHECKING:
    from napari_dl4smlm.backend.models.model_file import ModelCard
    from napari_dl4smlm.backend.prediction.events import BatchPredicted, BatchReduced


def architecture_label(card: ModelCard) -> str:
    """Return the name of a network as its paper writes it."""
    return MODEL_LABELS.get(card.architecture, card.architecture)


def describe_model(card: ModelCard) -> str:
    """Tell what a model was trained for."""
    pixel = "unknown pixel size" if card.pixel_size_nm is None else f"{card.pixel_size_nm:.4g} nm"
    intensities = card.normalization
    lines = [
        f"{architecture_label(card)} · ×{card.upsampling_factor} · {pixel}",
        *_describe_simulation(card.training.get("simulation")),
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


def _describe_simulation(simulation: Any) -> list[str]:
    """Tell what the spots were like, if they were simulated."""
    match simulation:
        case {"psf": {"kind": "gaussian", "sigma_nm": sigma}, "density": density}:
            return [f"simulated spots of σ {_range(sigma)} nm · {_range(density)} per µm²"]
        case {"density": density}:
            return [f"simulated, {_range(density)} emitters per µm²"]
    return []


def _range(value: float | list[float]) -> str:
    numbers = value if isinstance(value, list) else [value]
    return "–".join(f"{number:.4g}" for number in numbers)


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


def describe_reduction(reduced: BatchReduced) -> str:
    """Tell what is tried after the memory did not suffice."""
    frames = "frame" if reduced.batch_size == 1 else "frames"
    tiles = "" if reduced.tile_size is None else f" in tiles of {reduced.tile_size} px"
    return f"The memory did not suffice: now {reduced.batch_size} {frames} at a time{tiles}."
