"""The images of all models and the truth on one grid, to be looked at side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_dl4smlm.backend.evaluation.comparison.images import draw_positions, refine
from napari_dl4smlm.backend.figures.comparison import brightest, largest_difference
from napari_dl4smlm.backend.metrics.image import scaled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.evaluation.comparison.result import Comparison

Content = Literal["density maps", "localizations"]


@dataclass(frozen=True, eq=False)
class CommonGrid:
    """Images that may be looked at side by side.

    Attributes
    ----------
    truth
        Shape (f Y, f X), emitters per pixel of the grid; ``None`` without truth.
    images
        The same of each model, by its label.
    brightest
        End of the range of colours that all of them share, from 0 on.
    differences
        Each image minus the truth; empty without truth.
    largest_difference
        Both ends of the range of colours that the differences share.
    """

    truth: NDArray[np.float32] | None
    images: dict[str, NDArray[np.float32]]
    brightest: float
    differences: dict[str, NDArray[np.float32]]
    largest_difference: float


def refined_images(comparison: Comparison) -> dict[str, NDArray[np.floating]]:
    """Bring the sum of the density maps of each model to the common grid; its sum stays."""
    fine_height = comparison.data.height * comparison.data.upsampling_factor
    return {
        model.label: refine(model.image, fine_height // model.image.shape[0])
        for model in comparison.models
    }


def on_common_grid(comparison: Comparison, content: Content = "density maps") -> CommonGrid:
    """Bring all images to the common grid.

    Parameters
    ----------
    comparison
        The result.
    content
        ``"density maps"``: what the image scores compare; in the differences each image is scaled
        to the sum of the truth, as for these. ``"localizations"``: the localizations of each model,
        drawn as the truth is, with the same blur; nothing is scaled.
    """
    truth = comparison.data.true_image
    if content == "density maps":
        images = refined_images(comparison)
    else:
        images = _drawn_localizations(comparison)
    differences = {}
    if truth is not None:
        scale: Literal["sum", "none"] = "sum" if content == "density maps" else "none"
        differences = {
            label: (scaled(image, truth, scale) - truth).astype(np.float32)
            for label, image in images.items()
        }
    shown = [*images.values(), *([] if truth is None else [truth])]
    return CommonGrid(
        truth=None if truth is None else truth.astype(np.float32),
        images={label: image.astype(np.float32) for label, image in images.items()},
        brightest=brightest(shown),
        differences=differences,
        largest_difference=largest_difference(differences.values()) if differences else 1.0,
    )


def _drawn_localizations(comparison: Comparison) -> dict[str, NDArray[np.floating]]:
    data = comparison.data
    return {
        model.label: draw_positions(
            model.localizations,
            height=data.height,
            width=data.width,
            pixel_size_nm=data.pixel_size_nm,
            upsampling_factor=data.upsampling_factor,
        )
        for model in comparison.models
    }
