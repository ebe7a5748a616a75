"""How good the localizations are where the truth is not known, measured while the user goes on."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from napari.utils.notifications import show_error
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_dl4smlm.backend.acquisition.frames import parse_frame_range
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.evaluation.quality import Quality, QualityProgress, quality_events
from napari_dl4smlm.widgets.figure_view import FigureView
from napari_dl4smlm.widgets.fold import Fold
from napari_dl4smlm.widgets.forms.columns import editor_row
from napari_dl4smlm.widgets.forms.field_editors import NumberEditor, TextEditor
from napari_dl4smlm.widgets.forms.titled_rows import Message
from napari_dl4smlm.widgets.layers.layers import show_error_map
from napari_dl4smlm.widgets.process.measured_view import N_PLOTS, NumberRows, quality_figure
from napari_dl4smlm.widgets.run_buttons import RunButtons
from napari_dl4smlm.widgets.run_progress import RunProgress
from napari_dl4smlm.widgets.run_state import RunState
from napari_dl4smlm.widgets.saving import ask_for_file, written
from napari_dl4smlm.widgets.worker import EventWorker

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.localizations.table import Localizations

_PLOT_HEIGHT_IN_LINES = 14
_STALE = "⚠ Measured before the last change: measure again."
_DRIFTED = (
    "⚠ Drift was taken off the localizations, but not off the movie: it shows as an error in RSP, "
    "RSE and error map. Switch its correction off to measure those."
)
_PERCENTILE = 99.8
"""Of the error map: single hot pixels must not leave the rest without colour."""

_ABOUT_BLOCK = (
    "Frames in a row that go to the same half of the movie for the FRC; choose it much longer\n"
    "than a blink. Default: a twentieth of the frames."
)
_ABOUT_FRAMES = "The frames that were localized, A:B from 0 with B left out, if not all were"


@dataclass(frozen=True, eq=False)
class QualityMeasured:
    """All numbers, and where the error map has its full colour."""

    quality: Quality
    error_limit: float


class _Subject(NamedTuple):
    """What is measured. It keeps no movie that is removed meanwhile.

    Attributes
    ----------
    layer
        The movie; ``None`` where it is no layer.
    pixels
        Identity of the array that the layer shows.
    movie
        Shape and pixel size.
    options
        What was entered.
    """

    localizations: Localizations | None
    layer: weakref.ref[Image] | None
    pixels: int
    movie: tuple[tuple[int, ...], float | None] | None
    options: tuple[object, ...]


class QualityPanel(QWidget):
    """Numbers that need no ground truth, each with what it assumes; the curves behind; a map.

    Parameters
    ----------
    viewer
        Gets the error map.

    Attributes
    ----------
    changed
        Emitted when other options were entered.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._state = RunState.IDLE
        self._localizations: Localizations | None = None
        # of the run that runs or was the last one, and of the numbers that are shown
        self._begun_of: _Subject | None = None
        self._measured_of: _Subject | None = None
        self._is_measured = False
        self._movie: FrameStack | None = None
        self._movie_layer: Image | None = None
        self._problem, self._has_drift = "", False
        self._quality: Quality | None = None
        self._block = NumberEditor(whole=True, unit="", accepts=lambda number: number >= 1)
        self._frames = TextEditor(optional=True)
        self._block.set_placeholder("auto: a twentieth")
        self._frames.set_placeholder("all")
        self._buttons = RunButtons(
            "Measure",
            "Measure what the steps have left, against the raw frames of the movie",
            "End after the number under way",
        )
        self._progress = QualityRunProgress()
        self._numbers = NumberRows()
        self._note = Message()
        self._plots = FigureView(N_PLOTS * _PLOT_HEIGHT_IN_LINES)
        self._plots_fold = Fold(self._plots, "Curves and histograms")
        self._save = QPushButton("Save figure…")
        self._worker = EventWorker(latest_only=(QualityProgress,), parent=self)
        self._saver = EventWorker(parent=self)
        self._lay_out()
        self._connect()
        self._show_state()

    @property
    def is_busy(self) -> bool:
        """Whether something is being measured, drawn or written."""
        return self._state.is_active or self._saver.is_running or self._plots.is_busy

    def options(self) -> tuple[str | None, int | None]:
        """Return frames and frames of a block, as the command takes them.

        Raises
        ------
        InputError
            The block is no whole number from 1 on.
        """
        block = self._block.value()
        if block is not None and (not isinstance(block, int) or block < 1):
            raise InputError(f"A block of {block} frames cannot be made. Enter 1 or more.")
        return self._frames.value(), block

    def show_source(
        self,
        localizations: Localizations | None,
        movie: FrameStack | None,
        movie_layer: Image | None,
        problem: str,
        *,
        has_drift: bool,
    ) -> None:
        """Tell what can be measured now, or why nothing can.

        Parameters
        ----------
        localizations
            What the steps have left.
        movie
            Its raw frames, with their pixel size.
        movie_layer
            Where the error map belongs.
        problem
            Why nothing can be measured; empty if it can.
        has_drift
            Whether drift was taken off the localizations, which the movie still has.
        """
        self._localizations, self._movie, self._movie_layer = localizations, movie, movie_layer
        self._problem, self._has_drift = problem, has_drift
        self._show_note()
        self._show_state()

    def start(self) -> None:
        """Measure, unless something is running or missing."""
        localizations, movie = self._localizations, self._movie
        if self._state.is_active or self._problem or localizations is None or movie is None:
            return
        try:
            text, block = self.options()
            frames = parse_frame_range(text, len(movie))
        except InputError as error:
            self._progress.show_refusal(str(error))
            return
        self._begun_of, self._is_measured = self._subject(), False
        self._become(RunState.RUNNING)
        self._progress.begin()
        self._worker.start(partial(_measure, localizations, movie, frames, block))

    def cancel(self) -> None:
        """End after the number under way."""
        if self._state.why_disabled("stop") is None:
            self._become(RunState.STOPPING)
            self._worker.stop()

    def close_runs(self, timeout_s: float = 5.0) -> None:
        """Stop what runs, and tell nothing of it."""
        self._worker.close(timeout_s)
        self._saver.close()
        if self._state.is_active:
            if self._state is not RunState.STOPPING:
                self._become(RunState.STOPPING)
            self._become(RunState.STOPPED)

    def save_figure(self, path: Path) -> None:
        """Write the page of all curves and maps in another thread."""
        quality = self._quality
        if quality is not None and not self._saver.is_running:
            self._saver.start(lambda stop: written(path, lambda: _save_figure(quality, path)))

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(editor_row("Frames", _ABOUT_FRAMES, self._frames))
        layout.addLayout(editor_row("Block for FRC", _ABOUT_BLOCK, self._block))
        self._frames.setToolTip(_ABOUT_FRAMES)
        self._block.setToolTip(_ABOUT_BLOCK)
        for widget in (
            self._buttons,
            self._progress,
            self._note,
            self._numbers,
            self._plots_fold,
            self._save,
        ):
            layout.addWidget(widget)
        self._plots_fold.setVisible(False)

    def _connect(self) -> None:
        self._buttons.start_pressed.connect(self.start)
        self._buttons.cancel_pressed.connect(self.cancel)
        for editor in (self._block, self._frames):
            editor.changed.connect(self.changed)
        self._worker.event_arrived.connect(self._on_event)
        self._worker.ended.connect(self._on_ended)
        self._worker.failed.connect(self._on_failed)
        self._save.clicked.connect(self._ask)
        self._saver.event_arrived.connect(lambda path: self._progress.finish(f"Saved: {path}"))
        self._saver.failed.connect(lambda message, details: show_error(message))

    def _on_event(self, event: object) -> None:
        if isinstance(event, QualityProgress):
            self._progress.tell(event)
        elif isinstance(event, QualityMeasured):
            self._show_measured(event)

    def _show_measured(self, measured: QualityMeasured) -> None:
        quality = self._quality = measured.quality
        self._measured_of, self._is_measured = self._begun_of, True
        self._numbers.show_measured(quality.measured())
        self._plots_fold.setVisible(True)
        self._plots.show_figure(partial(quality_figure, quality))
        # another one may have been chosen meanwhile
        of = self._measured_of
        layer = None if of is None or of.layer is None else of.layer()
        if quality.errors.imaged.size and layer is not None and layer in self._viewer.layers:
            numbers = {name: one.value for name, one in quality.measured().items()}
            show_error_map(
                self._viewer,
                layer,
                quality.errors.difference,
                limit=measured.error_limit,
                metadata={name: numbers[name] for name in ("rsp", "rse", "rsf")},
            )

    def _on_ended(self) -> None:
        # without numbers, it was stopped before
        self._become(RunState.DONE if self._is_measured else RunState.STOPPED)
        self._progress.finish("" if self._is_measured else "Cancelled.")
        self._show_note()

    def _on_failed(self, message: str, details: str) -> None:
        self._become(RunState.FAILED)
        self._progress.fail(message, details, kept="")
        show_error(message)

    def _show_note(self) -> None:
        is_stale = self._quality is not None and self._measured_of != self._subject()
        notes = [_STALE] * is_stale + [_DRIFTED] * self._has_drift
        self._note.show_text("\n".join(notes))

    def _subject(self) -> _Subject:
        """Return what would be measured now."""
        movie, layer = self._movie, self._movie_layer
        return _Subject(
            self._localizations,
            None if layer is None else weakref.ref(layer),
            id(None if layer is None else layer.data),
            None if movie is None else (movie.shape, movie.pixel_size_nm),
            (self._frames.value(), self._block.value()),
        )

    def _become(self, state: RunState) -> None:
        self._state = self._state.becomes(state)
        self._show_state()

    def _show_state(self) -> None:
        self._buttons.show_state(self._state, self._problem or None)
        self._progress.show_state(self._state)
        self._save.setVisible(self._quality is not None)
        self._save.setToolTip("Save all curves, histograms and the error map on one page")

    def _ask(self) -> None:
        kinds = "Figures (*.png *.pdf *.svg)"
        path = ask_for_file(self, "Save the figure", Path("quality.png"), kinds)
        if path is not None:
            self.save_figure(path)


