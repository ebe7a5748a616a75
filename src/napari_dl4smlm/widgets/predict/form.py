"""All that decides a prediction: movie, model and options, and where they do not fit together."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QVBoxLayout, QWidget

from napari_dl4smlm.backend.acquisition.frames import parse_frame_range
from napari_dl4smlm.backend.acquisition.growing_frames import open_growing_frames
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.mismatch import mismatches, pixel_size_used
from napari_dl4smlm.widgets.forms.columns import editor_row, two_columns
from napari_dl4smlm.widgets.forms.config_form import ConfigForm
from napari_dl4smlm.widgets.forms.titled_rows import Message
from napari_dl4smlm.widgets.layers.layers import calibrate
from napari_dl4smlm.widgets.predict.calibration import LayerCalibration
from napari_dl4smlm.widgets.predict.terms import automatic_pixel_size, automatic_threshold
from napari_dl4smlm.widgets.sources.devices import usable_devices
from napari_dl4smlm.widgets.sources.latest_run import LatestRun
from napari_dl4smlm.widgets.sources.model_picker import ModelPicker
from napari_dl4smlm.widgets.sources.movie_picker import MoviePicker
from napari_dl4smlm.widgets.worker import EventWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_dl4smlm.backend.acquisition.frames import FrameStack

_OF_MOVIE = ("frames", "pixel_size_nm")
_OF_RUN = ("threshold", "device")
_ADVANCED = ("backend", "precision", "batch_size", "tile_size")

_ABOUT_MOVIE = "Image layer to predict; a file becomes a layer"
_ABOUT_FOLLOWING = (
    "Predict frames as the camera takes them, until none has come for 30 s or you press Cancel.\n"
    "For a TIFF file that grows, or a folder that gets a TIFF file for each frame."
)
_ABOUT_MODEL = "Model file (.safetensors) that training wrote"


class PredictionForm(QWidget):
    """Rows for a movie, a model and a `PredictionConfig`.

    Parameters
    ----------
    viewer
        Whose layers are offered.

    Attributes
    ----------
    changed
        Emitted when something else was chosen, or more is known about it.
    movie, model
        The choices.
    follow
        Whether more frames of the movie are to come.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self.movie, self.model = MoviePicker(viewer), ModelPicker()
        self.follow = QCheckBox("Follow: it is still being written")
        self._of_movie = ConfigForm(PredictionConfig, _OF_MOVIE)
        self._of_run = ConfigForm(
            PredictionConfig, _OF_RUN, advanced=_ADVANCED, choices={"device": {"auto": "auto"}}
        )
        self._of_run.set_automatic("batch_size", "fastest")
        self._of_run.set_automatic("tile_size", "as memory allows")
        self._calibration = LayerCalibration()
        self._range_fault, self._warnings = Message(), Message()
        self._compared: tuple[object, ...] = ()
        self._comparison, self._devices = LatestRun(self), EventWorker(parent=self)
        self._why_disabled: str | None = None
        self._knows_devices = False
        self._lay_out()
        for part in (self._of_movie, self._of_run, self.model):
            part.changed.connect(self._on_change)
        self.movie.checked.connect(self._on_change)
        self.follow.toggled.connect(self.movie.set_growing)
        self._calibration.asked.connect(self._calibrate)
        self._comparison.event_arrived.connect(self.show_warnings)
        self._devices.event_arrived.connect(self._on_devices)
        self._on_change()

    def set_values(self, values: dict[str, Any]) -> None:
        """Show options by the names of the fields; the others stay as they are.

        Raises
        ------
        InputError
            The config refuses a value.
        """
        for part in (self._of_movie, self._of_run):
            part.set_values(values)

    def config(self) -> PredictionConfig:
        """Make the config.

        Raises
        ------
        InputError
            It names each faulty field by its title.
        """
        return self._of_run.build(**self._of_movie.values())

    def problem(self) -> str | None:
        """Say why the movie cannot be predicted; ``None`` if it can."""
        return (
            self.movie.problem
            or self._following_problem()
            or self.problem_without_movie()
            or self._range_problem()
        )

    def opener(self) -> Callable[[], FrameStack]:
        """Return what opens the movie: that of the layer, or the file behind it, which grows.

        A file with many frames takes seconds, so that it is opened in another thread.

        Raises
        ------
        InputError
            There is no movie.
        """
        path = self.movie.growing_path
        if self.follow.isChecked() and path is not None:
            return partial(open_growing_frames, path, pixel_size_nm=self.pixel_size_nm())
        frames = self.movie.frames()
        return lambda: frames

    def problem_without_movie(self) -> str | None:
        """Say why no movie at all can be predicted."""
        return self.model.problem or _message_of(self.config)

    def pixel_size_nm(self) -> float | None:
        """Return the camera pixel that a prediction uses, as far as it is known."""
        given_nm = self._of_movie.values().get("pixel_size_nm")
        movie, card = self.movie.movie, self.model.card
        return pixel_size_used(
            given_nm if _message_of(self.config) is None else None,
            None if movie is None else movie.pixel_size_nm,
            None if card is None else card.pixel_size_nm,
        )

    def set_layers(self, layers: Iterable[Layer]) -> None:
        """Offer the layers that are there."""
        self.movie.set_layers(layers)
        if self.movie.value() is None:
            self.movie.check()

    def set_disabled(self, reason: str | None) -> None:
        """Disable all rows and say why, or enable them again."""
        self._why_disabled = reason
        chosen = self.model.value()
        for picker, about in (
            (self.movie, _ABOUT_MOVIE),
            (self.model, str(chosen or _ABOUT_MODEL)),
        ):
            picker.setEnabled(reason is None)
            picker.setToolTip(reason or about)
        self.follow.setEnabled(reason is None)
        self.follow.setToolTip(reason or _ABOUT_FOLLOWING)
        for part, names in ((self._of_movie, _OF_MOVIE), (self._of_run, _OF_RUN + _ADVANCED)):
            for name in names:
                part.set_disabled(name, reason)
        self._show_calibration()

    def show_warnings(self, warnings: Iterable[str]) -> None:
        """Show where the movie differs from what the model knows; none for no warnings."""
        self._warnings.show_text("\n".join(f"⚠ {warning}" for warning in warnings))

    def warnings(self) -> str:
        """Return the warnings that are shown."""
        return self._warnings.toPlainText()

    def close_all(self) -> None:
        """Find out no more."""
        self.movie.close_all()
        self.model.close_all()
        self._comparison.cancel()
        self._devices.close(timeout_s=0)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(editor_row("Movie", _ABOUT_MOVIE, self.movie))
        follow = two_columns(QGridLayout())
        follow.addWidget(self.follow, 0, 1)
        layout.addLayout(follow)
        for widget in (self._of_movie, self._range_fault, self._calibration):
            layout.addWidget(widget)
        layout.addLayout(editor_row("Model", _ABOUT_MODEL, self.model))
        for widget in (self._warnings, self._of_run):
            layout.addWidget(widget)

    def _on_change(self) -> None:
        """Show what follows from another movie, model or option."""
        movie, card = self.movie.movie, self.model.card
        self._of_run.set_automatic("threshold", automatic_threshold(card))
        is_over = not self.follow.isChecked()
        length = f" {len(movie):,}" if movie is not None and is_over else ""
        self._of_movie.set_automatic("frames", f"all{length}")
        known_nm = None if movie is None else movie.pixel_size_nm
        self._of_movie.set_automatic("pixel_size_nm", automatic_pixel_size(known_nm, card))
        self._range_fault.show_fault(self._range_problem() or "")
        self._show_calibration()
        self._compare()
        if card is not None and not self._knows_devices:
            self._knows_devices = True
            self._devices.start(lambda stop: usable_devices())
        self.changed.emit()

    def _range_problem(self) -> str | None:
        """Say why the frames asked for are not in the movie."""
        movie = self.movie.movie
        if movie is None or _message_of(self.config) is not None:
            return None
        n_frames = None if self.follow.isChecked() else len(movie)
        return _message_of(partial(parse_frame_range, self.config().frames, n_frames))

    def _following_problem(self) -> str | None:
        """Say why no more frames can come."""
        if self.follow.isChecked() and self.movie.growing_path is None:
            return (
                "The frames of this layer are in no TIFF file, or folder of them, that could still "
                "grow. Choose that file as the movie, or do not follow."
            )
        return None

    def _compare(self) -> None:
        """Find out, in another thread, where the movie differs from what the model knows."""
        movie, card = self.movie.movie, self.model.card
        compared: tuple[object, ...] = ()
        if movie is not None and card is not None and self.problem() is None:
            config = self.config()
            compared = (movie, card, config.frames, config.pixel_size_nm)
        if compared == self._compared:
            return
        self._compared = compared
        self._comparison.cancel()
        self.show_warnings([])
        if movie is not None and card is not None and compared:
            frames = range(len(movie))
            if not self.follow.isChecked():
                frames = parse_frame_range(config.frames, len(movie))
            given_nm = config.pixel_size_nm
            # a frame that cannot be read is told by the run
            self._comparison.start(
                lambda: iter([tuple(mismatches(card, movie, frames=frames, given_nm=given_nm))])
            )

    def _show_calibration(self) -> None:
        layer = self.movie.layer() if self.movie.movie is not None else None
        self._calibration.show_layer(layer, self.pixel_size_nm(), self._why_disabled)

    def _calibrate(self, size_nm: float) -> None:
        layer = self.movie.layer()
        assert layer is not None
        calibrate(self._viewer, layer, size_nm)
        # the layer tells it now
        self._of_movie.set_values({"pixel_size_nm": None})

    def _on_devices(self, usable: dict[str, str]) -> None:
        self._of_run.set_choices("device", {"auto": f"auto ({next(iter(usable))})"} | usable)


def _message_of(check: Callable[[], object]) -> str | None:
    """Return what a check objects to."""
    try:
        check()
    except InputError as error:
        return str(error)
    return None
