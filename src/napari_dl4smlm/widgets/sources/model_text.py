"""What the user reads about a model file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_dl4smlm.backend.models.model_file import ModelCard

MODEL_LABELS = {
    "fid_storm": "FID-STORM",
    "deep_storm": "Deep-STORM",
    "skip_storm": "Skip-STORM",
    "drl_storm": "DRL-STORM",
    "u_storm": "U-STORM",
    "srcnn": "SRCNN",
}


def architecture_label(card: ModelCard) -> str:
    """Return the name of a network as its paper writes it."""
    return MODEL_LABELS.get(card.architecture, card.architecture)


def summarize_model(card: ModelCard) -> str:
    """Tell network, upsampling and pixel size in one line."""
    pixel = "unknown pixel size" if card.pixel_size_nm is None else f"{card.pixel_size_nm:.4g} nm"
    return f"{architecture_label(card)} · ×{card.upsampling_factor} · {pixel}"


def describe_model(card: ModelCard) -> str:
    """Tell what a model was trained for."""
    intensities = card.normalization
    lines = [
        summarize_model(card),
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
    if card.calibration is None or card.calibration.confidence is None:
        lines.append("confidence is the density of the peak, no probability")
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