class QualityRunProgress(RunProgress):
    """What is being measured."""

    def __init__(self) -> None:
        super().__init__("Opening the movie …", "Stopping after this number …")

    def tell(self, progress: QualityProgress) -> None:
        """Show what is measured now."""
        self._bar.setRange(0, 100)
        self._bar.setValue(round(100 * progress.share))
        self._line.show_text(progress.what)

    def show_refusal(self, message: str) -> None:
        """Show why nothing is measured."""
        self._outcome.show_fault(message)


def _measure(
    localizations: Localizations,
    movie: FrameStack,
    frames: range,
    block_frames: int | None,
    stop: threading.Event,
) -> Iterator[QualityProgress | QualityMeasured]:
    for event in quality_events(localizations, movie, frames=frames, block_frames=block_frames):
        if isinstance(event, Quality):
            yield QualityMeasured(event, _limit(event))
        else:
            yield event
        if stop.is_set():
            return


def _limit(quality: Quality) -> float:
    if not quality.errors.imaged.size:
        return 1.0
    return float(np.percentile(np.abs(quality.errors.difference), _PERCENTILE)) or 1.0


def _save_figure(quality: Quality, path: Path) -> None:
    # they import matplotlib
    from napari_dl4smlm.backend.figures.figure_file import check_figure_path, save_figure
    from napari_dl4smlm.backend.figures.quality import draw_quality

    check_figure_path(path)
    figure = draw_quality(**vars(quality))
    save_figure(figure, path)
