"""A training as a stream that any thread may run: it opens the data, trains and closes them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_dl4smlm.backend.training.model_paths import last_model_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from napari_dl4smlm.backend.training.config import DistillationConfig, TrainingConfig
    from napari_dl4smlm.backend.training.events import TrainingEvent
    from napari_dl4smlm.widgets.session import TrainingSource


@dataclass(frozen=True)
class EarlierEpochs:
    """What the model file tells of the epochs before a training goes on.

    Attributes
    ----------
    history
        As in `ModelCard`.
    """

    history: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class TrainingRun:
    """What was asked for when training started; the form and the session may say else by now.

    Attributes
    ----------
    source
        The data.
    config
        Network, loss, device and schedule.
    out
        File for the best model.
    resume
        Go on from the last model beside ``out``.
    distillation
        The teacher and what it teaches, if there is one.
    """

    source: TrainingSource
    config: TrainingConfig
    out: Path
    resume: bool
    distillation: DistillationConfig | None = None

    def events(self, stop: threading.Event) -> Iterator[TrainingEvent | EarlierEpochs]:
        """Train, and tell what happens; first, what happened before if training goes on.

        Parameters
        ----------
        stop
            Ends training after the step under way. Best and last model are then on disk, even if
            the stream is closed and never asked for another event.

        Raises
        ------
        InputError
            The data or the config cannot be used, or training diverged.
        """
        # PyTorch takes seconds to import
        from napari_dl4smlm.backend.training.trainer import Trainer

        if self.resume:
            yield self._earlier_epochs()
        with suppress(OSError):  # the trainer says better what is wrong with a folder
            self.out.parent.mkdir(parents=True, exist_ok=True)
        with self.source.open(self.config.seed) as data:
            trainer = Trainer(
                data,
                self.config,
                self.out,
                distillation=self.distillation,
                resume=self.resume,
            )
            events = trainer.events()
            try:
                for event in events:
                    yield event
                    if stop.is_set():
                        trainer.stop()
            except GeneratorExit:
                trainer.stop()
                for _ in events:
                    pass
                raise

    def _earlier_epochs(self) -> EarlierEpochs:
        from napari_dl4smlm.backend.models.model_file import read_card

        return EarlierEpochs(read_card(last_model_of(self.out)).history)
