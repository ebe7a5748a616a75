"""What a prediction has found: the table, and the files that it is saved to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_dl4smlm.widgets.fold import Fold
from napari_dl4smlm.widgets.forms.titled_rows import Message
from napari_dl4smlm.widgets.localization_table import LocalizationTable
from napari_dl4smlm.widgets.saving import ask_for_file, file_stem, written
from napari_dl4smlm.widgets.worker import EventWorker

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dl4smlm.widgets.predict.overlays import PredictionOverlays
    from napari_dl4smlm.widgets.predict.run import PredictedMovie

_ABOUT_IMAGE = (
    "Save the sum of all density maps as a 32-bit TIFF with its pixel size;\n"
    "an older file of that name is kept aside"
)
_ABOUT_TABLE = (
    "Save the localizations that pass the filter as a ThunderSTORM table (.csv), also those\n"
    "whose points were deleted in the viewer (to save what is left of them, save their layer);\n"
    "an older file of that name is kept aside"
)
_NO_RESULT = "There is nothing to save yet: predict a movie first."
_NO_ROWS = "No localization passes the filter."
_SAVING = "Wait until the last file is written."


class ResultsPanel(QWidget):
    """The localizations of the last prediction as a table, and buttons to save them and the image.

    Who picks a row of the table sees its point in the viewer, and the other way round.
    """

    def __init__(self) -> None:
        super().__init__()
        self._result: PredictedMovie | None = None
        self._overlays: PredictionOverlays | None = None
        self._folder = Path()
        self._saver = EventWorker(parent=self)
        self._image_button = QPushButton("Save image…")
        self._table_button = QPushButton("Save table…")
        self._table = LocalizationTable()
        self._fold = Fold(self._table, "Localizations")
        self._saved = Message()
        self._image_button.clicked.connect(lambda: self._ask("image"))
        self._table_button.clicked.connect(lambda: self._ask("table"))
        self._table.row_selected.connect(self._on_row)
        self._table.filtered.connect(self._on_filter)
        self._saver.event_arrived.connect(lambda path: self._saved.show_text(f"Saved: {path}"))
        self._saver.failed.connect(self._on_not_saved)
        self._saver.ended.connect(self._show_buttons)
        buttons = QHBoxLayout()
        buttons.addWidget(self._image_button)
        buttons.addWidget(self._table_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(buttons)
        layout.addWidget(self._saved)
        layout.addWidget(self._fold)
        self._show_buttons()

    def show_result(
        self, result: PredictedMovie, overlays: PredictionOverlays, folder: Path
    ) -> None:
        """Show what was found.

        Parameters
        ----------
        result
            What to show and to save.
        overlays
            Its layers.
        folder
            Where files are offered to be saved.
        """
        self._result, self._overlays, self._folder = result, overlays, folder
        overlays.picked.connect(self._table.select_row)
        self._saved.show_text("")
        self._table.set_localizations(result.localizations)
        self._fold.set_title(f"Localizations ({len(result.localizations):,})")
        self._fold.set_open(True)

    def save_image(self, path: Path) -> None:
        """Write the image in another thread."""
        if self._result is not None:
            result = self._result
            self._save(path, lambda: result.write_image(path))

    def save_table(self, path: Path) -> None:
        """Write the localizations that pass the filter in another thread."""
        if self._result is not None:
            result, rows = self._result, self._table.shown_rows().copy()
            self._save(path, lambda: result.write_table(path, rows))

    def _save(self, path: Path, write: Callable[[], None]) -> None:
        if self._saver.is_running:
            self._saved.show_text(_SAVING)
            return
        self._saver.start(lambda stop: written(path, write))
        self._show_buttons()

    def _on_not_saved(self, message: str, details: str) -> None:
        del details
        self._saved.show_fault(message)
        show_error(message)
        self._show_buttons()

    def _show_buttons(self) -> None:
        why_not = _NO_RESULT if self._result is None else None
        why_not = _SAVING if self._saver.is_running else why_not
        no_rows = None if len(self._table.shown_rows()) else _NO_ROWS
        no_table = self._table.fault or no_rows
        for button, reason, what in (
            (self._image_button, why_not, _ABOUT_IMAGE),
            (self._table_button, why_not or no_table, _ABOUT_TABLE),
        ):
            button.setEnabled(reason is None)
            button.setToolTip(reason or what)

    def _on_row(self, row: int) -> None:
        if self._overlays is not None:
            self._overlays.highlight(row)

    def _on_filter(self) -> None:
        if self._overlays is not None:
            self._overlays.show_only(self._table.shown_rows())
        self._show_buttons()

    def _ask(self, what: str) -> None:
        assert self._result is not None
        suffix, save, kinds = {
            "image": (".tif", self.save_image, "Images (*.tif *.tiff)"),
            "table": (".csv", self.save_table, "Tables (*.csv)"),
        }[what]
        suggested = self._folder / f"{file_stem(self._result.movie_name)}-{what}{suffix}"
        path = ask_for_file(self, f"Save the {what}", suggested, kinds)
        if path is not None:
            save(path)
