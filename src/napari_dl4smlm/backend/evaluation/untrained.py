"""Which frames of a movie may test a model: never those that trained it or its teachers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.models.model_file import ModelCard

_MOST_RANGES_IN_MESSAGE = 5


@dataclass(frozen=True)
class UntrainedFrames:
    """Frames of a movie that trained neither a model nor its teachers.

    Attributes
    ----------
    numbers
        In rising order, at least one; often with gaps, as validation frames are drawn at random.
    validation
        Those of ``numbers`` on which the model's best epoch and its threshold were chosen.
    warnings
        Sentences for the user: why scores on these frames may be too good.
    """

    numbers: tuple[int, ...]
    validation: frozenset[int]
    warnings: tuple[str, ...]


def untrained_frames(
    card: ModelCard, frames: FrameStack, chosen: range | None = None
) -> UntrainedFrames:
    """Leave out the frames that trained a model, or those that taught it.

    The training movie is known again by its fingerprint, under whatever name. A part of it that was
    saved as a movie of its own is another movie here.

    Parameters
    ----------
    card
        Of the model to be tested.
    frames
        The movie to test it on.
    chosen
        Frames that the user asks for; by default all that did not train the model.

    Raises
    ------
    InputError
        Frames that trained the model were asked for, or every frame of the movie trained it.
    ModelFileError
        As for `ModelCard.trained_on`.
    """
    records = card.trained_on()
    wanted = range(frames.n_frames) if chosen is None else chosen
    origins = (card.training.get(name) for name in ("movie_fingerprint", "simulation"))
    warnings = [_unknown_origin(frames)] if all(origin is None for origin in origins) else []
    fingerprint = frames.fingerprint() if records else None
    records = tuple(record for record in records if record.movie_fingerprint == fingerprint)
    training = frozenset[int]().union(*(record.training_frames for record in records))
    whom = "this model" if card.teacher is None else "this model or its teacher"
    numbers = tuple(number for number in wanted if number not in training)
    if chosen is not None and len(numbers) < len(chosen):
        raise _trained_by(training, chosen, frames, whom)
    if not numbers:
        raise InputError(
            f"All {frames.n_frames} frames of {frames.name} trained {whom}: on them it only "
            "shows what it remembers. Choose another movie."
        )
    validation = frozenset[int]().union(*(record.validation_frames for record in records))
    validation = validation.intersection(numbers)
    if validation:
        warnings.append(_validated(len(validation), len(numbers), whom))
    return UntrainedFrames(numbers, validation, tuple(warnings))


def _trained_by(
    training: frozenset[int], chosen: range, frames: FrameStack, whom: str
) -> InputError:
    asked_for = training.intersection(chosen)
    return InputError(
        f"{len(asked_for)} of the {len(chosen)} frames asked for trained {whom} "
        f"({_as_ranges(asked_for)}): on them it only shows what it remembers. Choose others; "
        f"without a frame range, the {frames.n_frames - len(training)} frames of {frames.name} "
        "that did not train it are taken."
    )


def _validated(count: int, n_frames: int, whom: str) -> str:
    return (
        f"{count} of the {n_frames} frames to test on validated {whom}: its best epoch and its "
        "threshold were chosen on them, so that their scores are a little too good."
    )


def _unknown_origin(frames: FrameStack) -> str:
    return (
        "The model file does not tell which movie trained the model. If frames of "
        f"{frames.name} did, the scores are too good."
    )


def _as_ranges(numbers: Collection[int]) -> str:
    """Write frame numbers as users do: 0:4, 7:8."""
    starts = sorted(number for number in numbers if number - 1 not in numbers)
    stops = sorted(number + 1 for number in numbers if number + 1 not in numbers)
    ranges = [f"{start}:{stop}" for start, stop in zip(starts, stops, strict=True)]
    more = ["…"] if len(ranges) > _MOST_RANGES_IN_MESSAGE else []
    return ", ".join(ranges[:_MOST_RANGES_IN_MESSAGE] + more)
