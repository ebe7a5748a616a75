"""All that decides a comparison: models, data, options and devices, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from napari_dl4smlm.backend.acquisition.frames import parse_frame_range
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.prediction.mismatch import pixel_size_used
from napari_dl4smlm.widgets.compare.devices import DeviceBoxes
from napari_dl4smlm.widgets.compare.models import ModelList
from napari_dl4smlm.widgets.compare.options import ComparisonOptions
from napari_dl4smlm.widgets.compare.run import ComparisonRun
from napari_dl4smlm.widgets.compare.truth import TruthPicker
from napari_dl4smlm.widgets.forms.columns import editor_row, title_label, two_columns
from napari_dl4smlm.widgets.forms.config_form import ConfigForm
from napari_dl4smlm.widgets.forms.titled_rows import Message
from napari_dl4smlm.widgets.sources.movie_picker import MoviePicker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.components import ViewerModel
    from napari.layers import Layer

_OF_DATA = ("frames", "pixel_size_nm", "tolerance_nm", "border_nm")
_ADVANCED = ("threshold", "batch_size", "tile_size", "repeats", "seed")

_ABOUT_MOVIE = "Image layer that all models predict; a file becomes a layer"
_ABOUT_TRUTH = (
    "Ground truth: where the emitters of the movie are, as points or as a table of ThunderSTORM or "
    "Picasso"
)
_ABOUT_DEVICES = "Where the models are timed"


class ComparisonForm(QWidget):
    """Rows for models, movie, true positions, `ComparisonOptions` and devices.

    Parameters
    ----------
    viewer
        Whose layers are offered.

    Attributes
    ----------
    changed
        Something else was chosen, or more is known about it.
    models, movie, truth, devices
        The choices.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self.models, self.movie = ModelList(), MoviePicker(viewer)
        self.truth, self.devices = TruthPicker(), DeviceBoxes()
        self._options = ConfigForm(ComparisonOptions, _OF_DATA, advanced=_ADVANCED)
        self._options.set_automatic("threshold", "calibrated, each its own")
        self._options.set_automatic("batch_size", "fastest")
        self._options.set_automatic("tile_size", "as memory allows")
        self._fault = Message()
        self._lay_out()
        self.models.changed.connect(self._on_models)
        self.movie.checked.connect(self._on_movie)
        self.truth.checked.connect(self._on_change)
        self._options.changed.connect(self._on_movie)
        self.devices.changed.connect(self._on_change)
        self._on_movie()

    def set_values(self, values: dict[str, Any]) -> None:
        """Show options by the names of the fields; the others stay as they are.

        Raises
        ------
        InputError
            The config refuses a value.
        """
        self._options.set_values(values)

    def options(self) -> ComparisonOptions:
        """Make the config.

        Raises
        ------
        InputError
            It names each faulty field by its title.
        """
        return self._options.build()

    def run(self) -> ComparisonRun:
        """Take what is chosen, to run it in another thread; there must be no `problem`."""
        return ComparisonRun(
            models=tuple(self.models.paths()),
            movie=self.movie.frames(),
            read_truth=self.truth.reader(),
            options=self.options(),
            devices=tuple(self.devices.names()),
        )

    def problem(self) -> str | None:
        """Say why nothing can be compared; ``None`` if it can."""
        return (
            self.models.problem()
            or self.movie.problem
            or self._options_problem()
            or self.truth.problem
            or self.devices.problem()
        )

    def pixel_size_nm(self) -> float | None:
        """Return the camera pixel that all positions are computed with, as far as it is known."""
        movie = self.movie.movie
        movie_nm = None if movie is None else movie.pixel_size_nm
        sizes = self._model_sizes()
        return pixel_size_used(self._given_nm(), movie_nm, sizes[0] if len(sizes) == 1 else None)

    def set_layers(self, layers: Iterable[Layer]) -> None:
        """Offer the layers that are there."""
        self.movie.set_layers(layers)
        if self.movie.value() is None:
            self.movie.check()
        self._on_movie()

    def look_again(self, layer: Layer) -> None:
        """Check what is chosen anew if it is a layer that has changed."""
        if layer is self.movie.value():
            self.movie.check()
        if layer in (self.movie.value(), self.truth.value()):
            self.truth.check()

    def set_disabled(self, reason: str | None) -> None:
        """Disable all rows and say why, or enable them again."""
        self.models.set_disabled(reason)
        self.devices.set_disabled(reason)
        for picker, about in ((self.movie, _ABOUT_MOVIE), (self.truth, _ABOUT_TRUTH)):
            picker.setEnabled(reason is None)
            picker.setToolTip(reason or about)
        for name in _OF_DATA + _ADVANCED:
            self._options.set_disabled(name, reason)

    def close_all(self) -> None:
        """Find out no more."""
        for part in (self.models, self.movie, self.truth, self.devices):
            part.close_all()

    def _lay_out(self) -> None:
        devices = two_columns(QGridLayout())
        devices.addWidget(title_label("Devices", _ABOUT_DEVICES), 0, 0)
        devices.addWidget(self.devices, 0, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(title_label("Models"))
        layout.addWidget(self.models)
        layout.addLayout(editor_row("Movie", _ABOUT_MOVIE, self.movie))
        layout.addLayout(editor_row("Ground truth", _ABOUT_TRUTH, self.truth))
        layout.addLayout(devices)
        layout.addWidget(self._options)
        layout.addWidget(self._fault)

    def _on_models(self) -> None:
        if self.models.cards():
            self.devices.find_devices()
        self._on_movie()

    def _on_movie(self) -> None:
        """Show what follows from another movie, model or option."""
        movie = self.movie.movie
        self._options.set_automatic(
            "frames", "the untrained" if movie is None else f"the untrained of {len(movie):,}"
        )
        known_nm = None if movie is None else movie.pixel_size_nm
        sizes = self._model_sizes()
        automatic = "not known"
        if known_nm is not None:
            automatic = f"{known_nm:.4g} nm, movie"
        elif len(sizes) == 1:
            automatic = f"{sizes[0]:.4g} nm, models"
        self._options.set_automatic("pixel_size_nm", automatic)
        self.truth.follow(self.movie.layer(), self.pixel_size_nm(), self._viewer.layers)
        self._on_change()

    def _on_change(self) -> None:
        self._fault.show_fault(self._data_problem() or "")
        self.changed.emit()

    def _options_problem(self) -> str | None:
        try:
            self.options()
        except InputError as error:
            return str(error)
        return self._data_problem()

    def _data_problem(self) -> str | None:
        """Say why the options do not fit the movie; nothing if there is none yet."""
        movie = self.movie.movie
        if movie is None:
            return None
        try:
            parse_frame_range(self.options().frames, len(movie))
        except InputError as error:
            return str(error)
        if self.models.cards() and self.pixel_size_nm() is None:
            known = ", ".join(f"{size:g} nm" for size in self._model_sizes()) or "none"
            return (
                "The movie does not tell its pixel size, and the models do not agree on one "
                f"({known}). Enter it."
            )
        return None

    def _model_sizes(self) -> list[float]:
        sizes = {card.pixel_size_nm for card in self.models.cards()}
        return sorted(size for size in sizes if size is not None)

    def _given_nm(self) -> float | None:
        try:
            return self.options().pixel_size_nm
        except InputError:
            return None
