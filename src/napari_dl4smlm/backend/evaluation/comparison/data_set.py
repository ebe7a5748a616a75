"""The data that models are compared on, checked and brought into the form that the work needs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from napari_dl4smlm.backend.acquisition.frames import open_frames, parse_frame_range
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.evaluation.comparison.images import (
    draw_positions,
    group_frames,
    sum_images,
)
from napari_dl4smlm.backend.evaluation.comparison.result import DataSet
from napari_dl4smlm.backend.evaluation.comparison.shared_frames import shared_frames
from napari_dl4smlm.backend.evaluation.quality import mean_frame
from napari_dl4smlm.backend.evaluation.selected_frames import select_frames
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.metrics.detection import detection_scores
from napari_dl4smlm.backend.prediction.mismatch import mismatches
from napari_dl4smlm.backend.training.truth import position_truth

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.evaluation.comparison.candidates import Candidate
    from napari_dl4smlm.backend.prediction.config import PredictionConfig

_FEW_FRAMES = 20
"""Below it, percentile intervals are clearly too short."""

_FRAMES_TO_TIME = 64
"""Kept in memory, and gone through again and again."""


@dataclass(frozen=True, eq=False)
class OpenDataSet:
    """The frames to compare on, numbered anew from 0, with their truth.

    Attributes
    ----------
    movie
        The frames alone.
    numbers
        Of the frames in the whole movie.
    emitters
        In these frames, numbered as in ``movie``; ``None`` without truth.
    pixel_size_nm
        Camera pixel.
    upsampling_factor
        Of the common grid.
    tolerance_nm, border_nm
        Of the detection scores.
    warnings
        Sentences for the user.
    """

    movie: FrameStack
    numbers: tuple[int, ...]
    emitters: Localizations | None
    pixel_size_nm: float
    upsampling_factor: int
    tolerance_nm: float
    border_nm: float
    warnings: tuple[str, ...]

    @cached_property
    def groups(self) -> list[range]:
        """Frames in a row whose images are summed."""
        return group_frames(self.movie.n_frames)

    @cached_property
    def true_images(self) -> list[NDArray[np.float32]] | None:
        """The truth of each group on the common grid; ``None`` without truth."""
        if self.emitters is None:
            return None
        return [
            draw_positions(
                self.emitters.in_frames(group),
                height=self.movie.height,
                width=self.movie.width,
                pixel_size_nm=self.pixel_size_nm,
                upsampling_factor=self.upsampling_factor,
            )
            for group in self.groups
        ]

    @cached_property
    def frames_to_time(self) -> FrameStack:
        """The first frames, in memory."""
        count = min(self.movie.n_frames, _FRAMES_TO_TIME)
        return open_frames(self.movie.read(0, count), pixel_size_nm=self.pixel_size_nm)

    def inside_border(self, localizations: Localizations) -> Localizations:
        """Leave out the rim; the rule is that of `detection_scores`."""
        if self.border_nm == 0:
            return localizations
        low = self.border_nm
        high = np.array([self.movie.height, self.movie.width]) * self.pixel_size_nm - low
        positions_nm = localizations.positions_nm()
        return localizations[np.all((positions_nm > low) & (positions_nm < high), axis=1)]

    def in_movie(self, localizations: Localizations) -> Localizations:
        """Give the frames of a table their numbers in the whole movie."""
        return dataclasses.replace(
            localizations, frame=np.array(self.numbers, dtype=np.int64)[localizations.frame]
        )

    def describe(self, whole: FrameStack) -> DataSet:
        """Tell what the results hold of the data."""
        images = self.true_images
        return DataSet(
            movie=whole.name,
            n_frames=whole.n_frames,
            height=whole.height,
            width=whole.width,
            frames=self.numbers,
            pixel_size_nm=self.pixel_size_nm,
            upsampling_factor=self.upsampling_factor,
            n_emitters=None if self.emitters is None else len(self.emitters),
            tolerance_nm=self.tolerance_nm,
            border_nm=self.border_nm,
            mean_frame=mean_frame(self.movie, range(self.movie.n_frames)),
            true_image=None if images is None else sum_images(images),
        )


def open_data_set(
    candidates: Sequence[Candidate],
    frames: FrameStack,
    truth: Localizations | None,
    config: PredictionConfig,
    *,
    tolerance_nm: float,
    border_nm: float,
) -> OpenDataSet:
    """Choose the frames that trained no model, and check that everything fits together.

    Raises
    ------
    InputError
        The pixel size is not known; frames that trained a model are asked for, or none is left;
        truth and movie do not fit each other; no emitter is in the frames; or tolerance or border
        cannot be used.
    """
    whole = _with_pixel_size(candidates, frames, config.pixel_size_nm)
    pixel_size_nm = whole.pixel_size_nm
    assert pixel_size_nm is not None
    chosen = None if config.frames is None else parse_frame_range(config.frames, frames.n_frames)
    shared = shared_frames(candidates, frames, chosen)
    factor = max(candidate.model.card.upsampling_factor for candidate in candidates)
    emitters = None
    if truth is not None:
        field_nm = (whole.height * pixel_size_nm, whole.width * pixel_size_nm)
        _check_scoring(tolerance_nm, border_nm, field_nm)
        emitters = _emitters_in(truth, whole, shared.numbers, factor)
    selected = select_frames(frames, shared.numbers)
    warnings = [*shared.warnings, *_mismatches(candidates, selected, config.pixel_size_nm)]
    warnings += _about_the_data(
        candidates, len(shared.numbers), factor, has_truth=truth is not None
    )
    return OpenDataSet(
        movie=select_frames(whole, shared.numbers),
        numbers=shared.numbers,
        emitters=emitters,
        pixel_size_nm=pixel_size_nm,
        upsampling_factor=factor,
        tolerance_nm=tolerance_nm,
        border_nm=border_nm,
        warnings=tuple(warnings),
    )


def _with_pixel_size(
    candidates: Sequence[Candidate], frames: FrameStack, given_nm: float | None
) -> FrameStack:
    """Take the pixel size given, or else the movie's, or else that on which all models agree."""
    frames = open_frames(frames, pixel_size_nm=given_nm)
    if frames.pixel_size_nm is not None:
        return frames
    fault = frames.pixel_size_fault()
    if fault is not None:
        raise InputError(fault)
    sizes = {candidate.model.card.pixel_size_nm for candidate in candidates} - {None}
    if len(sizes) != 1:
        known = ", ".join(f"{size:g} nm" for size in sorted(filter(None, sizes))) or "none"
        raise InputError(
            f"{frames.name} does not tell its pixel size, and the models do not agree on one "
            f"({known}). Give it in nm (pixel_size_nm)."
        )
    return open_frames(frames, pixel_size_nm=sizes.pop())


