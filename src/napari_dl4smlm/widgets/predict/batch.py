"""The list of files to predict, which becomes the summary of what came of each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_dl4smlm.backend.prediction.events import (
    BatchPredicted,
    FilesWritten,
    PredictionStarted,
    PredictionStopped,
)
from napari_dl4smlm.widgets.command_panel import CommandPanel
from napari_dl4smlm.widgets.fold import Fold
from napari_dl4smlm.widgets.predict.command import predict_commands
from napari_dl4smlm.widgets.predict.files import (
    FileFailed,
    FilesLeft,
    FileStarted,
    result_folders,
)
from napari_dl4smlm.widgets.predict.terms import describe_progress
from napari_dl4smlm.widgets.run_buttons import RunButtons

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_dl4smlm.backend.prediction.config import PredictionConfig
    from napari_dl4smlm.widgets.run_state import RunState

_LIST_LINES = 6
_NO_FILES = "Add files first."


class BatchPanel(QWidget):
    """Files, the folder for their results, and what came of each file.

    Attributes
    ----------
    changed
        Emitted when there are other files, or another folder.
    buttons
        To predict them.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._movies: list[Path] = []
        self._list = QListWidget()
        self._list.setWordWrap(True)
        self._list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self._list.setFixedHeight(_LIST_LINES * (self._list.fontMetrics().height() + 6))
        self._add, self._remove = QPushButton("Add files…"), QPushButton("Remove")
        self._into = QLineEdit()
        self._into.setPlaceholderText("results: NAME-prediction, beside each file")
        self._browse = QToolButton()
        self._browse.setText("…")
        self.buttons = RunButtons("Predict files", "Predict all files, each to its own folder")
        self._command = CommandPanel()
        self._abouts: dict[QWidget, str] = {
            self._add: "Add movies: TIFF or .npy files",
            self._remove: "Remove the selected files from the list",
            self._into: "Folder in which each file gets a folder of its own",
            self._browse: "Choose a folder for the results of all files",
        }
        self._current = 0
        self._warned: set[int] = set()
        self._stopped = False
        self._n_done = self._n_failed = 0
        self._add.clicked.connect(self._ask_for_files)
        self._remove.clicked.connect(self._remove_selected)
        self._browse.clicked.connect(self._ask_for_folder)
        self._into.textChanged.connect(lambda _: self.changed.emit())
        self._arrange()

    def movies(self) -> list[Path]:
        """Return the files."""
        return list(self._movies)

    def folders(self) -> list[Path]:
        """Return the folder for the results of each file."""
        return result_folders(self._movies, self._folder())

    def add_files(self, paths: Iterable[Path]) -> None:
        """Add files that are not in the list yet."""
        for path in paths:
            if path not in self._movies:
                self._movies.append(path)
        self._reset()

    def set_into(self, folder: Path | None) -> None:
        """Choose the folder for all results; none for beside each file."""
        self._into.setText("" if folder is None else str(folder))

    def lines(self) -> list[str]:
        """Return what the list says about each file."""
        return [self._item(number).text() for number in range(self._list.count())]

    def show_state(self, state: RunState, problem: str | None) -> None:
        """Enable what a state allows, and say why not the rest.

        Parameters
        ----------
        state
            Of the run, be it of these files or not.
        problem
            Why no file can be predicted; ``None`` if they can.
        """
        why_not = state.why_disabled("form")
        for control, what in self._abouts.items():
            control.setEnabled(why_not is None)
            control.setToolTip(why_not or what)
        self.buttons.show_state(state, problem if self._movies else _NO_FILES)

    def show_commands(self, model_path: Path, config: PredictionConfig) -> None:
        """Show the command for each file."""
        if self._movies:
            commands = predict_commands(model_path, self._movies, config, self._folder())
            self._command.show_commands(commands)
        else:
            self.show_no_commands(_NO_FILES)

    def show_no_commands(self, reason: str) -> None:
        """Say why there are no commands."""
        self._command.show_reason(reason)

    def begin(self) -> None:
        """Show that nothing has come of any file yet."""
        self._reset()

    def on_event(self, event: object) -> None:
        """Show what became of a file."""
        match event:
            case FileStarted():
                self._current, self._stopped = event.number, False
                self._tell(event.number, "running…")
                self._list.scrollToItem(self._item(event.number))
            case PredictionStarted() if event.warnings:
                self._warned.add(self._current)
                self._item(self._current).setToolTip("\n\n".join(event.warnings))
            case BatchPredicted():
                self._tell(self._current, describe_progress(event))
            case PredictionStopped():
                self._stopped = True
            case FilesWritten():
                self._on_written(event)
            case FileFailed():
                self._n_failed += 1
                self._tell(event.number, f"✗ {event.message}")
            case FilesLeft():
                for number in event.numbers:
                    self._tell(number, "not predicted")

    @property
    def has_failures(self) -> bool:
        """Whether a file could not be predicted."""
        return self._n_failed > 0

    def found(self) -> str:
        """Sum up what came of the files."""
        parts = [f"{self._n_done} of {len(self._movies)} files predicted"]
        parts += [f"{self._n_failed} failed"] if self._n_failed else []
        parts += [f"{len(self._warned)} with warnings"] if self._warned else []
        return ", ".join(parts)

    def on_failure(self) -> None:
        """Show that the run has ended before the file under way was done."""
        for number in range(self._current, len(self._movies)):
            self._tell(number, "not predicted")

    def _folder(self) -> Path | None:
        text = self._into.text().strip()
        return Path(text).expanduser() if text else None

    def _on_written(self, event: FilesWritten) -> None:
        if self._stopped:
            kept = f"{event.n_localizations:,} localizations kept" if event.paths else "nothing"
            self._tell(self._current, f"stopped, {kept}")
            return
        self._n_done += 1
        warning = " ⚠" if self._current in self._warned else ""
        self._tell(self._current, f"✓ {event.n_localizations:,} localizations{warning}")
        if not warning:
            self._item(self._current).setToolTip(str(event.paths[0].parent))

    def _reset(self) -> None:
        self._list.clear()
        for path in self._movies:
            item = QListWidgetItem(path.name)
            item.setToolTip(str(path))
            self._list.addItem(item)
        self._warned.clear()
        self._current = self._n_done = self._n_failed = 0
        self.changed.emit()

    def _tell(self, number: int, what: str) -> None:
        self._item(number).setText(f"{self._movies[number].name}: {what}")

    def _item(self, number: int) -> QListWidgetItem:
        item = self._list.item(number)
        assert item is not None
        return item

    def _remove_selected(self) -> None:
        rows = {self._list.row(item) for item in self._list.selectedItems()}
        self._movies = [path for row, path in enumerate(self._movies) if row not in rows]
        self._reset()

    def _ask_for_files(self) -> None:
        chosen, _ = QFileDialog.getOpenFileNames(
            self, "Movies to predict", "", "Movies (*.tif *.tiff *.npy);;All files (*)"
        )
        self.add_files(map(Path, chosen))

    def _ask_for_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Folder for the results")
        if chosen:
            self.set_into(Path(chosen))

    def _arrange(self) -> None:
        above, into = QHBoxLayout(), QHBoxLayout()
        above.addWidget(self._add)
        above.addWidget(self._remove)
        into.addWidget(self._into, 1)
        into.addWidget(self._browse)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(above)
        layout.addWidget(self._list)
        layout.addLayout(into)
        layout.addWidget(self.buttons)
        layout.addWidget(Fold(self._command, "Command line"))
