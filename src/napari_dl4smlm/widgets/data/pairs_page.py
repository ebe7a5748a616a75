"""Raw frames, and a true super-resolution image of each."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_dl4smlm.widgets.data.checks import check_pairs
from napari_dl4smlm.widgets.data.events import Fault, MovieFacts, RefusalError, about
from napari_dl4smlm.widgets.data.page import DataPage, DivisionRows, PixelSizeEditor, movie_box
from napari_dl4smlm.widgets.sources.choices import MovieChoice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class PairsPage(DataPage):
    """Choices of raw frames, true images and pixel size; the upsampling follows from the sizes."""

    action = ("Show the pair", "Open both as layers that lie on each other")

    def __init__(self) -> None:
        super().__init__()
        self.add_box("raw", "Raw frames", movie_box(), "A layer, a TIFF, .npy or folder of TIFFs")
        self.add_box(
            "images",
            "True images",
            movie_box(role="ground truth"),
            "Ground truth: for every raw frame an image 1, 2, 4 or 8 times as fine.\n"
            "Files of two folders are paired by name.",
        )
        self.pixel_size = PixelSizeEditor()
        tip = "Side of a camera pixel in the sample; pairs can be trained without it"
        self.rows.add("pixel_size_nm", "Pixel size", self.pixel_size, tip)
        self.below = self.division = DivisionRows(self.changed)
        self.pixel_size.changed.connect(self.changed)
        self.boxes["raw"].changed.connect(self.pixel_size.forget)

    def prepare(self) -> Callable[[], Iterator[object]]:
        """Take what is chosen."""
        chosen = self.chosen("raw", "Choose the raw frames.")
        size_nm = self.pixel_size.size_nm()
        with about("raw"):
            raw = MovieChoice.of(chosen)
        return partial(
            check_pairs,
            raw,
            self._images(),
            pixel_size_nm=size_nm,
            division=self.division.value(),
        )

    def show_event(self, event: object) -> None:
        """Show the pixel size that the raw frames tell."""
        if isinstance(event, MovieFacts):
            self.pixel_size.follow(event)

    def show_fault(self, fault: Fault | None) -> bool:
        """Show a fault below its row, and no other."""
        # both, so that none shows an old one
        return any([self.rows.show_fault(fault), self.division.show_fault(fault)])

    def _images(self) -> MovieChoice | Fault:
        try:
            chosen = self.chosen("images", "Choose the true images.")
            with about("images"):
                return MovieChoice.of(chosen)
        except RefusalError as refusal:
            return refusal.fault
