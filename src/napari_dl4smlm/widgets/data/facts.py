"""What is known about the chosen data: numbers, pictures, and how bright the pixels are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_dl4smlm.widgets.data.events import MovieFacts, SimulatedFrame, TruthFacts
from napari_dl4smlm.widgets.data.histogram import HistogramPlot
from napari_dl4smlm.widgets.data.picture_view import PictureView
from napari_dl4smlm.widgets.data.pictures import Picture, contrast
from napari_dl4smlm.widgets.forms.titled_rows import Message

if TYPE_CHECKING:
    from numpy.typing import NDArray


class FactsView(QWidget):
    """Shows facts as they come in.

    Attributes
    ----------
    movie, truth, simulated
        What has come in since the data were changed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.movie: MovieFacts | None = None
        self.truth: TruthFacts | None = None
        self.simulated: SimulatedFrame | None = None
        self._text = Message()
        self._pictures = PictureView()
        self._histogram = HistogramPlot()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._text)
        layout.addWidget(self._pictures)
        layout.addWidget(self._histogram)

    @property
    def is_busy(self) -> bool:
        """Whether something is still being drawn."""
        return self._histogram.is_busy

    def text(self) -> str:
        """Return the numbers as they are shown."""
        return self._text.toPlainText()

    def forget(self) -> None:
        """Know nothing; what is shown stays until `show_all`, so that it does not flicker."""
        self.movie = self.truth = self.simulated = None

    def add(self, event: object) -> None:
        """Show a fact; other events are left to others."""
        if isinstance(event, MovieFacts):
            self.movie = event
        elif isinstance(event, TruthFacts):
            self.truth = event
        elif isinstance(event, SimulatedFrame):
            self.simulated = event
        else:
            return
        self.show_all()

    def show_all(self) -> None:
        """Show what is known, and nothing else."""
        facts = (self.movie, self.truth, self.simulated)
        self._text.show_text("\n".join(fact.text for fact in facts if fact is not None))
        movies: dict[str, NDArray[Any]] = {}
        if self.movie is not None:
            movies["movie"] = self.movie.pixels
        if self.simulated is not None:
            movies["simulated"] = self.simulated.frame
            if self.simulated.own_pixels is not None:
                movies["your movie"] = self.simulated.own_pixels
        self._pictures.show_pictures(self._known_pictures())
        self._histogram.show_movies(movies)

    def _known_pictures(self) -> tuple[Picture, ...]:
        if self.simulated is not None:
            return _side_by_side(self.simulated)
        if self.truth is not None:
            return self.truth.pictures
        return () if self.movie is None else (self.movie.picture,)


def _side_by_side(simulated: SimulatedFrame) -> tuple[Picture, ...]:
    """Return the simulated frame and that of the user's movie, which decides the contrast."""
    frame, own, pixels = simulated.frame, simulated.own, simulated.own_pixels
    limits = contrast(frame if pixels is None else pixels)
    pictures = (Picture("simulated", frame, limits),)
    return pictures if own is None else (*pictures, Picture("your movie", own, limits))
