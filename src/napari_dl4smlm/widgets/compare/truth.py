"""Chooses the true positions to compare with: a layer, a file, or none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image, Layer, Points
from qtpy.QtCore import Signal

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.widgets.layers.layers import mark_of
from napari_dl4smlm.widgets.sources.about import AboutChoice
from napari_dl4smlm.widgets.sources.choices import TableChoice
from napari_dl4smlm.widgets.sources.latest_run import LatestRun
from napari_dl4smlm.widgets.sources.source_box import SourceBox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from napari_dl4smlm.backend.localizations.table import Localizations

_FILES = "Tables (*.csv *.tsv *.txt *.xls *.hdf5 *.h5);;All files (*)"
_NO_TRUTH = (
    "Without true positions there is no accuracy: resolution, precision and agreement with the raw "
    "frames are compared instead."
)


class TruthPicker(SourceBox):
    """A layer or a file and, below it, how many positions it holds or why it cannot be used.

    As long as the user has chosen nothing, it follows the movie: its ground truth is chosen.

    Attributes
    ----------
    checked
        More is known about what was chosen.
    path
        File that holds the same positions; ``None`` as long as none was found.
    problem
        Why the positions cannot be used; ``None`` if they can, or none are chosen.
    """

    checked = Signal()

    def __init__(self) -> None:
        # asked for layers before there is a movie
        self._movie: Image | None = None
        super().__init__(
            accepts=_may_be_chosen,
            prefers=self._is_truth_of_movie,
            files=_FILES,
            folders=False,
            empty="none",
        )
        self.path: Path | None = None
        self.problem: str | None = None
        self._size_nm: float | None = None
        self._table: TableChoice | None = None
        self._reading = LatestRun(self)
        self.about = self.below = AboutChoice()
        self._reading.event_arrived.connect(self._on_read)
        self._reading.failed.connect(self._on_failure)
        self.changed.connect(self.check)
        self.check()

    def follow(self, movie: Image | None, size_nm: float | None, layers: Iterable[Layer]) -> None:
        """Look for the truth of another movie, unless the user has chosen one.

        Parameters
        ----------
        movie
            The layer that the positions lie on.
        size_nm
            Its camera pixel, as far as that is known.
        layers
            Of the viewer.
        """
        is_same = movie is self._movie and size_nm == self._size_nm
        self._movie, self._size_nm = movie, size_nm
        chosen = self.value()
        if self._is_untouched and chosen is not None and not self._is_truth_of_movie(chosen):
            self.set_value(None)
            self._is_untouched = True
        self.set_layers(layers)
        if not is_same:
            self.check()

    def reader(self) -> Callable[[], Localizations] | None:
        """Return what reads the positions, in any thread; ``None`` without truth."""
        if self._table is None:
            return None
        return partial(_read, self._table, self._size_nm)

    def check(self) -> None:
        """Look anew at what is chosen."""
        self.path = self._table = None
        self._reading.cancel()
        chosen = self.value()
        if chosen is None:
            self._tell(_NO_TRUTH, self.fault() or None)
            return
        if isinstance(chosen, Points) and self._movie is None:
            self._tell("", None)
            return
        try:
            # points belong to the movie that they lie on; a table, to any
            self._table = TableChoice.of(chosen, self._movie or Path(), self._size_nm)
        except InputError as error:
            self._tell("", str(error))
            return
        table, size_nm = self._table, self._size_nm
        self._reading.start(lambda: _look_at(table, size_nm))
        self._tell(
            "The positions are being read.", "The true positions are being read.", quiet=True
        )

    def close_all(self) -> None:
        """Read no longer."""
        self._reading.cancel()

    def _tell(self, description: str, problem: str | None, *, quiet: bool = False) -> None:
        self.problem = problem
        self.about.tell(description, "" if quiet else problem or "")
        self.checked.emit()

    def _on_read(self, read: _ReadTable) -> None:
        self.path = read.path
        count = f"{read.count:,} true position{'' if read.count == 1 else 's'}"
        movie, chosen = self._movie, self.value()
        made_for = mark_of(chosen).get("movie") if isinstance(chosen, Points) else None
        if movie is not None and made_for not in (None, movie.name):
            count += f"\n⚠ They were made for {made_for!r}, and the movie is {movie.name!r}."
        self._tell(count, None)

    def _on_failure(self, message: str, details: str) -> None:
        del details
        self._tell("", message)

    def _is_truth_of_movie(self, layer: Layer) -> bool:
        mark = mark_of(layer)
        return (
            self._movie is not None
            and isinstance(layer, Points)
            and mark.get("role") == "ground truth"
            and mark.get("movie") in (None, self._movie.name)
        )


@dataclass(frozen=True)
class _ReadTable:
    count: int
    path: Path | None


def _may_be_chosen(layer: Layer) -> bool:
    return isinstance(layer, Points)


def _read(table: TableChoice, size_nm: float | None) -> Localizations:
    from napari_dl4smlm.backend.localizations.table_file import open_table

    if table.layer_table is not None:
        return table.layer_table
    assert table.path is not None
    return open_table(table.path, pixel_size_nm=size_nm).localizations


def _look_at(table: TableChoice, size_nm: float | None) -> Iterator[_ReadTable]:
    count = len(_read(table, size_nm))
    # counted first: to compare a large layer with its file takes a while
    yield _ReadTable(count, table.path if table.layer_table is None else None)
    if table.layer_table is not None and size_nm is not None:
        yield _ReadTable(count, table.in_file(size_nm))
