"""What a dock widget needs of the form of a training, with or without a teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    from napari_dl4smlm.backend.models.model_file import ModelCard
    from napari_dl4smlm.backend.training.config import DistillationConfig, TrainingConfig
    from napari_dl4smlm.widgets.session import TrainingSource
    from napari_dl4smlm.widgets.training.facts import TorchFacts


class JobForm(QWidget):
    """All that decides a training, but the data and the file of the model.

    Attributes
    ----------
    changed
        Emitted after something has changed that decides the training.
    """

    changed = Signal()

    def build(self) -> TrainingConfig:
        """Make the config.

        Raises
        ------
        InputError
            It names each faulty field by its title.
        """
        raise NotImplementedError

    def distillation(self) -> DistillationConfig | None:
        """Tell the teacher and what it teaches; ``None`` for learning from the truth alone.

        Raises
        ------
        InputError
            It names each faulty field by its title.
        """
        return None

    def file_stem(self) -> str:
        """Return what a new file for the model is called after."""
        raise NotImplementedError

    def check(self, source: TrainingSource) -> None:
        """Check what the configs cannot: how data, networks and teacher fit together.

        Raises
        ------
        InputError
            They do not.
        """

    def take_over(self, card: ModelCard) -> None:
        """Show what a model was trained with.

        Raises
        ------
        InputError
            It was trained in another way.
        """
        raise NotImplementedError

    def set_data(self, source: TrainingSource | None, frame_px: tuple[int, int] | None) -> None:
        """Show what follows from the data.

        Parameters
        ----------
        source
            The data at the chosen upsampling; ``None`` where there are none.
        frame_px
            Height and width of a frame; ``None`` where they are not known.
        """
        raise NotImplementedError

    def set_facts(self, facts: TorchFacts) -> None:
        """Show what PyTorch knows of devices, losses and networks."""
        raise NotImplementedError

    def set_disabled(self, reason: str | None) -> None:
        """Disable all rows and say why, or enable them again."""
        raise NotImplementedError

    def close_all(self) -> None:
        """Find out no more."""
