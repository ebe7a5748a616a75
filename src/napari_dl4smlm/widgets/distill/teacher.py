"""What the user reads about a teacher, and why it cannot teach on some data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.widgets.sources.model_text import summarize_model
from napari_dl4smlm.widgets.training.facts import LOSS_LABELS

if TYPE_CHECKING:
    from napari_dl4smlm.backend.models.model_file import ModelCard
    from napari_dl4smlm.widgets.session import TrainingSource


def describe_teacher(card: ModelCard) -> str:
    """Tell which network a teacher is, and how good."""
    loss = str(card.training.get("loss", "an unknown loss"))
    quality = (
        "not calibrated: the emitters of its validation frames are unknown"
        if card.calibration is None
        else f"Jaccard index {card.calibration.jaccard:.2f} on its validation frames"
    )
    return f"{summarize_model(card)} · {LOSS_LABELS.get(loss, loss)}\n{quality}"


def check_upsampling(card: ModelCard, source: TrainingSource) -> None:
    """Refuse a teacher whose maps have another grid than the data.

    Raises
    ------
    InputError
        It has another upsampling.
    """
    taught, used = card.upsampling_factor, source.upsampling_factor
    if taught == used:
        return
    way_out = (
        f"Choose upsampling ×{taught} above, or another teacher."
        if source.at_upsampling is not None
        else f"The true images fix ×{used}: choose a teacher that was trained at ×{used}."
    )
    raise InputError(
        f"The teacher draws ×{taught} fine pixels, but the data are prepared for ×{used}: their "
        f"maps cannot be compared. {way_out}"
    )
