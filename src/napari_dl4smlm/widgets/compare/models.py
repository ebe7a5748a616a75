"""Chooses the models that are compared."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.widgets.sources.latest_run import LatestRun
from napari_dl4smlm.widgets.sources.model_text import describe_model, summarize_model
from napari_dl4smlm.widgets.sources.recent_models import recent_models, remember_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from qtpy.QtCore import QMimeData
    from qtpy.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent

    from napari_dl4smlm.backend.models.model_file import ModelCard

_LIST_LINES = 8
_NO_MODELS = "Add models first: files (.safetensors) that training wrote."


@dataclass(frozen=True)
class ReadModel:
    """What a model file says, or why it cannot be read; ``None`` and empty: not known yet."""

    path: Path
    card: ModelCard | None = None
    fault: str = ""

    @property
    def is_known(self) -> bool:
        """Whether the file was looked at."""
        return self.card is not None or bool(self.fault)


class ModelList(QWidget):
    """Model files in the order in which they are compared, each with what it is for.

    Files are added by the buttons, dropped, or come from a training in the same viewer.

    Attributes
    ----------
    changed
        There are other models, or more is known about them.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._models: dict[Path, ReadModel] = {}
        self._just_trained: Path | None = None
        self._list = _DropList()
        self._list.setWordWrap(True)
        self._list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self._list.setFixedHeight(_LIST_LINES * self._list.fontMetrics().height())
        self._add = QPushButton("Add files…")
        self._recent, self._remove = QPushButton("Recent"), QPushButton("Remove")
        self._menu = QMenu(self)
        self._recent.setMenu(self._menu)
        self._abouts = {
            self._list: "Models to compare; files can be dropped here",
            self._add: "Add model files (.safetensors)",
            self._recent: "Add models that were trained or used lately",
            self._remove: "Remove the selected models from the list; their files stay",
        }
        self._reading = LatestRun(self)
        self._reading.event_arrived.connect(self._on_read)
        self._list.dropped.connect(self.add)
        self._add.clicked.connect(self._ask)
        self._remove.clicked.connect(self._remove_selected)
        self._menu.aboutToShow.connect(self._offer_recent)
        self._arrange()
        self.set_disabled(None)

    def paths(self) -> list[Path]:
        """Return the files."""
        return list(self._models)

    def cards(self) -> list[ModelCard]:
        """Return what is known of those that can be read."""
        return [model.card for model in self._models.values() if model.card is not None]

    def lines(self) -> list[str]:
        """Return what the list says about each model."""
        return [item.text() for number in range(len(self._models)) if (item := self._item(number))]

    def problem(self) -> str | None:
        """Say why these models cannot be compared; ``None`` if they can."""
        if not self._models:
            return _NO_MODELS
        for model in self._models.values():
            fault = self._fault(model)
            if fault:
                return f"{model.path.name}: {fault} Remove it from the list, or replace it."
        if not all(model.is_known for model in self._models.values()):
            return "The model files are being read."
        return None

    def add(self, paths: Iterable[Path]) -> None:
        """Add files that are not in the list yet, and read what they say."""
        for path in paths:
            self._models.setdefault(path.absolute(), ReadModel(path.absolute()))
        self._read()

    def set_trained(self, path: Path | None) -> None:
        """Add the model that was just trained, or read it anew if an older one had its name."""
        self._just_trained = path
        if path is not None:
            self._models[path.absolute()] = ReadModel(path.absolute())
            self._read()

    def set_disabled(self, reason: str | None) -> None:
        """Disable all controls and say why, or enable them again."""
        for control, about in self._abouts.items():
            control.setEnabled(reason is None)
            control.setToolTip(reason or about)

    def close_all(self) -> None:
        """Read no longer."""
        self._reading.cancel()

    def _read(self) -> None:
        unknown = [model.path for model in self._models.values() if not model.is_known]
        if unknown:
            self._reading.start(lambda: _read_models(unknown))
        self._show()

    def _on_read(self, model: ReadModel) -> None:
        if model.path not in self._models:
            return
        self._models[model.path] = model
        if model.card is not None:
            remember_model(model.path)
        self._show()

    def _fault(self, model: ReadModel) -> str:
        """Say what is wrong with a model, alone or beside the ones before it."""
        if model.card is None or not model.card.weights_sha256:
            return model.fault
        for other in self._models.values():
            if other is model:
                break
            if other.card and other.card.weights_sha256 == model.card.weights_sha256:
                return f"It holds the same weights as {other.path.name}."
        return ""

    def _show(self) -> None:
        selected = {self._list.row(item) for item in self._list.selectedItems()}
        self._list.clear()
        for number, model in enumerate(self._models.values()):
            item = QListWidgetItem(self._text(model))
            about = "" if model.card is None else f"\n{describe_model(model.card)}"
            item.setToolTip(f"{model.path}{about}")
            self._list.addItem(item)
            item.setSelected(number in selected)
        self.changed.emit()

    def _text(self, model: ReadModel) -> str:
        name = model.path.name
        if [path.name for path in self._models].count(name) > 1:
            name = f"{model.path.parent.name}/{name}"
        if model.path == self._just_trained:
            name += " (just trained)"
        fault = self._fault(model)
        if fault:
            return f"{name}\n⚠ {fault}"
        return f"{name}\n{'reading …' if model.card is None else summarize_model(model.card)}"

    def _item(self, number: int) -> QListWidgetItem | None:
        return self._list.item(number)

    def _remove_selected(self) -> None:
        rows = {self._list.row(item) for item in self._list.selectedItems()}
        self._models = {
            path: model for row, (path, model) in enumerate(self._models.items()) if row not in rows
        }
        self._list.clearSelection()
        self._show()

    def _offer_recent(self) -> None:
        self._menu.clear()
        trained = [] if self._just_trained is None else [self._just_trained.absolute()]
        offered = dict.fromkeys([*trained, *recent_models()])
        for path in offered:
            if path not in self._models:
                action = self._menu.addAction(f"{path.parent.name}/{path.name}")
                assert action is not None
                action.triggered.connect(lambda _checked, path=path: self.add([path]))
        if self._menu.isEmpty():
            none = self._menu.addAction("No other model was used lately.")
            assert none is not None
            none.setEnabled(False)

    def _ask(self) -> None:
        folder = str(next(reversed(self._models)).parent) if self._models else ""
        chosen, _ = QFileDialog.getOpenFileNames(
            self, "Models to compare", folder, "Models (*.safetensors);;All files (*)"
        )
        self.add(map(Path, chosen))

    def _arrange(self) -> None:
        buttons = QHBoxLayout()
        for button in (self._add, self._recent, self._remove):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._list)
        layout.addLayout(buttons)


class _DropList(QListWidget):
    """A list that takes files."""

    dropped = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setAcceptDrops(True)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Welcome files."""
        if event is not None and _files(event.mimeData()):
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent | None) -> None:
        """Welcome them wherever they are dropped."""
        if event is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Tell which files were dropped."""
        if event is not None:
            event.acceptProposedAction()
            self.dropped.emit(_files(event.mimeData()))


def _files(data: QMimeData | None) -> list[Path]:
    urls = [] if data is None else data.urls()
    return [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]


def _read_models(paths: Sequence[Path]) -> Iterator[ReadModel]:
    # imports torch
    from napari_dl4smlm.backend.models.model_file import read_card

    # what needs a model next, and would hold the viewer for a second
    importlib.import_module("napari_dl4smlm.widgets.command_line")
    for path in paths:
        try:
            yield ReadModel(path, read_card(path))
        except InputError as error:
            yield ReadModel(path, fault=str(error))
