"""The report of a prediction: the image, what is known about it, and where it comes from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tifffile
from pydantic import BaseModel, ValidationError

from napari_dl4smlm.backend.acquisition.frames import open_frames, parse_frame_range
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.evaluation.quality import mean_frame, measure_quality
from napari_dl4smlm.backend.figures.quality import draw_quality
from napari_dl4smlm.backend.figures.triptych import draw_triptych
from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm
from napari_dl4smlm.backend.prediction.output import LOCALIZATIONS, RECONSTRUCTION
from napari_dl4smlm.backend.report.markup import Html, element
from napari_dl4smlm.backend.report.models import model_facts
from napari_dl4smlm.backend.report.page import facts, section, write_page
from napari_dl4smlm.backend.report.pictures import picture
from napari_dl4smlm.backend.report.provenance import provenance_sections

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.evaluation.quality import Quality
    from napari_dl4smlm.backend.localizations.table import Localizations
    from napari_dl4smlm.backend.models.model_file import ModelCard
    from napari_dl4smlm.backend.report.provenance import Provenance


class Origin(BaseModel):
    """What ``reconstruction.tif`` tells about itself."""

    software: str
    movie: str
    camera_pixel_size_nm: float
    model: str
    model_weights_sha256: str
    threshold: float
    frames: tuple[str]


@dataclass(frozen=True, eq=False)
class PredictionResult:
    """What `dl4smlm predict` wrote, read again.

    Attributes
    ----------
    folder
        Where it is.
    image
        Shape (f Y, f X), emitters per fine pixel.
    localizations
        The table.
    origin
        What the image tells about itself.
    """

    folder: Path
    image: NDArray[np.float32]
    localizations: Localizations
    origin: Origin

    @property
    def files(self) -> list[tuple[str, Path]]:
        """Role and path of the files."""
        return [
            ("image", self.folder / RECONSTRUCTION),
            ("localizations", self.folder / LOCALIZATIONS),
        ]


def open_result(folder: str | os.PathLike[str]) -> PredictionResult:
    """Read the folder that a prediction wrote.

    Raises
    ------
    InputError
        A file is missing or is not as a prediction writes it.
    """
    folder = Path(folder)
    for name in (RECONSTRUCTION, LOCALIZATIONS):
        if not (folder / name).is_file():
            raise InputError(
                f"There is no {name} in {folder}. Give the folder that `dl4smlm predict` wrote."
            )
    origin = _read_origin(folder / RECONSTRUCTION)
    with open_frames(folder / RECONSTRUCTION) as stack:
        (image,) = stack.read(0, 1)
    table = read_thunderstorm(folder / LOCALIZATIONS, pixel_size_nm=origin.camera_pixel_size_nm)
    return PredictionResult(folder, image, table, origin)


def write_prediction_report(
    path: str | os.PathLike[str],
    result: PredictionResult,
    movie: FrameStack,
    card: ModelCard | None,
    provenance: Provenance,
) -> None:
    """Write a prediction as one HTML file, with all that can be measured without truth.

    Parameters
    ----------
    path
        The file; an older one of that name is kept aside.
    result
        Of the prediction.
    movie
        The raw frames.
    card
        Of the model, if its file is at hand.
    provenance
        Files, machine and command.

    Raises
    ------
    InputError
        The movie or the model is another one than that of the prediction, or as for `write_page`.
    """
    origin = result.origin
    if card is not None and card.weights_sha256 != origin.model_weights_sha256:
        raise InputError(
            f"The model does not hold the weights that made {result.folder / RECONSTRUCTION}. Give "
            "the model of that prediction, or leave it out."
        )
    movie = open_frames(movie, pixel_size_nm=origin.camera_pixel_size_nm)
    frames = parse_frame_range(origin.frames[0], movie.n_frames)
    quality = measure_quality(result.localizations, movie, image=result.image, frames=frames)
    sections = _sections(result, movie, frames, quality, card, provenance)
    write_page(path, f"Prediction of {origin.movie}", sections)


def _read_origin(path: Path) -> Origin:
    try:
        with tifffile.TiffFile(path) as tiff:
            metadata = tiff.imagej_metadata or {}
        return Origin.model_validate(json.loads(metadata["Info"]))
    except (KeyError, ValueError, tifffile.TiffFileError, ValidationError) as error:
        raise InputError(
            f"{path} does not tell which movie and model it comes from, as `dl4smlm predict` "
            "writes it. Predict the movie again."
        ) from error


def _sections(
    result: PredictionResult,
    movie: FrameStack,
    frames: range,
    quality: Quality,
    card: ModelCard | None,
    provenance: Provenance,
) -> Iterator[Html]:
    origin = result.origin
    figure = draw_triptych(
        mean_frame(movie, frames), result.image, pixel_size_nm=origin.camera_pixel_size_nm
    )
    yield picture(
        figure,
        "Mean of the raw frames and sum of the density maps, with the fullest square enlarged.",
        alternative="Raw mean and super-resolution image",
        kind="png",
    )
    rows = (
        element(
            "tr",
            element("th", one.label, scope="row"),
            element("td", one.text, class_="number"),
            element("td", one.problem or one.assumption),
        )
        for one in quality.measured().values()
    )
    table = element("div", element("table", element("tbody", *rows)), class_="wide")
    yield section("Measured without ground truth", table)
    yield picture(
        draw_quality(**vars(quality)),
        "The curves and maps behind these numbers.",
        alternative="Resolution, error map, precision and statistics of the table",
        kind="png",
    )
    yield section("Data and settings", facts(_settings(result, movie, frames)))
    if card is not None:
        yield section("Model", model_facts(card.architecture, card))
    yield from provenance_sections(provenance)


def _settings(
    result: PredictionResult, movie: FrameStack, frames: range
) -> Iterator[tuple[str, str]]:
    origin = result.origin
    yield "movie", f"{origin.movie}: {movie.n_frames:,} frames of {movie.height} × {movie.width} px"
    yield (
        "frames predicted",
        f"{frames.start}:{frames.stop}, counted from 0, {len(frames):,} in all",
    )
    yield "camera pixel", f"{origin.camera_pixel_size_nm:g} nm"
    yield "localizations", f"{len(result.localizations):,}"
    yield "threshold", f"{origin.threshold:.3g}"
    yield "predicted with", f"{origin.model}, {origin.software}"
    yield "SHA-256 of the weights", element("code", origin.model_weights_sha256)
