"""The Process widget: from localizations as they were found to those that are looked at."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QVBoxLayout

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.widgets.copy_details import CopyDetails
from napari_dl4smlm.widgets.dock import DockWidget
from napari_dl4smlm.widgets.fold import Fold
from napari_dl4smlm.widgets.forms.titled_rows import Message
from napari_dl4smlm.widgets.process.command_view import CommandView, MeasuredMovie
from napari_dl4smlm.widgets.process.processing import (
    Drawn,
    NotDrawn,
    Processed,
    Processing,
    RowDone,
    RowFailed,
    RowReached,
    TableRead,
)
from napari_dl4smlm.widgets.process.quality import QualityPanel
from napari_dl4smlm.widgets.process.saving import SavePanel
from napari_dl4smlm.widgets.process.shown import ShownResult
from napari_dl4smlm.widgets.process.source_form import SourceForm
from napari_dl4smlm.widgets.process.steps import StepList
from napari_dl4smlm.widgets.sources.latest_run import LatestRun
from napari_dl4smlm.widgets.sources.layer_watch import LayerWatch

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from qtpy.QtGui import QShowEvent

    from napari_dl4smlm.backend.processing.config import ProcessingConfig

# a limit that is dragged or typed changes many times
_SETTLED_MS = 200

_WORKING = "The steps are being done …"


class ProcessWidget(DockWidget):
    """Does a list of steps with localizations at every change, and shows what is left.

    Parameters
    ----------
    napari_viewer
        Its layers are offered, and it gets the results.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        # layers from napari's proxy would be other objects at each look
        self._viewer: ViewerModel = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.source, self.steps = SourceForm(self._viewer), StepList()
        self.shown, self.saving = ShownResult(self._viewer), SavePanel()
        self.quality, self.command = QualityPanel(self._viewer), CommandView()
        self._outcome, self._copy = Message(), CopyDetails()
        self._copy.setVisible(False)
        self._processing = Processing()
        self._processed: Processed | None = None
        self._problem = ""
        self._run = LatestRun(self)
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._watch: LayerWatch | None = None
        self._lay_out()
        self._connect()
        self._open()

    @property
    def is_busy(self) -> bool:
        """Whether something is still being done, drawn or written."""
        return (
            self._settled.isActive()
            or self._run.is_running
            or self.saving.is_busy
            or self.quality.is_busy
            or any(row.is_busy for row in self.steps.rows)
        )

    @property
    def processed(self) -> Processed | None:
        """What the steps, as they stand, have left; ``None`` as long as that is not known."""
        return self._processed

    def outcome(self) -> str:
        """Return what is said about all steps together."""
        return self._outcome.toPlainText()

    def on_closed(self, *, viewer_stays: bool) -> None:
        """Stop what runs, and follow the viewer no more."""
        del viewer_stays
        if self._watch is None:
            return
        self._watch.close()
        self._watch = None
        self._settled.stop()
        self._run.cancel()
        self.source.movie.close_all()
        self.quality.cancel()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Follow the viewer, also after the widget was closed once."""
        super().showEvent(event)
        self._open()

    def close_runs(self) -> None:
        """Wait for what runs in other threads, and tell nothing of it."""
        self._settled.stop()
        self._run.close()
        self.saving.close_runs()
        self.quality.close_runs()
        self.source.movie.close_all()

    def _lay_out(self) -> None:
        column = QVBoxLayout()
        for part in (
            self.source,
            self.steps,
            self._outcome,
            self._copy,
            self.shown,
            self.saving,
            Fold(self.quality, "Quality without ground truth"),
            Fold(self.command, "Command line"),
        ):
            column.addWidget(part)
        column.addStretch(1)
        self.set_column(column)

    def _connect(self) -> None:
        self.source.changed.connect(self._on_source)
        self.source.movie_changed.connect(self._show_known)
        self.steps.changed.connect(self._on_change)
        self.shown.changed.connect(self._on_change)
        self.saving.saved.connect(self._show_known)
        self.saving.opened.connect(self._on_opened)
        self.quality.changed.connect(self._show_known)
        self._settled.timeout.connect(self._start)
        self._run.event_arrived.connect(self._on_event)
        self._run.failed.connect(self._on_failed)

    def _open(self) -> None:
        if self._watch is None:
            self._watch = LayerWatch(self._viewer, self._on_layers, self._on_layer)
            self._on_layers()
            self.source.take()

    def _on_layers(self) -> None:
        self.source.set_layers(self._viewer.layers)
        self.steps.set_layers(self._viewer.layers, self.source.place)

    def _on_layer(self, layer: Layer) -> None:
        self.source.on_layer(layer)
        if self.steps.use(layer):
            self._on_change()

    def _on_source(self) -> None:
        table, place = self.source.table, self.source.place
        if table is not None and place is not None and self.shown.set_source(place, table.name):
            self.saving.forget()
        self.steps.set_layers(self._viewer.layers, place)
        self._on_change()

    def _on_change(self) -> None:
        """Do the steps again, once nothing has changed for a moment."""
        self._run.cancel()
        self._set_processed(None, self.source.problem or _WORKING)
        self._settled.start(_SETTLED_MS)

    def _on_opened(self, config: ProcessingConfig) -> None:
        self.shown.set_rendering(config.render)
        self.steps.set_steps(config.steps)

    def _start(self) -> None:
        table = self.source.table
        if table is None:
            self._outcome.show_text("")
            return
        self._copy.setVisible(False)
        try:
            jobs, rendering = self.steps.jobs(), self.shown.rendering()
        except InputError as error:
            self._refuse(str(error))
            return
        self._outcome.show_text(_WORKING)
        self._run.start(partial(self._processing.events, table, jobs, rendering))

    def _on_event(self, event: object) -> None:
        match event:
            case TableRead():
                self.source.tell_table(event.table.content.localizations)
            case RowReached():
                self.steps.rows[event.number].show_reached(event)
            case RowDone():
                self.steps.rows[event.number].show_done(event.applied)
            case RowFailed():
                self.steps.show_fault(event.number, event.message)
                self._refuse(f"Step {event.number + 1}: {event.message}")
            case Processed():
                self._show_processed(event)
            case Drawn() | NotDrawn():
                self.shown.show_image(event)

    def _on_failed(self, message: str, details: str) -> None:
        self.source.tell_fault(message)
        self._copy.set_failure(message, details)
        self._copy.setVisible(True)
        self._refuse(message)

    def _refuse(self, problem: str) -> None:
        """Say why there is no result; the layers of the last one stay."""
        is_old = "\nThe layers show the result before this." * self.shown.has_layers()
        self._outcome.show_fault(problem + is_old)
        self._set_processed(None, problem)

    def _show_processed(self, processed: Processed) -> None:
        before = len(processed.table.content.localizations)
        after = len(processed.content.localizations)
        left = f"{after:,} of {before:,} localizations" if after != before else f"all {after:,}"
        self._outcome.show_text(f"Left: {left}")
        self.shown.show_processed(processed)
        self._set_processed(processed, "")

    def _set_processed(self, processed: Processed | None, problem: str) -> None:
        self._processed, self._problem = processed, problem
        self.saving.show_processed(processed, problem)
        self._show_known()

    def _show_known(self) -> None:
        """Show what can be measured, and the commands, as far as enough is known."""
        processed, problem = self._processed, self._problem
        frames, layer = self.source.frames(), self.source.movie.layer()
        no_quality = problem or self.source.movie.problem or ""
        if not no_quality and frames is not None and frames.pixel_size_nm is None:
            no_quality = (
                frames.pixel_size_fault()
                or f"The pixel size of {frames.name} is not known. Enter the camera pixel."
            )
        localizations = None if processed is None else processed.content.localizations
        has_drift = processed is not None and processed.drift is not None
        self.quality.show_source(localizations, frames, layer, no_quality, has_drift=has_drift)
        table = self.source.table
        if processed is None or table is None:
            self.command.show_reason(problem)
            return
        self.command.show_commands(
            processed,
            self.saving,
            with_image=self.shown.image.isChecked(),
            pixel_size_nm=table.pixel_size_nm,
            movie=None if no_quality else self._measured_movie(),
        )

    def _measured_movie(self) -> MeasuredMovie | None:
        path, frames = self.source.movie.path, self.source.frames()
        if path is None or frames is None:
            return None
        try:
            return MeasuredMovie(path, frames.pixel_size_nm, *self.quality.options())
        except InputError:
            # told by the form once it is tried
            return None
