"""Chooses the movie to predict: a layer, or a file that becomes one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from napari.layers import Image, Labels, Layer
from napari.utils.notifications import show_error
from qtpy.QtCore import QTimer, Signal

from napari_dl4smlm.backend.acquisition.frames import FrameStack, open_frames
from napari_dl4smlm.backend.acquisition.growing_frames import can_grow, open_growing_frames
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.widgets.layers.layers import add_movie, mark_of
from napari_dl4smlm.widgets.sources.about import AboutChoice
from napari_dl4smlm.widgets.sources.choices import MovieChoice, MovieFile
from napari_dl4smlm.widgets.sources.latest_run import LatestRun
from napari_dl4smlm.widgets.sources.movie_text import describe_movie
from napari_dl4smlm.widgets.sources.source_box import MOVIE_FILES, SourceBox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel

# made from movies, and never one
_RESULTS = ("super-resolution image", "preview", "compared", "error map")


_LOOK_AGAIN_MS = 1000


class MoviePicker(SourceBox):
    """A layer and, below it, what its movie is or why it is none.

    Parameters
    ----------
    viewer
        Gets a layer for each file that is chosen, since the results lie on it.

    Attributes
    ----------
    checked
        Emitted when more is known about what was chosen.
    movie
        The frames of the layer, of which no pixel was read; ``None`` if it is no movie.
    path
        File that holds the same frames; ``None`` as long as none was found.
    growing_path
        File or folder of the layer, if more frames may be written to it than the layer has.
    problem
        Why the layer cannot be predicted; ``None`` if it can.
    """

    checked = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(accepts=_may_be_chosen, prefers=_is_movie, files=MOVIE_FILES, folders=True)
        self.movie: FrameStack | None = None
        self.path: Path | None = None
        self.growing_path: Path | None = None
        self.problem: str | None = None
        self._viewer = viewer
        self._is_growing = False
        # of a file without a complete frame, one may come any moment
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.setInterval(_LOOK_AGAIN_MS)
        self._again.timeout.connect(self.check)
        self._opening, self._origin = LatestRun(self), LatestRun(self)
        self.about = self.below = AboutChoice()
        self._opening.event_arrived.connect(self._on_opened)
        self._opening.failed.connect(self._on_not_opened)
        self._origin.event_arrived.connect(self._on_origin)
        self.changed.connect(self.check)
        self.check()

    def layer(self) -> Image | None:
        """Return the layer; ``None`` if none is chosen, or a file is still being opened."""
        chosen = self.value()
        return None if isinstance(chosen, Path) else chosen

    def frames(self) -> FrameStack:
        """Open the movie of the layer, without reading its pixels.

        Raises
        ------
        InputError
            There is none, or the layer is no movie.
        """
        layer = self.layer()
        if layer is None:
            raise InputError(self.fault() or "Choose a movie first: a layer or a file.")
        frames = MovieChoice.of(layer).layer_frames
        assert frames is not None
        return frames

    def set_growing(self, is_growing: bool) -> None:
        """Take files for movies that are still being written, or for complete ones."""
        self._is_growing = is_growing
        self.check()

    def check(self) -> None:
        """Look anew at what is chosen."""
        self.path = self.growing_path = self.movie = None
        self._again.stop()
        self._origin.cancel()
        self._opening.cancel()
        chosen = self.value()
        if isinstance(chosen, Path):
            open_movie = open_growing_frames if self._is_growing else open_frames
            self._opening.start(lambda: iter([_Opened(chosen, open_movie(chosen))]))
            opening = f"{chosen.name} is being opened."
            self._tell(opening, opening)
            return
        try:
            self.movie = self.frames()
        except InputError as error:
            is_fault = chosen is not None or bool(self.fault())
            self._tell("", str(error), is_fault=is_fault)
            return
        choice = MovieChoice.of(chosen)
        if choice.path is not None and can_grow(choice.path):
            self.growing_path = choice.path
        self._origin.start(lambda: _files(choice))
        self._tell(describe_movie(self.movie), None)

    def close_all(self) -> None:
        """Look no longer."""
        self._again.stop()
        self._origin.cancel()
        self._opening.cancel()

    def _tell(self, description: str, problem: str | None, *, is_fault: bool = False) -> None:
        self.problem = problem
        self.about.tell(description, problem if problem and is_fault else "")
        self.checked.emit()

    def _on_opened(self, opened: _Opened) -> None:
        name = opened.path.stem or opened.path.name
        try:
            layer = add_movie(self._viewer, opened.movie, name=name, path=opened.path)
        except InputError as error:
            # one of the frames that it looks at may be damaged
            self._on_not_opened(str(error), "")
        else:
            self.set_value(layer)

    def _on_not_opened(self, message: str, details: str) -> None:
        del details
        self._tell("", message, is_fault=True)
        if self._is_growing:
            self._again.start()
        else:
            show_error(message)

    def _on_origin(self, file: MovieFile) -> None:
        self.path = file.path
        self.checked.emit()


class _Opened(NamedTuple):
    path: Path
    movie: FrameStack


def _files(choice: MovieChoice) -> Iterator[MovieFile]:
    file = choice.in_file()
    if file is not None:
        yield file


def _may_be_chosen(layer: Layer) -> bool:
    return isinstance(layer, Image | Labels) and mark_of(layer).get("role") not in _RESULTS


def _is_movie(layer: Layer) -> bool:
    return isinstance(layer, Image) and not layer.rgb and layer.ndim > 2
