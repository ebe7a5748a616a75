"""A movie and the true positions of its emitters."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari.layers import Layer

from napari_dl4smlm.widgets.data.checks import check_movie
from napari_dl4smlm.widgets.data.events import Fault, MovieFacts, RefusalError, about
from napari_dl4smlm.widgets.data.page import (
    DataPage,
    DivisionRows,
    PixelSizeEditor,
    finder_of,
    movie_box,
    positions_box,
)
from napari_dl4smlm.widgets.forms.upsampling import UPSAMPLING_TIP, upsampling_editor
from napari_dl4smlm.widgets.sources.choices import MovieChoice, TableChoice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari.layers import Image


class MoviePage(DataPage):
    """Choices of movie, positions, pixel size and upsampling."""

    action = (
        "Show on the movie",
        "Open the movie as a layer, and draw the true positions over it",
    )

    def __init__(self) -> None:
        super().__init__()
        self.add_box("movie", "Movie", movie_box(), "Raw frames: a layer, a TIFF, .npy or folder")
        self.add_box(
            "positions",
            "Positions",
            positions_box(),
            "Ground truth: where the emitters are, as points or as a ThunderSTORM table",
        )
        self.pixel_size = PixelSizeEditor()
        self.upsampling = upsampling_editor()
        tip = "Side of a camera pixel in the sample; what is entered wins over the movie's own"
        self.rows.add("pixel_size_nm", "Pixel size", self.pixel_size, tip)
        self.rows.add("upsampling_factor", "Upsampling", self.upsampling, UPSAMPLING_TIP)
        self.below = self.division = DivisionRows(self.changed)
        self.pixel_size.changed.connect(self.changed)
        self.boxes["movie"].changed.connect(self.pixel_size.forget)
        self.upsampling.changed.connect(self.changed)

    def prepare(self) -> Callable[[], Iterator[object]]:
        """Take what is chosen."""
        chosen = self.chosen("movie", "Choose a movie.")
        size_nm = self.pixel_size.size_nm()
        with about("movie"):
            movie = MovieChoice.of(chosen)
        return partial(
            check_movie,
            movie,
            self._positions(chosen, size_nm),
            pixel_size_nm=size_nm,
            upsampling_factor=self.upsampling.value(),
            division=self.division.value(),
        )

    def show_event(self, event: object) -> None:
        """Show the pixel size that the movie tells."""
        if isinstance(event, MovieFacts):
            self.pixel_size.follow(event)

    def show_fault(self, fault: Fault | None) -> bool:
        """Show a fault below its row, and no other."""
        # both, so that none shows an old one
        is_mine = any([self.rows.show_fault(fault), self.division.show_fault(fault)])
        if fault is None:
            self.rows.show_fault(self._warning())
        return is_mine

    def _warning(self) -> Fault | None:
        """Say that the positions are no true ones; a network can be trained all the same."""
        positions = self.boxes["positions"].value()
        finder = finder_of(positions) if isinstance(positions, Layer) else None
        if finder is None:
            return None
        return Fault(
            "positions",
            f"These localizations were found by the network {finder!r}. They are no ground truth: "
            "a network that is trained with them learns the errors of that one too.",
        )

    def _positions(self, movie: Image | Path, size_nm: float | None) -> TableChoice | Fault:
        try:
            chosen = self.chosen("positions", "Choose the true positions.")
            with about("positions"):
                return TableChoice.of(chosen, movie, size_nm)
        except RefusalError as refusal:
            return refusal.fault
