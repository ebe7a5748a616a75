"""Which frames of which movie trained a network, as its model file tells."""

from __future__ import annotations

from pydantic import BaseModel


class FrameRecord(BaseModel, frozen=True):
    """The part of `ModelCard.training` about a movie; all of it is empty without one.

    Attributes
    ----------
    movie_fingerprint
        As `FrameStack.fingerprint` gives it.
    training_frames, validation_frames
        Numbers in the movie, from 0.
    """

    movie_fingerprint: str | None = None
    training_frames: frozenset[int] = frozenset()
    validation_frames: frozenset[int] = frozenset()
