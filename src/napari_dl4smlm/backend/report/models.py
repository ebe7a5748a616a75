"""What a report tells about a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dl4smlm.backend.models.calibration import describe_columns
from napari_dl4smlm.backend.report.markup import Html, element, join
from napari_dl4smlm.backend.report.page import facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from napari_dl4smlm.backend.models.model_file import ModelCard


def model_facts(label: str, card: ModelCard, used: Iterable[tuple[str, str]] = ()) -> Html:
    """Write the card of a model below its name.

    Parameters
    ----------
    label
        What it is called.
    card
        What its file tells.
    used
        What else is worth knowing, such as the threshold that was used.
    """
    return join(element("h3", label), facts([*_card_facts(card), *used]))


def _card_facts(card: ModelCard) -> Iterator[tuple[str, str]]:
    options = ", ".join(f"{name}={value}" for name, value in card.options.items())
    yield (
        "network",
        f"{card.architecture}, ×{card.upsampling_factor}" + (f", {options}" if options else ""),
    )
    pixel = "unknown" if card.pixel_size_nm is None else f"{card.pixel_size_nm:g} nm"
    yield "trained with pixels of", pixel
    yield "trained on", _training_data(card)
    if card.teacher is not None:
        yield "learned from", f"{card.teacher.file} ({card.teacher.architecture})"
    if card.calibration is not None:
        yield (
            "validation",
            f"Jaccard index {card.calibration.jaccard:.3f} at threshold "
            f"{card.calibration.threshold:.2f}, within {card.calibration.tolerance_nm:g} nm",
        )
    yield "localizations", describe_columns(card.calibration)
    version = card.package_versions.get("napari-dl4smlm")
    if card.created:
        yield "saved", card.created + (f" by version {version}" if version else "")
    if card.weights_sha256:
        yield "SHA-256 of the weights", element("code", card.weights_sha256)


def _training_data(card: ModelCard) -> str:
    count = len(card.history)
    epochs = f", {count} epoch{'s' * (count > 1)}" if count else ""
    movie, frames = card.training.get("movie"), card.training.get("training_frames")
    if isinstance(movie, str):
        used = f", {len(frames)} frames" if isinstance(frames, list) else ""
        return f"{movie}{used}{epochs}"
    if card.training.get("simulation") is not None:
        return f"simulated frames{epochs}"
    return f"unknown{epochs}"
