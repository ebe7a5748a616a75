"""What a comparison has found: a verdict in words, the table, figures, and files to save."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtCore import Signal
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFileDialog, QGridLayout, QPushButton, QVBoxLayout, QWidget

from napari_dl4smlm.widgets.compare.plots import ComparisonPlots
from napari_dl4smlm.widgets.compare.saving import (
    ComparisonOrigin,
    save_folder,
    save_report,
    save_table,
)
from napari_dl4smlm.widgets.compare.score_table import ScoreTable
from napari_dl4smlm.widgets.forms.titled_rows import Message
from napari_dl4smlm.widgets.saving import ask_for_file, file_stem, written
from napari_dl4smlm.widgets.worker import EventWorker

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dl4smlm.widgets.compare.run import ComparisonGrown

_ABOUTS = {
    "Copy table": "Copy all numbers to the clipboard, as CSV, for a spreadsheet",
    "Save CSV…": "Save all numbers as a table, with the ends of their intervals",
    "Save report…": "Save one HTML file with all of it: results, figures, models, machine, "
    "checksums and the command that repeats it",
    "Save folder…": "Save table, all numbers as JSON, and figures to a folder",
}
_SAVING = "Wait until the last file is written."


class ComparisonResults(QWidget):
    """The last comparison; hidden as long as there is none.

    Attributes
    ----------
    label_picked
        Emitted with the label of the model that the user has picked in the table or a figure.
    """

    label_picked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._grown: ComparisonGrown | None = None
        self._origin: ComparisonOrigin | None = None
        self._verdict, self._saved = Message(), Message()
        self.table, self.plots = ScoreTable(), ComparisonPlots()
        self._buttons = {text: QPushButton(text) for text in _ABOUTS}
        self._saver = EventWorker(parent=self)
        copy, csv, report, folder = self._buttons.values()
        copy.clicked.connect(self.copy_table)
        csv.clicked.connect(lambda: self._ask("table"))
        report.clicked.connect(lambda: self._ask("report"))
        folder.clicked.connect(self._ask_for_folder)
        self._saver.event_arrived.connect(lambda path: self._saved.show_text(f"Saved: {path}"))
        self._saver.failed.connect(self._on_not_saved)
        self._saver.ended.connect(self._show_buttons)
        for part in (self.table, self.plots):
            part.label_picked.connect(self._on_picked)
        self._lay_out()
        self._show_buttons()
        self.setVisible(False)

    def show_grown(self, grown: ComparisonGrown, origin: ComparisonOrigin) -> None:
        """Show what was found so far, in place of the comparison before."""
        from napari_dl4smlm.backend.evaluation.comparison.verdicts import verdicts

        self._grown, self._origin = grown, origin
        several = len(grown.table.labels) > 1
        self._verdict.show_text("\n".join(verdicts(grown.table)) if several else "")
        self._saved.show_text("")
        self.table.show_table(grown.table)
        self.plots.show_comparison(grown.comparison, grown.table)
        self.setVisible(True)
        self._show_buttons()

    def verdict(self) -> str:
        """Return what is said in words."""
        return self._verdict.toPlainText()

    def saved(self) -> str:
        """Return what was saved last, or why it could not be."""
        return self._saved.toPlainText()

    @property
    def is_saving(self) -> bool:
        """Whether a file is being written."""
        return self._saver.is_running

    def copy_table(self) -> None:
        """Copy all numbers to the clipboard."""
        from napari_dl4smlm.backend.evaluation.comparison.output import table_text

        clipboard = QGuiApplication.clipboard()
        if clipboard is not None and self._grown is not None:
            clipboard.setText(table_text(self._grown.table))
            self._saved.show_text("The table is on the clipboard.")

    def save_csv(self, path: Path) -> None:
        """Write the table in another thread."""
        if self._grown is not None:
            self._save(path, partial(save_table, path, self._grown))

    def save_report(self, path: Path) -> None:
        """Write the report in another thread."""
        if self._grown is not None and self._origin is not None:
            self._save(path, partial(save_report, path, self._grown, self._origin))

    def save_folder(self, path: Path) -> None:
        """Write table, numbers and figures in another thread."""
        if self._grown is not None:
            self._save(path, partial(save_folder, path, self._grown))

    def _save(self, path: Path, write: Callable[[], None]) -> None:
        if self._saver.is_running:
            self._saved.show_text(_SAVING)
            return
        self._saved.show_text(f"Saving {path.name} …")
        self._saver.start(lambda stop: written(path, write))
        self._show_buttons()

    def _on_not_saved(self, message: str, details: str) -> None:
        del details
        self._saved.show_fault(message)
        show_error(message)
        self._show_buttons()

    def _on_picked(self, label: str) -> None:
        self.table.select_label(label)
        self.plots.select_label(label)
        self.label_picked.emit(label)

    def _show_buttons(self) -> None:
        for text, button in self._buttons.items():
            why_not = _SAVING if self._saver.is_running and text.startswith("Save") else None
            button.setEnabled(why_not is None)
            button.setToolTip(why_not or _ABOUTS[text])

    def _ask(self, what: str) -> None:
        assert self._origin is not None
        suffix, save, kinds = {
            "table": (".csv", self.save_csv, "Tables (*.csv)"),
            "report": (".html", self.save_report, "Reports (*.html *.htm)"),
        }[what]
        suggested = self._origin.folder / f"{file_stem(self._origin.name)}-comparison{suffix}"
        path = ask_for_file(self, f"Save the {what}", suggested, kinds)
        if path is not None:
            save(path)

    def _ask_for_folder(self) -> None:
        assert self._origin is not None
        chosen = QFileDialog.getExistingDirectory(
            self, "Folder for table, numbers and figures", str(self._origin.folder)
        )
        if chosen:
            self.save_folder(Path(chosen))

    def _lay_out(self) -> None:
        buttons = QGridLayout()
        for number, button in enumerate(self._buttons.values()):
            buttons.addWidget(button, number // 2, number % 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (self._verdict, self.table, self.plots):
            layout.addWidget(part)
        layout.addLayout(buttons)
        layout.addWidget(self._saved)
