"""The Predict widget: from a movie and a model to a super-resolution image and a table."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QGridLayout, QVBoxLayout

from napari_dl4smlm.backend.prediction.events import (
    BatchPredicted,
    FramesArrived,
    FramesLeftOut,
    PredictionStarted,
    PredictionStopped,
)
from napari_dl4smlm.widgets.command_panel import CommandPanel
from napari_dl4smlm.widgets.dock import DockWidget
from napari_dl4smlm.widgets.fold import Fold
from napari_dl4smlm.widgets.forms.columns import title_label, two_columns
from napari_dl4smlm.widgets.predict.batch import BatchPanel
from napari_dl4smlm.widgets.predict.command import predict_commands
from napari_dl4smlm.widgets.predict.files import FilesLeft, FileStarted, predict_files
from napari_dl4smlm.widgets.predict.form import PredictionForm
from napari_dl4smlm.widgets.predict.overlays import PredictionOverlays
from napari_dl4smlm.widgets.predict.progress import PredictionProgress
from napari_dl4smlm.widgets.predict.results import ResultsPanel
from napari_dl4smlm.widgets.predict.run import ImageGrown, MoviePrediction
from napari_dl4smlm.widgets.predict.shown import LayerBoxes, ShownPrediction
from napari_dl4smlm.widgets.run_buttons import RunButtons
from napari_dl4smlm.widgets.run_state import RunState
from napari_dl4smlm.widgets.session import Session
from napari_dl4smlm.widgets.sources.layer_watch import LayerWatch
from napari_dl4smlm.widgets.worker import EventWorker

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from napari.components import ViewerModel
    from napari.layers import Layer
    from qtpy.QtGui import QShowEvent

# a batch of frames on a CPU; the viewer is blocked as long as that when its dock is closed
_LONGEST_WAIT_S = 5.0

_NO_FILE = (
    "The frames of this layer are in no file, as far as is known. Save the movie and open that "
    "file: the command for it then stands here."
)


class PredictWidget(DockWidget):
    """Predicts a movie in memory and shows the result on it, or many files to their folders.

    Parameters
    ----------
    napari_viewer
        Where the movie is, and gets its image and its localizations.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        # layers from napari's proxy would be other objects at each look
        self._viewer: ViewerModel = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self._session = Session.of(self._viewer)
        self._state = RunState.IDLE
        self._watch: LayerWatch | None = None
        # the prediction that runs, and the last one that has found anything
        self._running: ShownPrediction | None = None
        self._shown: ShownPrediction | None = None
        self._was_stopped = False
        self._folder = Path()
        self._form, self._boxes = PredictionForm(self._viewer), LayerBoxes()
        self._buttons = RunButtons("Predict", "Predict the movie, and show the result on it")
        self._progress, self._results = PredictionProgress(), ResultsPanel()
        self._batch, self._command = BatchPanel(), CommandPanel()
        self._worker = EventWorker(
            latest_only=(BatchPredicted, FramesArrived, ImageGrown), parent=self
        )
        self._lay_out()
        self._connect()
        self._open()

    def start(self) -> None:
        """Predict the movie, unless something is running or missing."""
        layer, card = self._form.movie.layer(), self._form.model.card
        model_path = self._form.model.value()
        if self._state.is_active or self._form.problem() is not None:
            return
        assert layer is not None
        assert card is not None
        assert model_path is not None
        prediction = MoviePrediction(model_path, self._form.opener(), self._form.config())
        overlays = PredictionOverlays(
            self._viewer, layer, model_path=model_path, upsampling_factor=card.upsampling_factor
        )
        self._running = ShownPrediction(prediction, overlays, self._boxes, self)
        movie_path = self._form.movie.path or self._form.movie.growing_path
        self._folder = Path.cwd() if movie_path is None else movie_path.parent
        self._run(prediction.events)

    def cancel(self) -> None:
        """End after the batch under way; what is done is kept."""
        if self._state.why_disabled("stop") is None:
            self._become(RunState.STOPPING)
            self._worker.stop()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Follow the viewer and the session, also after the widget was closed once."""
        super().showEvent(event)
        self._open()

    def _lay_out(self) -> None:
        show = two_columns(QGridLayout())
        show.addWidget(title_label("Show", "Layers that lie on the movie"), 0, 0)
        show.addWidget(self._boxes, 0, 1)
        column = QVBoxLayout()
        column.addWidget(self._form)
        column.addLayout(show)
        for part in (
            self._buttons,
            self._progress,
            self._results,
            Fold(self._batch, "Batch: several files, to folders"),
            Fold(self._command, "Command line"),
        ):
            column.addWidget(part)
        # no more than the table, if that is open
        column.addStretch(0)
        self.set_column(column)

    def _connect(self) -> None:
        self._form.changed.connect(self._show_state)
        self._batch.changed.connect(self._show_state)
        self._boxes.image.toggled.connect(self._on_image_box)
        self._boxes.localizations.toggled.connect(self._on_localizations_box)
        self._buttons.start_pressed.connect(self.start)
        self._batch.buttons.start_pressed.connect(self._start_batch)
        for buttons in (self._buttons, self._batch.buttons):
            buttons.cancel_pressed.connect(self.cancel)
        self._worker.event_arrived.connect(self._on_event)
        self._worker.ended.connect(self._on_ended)
        self._worker.failed.connect(self._on_failed)

    def _open(self) -> None:
        if self._watch is not None:
            return
        self._watch = LayerWatch(self._viewer, self._on_layers, self._on_layer)
        self._session.model_changed.connect(self._form.model.set_trained)
        self._on_layers()
        if self._session.model_path is not None:
            self._form.model.set_trained(self._session.model_path)
        self._show_state()

    def on_closed(self, *, viewer_stays: bool) -> None:
        """Let go of the viewer; what was found is shown in it before, if it is there to keep it."""
        if self._watch is None:
            return
        self._watch.close()
        self._watch = None
        self._session.model_changed.disconnect(self._form.model.set_trained, missing_ok=True)
        self._form.close_all()
        if self._state.is_active:
            has_ended = self._worker.close(_LONGEST_WAIT_S if viewer_stays else 0)
            if self._state is not RunState.STOPPING:
                self._become(RunState.STOPPING)
            if viewer_stays and has_ended:
                self._end(RunState.STOPPED)
            else:
                self._become(RunState.STOPPED)
        for shown in (self._running, self._shown):
            if shown is not None:
                shown.close()
        self._running = self._shown = None

    def _start_batch(self) -> None:
        model_path = self._form.model.value()
        if model_path is None or self._state.is_active:
            return
        self._form.show_warnings([])
        self._batch.begin()
        self._run(
            partial(
                predict_files,
                model_path,
                self._batch.movies(),
                self._batch.folders(),
                self._form.config(),
            )
        )

    def _run(self, make_events: Callable[[threading.Event], Iterator[object]]) -> None:
        self._was_stopped = False
        self._progress.begin()
        self._become(RunState.RUNNING)
        self._worker.start(make_events)

    def _on_image_box(self, is_checked: bool) -> None:
        shown = self._running or self._shown
        if shown is not None:
            shown.want_image(is_checked)

    def _on_localizations_box(self, is_checked: bool) -> None:
        shown = self._running or self._shown
        if shown is not None:
            shown.want_localizations(is_checked)

    def _on_layers(self) -> None:
        self._form.set_layers(self._viewer.layers)

    def _on_layer(self, layer: Layer) -> None:
        if layer is self._form.movie.value():
            self._form.movie.check()

    def _on_event(self, event: object) -> None:
        self._progress.tell(event)
        if isinstance(event, PredictionStopped | FilesLeft):
            self._was_stopped = True
        if self._running is None:
            self._batch.on_event(event)
            if isinstance(event, FileStarted):
                self._progress.set_file(self._batch.movies()[event.number].name)
        elif isinstance(event, PredictionStarted):
            self._form.show_warnings(event.warnings)
        elif isinstance(event, FramesLeftOut):
            self._form.show_warnings(event.reasons)
        elif isinstance(event, ImageGrown):
            self._running.show_grown(event)

    def _on_ended(self) -> None:
        is_batch = self._running is None
        found = self._end(RunState.STOPPED if self._was_stopped else RunState.DONE)
        outcome = f"{'Stopped' if self._was_stopped else 'Finished'}: {found or 'nothing found'}."
        if is_batch and self._batch.has_failures:
            show_error(outcome)
        self._progress.finish(outcome)

    def _on_failed(self, message: str, details: str) -> None:
        if self._running is None:
            self._batch.on_failure()
        self._progress.fail(message, details, kept=self._end(RunState.FAILED))
        show_error(f"The prediction failed. {message}")

    def _end(self, state: RunState) -> str:
        """Show what was found, and tell how much that is; empty for nothing."""
        self._become(state)
        ended, self._running = self._running, None
        if ended is None:
            return self._batch.found()
        result = ended.end()
        if result is None:
            ended.close()
            return ""
        last, self._shown = self._shown, ended
        if last is not None:
            last.close()
        self._results.show_result(result, ended.overlays, self._folder)
        return result.summary()

    def _become(self, state: RunState) -> None:
        self._state = self._state.becomes(state)
        self._show_state()

    def _show_state(self) -> None:
        """Show what the state of the run and the form allow, and why not the rest."""
        state = self._state
        self._form.set_disabled(state.why_disabled("form"))
        self._buttons.show_state(state, self._form.problem())
        self._batch.show_state(state, self._form.problem_without_movie())
        self._progress.show_state(state)
        self._show_commands()

    def _show_commands(self) -> None:
        model_path, movie_path = self._form.model.value(), self._form.movie.path
        follows = self._form.follow.isChecked()
        if follows:
            movie_path = self._form.movie.growing_path
        problem = self._form.problem()
        if problem is None and model_path is not None and movie_path is not None:
            # said in any case: the file may tell another pixel size than the layer
            size_nm = self._form.pixel_size_nm()
            config = self._form.config().model_copy(update={"pixel_size_nm": size_nm})
            self._command.show_commands(
                predict_commands(model_path, [movie_path], config, follows=follows)
            )
        else:
            self._command.show_reason(problem or _NO_FILE)
        problem = self._form.problem_without_movie()
        if problem is None and model_path is not None:
            self._batch.show_commands(model_path, self._form.config())
        else:
            self._batch.show_no_commands(problem or "")
