"""What the widgets of one viewer share: the current training data and the current model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

from psygnal import Signal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Literal

    from napari.components import ViewerModel

    from napari_dl4smlm.backend.training.config import DataConfig
    from napari_dl4smlm.backend.training.data import TrainingData


@dataclass(frozen=True)
class TrainingSource:
    """Training data that were checked and chosen, but are opened only by the run that needs them.

    Attributes
    ----------
    open
        Takes the seed that draws the frames for validation. It runs off the GUI thread, so that it
        must not touch the viewer; whoever calls it closes the data.
    config
        What the command line would open; ``None`` for layers that are not in any file.
    movie_layer_name
        Where previews belong; the layer may have been removed or renamed since.
    summary
        One or two lines for the user, such as ``20 frames · 64 × 64 · 100 nm · ×8``.
    upsampling_factor
        Fine pixels per camera pixel.
    pixel_size_nm
        Camera pixel; ``None`` where pairs of images do not tell it.
    at_upsampling
        Takes another factor and returns the same data for it; ``None`` where the true images fix
        the factor.
    """

    open: Callable[[int], TrainingData]
    config: DataConfig | None
    movie_layer_name: str | None
    summary: str
    upsampling_factor: int
    pixel_size_nm: float | None
    at_upsampling: Callable[[Literal[1, 2, 4, 8]], TrainingSource] | None = None


class Session:
    """What one widget makes is chosen in the next; take it from `Session.of`.

    Setting a value tells everybody, even if it is the same as before: a file may hold a newly
    trained model under the name of the last one.

    Attributes
    ----------
    data_changed, model_changed
        Emitted with the new value, in the thread that set it: the GUI thread.
    """

    data_changed = Signal(object)
    model_changed = Signal(object)

    # a session ends with its viewer, and must therefore not hold it
    _of_viewer: ClassVar[WeakKeyDictionary[ViewerModel, Session]] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._data: TrainingSource | None = None
        self._model_path: Path | None = None

    @classmethod
    def of(cls, viewer: ViewerModel) -> Session:
        """Return the session of a viewer, the same for every widget.

        Parameters
        ----------
        viewer
            The viewer, or the proxy of it that napari gives to widgets.
        """
        # each widget gets a proxy of its own
        viewer = getattr(viewer, "__wrapped__", viewer)
        return cls._of_viewer.setdefault(viewer, cls())

    @property
    def data(self) -> TrainingSource | None:
        """What the next training learns from; ``None`` until some data were chosen."""
        return self._data

    @data.setter
    def data(self, source: TrainingSource | None) -> None:
        self._data = source
        self.data_changed.emit(source)

    @property
    def model_path(self) -> Path | None:
        """The model that predicts next, such as the one that was just trained."""
        return self._model_path

    @model_path.setter
    def model_path(self, path: Path | None) -> None:
        self._model_path = path
        self.model_changed.emit(path)
