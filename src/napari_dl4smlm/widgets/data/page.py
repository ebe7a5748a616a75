"""What the three ways to choose data have in common."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels, Layer, Points
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_dl4smlm.widgets.data.events import RefusalError
from napari_dl4smlm.widgets.data.training_source import Division
from napari_dl4smlm.widgets.fold import Fold
from napari_dl4smlm.widgets.forms.field_editors import NumberEditor, TextEditor
from napari_dl4smlm.widgets.forms.titled_rows import TitledRows
from napari_dl4smlm.widgets.layers.layers import mark_of
from napari_dl4smlm.widgets.layers.localization_layers import PROCESSED
from napari_dl4smlm.widgets.sources.source_box import MOVIE_FILES, TABLE_FILES, SourceBox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from napari_dl4smlm.widgets.data.events import Fault, MovieFacts


class DataPage(QWidget):
    """Rows to choose data; what is rarely needed is `below`, under the histogram.

    Attributes
    ----------
    changed
        Something else was chosen.
    action
        What the button beside "Use for training" does, and its tooltip.
    """

    changed = Signal()
    action: tuple[str, str]
    below: QWidget

    def __init__(self) -> None:
        super().__init__()
        self.rows = TitledRows()
        self.boxes: dict[str, SourceBox] = {}
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.addWidget(self.rows)

    def set_layers(self, layers: Iterable[Layer]) -> None:
        """Offer the layers that are there."""
        for box in self.boxes.values():
            box.set_layers(layers)

    def uses(self, layer: Layer) -> bool:
        """Tell whether a layer is chosen."""
        return any(box.value() is layer for box in self.boxes.values())

    def movie(self) -> Image | Path | None:
        """Return the movie that is chosen."""
        return next(iter(self.boxes.values())).value()

    def prepare(self) -> Callable[[], Iterator[object]]:
        """Take what is chosen, for a stream of facts that runs in another thread.

        Raises
        ------
        RefusalError
            Something is missing, or is known to be faulty without reading any file.
        """
        raise NotImplementedError

    def show_event(self, event: object) -> None:
        """Show in the rows what was found out."""

    def show_fault(self, fault: Fault | None) -> bool:
        """Show a fault below its row, and no other; return whether it has one."""
        return self.rows.show_fault(fault)

    def add_box(self, name: str, title: str, box: SourceBox, tooltip: str) -> None:
        """Add a choice of layer or file."""
        self.boxes[name] = box
        self.rows.add(name, title, box, tooltip)
        box.changed.connect(self.changed)

    def chosen(self, name: str, missing: str) -> Any:
        """Return what is chosen in a box.

        Raises
        ------
        RefusalError
            Nothing, with ``missing`` as the message, or a layer that is gone.
        """
        box = self.boxes[name]
        value = box.value()
        if value is None:
            gone = box.fault()
            raise RefusalError(name if gone else "", gone or missing)
        return value


class PixelSizeEditor(NumberEditor):
    """Camera pixel in nm; empty where the movie tells it."""

    def __init__(self) -> None:
        super().__init__(whole=False, unit="nm", accepts=_is_size)
        self._from_file_nm: float | None = None
        self.set_known(None)

    def set_known(self, size_nm: float | None) -> None:
        """Show what the movie tells."""
        known = "from the movie" if size_nm is None else f"{size_nm:.4g} nm"
        self.set_placeholder(f"auto: {known}")

    def follow(self, facts: MovieFacts) -> None:
        """Show what the movie tells, and take over what only its file does."""
        if self.value() is None and facts.pixel_size_nm is None:
            self._from_file_nm = facts.size_in_file_nm
            self.set_value(facts.size_in_file_nm)
        elif self.value() is None:
            self.set_known(facts.pixel_size_nm)

    def forget(self) -> None:
        """Drop what another movie told; what the user entered stays."""
        self.set_known(None)
        if self._from_file_nm is not None and self.value() == self._from_file_nm:
            self.set_value(None)
        self._from_file_nm = None

    def size_nm(self) -> float | None:
        """Return what was entered.

        Raises
        ------
        RefusalError
            It is no size.
        """
        value = self.value()
        if value is not None and not _is_size(value):
            entered = repr(value) if isinstance(value, str) else f"{value:g} nm"
            raise RefusalError(
                "pixel_size_nm", f"{entered} is no pixel size. Enter nm, such as 100."
            )
        return value  # type: ignore[return-value]


class DivisionRows(Fold):
    """Which frames are used, and which validate; folded away."""

    def __init__(self, changed: Any) -> None:
        self.rows = TitledRows()
        super().__init__(self.rows, "Advanced")
        self._frames = TextEditor(optional=True)
        self._frames.set_placeholder("all")
        self._validation = TextEditor(optional=True)
        self._validation.set_placeholder("a fifth, at random")
        self.rows.add("frames", "Frames", self._frames, _FRAMES_TIP)
        self.rows.add("validation_frames", "Validation", self._validation, _VALIDATION_TIP)
        for editor in (self._frames, self._validation):
            editor.changed.connect(changed)

    def value(self) -> Division:
        """Return what was entered."""
        return Division(self._frames.value(), self._validation.value())

    def show_fault(self, fault: Fault | None) -> bool:
        """Show a fault below its row, which must not be folded away then."""
        is_mine = self.rows.show_fault(fault)
        if is_mine:
            self.set_open(True)
        return is_mine


_FRAMES_TIP = "Frames to use, such as 0:100: counted from 0, without the end"
_VALIDATION_TIP = (
    "Frames that never train, such as 80:100; on them the best epoch is chosen.\n"
    "By default a fifth of the frames, drawn by the seed of the training."
)


def movie_box(*, role: str = "movie", empty: str = "layer or file") -> SourceBox:
    """Make a choice of a movie; that of this role is chosen at first."""
    return SourceBox(
        accepts=_is_movie,
        prefers=lambda layer: _role(layer) == role,
        files=MOVIE_FILES,
        folders=True,
        empty=empty,
    )


def positions_box() -> SourceBox:
    """Make a choice of a table of positions."""
    return SourceBox(
        accepts=lambda layer: isinstance(layer, Points),
        prefers=_may_be_truth,
        files=TABLE_FILES,
        folders=False,
    )


def finder_of(positions_layer: Layer) -> str | None:
    """Return the name of the network that has found some positions, if it was one."""
    return mark_of(positions_layer).get("model")


def _is_movie(layer: Layer) -> bool:
    # labels, which look like images, are told why they are none
    return isinstance(layer, Image | Labels) and "preview" not in str(mark_of(layer).get("role"))


def _may_be_truth(layer: Layer) -> bool:
    # what was processed may come from a file, of which nobody knows who found it
    return finder_of(layer) is None and mark_of(layer).get("role") != PROCESSED


def _role(layer: Layer) -> str:
    """Return what an image is for; one of others with several frames is taken for a movie."""
    mark = mark_of(layer)
    is_stack = not mark and isinstance(layer, Image) and layer.ndim > 2 and not layer.rgb
    return "movie" if is_stack else str(mark.get("role"))


def _is_size(value: Any) -> bool:
    return isinstance(value, int | float) and 0 < value < math.inf