def _check_scoring(tolerance_nm: float, border_nm: float, field_nm: tuple[float, float]) -> None:
    """Refuse a tolerance or border that the scores would refuse, before anything takes time."""
    nothing = Localizations.empty()
    detection_scores(
        nothing, nothing, tolerance_nm=tolerance_nm, border_nm=border_nm, field_of_view_nm=field_nm
    )


def _emitters_in(
    truth: Localizations, frames: FrameStack, numbers: tuple[int, ...], factor: int
) -> Localizations:
    """Take the emitters of some frames, numbered by their place among these."""
    emitters = truth[np.isin(truth.frame, numbers)]
    if len(emitters) == 0:
        raise InputError(
            f"None of the {len(numbers)} frames of {frames.name} to compare on has an emitter "
            f"among the {len(truth)} true positions. Check that they belong to this movie, choose "
            "other frames, or leave the positions out to compare without truth."
        )
    # for what it refuses of the whole table: frames beyond the movie, positions outside the field
    position_truth(frames, truth, upsampling_factor=factor)
    return dataclasses.replace(emitters, frame=np.searchsorted(numbers, emitters.frame))


def _mismatches(
    candidates: Sequence[Candidate], movie: FrameStack, given_nm: float | None
) -> Iterator[str]:
    for candidate in candidates:
        card, frames = candidate.model.card, range(movie.n_frames)
        for sentence in mismatches(card, movie, frames=frames, given_nm=given_nm):
            yield f"{candidate.label}: {sentence}"


def _about_the_data(
    candidates: Sequence[Candidate], n_frames: int, factor: int, *, has_truth: bool
) -> Iterator[str]:
    if has_truth and n_frames == 1:
        yield "A single frame is compared: nothing tells how much of a difference is chance."
    elif has_truth and n_frames < _FEW_FRAMES:
        yield (
            f"Only {n_frames} frames are compared: the intervals are too short. Believe a small "
            "difference only once more frames show it."
        )
    coarser = [
        f"{candidate.label} (×{candidate.model.card.upsampling_factor})"
        for candidate in candidates
        if candidate.model.card.upsampling_factor < factor
    ]
    if has_truth and coarser:
        yield (
            f"Images are compared on the finest grid, ×{factor}: that of {', '.join(coarser)} is "
            "coarser, and its pixels are divided into equal ones. Its image scores suffer from "
            "that; its localizations, in nm, do not."
        )
