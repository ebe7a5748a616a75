"""The Compare widget: from several models and one movie to what each is worth and costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QGridLayout, QVBoxLayout

from napari_dl4smlm.backend.evaluation.comparison.events import (
    ComparisonStarted,
    ComparisonStopped,
    FramesPredicted,
    ImagesScored,
)
from napari_dl4smlm.widgets.command_panel import CommandPanel
from napari_dl4smlm.widgets.compare.form import ComparisonForm
from napari_dl4smlm.widgets.compare.progress import ComparisonProgress
from napari_dl4smlm.widgets.compare.results import ComparisonResults
from napari_dl4smlm.widgets.compare.run import ComparisonGrown
from napari_dl4smlm.widgets.compare.saving import ComparisonOrigin
from napari_dl4smlm.widgets.compare.shown import LayerChoice, ShownComparison
from napari_dl4smlm.widgets.dock import DockWidget
from napari_dl4smlm.widgets.fold import Fold
from napari_dl4smlm.widgets.forms.columns import title_label, two_columns
from napari_dl4smlm.widgets.forms.titled_rows import Message
from napari_dl4smlm.widgets.run_buttons import RunButtons
from napari_dl4smlm.widgets.run_state import RunState
from napari_dl4smlm.widgets.session import Session
from napari_dl4smlm.widgets.sources.layer_watch import LayerWatch
from napari_dl4smlm.widgets.worker import EventWorker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.components import ViewerModel
    from napari.layers import Image
    from qtpy.QtGui import QShowEvent

# a batch of frames on a CPU; the viewer is blocked as long as that when its dock is closed
_LONGEST_WAIT_S = 5.0

_NO_MOVIE_FILE = (
    "The frames of this layer are in no file, as far as is known. Save the movie and open that "
    "file: the command for it then stands here."
)
_NO_TRUTH_FILE = (
    "The true positions are in no file, as far as is known. Save them as a table and choose that: "
    "the command then stands here."
)


class CompareWidget(DockWidget):
    """Compares models on a movie: accuracy, resolution, speed, memory and size, with intervals.

    Parameters
    ----------
    napari_viewer
        Where the movie is, and gets the images of all models side by side.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        # layers from napari's proxy would be other objects at each look
        self._viewer: ViewerModel = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self._session = Session.of(self._viewer)
        self._state = RunState.IDLE
        self._watch: LayerWatch | None = None
        self._movie_layer: Image | None = None
        self._origin: ComparisonOrigin | None = None
        self._grown: ComparisonGrown | None = None
        self._n_models = 0
        self._was_stopped = False
        self._form, self._choice = ComparisonForm(self._viewer), LayerChoice()
        self._buttons = RunButtons(
            "Compare",
            "Compare the models on the frames that trained none of them",
            "End after the step under way; the models that are done are kept",
        )
        self._progress, self._results = ComparisonProgress(), ComparisonResults()
        self._warnings, self._command = Message(), CommandPanel()
        self._shown = ShownComparison(self._viewer, self._choice, self)
        self._worker = EventWorker(latest_only=(FramesPredicted, ImagesScored), parent=self)
        self._lay_out()
        self._connect()
        self._open()

    def start(self) -> None:
        """Compare, unless something is running or missing."""
        if self._state.is_active or self._form.problem() is not None:
            return
        run = self._form.run()
        self._movie_layer = self._form.movie.layer()
        movie, truth = self._form.movie.path, self._form.truth.path
        self._origin = ComparisonOrigin(run.movie.name, movie, truth, self._commands())
        self._grown, self._was_stopped = None, False
        self._n_models = len(run.models)
        self._show_warnings([])
        self._progress.begin_on(len(run.devices))
        self._become(RunState.RUNNING)
        self._worker.start(run.events)

    def cancel(self) -> None:
        """End after the step under way; the models that are done are kept."""
        if self._state.why_disabled("stop") is None:
            self._become(RunState.STOPPING)
            self._worker.stop()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Follow the viewer and the session, also after the widget was closed once."""
        super().showEvent(event)
        self._open()

    def _lay_out(self) -> None:
        show = two_columns(QGridLayout())
        show.addWidget(title_label("Show", "Images side by side, on the place of the movie"), 0, 0)
        show.addWidget(self._choice, 0, 1)
        column = QVBoxLayout()
        column.addWidget(self._form)
        column.addLayout(show)
        for part in (
            self._buttons,
            self._progress,
            self._warnings,
            self._results,
            Fold(self._command, "Command line"),
        ):
            column.addWidget(part)
        column.addStretch(1)
        self.set_column(column)

    def _connect(self) -> None:
        self._form.changed.connect(self._show_state)
        self._buttons.start_pressed.connect(self.start)
        self._buttons.cancel_pressed.connect(self.cancel)
        self._results.label_picked.connect(self._shown.select_label)
        self._worker.event_arrived.connect(self._on_event)
        self._worker.ended.connect(self._on_ended)
        self._worker.failed.connect(self._on_failed)

    def _open(self) -> None:
        if self._watch is not None:
            return
        self._watch = LayerWatch(self._viewer, self._on_layers, self._form.look_again)
        self._session.model_changed.connect(self._form.models.set_trained)
        self._on_layers()
        if self._session.model_path is not None:
            self._form.models.set_trained(self._session.model_path)
        self._show_state()

    def on_closed(self, *, viewer_stays: bool) -> None:
        """Let go of the viewer; what was found stays in the widget, which may be opened again."""
        if self._watch is None:
            return
        self._watch.close()
        self._watch = None
        self._session.model_changed.disconnect(self._form.models.set_trained, missing_ok=True)
        self._form.close_all()
        self._shown.close()
        if self._state.is_active:
            self._worker.close(_LONGEST_WAIT_S if viewer_stays else 0)
            if self._state is not RunState.STOPPING:
                self._become(RunState.STOPPING)
            self._become(RunState.STOPPED)

    def _on_layers(self) -> None:
        self._form.set_layers(self._viewer.layers)

    def _on_event(self, event: object) -> None:
        self._progress.tell(event)
        match event:
            case ComparisonStarted():
                self._show_warnings(event.warnings)
            case ComparisonGrown():
                assert self._origin is not None
                self._grown = event
                self._show_warnings(event.comparison.warnings)
                self._results.show_grown(event, self._origin)
            case ComparisonStopped():
                self._was_stopped = True

    def _on_ended(self) -> None:
        found = self._end(RunState.STOPPED if self._was_stopped else RunState.DONE)
        how = "Stopped" if self._was_stopped else "Finished"
        self._progress.finish(f"{how}: {found or 'no model was done'}.")

    def _on_failed(self, message: str, details: str) -> None:
        self._progress.fail(message, details, kept=self._end(RunState.FAILED))
        show_error(f"The comparison failed. {message}")

    def _end(self, state: RunState) -> str:
        """Show the images of what was compared, and tell how much that is; empty for nothing."""
        self._become(state)
        if self._grown is None:
            return ""
        assert self._movie_layer is not None
        comparison = self._grown.comparison
        self._shown.show_comparison(comparison, self._movie_layer)
        self.scroll_to(self._results)
        models = f"{len(comparison.models)} of {self._n_models} models"
        return f"{models} compared on {len(comparison.data.frames):,} frames"

    def _become(self, state: RunState) -> None:
        self._state = self._state.becomes(state)
        self._show_state()

    def _show_warnings(self, warnings: Iterable[str]) -> None:
        self._warnings.show_text("\n".join(f"⚠ {warning}" for warning in warnings))

    def _show_state(self) -> None:
        """Show what the state of the run and the form allow, and why not the rest."""
        self._form.set_disabled(self._state.why_disabled("form"))
        self._buttons.show_state(self._state, self._form.problem())
        self._progress.show_state(self._state)
        command = self._commands()
        if command:
            self._command.show_commands([command])
        else:
            self._command.show_reason(self._form.problem() or self._why_no_command())

    def _commands(self) -> str:
        """Return the command that compares the same; empty if there is none."""
        form = self._form
        has_truth = form.truth.value() is not None
        if form.problem() is not None or form.movie.path is None:
            return ""
        if has_truth and form.truth.path is None:
            return ""
        # its import takes a second, and was done with that of the models
        from napari_dl4smlm.widgets.command_line import compare_command

        # said in any case: the file may tell another pixel size than the layer
        options = form.options().model_copy(update={"pixel_size_nm": form.pixel_size_nm()})
        truth = form.truth.path if has_truth else None
        return compare_command(
            form.models.paths(), form.movie.path, truth, form.devices.names(), options
        )

    def _why_no_command(self) -> str:
        return _NO_MOVIE_FILE if self._form.movie.path is None else _NO_TRUTH_FILE
