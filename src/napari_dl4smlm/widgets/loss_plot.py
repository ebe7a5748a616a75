"""The losses of a training, epoch by epoch, in the colours of the viewer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_dl4smlm.widgets.figure_view import FigureView
from napari_dl4smlm.widgets.loss_curves import Epoch, draw_losses, panels_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_dl4smlm.backend.training.events import StageName

_HEIGHT_IN_LINES = 15


class LossPlot(QWidget):
    """Training and validation loss of every epoch so far; the best epoch is marked.

    The stages of a distillation lie side by side, each with its own scale and best epoch.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setToolTip(
            "Mean loss of the training patches, and of the validation frames, which never train.\n"
            "The model of the best epoch is kept, the one with the lowest validation loss. If "
            "that\nrises while the training loss falls, the network learns the patches by heart.\n"
            "The loss of hints compares layers and not images: it has a scale of its own."
        )
        self._view = FigureView(_HEIGHT_IN_LINES)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._view)
        self._epochs: list[Epoch] = []
        # of the hints, and of what is no hint
        self._best: dict[bool, Epoch] = {}
        # epochs that arrive together are drawn once
        self._pending = QTimer(self)
        self._pending.setSingleShot(True)
        self._pending.timeout.connect(self._draw)
        self.clear()

    @property
    def is_busy(self) -> bool:
        """Whether epochs are being drawn, or will be at once."""
        return self._pending.isActive() or self._view.is_busy

    def add(
        self,
        epoch: int,
        training_loss: float,
        validation_loss: float,
        is_best: bool,
        stage: StageName = "training",
    ) -> None:
        """Add an epoch, which is drawn with all others that arrive with it.

        Parameters
        ----------
        epoch
            From 1; that of a resumed training may begin later.
        training_loss, validation_loss
            Means of the epoch.
        is_best
            Whether no epoch of the stage had a lower validation loss before.
        stage
            What was learned in it.
        """
        added = Epoch(epoch, training_loss, validation_loss, stage)
        self._epochs.append(added)
        if is_best:
            self._best[added.is_hint] = added
        self._pending.start()

    def restore(
        self, epochs: Iterable[tuple[int, float, float] | tuple[int, float, float, StageName]]
    ) -> None:
        """Show the epochs of an earlier training, and no others.

        Parameters
        ----------
        epochs
            Number, training loss, validation loss and, if there are any, stage of each, in order.
        """
        self.clear()
        self._epochs = [Epoch(*epoch) for epoch in epochs]
        for is_hint, of_panel in panels_of(self._epochs).items():
            self._best[is_hint] = min(of_panel, key=lambda epoch: epoch.validation_loss)
        if self._epochs:
            self._pending.start()

    def clear(self) -> None:
        """Forget all epochs, for a new training."""
        self._epochs.clear()
        self._best.clear()
        self._pending.stop()
        self._view.show_figure(None)
        self._view.setText("The losses appear here after the first epoch.")

    def _draw(self) -> None:
        # copies, since they are drawn in another thread
        self._view.show_figure(partial(draw_losses, [*self._epochs], {**self._best}))
