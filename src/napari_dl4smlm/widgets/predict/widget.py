"""The Predict widget: from a movie and a model to a super-resolution image and a table."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QBoxLayout,
    QCheckBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.events import (
    BatchPredicted,
    PredictionStarted,
    PredictionStopped,
)
from napari_dl4smlm.widgets.closing import closes
from napari_dl4smlm.widgets.command_line import predict_command
from napari_dl4smlm.widgets.fold import Fold
from napari_dl4smlm.widgets.forms.config_form import ConfigForm
from napari_dl4smlm.widgets.predict.batch import BatchPanel
from napari_dl4smlm.widgets.predict.command import CommandPanel
from napari_dl4smlm.widgets.predict.files import (
    FilesLeft,
    FileStarted,
    predict_files,
    result_folders,
)
from napari_dl4smlm.widgets.predict.model import ModelPicker
from napari_dl4smlm.widgets.predict.movie import MoviePicker
from napari_dl4smlm.widgets.predict.overlays import PredictionOverlays
from napari_dl4smlm.widgets.predict.progress import PredictionProgress
from napari_dl4smlm.widgets.predict.results import ResultsPanel
from napari_dl4smlm.widgets.predict.run import ImageGrown, MoviePrediction, PredictedMovie
from napari_dl4smlm.widgets.predict.terms import (
    automatic_pixel_size,
    automatic_threshold,
    pixel_size_warning,
)
from napari_dl4smlm.widgets.run_state import RunState
from napari_dl4smlm.widgets.session import Session
from napari_dl4smlm.widgets.sources.layer_watch import LayerWatch
from napari_dl4smlm.widgets.train.form import note
from napari_dl4smlm.widgets.worker import EventWorker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from napari.components import ViewerModel
    from napari.layers import Layer
    from qtpy.QtCore import QEvent
    from qtpy.QtGui import QShowEvent

    from napari_dl4smlm.backend.models.device import DeviceInfo
_FIELDS = ("frames", "pixel_size_nm", "threshold", "device")
_ADVANCED = ("batch_size", "tile_size")
_LABEL_SHARE, _FIELD_SHARE = 2, 3

_SHORTEST_PAUSE_MS = 500
# showing a large image takes long: the viewer must be free for most of the time
_PAUSE_PER_TIME_SHOWN = 10

_ABOUT_MOVIE = "Image layer to predict; a file becomes a layer"
_ABOUT_MODEL = "Model file (.safetensors) that training wrote"
_NO_FILE = (
    "The frames of this layer are in no file, as far as is known. Save the movie and open that "
    "file: the command for it then stands here."
)


class PredictWidget(QWidget):
    """Predicts a movie in memory and shows the result on it, or many files to their folders.

    Parameters
    ----------
    napari_viewer
        Where the movie is, and gets its image and its localizations.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._session = Session.of(napari_viewer)
        self._state = RunState.IDLE
        self._prediction: MoviePrediction | None = None
        self._overlays: PredictionOverlays | None = None
        self._movie_path: Path | None = None
        self._result: PredictedMovie | None = None
        self._was_stopped = False
        self._knows_devices = False
        self._watch: LayerWatch | None = None
        self._movie, self._model = MoviePicker(napari_viewer), ModelPicker()
        self._form = ConfigForm(
            PredictionConfig, _FIELDS, advanced=_ADVANCED, choices={"device": {"auto": "auto"}}
        )
        self._with_image = QCheckBox("image")
        self._with_points = QCheckBox("localizations")
        self._start, self._cancel = QPushButton("Predict"), QPushButton("Cancel")
        self._progress, self._results = PredictionProgress(), ResultsPanel()
        self._batch, self._start_batch = BatchPanel(), QPushButton("Predict files")
        self._command = CommandPanel()
        self._worker = EventWorker(latest_only=(BatchPredicted, ImageGrown), parent=self)
        self._devices = EventWorker(parent=self)
        self._form.set_automatic("batch_size", "fastest")
        self._form.set_automatic("tile_size", "as memory allows")
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._lay_out()
        self._connect()
        self._open()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Follow the viewer and the session, also after the widget was closed once."""
        super().showEvent(event)
        self._open()

    def event(self, event: QEvent | None) -> bool:
        """Stop what is running when the widget or its viewer was closed."""
        handled = super().event(event)
        if closes(event, self):
            self._close()
        return handled

    def _lay_out(self) -> None:
        self._with_image.setToolTip("Show the sum of all density maps, growing frame by frame")
        self._with_points.setToolTip("Show the localizations as points, at the end")
        for box in (self._with_image, self._with_points):
            box.setChecked(True)
        show, buttons, batch = QWidget(), QHBoxLayout(), QWidget()
        _fill(QHBoxLayout(show), self._with_image, self._with_points)
        _fill(buttons, self._start, self._cancel)
        _fill(QVBoxLayout(batch), self._batch, self._start_batch)
        content = QWidget()
        column = QVBoxLayout(content)
        column.addLayout(_rows({"Movie": self._movie, "Model": self._model}))
        column.addWidget(self._form)
        column.addLayout(_rows({"Show": show}))
        column.addLayout(buttons)
        for part in (
            self._progress,
            self._results,
            Fold(batch, "Several files, to folders"),
            Fold(self._command, "Command line"),
        ):
            column.addWidget(part)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(content)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)

    def _connect(self) -> None:
        self._movie.checked.connect(self._on_choice)
        self._model.changed.connect(self._on_choice)
        self._form.changed.connect(self._on_choice)
        self._batch.changed.connect(self._show_state)
        for box in (self._with_image, self._with_points):
            box.toggled.connect(self._on_show)
        self._start.clicked.connect(self._begin)
        self._start_batch.clicked.connect(self._begin_batch)
        self._cancel.clicked.connect(self._on_cancel)
        self._pause.timeout.connect(self._want_image)
        self._worker.event_arrived.connect(self._on_event)
        self._worker.ended.connect(self._on_ended)
        self._worker.failed.connect(self._on_failed)
        self._devices.event_arrived.connect(self._on_devices)

    def _open(self) -> None:
        if self._watch is not None:
            return
        self._watch = LayerWatch(self._viewer, self._on_layers, self._on_layer)
        self._session.model_changed.connect(self._model.set_trained)
        self._on_layers()
        if self._session.model_path is not None:
            self._model.set_trained(self._session.model_path)
        self._on_choice()

    def _close(self) -> None:
        if self._watch is None:
            return
        self._watch.close()
        self._watch = None
        self._session.model_changed.disconnect(self._model.set_trained, missing_ok=True)
        self._movie.close_all()
        self._model.close_all()
        self._devices.close(timeout_s=0)
        self._pause.stop()
        if self._state.is_active:
            self._worker.close(timeout_s=0)
            if self._state is not RunState.STOPPING:
                self._become(RunState.STOPPING)
            self._become(RunState.STOPPED)

    # what the user does

    def _begin(self) -> None:
        layer, card, model_path = self._movie.layer(), self._model.card, self._model.value()
        assert layer is not None
        assert card is not None
        assert model_path is not None
        prediction = MoviePrediction(model_path, self._movie.frames(), self._form.build())
        self._prediction = prediction
        self._movie_path = self._movie.path
        self._overlays = PredictionOverlays(
            self._viewer,
            layer,
            model_name=model_path.stem,
            upsampling_factor=card.upsampling_factor,
        )
        self._want_image()
        self._run(prediction.events)

    def _begin_batch(self) -> None:
        self._prediction = None
        self._progress.show_warnings([])
        self._batch.begin()
        movies, folders = self._batch.movies(), self._batch.folders()
        model_path = self._model.value()
        assert model_path is not None
        config = self._form.build()
        self._run(partial(predict_files, model_path, movies, folders, config))

    def _run(self, make_events: Any) -> None:
        self._was_stopped = False
        self._progress.begin()
        self._become(RunState.RUNNING)
        self._worker.start(make_events)

    def _on_cancel(self) -> None:
        self._become(RunState.STOPPING)
        self._worker.stop()

    def _on_show(self) -> None:
        overlays = self._overlays
        if overlays is None:
            return
        if not self._state.is_active:
            self._show_layers()
        overlays.set_visible(
            image=self._with_image.isChecked(), localizations=self._with_points.isChecked()
        )

    # what happens

    def _on_layers(self) -> None:
        self._movie.set_layers(self._viewer.layers)
        if self._movie.value() is None:
            self._movie.check()

    def _on_layer(self, layer: Layer) -> None:
        if layer == self._movie.value():
            self._movie.check()

    def _on_event(self, event: object) -> None:
        self._progress.tell(event)
        if isinstance(event, PredictionStopped | FilesLeft):
            self._was_stopped = True
        if self._prediction is None:
            self._batch.on_event(event)
            if isinstance(event, FileStarted):
                self._progress.set_file(self._batch.movies()[event.number].name)
        elif isinstance(event, PredictionStarted):
            self._progress.show_warnings(event.warnings)
        elif isinstance(event, ImageGrown):
            self._show_grown(event)

    def _show_grown(self, event: ImageGrown) -> None:
        assert self._overlays is not None
        began = time.perf_counter()
        if self._with_image.isChecked():
            self._overlays.show_image(event.image)
        shown_ms = 1000 * (time.perf_counter() - began)
        self._pause.start(round(max(_SHORTEST_PAUSE_MS, _PAUSE_PER_TIME_SHOWN * shown_ms)))

    def _want_image(self) -> None:
        if self._prediction is not None:
            self._prediction.image_wanted.set()

    def _on_ended(self) -> None:
        ended = "Stopped" if self._was_stopped else "Finished"
        state = RunState.STOPPED if self._was_stopped else RunState.DONE
        self._end(state, f"{ended}: {self._found() or 'nothing was found'}.")

    def _on_failed(self, message: str, details: str) -> None:
        found = self._found()
        kept = f"\nKept: {found}." if found else ""
        self._end(RunState.FAILED, f"⚠ {message}{kept}", details)

    def _end(self, state: RunState, outcome: str, details: str = "") -> None:
        self._pause.stop()
        self._progress.finish(outcome, details)
        self._become(state)
        if self._prediction is not None:
            self._result = self._prediction.result()
            self._show_layers()
            if self._result is not None and self._overlays is not None:
                self._results.show_result(self._result, self._overlays, self._movie_path)

    def _found(self) -> str:
        """Tell what the run has found, also if it has failed; empty for nothing."""
        if self._prediction is None:
            return self._batch.found()
        result = self._prediction.result()
        return "" if result is None else result.summary()

    def _show_layers(self) -> None:
        """Show, in layers, what was found."""
        result, overlays = self._result, self._overlays
        if result is None or overlays is None:
            return
        if self._with_image.isChecked():
            overlays.show_image(result.reconstruction.image)
        if self._with_points.isChecked():
            overlays.show_localizations(result.localizations, result.pixel_size_nm)

    def _on_devices(self, devices: list[DeviceInfo]) -> None:
        usable = {
            device.name: f"{device.name} · {device.description}"
            for device in devices
            if device.available
        }
        self._form.set_choices("device", {"auto": f"auto ({next(iter(usable))})"} | usable)

    def _on_choice(self) -> None:
        """Show what follows from another movie, model or option."""
        card = self._model.card
        self._form.set_automatic("threshold", automatic_threshold(card))
        self._form.set_automatic("frames", self._movie.all_frames())
        known_nm = self._movie.pixel_size_nm
        self._form.set_automatic("pixel_size_nm", automatic_pixel_size(known_nm, card))
        if card is not None and not self._knows_devices:
            self._knows_devices = True
            self._devices.start(lambda stop: _list_devices())
        if not self._state.is_active:
            self._warn_before()
        self._show_state()

    # what is shown

    def _become(self, state: RunState) -> None:
        self._state = self._state.becomes(state)
        self._show_state()

    def _show_state(self) -> None:
        """Show what the state of the run and the form allow, and why not the rest."""
        state = self._state
        why_not = state.why_disabled("form")
        abouts = {self._movie: _ABOUT_MOVIE, self._model: str(self._model.value() or _ABOUT_MODEL)}
        for picker, what in abouts.items():
            picker.setEnabled(why_not is None)
            picker.setToolTip(why_not or what)
        for name in (*_FIELDS, *_ADVANCED):
            self._form.set_disabled(name, why_not)
        self._batch.set_disabled(why_not)
        no_model, no_config = self._model.problem, self._config_problem()
        why_not = state.why_disabled("start")
        _enable(
            self._start,
            why_not or self._movie.problem or no_model or no_config,
            "Predict the movie, and show the result on it",
        )
        _enable(
            self._start_batch,
            why_not or self._batch.problem() or no_model or no_config,
            "Predict all files, each to its own folder",
        )
        _enable(
            self._cancel,
            state.why_disabled("stop"),
            "End after the batch under way; what is done is kept",
        )
        self._progress.show_state(state)
        self._show_command()

    def _warn_before(self) -> None:
        """Say what is known before the frames are looked at."""
        config, card = self._config(), self._model.card
        if config is None or card is None:
            self._progress.show_warnings([])
            return
        size_nm = config.pixel_size_nm or self._movie.pixel_size_nm
        warning = pixel_size_warning(card, size_nm)
        self._progress.show_warnings([] if warning is None else [warning])

    def _show_command(self) -> None:
        config, model, movie = self._config(), self._model.value(), self._movie.path
        problem = self._movie.problem or self._model.problem or self._config_problem()
        if problem is not None or config is None or model is None:
            self._command.show_reason(problem or "")
        elif movie is None:
            self._command.show_reason(_NO_FILE)
        else:
            config = config.model_copy(update={"pixel_size_nm": self._pixel_size_nm(config)})
            (folder,) = result_folders([movie])
            self._command.show_command(predict_command(movie, model, folder, config))

    def _pixel_size_nm(self, config: PredictionConfig) -> float | None:
        """Return what a prediction here would use: the file may tell another pixel size."""
        card = self._model.card
        model_nm = None if card is None else card.pixel_size_nm
        return config.pixel_size_nm or self._movie.pixel_size_nm or model_nm

    def _config(self) -> PredictionConfig | None:
        try:
            return self._form.build()
        except InputError:
            return None

    def _config_problem(self) -> str | None:
        try:
            self._form.build()
        except InputError as error:
            return str(error)
        return None


def _list_devices() -> Iterator[list[DeviceInfo]]:
    # imports torch, and starts each GPU
    from napari_dl4smlm.backend.models.device import available_devices

    yield available_devices()


def _rows(editors: dict[str, QWidget]) -> QGridLayout:
    """Make rows in the columns of the forms."""
    rows = QGridLayout()
    rows.setColumnStretch(0, _LABEL_SHARE)
    rows.setColumnStretch(1, _FIELD_SHARE)
    for title, editor in editors.items():
        row = rows.rowCount()
        editor.setSizePolicy(note().sizePolicy())
        rows.addWidget(note(title), row, 0)
        rows.addWidget(editor, row, 1)
        below = getattr(editor, "below", None)
        if below is not None:
            rows.addWidget(below, row + 1, 0, 1, 2)
    return rows


def _fill(layout: QBoxLayout, *widgets: QWidget) -> None:
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)


def _enable(button: QPushButton, why_not: str | None, what: str) -> None:
    button.setEnabled(why_not is None)
    button.setToolTip(why_not or what)
