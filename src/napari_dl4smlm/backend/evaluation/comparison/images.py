"""Image scores of one model on the common grid, with their jackknife over groups of frames."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from napari_dl4smlm.backend.evaluation.comparison.scores import Score
from napari_dl4smlm.backend.evaluation.scores import score_image
from napari_dl4smlm.backend.localizations.density_map import render_density_map

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_dl4smlm.backend.evaluation.scores import ImageScores
    from napari_dl4smlm.backend.localizations.table import Localizations

_GROUPS = 10
"""Each keeps an image in memory; with ten, the interval is 15 % longer than with very many."""

TRUTH_SIGMA_PX = 1.0
"""Width, in pixels of the common grid, of the Gaussian that is drawn for an emitter."""

# bounds the memory for the spots that are drawn at a time
_EMITTERS_AT_A_TIME = 20_000


def group_frames(n_frames: int) -> list[range]:
    """Divide frames into up to ten groups in a row, of about equal size.

    In a row, since an emitter that shows in successive frames should not be in several groups.
    """
    groups = min(_GROUPS, n_frames)
    edges = [k * n_frames // groups for k in range(groups + 1)]
    return [range(start, stop) for start, stop in pairwise(edges)]


def sum_images(images: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Add up the images of all groups."""
    # single precision would lose the dim half of a sum over more than some 10 000 frames
    total: NDArray[np.float64] = np.sum(images, axis=0, dtype=np.float64)
    return total


def refine(image: NDArray[np.floating], times: int) -> NDArray[np.floating]:
    """Divide every pixel of an image into equal parts; sum and centre of mass stay.

    Parameters
    ----------
    image
        Shape (Y, X).
    times
        Parts along each axis.

    Returns
    -------
    NDArray
        Shape (times Y, times X).
    """
    if times == 1:
        return image
    return np.repeat(np.repeat(image, times, axis=0), times, axis=1) / times**2


def draw_positions(
    table: Localizations, *, height: int, width: int, pixel_size_nm: float, upsampling_factor: int
) -> NDArray[np.float32]:
    """Draw emitters of all frames into one image on the common grid, each with the same blur.

    Parameters
    ----------
    table
        True emitters, or localizations.
    height, width, pixel_size_nm
        Of the frames, in camera pixels, and of these.
    upsampling_factor
        Of the grid.
    """
    positions_nm = table.positions_nm()
    shape = (height * upsampling_factor, width * upsampling_factor)
    image = np.zeros(shape, dtype=np.float32)
    for first in range(0, len(positions_nm), _EMITTERS_AT_A_TIME):
        image += render_density_map(
            positions_nm[first : first + _EMITTERS_AT_A_TIME],
            height=height,
            width=width,
            pixel_size_nm=pixel_size_nm,
            upsampling_factor=upsampling_factor,
            sigma_px=TRUTH_SIGMA_PX,
        )
    return image


def leave_one_out(
    predicted: Sequence[NDArray[np.float32]], truth: Sequence[NDArray[np.float32]]
) -> Iterator[ImageScores]:
    """Compare the sum of all images with the truth, then the sums that lack one group each.

    Parameters
    ----------
    predicted
        One image for each group of frames, on the grid of the model.
    truth
        The same groups on the common grid.

    Yields
    ------
    ImageScores
        Each takes seconds for large images. `n_comparisons` tells how many there are.
    """
    times = truth[0].shape[0] // predicted[0].shape[0]
    predicted_sum, true_sum = sum_images(predicted), sum_images(truth)
    yield score_image(refine(predicted_sum, times), true_sum)
    if len(truth) > 1:
        for part, true_part in zip(predicted, truth, strict=True):
            yield score_image(refine(predicted_sum - part, times), true_sum - true_part)


def n_comparisons(n_groups: int) -> int:
    """Tell how many comparisons `leave_one_out` makes."""
    return 1 if n_groups == 1 else n_groups + 1


def jackknife(scores: Sequence[ImageScores]) -> dict[str, Score]:
    """Gather what `leave_one_out` found, by the names of ``ImageScores``."""
    whole, *parts = (dataclasses.asdict(one) for one in scores)
    return {
        name: Score(value, "jackknife", np.array([part[name] for part in parts]))
        if parts
        else Score(value)
        for name, value in whole.items()
    }
