"""What is found out about chosen data, step by step, and what is wrong with them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_dl4smlm.backend.localizations.table import Localizations
    from napari_dl4smlm.widgets.data.pictures import Picture
    from napari_dl4smlm.widgets.session import TrainingSource


@dataclass(frozen=True)
class Fault:
    """Why the data cannot train.

    Attributes
    ----------
    field
        Name of the row that it is about; empty where something was not chosen yet.
    """

    field: str
    message: str


@dataclass(frozen=True, eq=False)
class MovieFacts:
    """What a movie is like.

    Attributes
    ----------
    text
        Length, size, pixel type and pixel size, for the user.
    pixels
        Some of its pixels, in one dimension, for a histogram.
    picture
        Part of a frame.
    pixel_size_nm
        Camera pixel, as the layer or the file tells it.
    size_in_file_nm
        Camera pixel in the file that a layer of unknown pixel size was read from.
    """

    text: str
    pixels: NDArray[Any]
    picture: Picture
    pixel_size_nm: float | None
    size_in_file_nm: float | None = None


@dataclass(frozen=True, eq=False)
class TruthFacts:
    """What the ground truth is like.

    Attributes
    ----------
    text
        How many emitters there are and how dense, for the user.
    upsampling_factor
        As inferred from a pair of images, or chosen.
    pictures
        Part of a frame, and of its ground truth.
    table
        The true positions; ``None`` where only images tell.
    """

    text: str
    upsampling_factor: int
    pictures: tuple[Picture, Picture]
    table: Localizations | None = None


@dataclass(frozen=True, eq=False)
class SimulatedFrame:
    """A frame that was simulated, and a part of the user's own movie of the same size.

    Attributes
    ----------
    text
        What is in the frame, for the user.
    frame
        Counts, shape (height, width).
    pixel_size_nm
        Camera pixel of the simulation.
    own
        The part of the movie; ``None`` where there is none to compare with.
    own_pixels
        Pixels of several frames of the movie, in one dimension.
    own_name, own_pixel_size_nm
        Of the movie.
    """

    text: str
    frame: NDArray[Any]
    pixel_size_nm: float
    own: NDArray[Any] | None = None
    own_pixels: NDArray[Any] | None = None
    own_name: str = ""
    own_pixel_size_nm: float | None = None


@dataclass(frozen=True)
class Ready:
    """The data can train."""

    source: TrainingSource


class RefusalError(InputError):
    """Something that the user chose cannot be used, and it is known which row that belongs to."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.fault = Fault(field, message)


@contextmanager
def about(field: str) -> Iterator[None]:
    """Say which row an error of the user's input is about."""
    try:
        yield
    except RefusalError:
        raise
    except InputError as error:
        raise RefusalError(field, str(error)) from error


def with_fault(events: Iterator[object]) -> Iterator[object]:
    """Let a stream that is refused end with its fault."""
    try:
        yield from events
    except RefusalError as refusal:
        fault = refusal.fault
    else:
        return
    yield fault
