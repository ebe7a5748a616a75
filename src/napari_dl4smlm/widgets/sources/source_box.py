"""A choice between the layers of the viewer and files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QMenu, QToolButton

from napari_dl4smlm.widgets.forms.field_editors import ChoiceEditor, Editor
from napari_dl4smlm.widgets.sources.dropped_file import dropped_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari.layers import Layer
    from qtpy.QtGui import QDragEnterEvent, QDropEvent

MOVIE_FILES = "Movies (*.tif *.tiff *.btf *.tf8 *.npy);;All files (*)"
TABLE_FILES = "Tables (*.csv *.tsv *.txt *.xls);;All files (*)"


class SourceBox(Editor):
    """A layer, or a file or folder, which is dropped here or picked with the button beside.

    Parameters
    ----------
    accepts
        Whether a layer is offered.
    prefers
        Whether a layer is chosen as long as the user has chosen nothing.
    files
        Qt's filter of file names.
    folders
        Whether a folder may be chosen.
    empty
        What it means that nothing is chosen.
    """

    def __init__(
        self,
        *,
        accepts: Callable[[Layer], bool],
        prefers: Callable[[Layer], bool],
        files: str,
        folders: bool,
        empty: str = "layer or file",
    ) -> None:
        self._choice = ChoiceEditor({None: empty})
        browse = QToolButton()
        browse.setText("…")
        browse.setToolTip("Choose a file")
        super().__init__(self._choice, browse)
        self._accepts = accepts
        self._prefers = prefers
        self._files = files
        self._folders = folders
        self._empty = empty
        self._layers: list[Layer] = []
        self._paths: list[Path] = []
        self._is_untouched = True
        self.removed_name = ""
        self.setAcceptDrops(True)
        if folders:
            menu = QMenu(browse)
            menu.addAction("File…", self._browse_file)
            menu.addAction("Folder…", self._browse_folder)
            browse.setMenu(menu)
            # beside the dots there is no room for an arrow
            browse.setStyleSheet("QToolButton::menu-indicator { image: none; }")
            browse.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
            browse.setToolTip("Choose a file, or a folder with a file for each frame")
        else:
            browse.clicked.connect(self._browse_file)
        self._choice.changed.connect(self._on_change)

    def value(self) -> Layer | Path | None:
        """Return what is chosen."""
        return self._choice.value()

    def set_value(self, value: Layer | Path | None) -> None:
        """Choose a layer, or any file."""
        if isinstance(value, Path) and value not in self._paths:
            self._paths.append(value)
            self._offer()
        self._choice.set_value(value)

    def set_layers(self, layers: Iterable[Layer]) -> None:
        """Offer the layers that are there now; one that is gone is no longer chosen."""
        self._layers = [layer for layer in layers if self._accepts(layer)]
        chosen = self._choice.value()
        if not (chosen is None or isinstance(chosen, Path) or chosen in self._layers):
            was_untouched = self._is_untouched
            self._choice.set_value(None)
            self._is_untouched = was_untouched
            # that of a removed layer is what the user knew it by
            self.removed_name = chosen.name
        self._offer()
        preferred = next(filter(self._prefers, self._layers), None)
        if self._is_untouched and self.value() is None and preferred is not None:
            self._choice.set_value(preferred)
            self._is_untouched = True

    def fault(self) -> str:
        """Say why nothing is chosen, if it was a layer that is gone."""
        return f"The layer {self.removed_name!r} was removed. Choose another." * bool(
            self.removed_name
        )

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Welcome one file, or a folder where that may be chosen."""
        if event is not None and dropped_file(event, folders=self._folders) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Choose the file that was dropped."""
        path = None if event is None else dropped_file(event, folders=self._folders)
        if event is not None and path is not None:
            event.acceptProposedAction()
            self.set_value(path)

    def _offer(self) -> None:
        self._choice.set_choices(
            {None: self._empty}
            | {layer: layer.name for layer in self._layers}
            | {path: path.name for path in self._paths}
        )
        for value in (*self._layers, *self._paths):
            self._choice.describe(value, str(value))
        # the chosen layer may have another name now
        self._show_whole_name()

    def _show_whole_name(self) -> None:
        # names may be longer than the row
        chosen = self.value()
        self._choice.setToolTip("" if chosen is None else str(chosen))

    def _on_change(self) -> None:
        self._is_untouched = False
        self.removed_name = ""
        self._show_whole_name()
        self.changed.emit()

    def _browse_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Choose a file", self._folder(), self._files)
        if path:
            self.set_value(Path(path))

    def _browse_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Choose a folder", self._folder())
        if path:
            self.set_value(Path(path))

    def _folder(self) -> str:
        return str(self._paths[-1].parent) if self._paths else ""
