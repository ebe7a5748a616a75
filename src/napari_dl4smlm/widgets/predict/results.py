"""What a prediction has found: the table, and the files that it is saved to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.widgets.fold import Fold
from napari_dl4smlm.widgets.localization_table import LocalizationTable
from napari_dl4smlm.widgets.worker import EventWorker
from napari_dl4smlm.widgets.wrapped_text import WrappedText

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_dl4smlm.widgets.predict.overlays import PredictionOverlays
    from napari_dl4smlm.widgets.predict.run import PredictedMovie

_TABLE_HEIGHT = 260
_NO_IMAGE = "There is no image yet: predict a movie first."
_SAVING = "Wait until the last file is written."


class ResultsPanel(QWidget):
    """The localizations of the last prediction as a table, and buttons to save them and the image.

    A click on a row of the table shows the localization in the viewer.
    """

    def __init__(self) -> None:
        super().__init__()
        self._result: PredictedMovie | None = None
        self._overlays: PredictionOverlays | None = None
        self._movie_path: Path | None = None
        self._saver = EventWorker(parent=self)
        self._image_button = QPushButton("Save image…")
        self._table = LocalizationTable()
        self._table.setMinimumHeight(_TABLE_HEIGHT)
        self._fold = Fold(self._table, "Localizations")
        self._saved = WrappedText()
        self._saved.hide()
        self._image_button.clicked.connect(lambda: self._ask("image", ".tif", self.save_image))
        self._table.export_requested.connect(lambda: self._ask("table", ".csv", self.save_table))
        self._table.row_selected.connect(self._highlight)
        self._saver.event_arrived.connect(lambda path: self._tell(f"Saved: {path}"))
        self._saver.failed.connect(lambda message, details: self._tell(f"⚠ {message}"))
        self._saver.ended.connect(self._show_buttons)
        self._saver.failed.connect(self._show_buttons)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self._image_button, self._saved, self._fold):
            layout.addWidget(widget)
        self._show_buttons()

    def show_result(
        self, result: PredictedMovie, overlays: PredictionOverlays, movie_path: Path | None
    ) -> None:
        """Show what was found.

        Parameters
        ----------
        result
            What to show and to save.
        overlays
            Its layers.
        movie_path
            Files are offered to be saved beside it.
        """
        self._result, self._overlays, self._movie_path = result, overlays, movie_path
        self._saved.hide()
        self._table.set_localizations(result.localizations)
        self._fold.set_title(f"Localizations ({len(result.localizations):,})")
        self._fold.set_open(True)
        self._show_buttons()

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
            self._tell(_SAVING)
            return
        self._saver.start(lambda stop: _written(path, write))
        self._show_buttons()

    def _tell(self, text: str) -> None:
        self._saved.setPlainText(text)
        self._saved.show()

    def _show_buttons(self) -> None:
        why_not = _NO_IMAGE if self._result is None else None
        why_not = _SAVING if self._saver.is_running else why_not
        self._image_button.setEnabled(why_not is None)
        self._image_button.setToolTip(
            why_not or "Save the sum of all density maps as a 32-bit TIFF with its pixel size"
        )

    def _highlight(self, row: int) -> None:
        if self._overlays is not None:
            self._overlays.highlight(row)

    def _ask(self, what: str, suffix: str, save: Callable[[Path], None]) -> None:
        assert self._result is not None
        folder = Path.cwd() if self._movie_path is None else self._movie_path.parent
        name = f"{Path(self._result.movie_name).stem}-{what}{suffix}"
        chosen, _ = QFileDialog.getSaveFileName(
            self, f"Save the {what}", str(folder / name), f"*{suffix}"
        )
        if chosen:
            path = Path(chosen)
            save(path if path.suffix else path.with_suffix(suffix))


def _written(path: Path, write: Callable[[], None]) -> Iterator[Path]:
    try:
        write()
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror or error}). If there was a file of that "
            "name, it is as it was. Make room, or choose another place."
        ) from error
    yield path
