"""Chooses the localizations, the movie that they are from, and the camera pixel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Layer, Points
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.picasso import HDF5_SUFFIXES
from napari_dl4smlm.widgets.forms.columns import editor_row
from napari_dl4smlm.widgets.forms.field_editors import NumberEditor
from napari_dl4smlm.widgets.layers.layers import mark_of
from napari_dl4smlm.widgets.layers.localization_layers import PROCESSED, movie_place, table_place
from napari_dl4smlm.widgets.process.source import TableSource
from napari_dl4smlm.widgets.sources.about import AboutChoice
from napari_dl4smlm.widgets.sources.movie_picker import MoviePicker
from napari_dl4smlm.widgets.sources.source_box import SourceBox

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.components import ViewerModel

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.localizations.table import Localizations

_FILES = "Tables (*.csv *.tsv *.txt *.xls *.hdf5 *.h5);;All files (*)"

_ABOUT_SOURCE = "Points layer with localizations, or a table (ThunderSTORM CSV, Picasso HDF5)"
_ABOUT_MOVIE = (
    "The movie that was localized: needed for the quality, and where a table from a file is shown"
)
_ABOUT_PIXEL = (
    "Needed for tables in camera pixels that do not tell it, and to save a Picasso table. If\n"
    "empty: that of the file, or of the movie"
)


class SourceForm(QWidget):
    """Three rows.

    Parameters
    ----------
    viewer
        Whose layers are offered.

    Attributes
    ----------
    changed
        Emitted when there are other localizations, or none.
    movie_changed
        Emitted when more is known about the movie, which is no other reason to begin anew.
    table
        The localizations; ``None`` if none can be used.
    place
        Layer on which positions in nm are; ``None`` without localizations.
    problem
        Why there are no localizations; empty if there are.
    """

    changed = Signal()
    movie_changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.table: TableSource | None = None
        self.place: Points | None = None
        self.problem = ""
        self.source = SourceBox(
            accepts=_may_be_chosen, prefers=_is_preferred, files=_FILES, folders=False
        )
        self._about = self.source.below = AboutChoice()
        self.movie = MoviePicker(viewer)
        self.pixel = NumberEditor(whole=False, unit="nm", accepts=lambda size: size > 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for title, about, editor in (
            ("Localizations", _ABOUT_SOURCE, self.source),
            ("Movie", _ABOUT_MOVIE, self.movie),
            ("Camera pixel", _ABOUT_PIXEL, self.pixel),
        ):
            editor.setToolTip(about)
            layout.addLayout(editor_row(title, about, editor))
        self.source.changed.connect(self.take)
        self.pixel.changed.connect(self.take)
        self.movie.checked.connect(self._on_movie)
        self._on_movie()

    def set_layers(self, layers: Iterable[Layer]) -> None:
        """Offer the layers that are there."""
        there = list(layers)
        had_one = self.source.value()
        self.source.set_layers(there)
        self.movie.set_layers(there)
        if had_one is not self.source.value():
            self.take()
        if self.movie.value() is None:
            # to say that it was removed
            self.movie.check()

    def on_layer(self, layer: Layer) -> None:
        """Look again at a layer that was changed."""
        if layer is self.source.value():
            self.take()
        if layer is self.movie.value():
            self.movie.check()

    def take(self) -> None:
        """Take what is chosen now."""
        chosen = self.source.value()
        self.table, self.problem = None, self.source.fault()
        self._about.tell("", self.problem)
        if chosen is None:
            self.problem = self.problem or "Choose localizations first: a points layer or a table."
        else:
            try:
                self.table = TableSource.of(chosen, self._pixel_size_nm(chosen))
            except InputError as error:
                self.tell_fault(str(error))
        self._set_place(chosen)
        self.changed.emit()

    def tell_table(self, table: Localizations) -> None:
        """Show what was read."""
        self._about.tell(_describe(table))

    def tell_fault(self, message: str) -> None:
        """Show why the localizations cannot be used."""
        self.problem = message
        self._about.tell("", message)

    def description(self) -> str:
        """Return what is said about the localizations."""
        return self._about.description() or self._about.fault()

    def typed_pixel_nm(self) -> float | None:
        """Return the camera pixel that the user has entered."""
        typed = self.pixel.value()
        return float(typed) if isinstance(typed, int | float) and typed > 0 else None

    def frames(self) -> FrameStack | None:
        """Return the movie with the camera pixel that is entered, or its own."""
        movie, typed_nm = self.movie.movie, self.typed_pixel_nm()
        return movie if movie is None or typed_nm is None else movie.with_pixel_size(typed_nm)

    def _on_movie(self) -> None:
        movie = self.movie.movie
        known_nm = None if movie is None else movie.pixel_size_nm
        self.pixel.set_placeholder("auto" if known_nm is None else f"auto: {known_nm:.4g} nm")
        chosen = self.source.value()
        if self.table is not None and self.table.pixel_size_nm != self._pixel_size_nm(chosen):
            self.take()
        elif isinstance(chosen, Path):
            before = self.place
            self._set_place(chosen)
            if before is None or self.place is None or not _are_alike(before, self.place):
                self.changed.emit()
        self.movie_changed.emit()

    def _pixel_size_nm(self, chosen: Points | Path) -> float | None:
        """Return what was entered, or that of the movie if no file tells it."""
        path = chosen if isinstance(chosen, Path) else Path(mark_of(chosen).get("path") or "")
        if self.typed_pixel_nm() is not None or path.suffix.lower() in HDF5_SUFFIXES:
            return self.typed_pixel_nm()
        return None if self.movie.movie is None else self.movie.movie.pixel_size_nm

    def _set_place(self, chosen: Points | Path | None) -> None:
        frames, layer = self.frames(), self.movie.layer()
        if chosen is None:
            # to make a layer takes a second, when napari has made none before
            self.place = None
        elif isinstance(chosen, Points):
            self.place = chosen
        elif frames is not None and layer is not None and frames.pixel_size_nm is not None:
            self.place = movie_place(layer, frames.pixel_size_nm)
        else:
            self.place = table_place()


def _are_alike(first: Points, second: Points) -> bool:
    return first.ndim == second.ndim and all(
        list(getattr(first, name)) == list(getattr(second, name))
        for name in ("scale", "translate", "units")
    )


def _describe(table: Localizations) -> str:
    """Tell how many localizations there are, in which frames, and what is known of them."""
    if not len(table):
        return "no localizations"
    known = [name for name in table.columns() if name not in ("frame", "y_nm", "x_nm", "id")]
    return "\n".join(
        [
            f"{len(table):,} localizations · frames {table.frame.min():,} to {table.frame.max():,}",
            *([", ".join(known)] if known else []),
        ]
    )


def _may_be_chosen(layer: Layer) -> bool:
    return isinstance(layer, Points)


def _is_preferred(layer: Layer) -> bool:
    return isinstance(layer, Points) and mark_of(layer).get("role") not in (None, PROCESSED)
