"""The frames on which models are compared: the same for all, and none that trained one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.evaluation.untrained import untrained_frames

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.evaluation.comparison.candidates import Candidate


@dataclass(frozen=True)
class SharedFrames:
    """Frames of a movie that trained none of several models.

    Attributes
    ----------
    numbers
        In rising order, at least one, often with gaps.
    warnings
        Sentences for the user: which models may have scores that are too good.
    """

    numbers: tuple[int, ...]
    warnings: tuple[str, ...]


def shared_frames(
    candidates: Sequence[Candidate], frames: FrameStack, chosen: range | None = None
) -> SharedFrames:
    """Leave out the frames that trained any of the models.

    Parameters
    ----------
    candidates
        The models.
    frames
        The movie.
    chosen
        Frames that the user asks for; by default all that trained none of the models.

    Raises
    ------
    InputError
        Frames that trained a model were asked for, or none is left.
    """
    shared = set(range(frames.n_frames) if chosen is None else chosen)
    validation: dict[str, frozenset[int]] = {}
    warnings: list[str] = []
    trained: list[str] = []
    for candidate in candidates:
        try:
            untrained = untrained_frames(candidate.model.card, frames, chosen)
        except InputError as error:
            raise InputError(f"{candidate.label}: {error}") from error
        if len(untrained.numbers) < frames.n_frames and chosen is None:
            trained.append(f"{frames.n_frames - len(untrained.numbers)} trained {candidate.label}")
        shared.intersection_update(untrained.numbers)
        validation[candidate.label] = untrained.validation
        # those of validation frames count frames that other models may have excluded
        if not untrained.validation:
            warnings += [f"{candidate.label}: {warning}" for warning in untrained.warnings]
    if not shared:
        raise InputError(
            f"No frame of {frames.name} is left to compare on: of its {frames.n_frames} frames, "
            f"{', '.join(trained)}. Compare on another movie."
        )
    warnings += [
        f"{label}: {len(used & shared)} of the {len(shared)} frames validated this model: its best "
        "epoch and its threshold were chosen on them, so that its scores are a little too good."
        for label, used in validation.items()
        if used & shared
    ]
    return SharedFrames(tuple(sorted(shared)), tuple(warnings))
