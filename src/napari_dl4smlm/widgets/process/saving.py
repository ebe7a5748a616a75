"""Saves what is left, its image and the steps, and opens recorded steps."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QGridLayout, QPushButton, QVBoxLayout, QWidget

from napari_dl4smlm.backend.config_file import build, read_config, write_config
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.processing.config import ProcessingConfig
from napari_dl4smlm.backend.processing.output import check_outputs, save_image, save_processed
from napari_dl4smlm.widgets.forms.titled_rows import Message
from napari_dl4smlm.widgets.process.command import default_table
from napari_dl4smlm.widgets.saving import ask_for_file, written
from napari_dl4smlm.widgets.worker import EventWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_dl4smlm.widgets.process.processing import Processed

_TABLES = "Tables (*.csv *.hdf5 *.h5)"
_STEPS = "Steps (*.yaml *.yml)"
_SAVING = "Wait until the last file is written."


class SavePanel(QWidget):
    """Buttons, and what was saved last or why it could not be.

    Attributes
    ----------
    saved
        Emitted when a table, an image or steps were written.
    opened
        Carries the config of recorded steps that the user has chosen.
    table, image
        The files that were written last.
    """

    saved = Signal()
    opened = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.table: Path | None = None
        self.image: Path | None = None
        self._steps: Path | None = None
        self._recorded: ProcessingConfig | None = None
        self._processed: Processed | None = None
        self._problem = ""
        self._saver = EventWorker(parent=self)
        self._then: Callable[[], None] | None = None
        self._message = Message()
        self._buttons = {
            what: QPushButton(text)
            for what, text in (
                ("table", "Save table…"),
                ("image", "Save image…"),
                ("steps", "Save steps…"),
                ("open", "Open steps…"),
            )
        }
        self._buttons["open"].setToolTip(
            "Do the steps of a .steps.yaml, as it is written beside every processed table"
        )
        grid = QGridLayout()
        for number, (what, button) in enumerate(self._buttons.items()):
            grid.addWidget(button, number // 2, number % 2)
            button.clicked.connect(partial(self._ask, what))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(grid)
        layout.addWidget(self._message)
        self._saver.event_arrived.connect(self._on_saved)
        self._saver.failed.connect(self._on_failed)
        self._saver.ended.connect(self._show_buttons)

    @property
    def is_busy(self) -> bool:
        """Whether something is being written or read."""
        return self._saver.is_running

    def show_processed(self, processed: Processed | None, problem: str) -> None:
        """Tell what there is to be saved, or why there is nothing."""
        self._processed, self._problem = processed, problem
        self._show_buttons()

    def steps_for(self, config: ProcessingConfig) -> Path | None:
        """Return the file that holds exactly these steps, if they were written."""
        return self._steps if config == self._recorded else None

    def forget(self) -> None:
        """Forget what was saved of another table."""
        self.table = self.image = self._steps = self._recorded = None
        self._message.show_text("")

    def save_table(self, path: Path) -> None:
        """Write the table, its steps and the drift in another thread."""
        processed = self._processed
        if processed is None:
            return

        def write() -> None:
            source, content = processed.table.path, processed.content
            check_outputs(source, content, processed.config, table=path, image=None)
            save_processed(path, processed.content, processed.config, processed.drift)

        def remember() -> None:
            self.table, self._steps = path, path.with_suffix(".steps.yaml")
            self._recorded = processed.config

        self._save(path, write, remember)

    def save_image(self, path: Path) -> None:
        """Write the image in another thread."""
        processed = self._processed
        if processed is None:
            return
        source = processed.table.path

        def write() -> None:
            check_outputs(source, processed.content, processed.config, table=None, image=path)
            name = "" if source is None else source.name
            save_image(path, processed.content, processed.config, source=name)

        self._save(path, write, lambda: setattr(self, "image", path))

    def save_steps(self, path: Path) -> None:
        """Write the steps in another thread."""
        processed = self._processed
        if processed is None:
            return

        def remember() -> None:
            self._steps, self._recorded = path, processed.config

        self._save(path, lambda: write_config(path, processed.config.to_dict()), remember)

    def open_steps(self, path: Path) -> None:
        """Read recorded steps in another thread."""
        if not self._saver.is_running:
            self._saver.start(lambda stop: _read_steps(path))

    def close_runs(self) -> None:
        """Wait until what is being written is complete."""
        self._saver.close()

    def _save(self, path: Path, write: Callable[[], None], then: Callable[[], None]) -> None:
        if self._saver.is_running:
            self._message.show_text(_SAVING)
            return
        self._then = then
        self._saver.start(lambda stop: written(path, write))
        self._show_buttons()

    def _on_saved(self, event: object) -> None:
        if isinstance(event, ProcessingConfig):
            self._message.show_text("")
            self.opened.emit(event)
            return
        then, self._then = self._then, None
        if then is not None:
            then()
        self._message.show_text(f"Saved: {event}")
        self.saved.emit()

    def _on_failed(self, message: str, details: str) -> None:
        del details
        self._message.show_fault(message)
        show_error(message)
        self._show_buttons()

    def _show_buttons(self) -> None:
        reason = _SAVING if self._saver.is_running else self._problem
        abouts = {
            "table": "Save what is left as a ThunderSTORM table (.csv) or a Picasso table (.hdf5), "
            "with the\nsteps (.steps.yaml) and the drift (.drift.csv) beside it",
            "image": "Save the image as a 32-bit TIFF with its pixel size",
            "steps": "Save the steps, to be repeated here or with dl4smlm process --config",
        }
        for what, about in abouts.items():
            self._buttons[what].setEnabled(not reason)
            self._buttons[what].setToolTip(reason or about)
        self._buttons["open"].setEnabled(not self._saver.is_running)

    def _ask(self, what: str) -> None:
        if what == "open":
            chosen, _ = QFileDialog.getOpenFileName(self, "Open steps", self._folder(), _STEPS)
            if chosen:
                self.open_steps(Path(chosen))
            return
        suggested = self.suggested()
        table = suggested if suggested is not None else Path("localizations.processed.csv")
        path, save, kinds = {
            "table": (table, self.save_table, _TABLES),
            "image": (table.with_suffix(".tif"), self.save_image, "Images (*.tif *.tiff)"),
            "steps": (table.with_suffix(".steps.yaml"), self.save_steps, _STEPS),
        }[what]
        named = ask_for_file(self, f"Save the {what}", path, kinds)
        if named is not None:
            save(named)

    def suggested(self) -> Path | None:
        """Return where the processed table goes if the user does not choose another place."""
        source = None if self._processed is None else self._processed.table.path
        return None if source is None else default_table(source)

    def _folder(self) -> str:
        suggested = self.suggested()
        return "" if suggested is None else str(suggested.parent)


def _read_steps(path: Path) -> Iterator[ProcessingConfig]:
    values = read_config(path)
    if not isinstance(values.get("steps") or [], list):
        raise InputError(f"{path}: steps is no list. Choose a file that was written with a table.")
    yield build(ProcessingConfig, values)
