"""The dock widget in which data for training are chosen, looked at and handed on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.widgets.data.events import (
    Fault,
    Ready,
    RefusalError,
    SimulatedFrame,
    about,
    with_fault,
)
from napari_dl4smlm.widgets.data.facts import FactsView
from napari_dl4smlm.widgets.data.layers import DataLayers, OpenedMovies
from napari_dl4smlm.widgets.data.movie_page import MoviePage
from napari_dl4smlm.widgets.data.pairs_page import PairsPage
from napari_dl4smlm.widgets.data.preview import previews, show_simulated
from napari_dl4smlm.widgets.data.simulation_page import SimulationPage
from napari_dl4smlm.widgets.data.training_source import on_layer
from napari_dl4smlm.widgets.dock import DockWidget
from napari_dl4smlm.widgets.forms.titled_rows import Message
from napari_dl4smlm.widgets.session import Session, TrainingSource
from napari_dl4smlm.widgets.sources.latest_run import LatestRun
from napari_dl4smlm.widgets.sources.layer_watch import LayerWatch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari.components import ViewerModel
    from napari.layers import Image, Layer
    from qtpy.QtGui import QShowEvent

    from napari_dl4smlm.widgets.data.page import DataPage

# typing a number or dragging a layer changes it many times
_SETTLED_MS = 200


class DataWidget(DockWidget):
    """Three ways to choose data for training, and what is known about the chosen ones.

    Parameters
    ----------
    napari_viewer
        Its layers are offered; its `Session` gets the data.

    Attributes
    ----------
    checked
        Emitted when all is known about the chosen data, right or wrong.
    """

    checked = Signal()

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        # layers from napari's proxy would be other objects at each look
        self._viewer: ViewerModel = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.movie_page = MoviePage()
        self.pairs_page = PairsPage()
        self.simulation_page = SimulationPage()
        self._pages: dict[str, DataPage] = {
            "Movie + positions": self.movie_page,
            "Pairs": self.pairs_page,
            "Simulation": self.simulation_page,
        }
        self._facts = FactsView()
        self._elsewhere = Message()
        self._in_use = Message()
        self._show = QPushButton()
        self._use = QPushButton("Use for training")
        self._choices = QButtonGroup(self)
        self._lay_out()

        self._fault: Fault | None = None
        self._source: TrainingSource | None = None
        self._layers = DataLayers(self._viewer)
        self._session = Session.of(self._viewer)

        self._checks = LatestRun(self)
        self._actions = LatestRun(self)
        self._is_closed = False
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._connect()
        self._watch = LayerWatch(self._viewer, self._on_layers, self._on_layer)
        self.destroyed.connect(self._watch.close)
        self._on_layers()
        self.choose(0)

    @property
    def page(self) -> DataPage:
        """The way to choose data that is chosen."""
        return list(self._pages.values())[self._choices.checkedId()]

    @property
    def is_busy(self) -> bool:
        """Whether something is still being found out or opened."""
        runs = self._checks.is_running or self._actions.is_running
        return self._settled.isActive() or runs or self._facts.is_busy

    def choose(self, index: int) -> None:
        """Choose a movie with positions (0), pairs (1) or a simulation (2)."""
        button = self._choices.button(index)
        assert button is not None
        button.setChecked(True)

    def use_for_training(self) -> None:
        """Hand the data that are chosen to the Train widget, if nothing is wrong with them."""
        source = self._source
        if source is None:
            return
        layer = self._layers.showing(self.page.movie())
        if layer is not None and self.page is not self.simulation_page:
            source = on_layer(source, layer.name)
        self._use.setEnabled(False)
        self._use.setText("Opening…")
        self._use.setToolTip("All that training needs is being opened.")
        self._actions.start(lambda: with_fault(_opened_once(source)))

    def on_closed(self, *, viewer_stays: bool) -> None:
        """Look no further until the widget is back."""
        del viewer_stays
        self._settled.stop()
        self._checks.cancel()
        self._actions.cancel()
        self._is_closed = True

    def showEvent(self, event: QShowEvent | None) -> None:
        """Look at the data again after the widget was closed."""
        super().showEvent(event)
        if self._is_closed:
            self._is_closed = False
            self._on_change()

    def close_runs(self) -> None:
        """Wait for what runs in other threads, and tell nothing of it."""
        self._settled.stop()
        self._checks.close()
        self._actions.close()

    def _connect(self) -> None:
        self._checks.event_arrived.connect(self._on_fact)
        self._checks.ended.connect(self._on_checked)
        self._checks.failed.connect(self._on_failure)
        self._actions.event_arrived.connect(self._on_opened)
        self._actions.failed.connect(self._on_failure)
        self._settled.timeout.connect(self._check)
        for page in self._pages.values():
            page.changed.connect(partial(self._on_page_change, page))
        self._choices.idToggled.connect(self._on_page)
        self._show.clicked.connect(self._on_show)
        self._use.clicked.connect(self.use_for_training)

    def _lay_out(self) -> None:
        rows = QVBoxLayout()
        rows.addLayout(self._radio_buttons())
        for page in self._pages.values():
            rows.addWidget(page)
        rows.addWidget(self._facts)
        for page in self._pages.values():
            rows.addWidget(page.below)
        rows.addStretch(1)
        footer = QWidget()
        fixed = QVBoxLayout(footer)
        buttons = QHBoxLayout()
        buttons.addWidget(self._show)
        buttons.addWidget(self._use)
        for widget in (self._elsewhere, self._in_use):
            fixed.addWidget(widget)
        fixed.addLayout(buttons)
        self.set_column(rows, footer)

    def _radio_buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        for index, title in enumerate(self._pages):
            button = QRadioButton(title)
            self._choices.addButton(button, index)
            row.addWidget(button)
        return row

    def _on_page(self, index: int, is_chosen: bool) -> None:
        if not is_chosen:
            return
        for page in self._pages.values():
            page.setVisible(page is self.page)
            page.below.setVisible(page is self.page)
        self._show.setText(self.page.action[0])
        self._forget_facts()
        self._facts.show_all()
        self._on_change()
        self._settled.start(0)

    def _on_layers(self) -> None:
        for page in self._pages.values():
            page.set_layers(self._viewer.layers)

    def _on_layer(self, layer: Layer) -> None:
        if self.page.uses(layer):
            self._on_change()

    def _on_page_change(self, page: DataPage) -> None:
        if page is self.page:
            self._on_change()

    def _on_change(self) -> None:
        """Check again, once nothing has changed for a moment."""
        self._checks.cancel()
        self._actions.cancel()
        self._source = None
        self._show_state("The data are being looked at.")
        self._settled.start(_SETTLED_MS)

    def _check(self) -> None:
        self._forget_facts()
        try:
            events = self.page.prepare()
        except RefusalError as refusal:
            self._fault = refusal.fault
            self._on_checked()
            return
        self._checks.start(lambda: with_fault(events()))

    def _forget_facts(self) -> None:
        self._fault = None
        self._facts.forget()

    def _on_fact(self, event: object) -> None:
        self._facts.add(event)
        self.page.show_event(event)
        if isinstance(event, Fault):
            self._fault = event
        elif isinstance(event, Ready):
            self._source = event.source
        elif isinstance(event, SimulatedFrame) and previews(self._viewer):
            show_simulated(self._viewer, event)

    def _on_checked(self) -> None:
        """Show what is wrong, or that nothing is."""
        fault = self._fault
        self._facts.show_all()
        has_row = self.page.show_fault(fault)
        is_elsewhere = fault is not None and fault.field and not has_row
        self._elsewhere.show_fault(fault.message if fault is not None and is_elsewhere else "")
        self._show_state("" if fault is None else fault.message)
        self.checked.emit()

    def _on_failure(self, message: str, details: str) -> None:
        self._source = None
        self._fault = Fault("unexpected", message)
        self._elsewhere.setToolTip(details)
        self._on_checked()

    def _show_state(self, reason: str) -> None:
        """Enable what can be done now; the other buttons say why they cannot."""
        self._use.setText("Use for training")
        self._use.setEnabled(self._source is not None)
        self._use.setToolTip(
            "Train a network on these data, in the widget Train"
            if self._source is not None
            else reason
        )
        can_show = self._facts.movie is not None or self._facts.simulated is not None
        self._show.setEnabled(can_show)
        self._show.setToolTip(self.page.action[1] if can_show else reason)

    def _on_show(self) -> None:
        if self.page is self.simulation_page:
            self._preview()
            return
        self._actions.start(
            self._layers.open_missing(
                self.page.movie(), self._images(), pixel_size_nm=self._pixel_size_nm()
            )
        )

    def _preview(self) -> None:
        if previews(self._viewer):
            self.simulation_page.seed += 1
            self._on_change()
        elif self._facts.simulated is not None:
            show_simulated(self._viewer, self._facts.simulated)

    def _images(self) -> Image | Path | None:
        """Return the true images of a pair that fits."""
        is_pair = self.page is self.pairs_page and self._facts.truth is not None
        return self.pairs_page.boxes["images"].value() if is_pair else None

    def _pixel_size_nm(self) -> float | None:
        return None if self._facts.movie is None else self._facts.movie.pixel_size_nm

    def _on_opened(self, event: object) -> None:
        if isinstance(event, OpenedMovies):
            self._show_layers(event)
        elif isinstance(event, TrainingSource):
            self._session.data = event
            self._in_use.show_text(f"In use: {event.summary}")
            self._show_state("")
        elif isinstance(event, Fault):
            self._source = None
            self._fault = event
            self._on_checked()

    def _show_layers(self, opened: OpenedMovies) -> None:
        movie = self.page.movie()
        if movie is None:
            return
        truth, size_nm = self._facts.truth, self._pixel_size_nm()
        try:
            self._layers.show(opened, movie, self._images(), truth, size_nm)
        except InputError as error:
            # a frame that was not looked at before may be damaged
            self._on_failure(str(error), "")


def _opened_once(source: TrainingSource) -> Iterator[object]:
    """Open data for training as the training will, so that it does not fail there."""
    with about("source"), source.open(0):
        pass
    yield source
