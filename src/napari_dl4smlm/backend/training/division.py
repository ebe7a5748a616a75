"""Which frames train, and which validate: no frame does both."""

from __future__ import annotations

import numpy as np

from napari_dl4smlm.backend.errors import InputError


def split_frames(
    frames: range,
    *,
    validation_fraction: float,
    validation_frames: range | None = None,
    seed: int,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Divide frames into those that train and those that validate.

    Parameters
    ----------
    frames
        Frames that may be used.
    validation_fraction
        Share of them drawn for validation, at least one frame.
    validation_frames
        Frames to validate on instead; they need not be among ``frames``.
    seed
        Draws the validation frames.

    Returns
    -------
    tuple of tuple of int
        Frames that train and frames that validate, each in rising order.

    Raises
    ------
    InputError
        No frame is left to train on.
    """
    if validation_frames is None:
        count = max(1, round(validation_fraction * len(frames)))
        drawn = np.random.default_rng(seed).permutation(len(frames))[:count]
        validation = {frames[int(k)] for k in drawn}
    else:
        validation = set(validation_frames)
    training = tuple(k for k in frames if k not in validation)
    if not training:
        usable = f"{len(frames)} frame{'' if len(frames) == 1 else 's'}"
        raise InputError(
            f"No frame is left to train on: {usable} can be used, and validation takes "
            f"{len(validation)}. Give at least two frames, or fewer for validation."
        )
    return training, tuple(sorted(validation))
