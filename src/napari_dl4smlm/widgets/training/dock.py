"""A dock widget in which a network learns: how it is begun, how it goes, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QVBoxLayout

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.training.config import DistillationJob, TrainingJob
from napari_dl4smlm.backend.training.events import (
    EpochFinished,
    FirstPreview,
    ModelSaved,
    StepFinished,
    TeacherTested,
    TrainingFinished,
    TrainingStarted,
    TrainingStopped,
)
from napari_dl4smlm.backend.training.model_paths import last_model_of
from napari_dl4smlm.widgets.dock import DockWidget
from napari_dl4smlm.widgets.fold import Fold
from napari_dl4smlm.widgets.forms.titled_rows import TitledRows
from napari_dl4smlm.widgets.layers.layers import show_previews
from napari_dl4smlm.widgets.run_state import RunState
from napari_dl4smlm.widgets.session import Session
from napari_dl4smlm.widgets.sources.model_text import MODEL_LABELS
from napari_dl4smlm.widgets.training.buttons import TrainingButtons
from napari_dl4smlm.widgets.training.command import TrainingCommand
from napari_dl4smlm.widgets.training.existing_model import ExistingModel
from napari_dl4smlm.widgets.training.facts import torch_facts
from napari_dl4smlm.widgets.training.file import ModelFile
from napari_dl4smlm.widgets.training.progress import TrainingProgress
from napari_dl4smlm.widgets.training.run import TrainingRun
from napari_dl4smlm.widgets.training.source_choice import NO_DATA, SourceChoice
from napari_dl4smlm.widgets.worker import EventWorker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari.components import ViewerModel
    from qtpy.QtGui import QShowEvent

    from napari_dl4smlm.backend.models.model_file import ModelCard
    from napari_dl4smlm.backend.training.events import Preview, TrainingEvent
    from napari_dl4smlm.widgets.session import TrainingSource
    from napari_dl4smlm.widgets.training.job_form import JobForm
    from napari_dl4smlm.widgets.training.run import EarlierEpochs

_ONLY_LAYERS = (
    "These data come from layers that are in no file. Save the movie and the positions, and choose "
    "the files in the Data widget: the command to train with them then stands here."
)


class TrainingDock(DockWidget):
    """Trains a network on the data of the session, and hands the model to the Predict widget.

    Parameters
    ----------
    napari_viewer
        Gets the previews.
    form
        What the next training is asked for.
    start, about_start
        What stands on the button that begins, and what it does.
    """

    def __init__(
        self, napari_viewer: ViewerModel, form: JobForm, *, start: str, about_start: str
    ) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._session = Session.of(napari_viewer)
        self._state = RunState.IDLE
        self._run: TrainingRun | None = None
        self._model_path: Path | None = None
        self._has_ended_by_itself = False
        self._source = SourceChoice()
        self._form = form
        self._file = ModelFile()
        self._existing = ExistingModel()
        self._buttons = TrainingButtons(start, about_start)
        self._progress = TrainingProgress()
        self._command = TrainingCommand()
        self._worker = EventWorker(latest_only=(StepFinished, TeacherTested), parent=self)
        self._facts = EventWorker(parent=self)
        # picture by picture, each on a turn of its own; of epochs that arrive together, the latest
        self._preview: Preview | None = None
        self._pictures: Iterator[None] | None = None
        self._preview_timer = QTimer(self)
        self._preview_timer.setSingleShot(True)
        self._lay_out()
        self._connect()
        self._on_data()

    @property
    def model_path(self) -> Path | None:
        """The best model of the last run, once there is one."""
        return self._model_path

    def start(self) -> None:
        """Train on the data of the session as the form says, if nothing is wrong with them."""
        if not self._state.is_active and self._problem() is None:
            self._begin(self._file.path(), resume=False)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Learn from PyTorch what devices there are; its import takes seconds."""
        super().showEvent(event)
        self._ask_facts()

    def _lay_out(self) -> None:
        file = TitledRows()
        file.add("file", "Model file", self._file)
        column = QVBoxLayout()
        for part in (
            self._source,
            self._form,
            file,
            self._existing,
            self._buttons,
            self._progress,
            Fold(self._command, "Command line"),
        ):
            column.addWidget(part)
        column.addStretch(1)
        self.set_column(column)

    def _connect(self) -> None:
        self._session.data_changed.connect(self._on_data)
        self._source.changed.connect(self._on_upsampling)
        self._form.changed.connect(self._show_state)
        self._file.changed.connect(self._show_state)
        self._existing.options_read.connect(self._on_options)
        self._progress.trained.use_pressed.connect(self._on_use)
        self._buttons.start_pressed.connect(self.start)
        self._buttons.pause_pressed.connect(self._on_pause)
        self._buttons.resume_pressed.connect(self._on_resume)
        self._buttons.stop_pressed.connect(self._on_stop)
        self._worker.event_arrived.connect(self._on_event)
        self._worker.ended.connect(self._on_ended)
        self._worker.failed.connect(self._on_failed)
        self._facts.event_arrived.connect(self._form.set_facts)
        self._preview_timer.timeout.connect(self._show_next_picture)

    def _on_pause(self) -> None:
        self._worker.pause()
        self._become(RunState.PAUSED)

    def _on_resume(self) -> None:
        if self._state is RunState.PAUSED:
            self._become(RunState.RUNNING)
            self._worker.resume()
        elif (out := self._resumable()) is not None:
            self._begin(out, resume=True)

    def _on_stop(self) -> None:
        self._become(RunState.STOPPING)
        self._worker.stop()

    def on_closed(self, *, viewer_stays: bool) -> None:
        """Stop training after the step under way; its models are written."""
        self._facts.close(timeout_s=0)
        self._form.close_all()
        self._preview_timer.stop()
        if viewer_stays:
            self._finish_pictures()
        if self._state.is_active:
            # it ends after the step under way; Python waits for the models to be written
            self._worker.close(timeout_s=0)
            if self._state is not RunState.STOPPING:
                self._become(RunState.STOPPING)
            self._become(RunState.STOPPED)

    def _begin(self, out: Path, *, resume: bool) -> None:
        source, last = self._source.source(), self._run
        assert source is not None
        self._run = TrainingRun(
            source, self._form.build(), out.absolute(), resume, self._form.distillation()
        )
        self._model_path = None
        self._finish_pictures()
        self._progress.begin(go_on=resume and last is not None and last.out == self._run.out)
        self._become(RunState.RUNNING)
        self._worker.start(self._run.events)

    def _on_event(self, event: TrainingEvent | EarlierEpochs) -> None:
        self._progress.tell(event)
        match event:
            case TrainingStarted():
                self.scroll_to(self._progress)
            case FirstPreview() | EpochFinished():
                self._preview = event.preview
                self._preview_timer.start()
            case ModelSaved(kind="best"):
                self._model_path = event.path
            case TrainingFinished() | TrainingStopped():
                self._model_path = event.best_path
                self._has_ended_by_itself = isinstance(event, TrainingFinished)

    def _on_ended(self) -> None:
        self._end(RunState.DONE if self._has_ended_by_itself else RunState.STOPPED)

    def _on_failed(self, message: str, details: str) -> None:
        self._progress.fail(message, details)
        self._end(RunState.FAILED)

    def _end(self, state: RunState) -> None:
        self._become(state)
        if self._model_path is not None and self._progress.can_predict:
            self._session.model_path = self._model_path
        # it may have changed meanwhile, as the free memory has
        self._on_upsampling()
        self._ask_facts()

    def _on_data(self) -> None:
        self._source.set_source(self._session.data)
        self._on_upsampling()

    def _on_upsampling(self) -> None:
        source = self._source.source()
        if not self._state.is_active:
            self._form.set_data(source, None if source is None else self._frame_px(source))
        self._show_state()

    def _on_options(self, card: ModelCard) -> None:
        try:
            self._form.take_over(card)
        except InputError as error:
            self._existing.show_fault(str(error))
            return
        self._source.set_factor(card.upsampling_factor)

    def _on_use(self) -> None:
        self._session.model_path = self._model_path
        # a viewer without a window shows no widgets
        window = getattr(self._viewer, "window", None)
        if window is not None:
            dock, _ = window.add_plugin_dock_widget("napari-dl4smlm", "Predict", tabify=True)
            dock.show()
            dock.raise_()

    def _ask_facts(self) -> None:
        if not self._facts.is_running:
            self._facts.start(lambda stop: torch_facts())

    def _movie_layer(self, source: TrainingSource) -> Image | None:
        """Return the layer of the training movie; it may be gone, or another one by that name."""
        if source.movie_layer_name not in self._viewer.layers:
            return None
        layer = self._viewer.layers[source.movie_layer_name]
        return layer if isinstance(layer, Image) else None

    def _frame_px(self, source: TrainingSource) -> tuple[int, int] | None:
        layer = self._movie_layer(source)
        if layer is None:
            return None
        pixels = layer.data[0] if layer.multiscale else layer.data
        height, width = pixels.shape[-2:]
        return height, width

    def _show_next_picture(self) -> None:
        """Show one picture of a preview; the window may answer before the next one."""
        if self._pictures is None and self._preview is not None:
            self._pictures, self._preview = self._pictures_of(self._preview), None
        if self._pictures is None:
            return
        try:
            next(self._pictures)
        except StopIteration:
            self._pictures = None
        if self._pictures is not None or self._preview is not None:
            self._preview_timer.start()

    def _finish_pictures(self) -> None:
        """Show the rest of those that were begun, and no others."""
        self._preview_timer.stop()
        self._preview = None
        for _ in self._pictures or ():
            pass
        self._pictures = None

    def _pictures_of(self, preview: Preview) -> Iterator[None]:
        assert self._run is not None
        source = self._run.source
        return show_previews(
            self._viewer,
            self._movie_layer(source),
            preview,
            source.upsampling_factor,
            pixel_size_nm=source.pixel_size_nm,
            metadata={"model": MODEL_LABELS[self._run.config.model]},
        )

    def _become(self, state: RunState) -> None:
        self._state = self._state.becomes(state)
        self._show_state()

    def _show_state(self) -> None:
        """Show what the state of the run and the form allow, and why not the rest."""
        state = self._state
        problem = self._problem()
        self._source.set_disabled(state.why_disabled("form"))
        self._form.set_disabled(state.why_disabled("form"))
        self._file.refresh(self._form.file_stem(), state.why_disabled("form"))
        self._existing.show_file(None if state.is_active else self._file.chosen())
        self._buttons.show_state(state, problem, self._resumable())
        self._progress.show_state(state, self._model_path)
        self._show_command(problem)

    def _show_command(self, problem: str | None) -> None:
        source = self._source.source()
        if source is None or problem is not None:
            self._command.show_reason(problem or NO_DATA)
            return
        if source.config is None:
            self._command.show_reason(_ONLY_LAYERS)
            return
        out, training = self._file.path(), self._form.build()
        distillation = self._form.distillation()
        if distillation is None:
            self._command.show_job(TrainingJob(data=source.config, training=training, out=out))
        else:
            job = DistillationJob(
                data=source.config, training=training, out=out, distillation=distillation
            )
            self._command.show_job(job)

    def _problem(self) -> str | None:
        """Return why training cannot begin, as far as data and form tell."""
        source = self._source.source()
        if source is None:
            return NO_DATA
        try:
            self._form.build()
            self._form.check(source)
            self._check_file()
        except InputError as error:
            return str(error)
        return None

    def _check_file(self) -> None:
        distillation, out = self._form.distillation(), self._file.chosen()
        if out is not None and distillation is not None and _same(out, distillation.teacher):
            raise InputError(f"{out.name} is the teacher. Name another model file.")

    def _resumable(self) -> Path | None:
        """Return the model whose training can go on: the chosen one, or that of the last run."""
        out = self._file.chosen() or (None if self._run is None else self._run.out)
        return out if out is not None and last_model_of(out).exists() else None


def _same(first: Path, second: Path) -> bool:
    return first.resolve() == second.resolve()
