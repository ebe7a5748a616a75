"""A training as a stream that any thread may run: it opens the data, trains and closes them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

    from napari_dl4smlm.backend.training.config import TrainingConfig
    from napari_dl4smlm.backend.training.events import TrainingEvent
    from napari_dl4smlm.widgets.session import TrainingSource


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
    """

    source: TrainingSource
    config: TrainingConfig
    out: Path
    resume: bool

    def events(self, stop: threading.Event) -> Iterator[TrainingEvent]:
        """Train, and tell what happens.

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

        with suppress(OSError):  # the trainer says better what is wrong with a folder
            self.out.parent.mkdir(parents=True, exist_ok=True)
        with self.source.open(self.config.seed) as data:
            trainer = Trainer(data, self.config, self.out, resume=self.resume)
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
