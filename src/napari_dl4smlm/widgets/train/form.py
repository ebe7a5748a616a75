"""All that decides an ordinary training: the network, and how it learns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QVBoxLayout

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.training.config import DEFAULT_UPSAMPLING_FACTOR, TrainingConfig
from napari_dl4smlm.widgets.forms.config_form import ConfigForm
from napari_dl4smlm.widgets.forms.note import note
from napari_dl4smlm.widgets.sources.model_text import MODEL_LABELS
from napari_dl4smlm.widgets.training.existing_model import training_options
from napari_dl4smlm.widgets.training.facts import network_cost
from napari_dl4smlm.widgets.training.job_form import JobForm
from napari_dl4smlm.widgets.training.learning_form import LearningForm

if TYPE_CHECKING:
    from napari_dl4smlm.backend.models.model_file import ModelCard
    from napari_dl4smlm.widgets.session import TrainingSource
    from napari_dl4smlm.widgets.training.facts import TorchFacts

_NETWORK = ("model",)


class TrainingForm(JobForm):
    """The form of a ``TrainingConfig``."""

    def __init__(self) -> None:
        super().__init__()
        self._network = ConfigForm(TrainingConfig, _NETWORK, choices={"model": MODEL_LABELS})
        self._learning = LearningForm(elsewhere=_NETWORK)
        self._cost = note()
        self._cost.setToolTip("Floating-point operations for one frame of 256 × 256 camera pixels")
        self._knows_torch = False
        self._upsampling_factor: int | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self._network, self._cost, self._learning):
            layout.addWidget(widget)
        for form in (self._network, self._learning):
            form.changed.connect(self._on_change)
        self._show_cost()

    def values(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults, by name."""
        return self._network.values() | self._learning.values()

    def set_values(self, values: dict[str, Any]) -> None:
        """Show values by the names of the fields; the others stay as they are.

        Raises
        ------
        InputError
            The config refuses a value.
        """
        self._network.set_values(values)
        self._learning.set_values(values)

    def build(self) -> TrainingConfig:
        """Make the config."""
        return self._learning.build(**self._network.values())

    def file_stem(self) -> str:
        """Return the name of the chosen network."""
        return str(self.values().get("model", TrainingConfig.model_fields["model"].default))

    def take_over(self, card: ModelCard) -> None:
        """Show what a model was trained with."""
        if card.teacher is not None:
            raise InputError("This model learned from a teacher: resume it in the Distill widget.")
        self.set_values(training_options(card, TrainingConfig))

    def set_facts(self, facts: TorchFacts) -> None:
        """Show what PyTorch knows of devices, losses and networks."""
        self._knows_torch = True
        self._learning.set_facts(facts)
        self._show_cost()

    def set_data(self, source: TrainingSource | None, frame_px: tuple[int, int] | None) -> None:
        """Show the cost at the upsampling of the data."""
        del frame_px
        self._upsampling_factor = None if source is None else source.upsampling_factor
        self._show_cost()

    def set_disabled(self, reason: str | None) -> None:
        """Disable all rows and say why, or enable them again."""
        for name in _NETWORK:
            self._network.set_disabled(name, reason)
        self._learning.set_disabled(reason)

    def _on_change(self) -> None:
        self._show_cost()
        self.changed.emit()

    def _show_cost(self) -> None:
        if not self._knows_torch:
            self._cost.setText("… parameters · … GFLOP")
            return
        factor = self._upsampling_factor or DEFAULT_UPSAMPLING_FACTOR
        options = self.values().get("model_options", {})
        try:
            # a text that is no options yet is told below its row
            cost = network_cost(
                self.file_stem(), options if isinstance(options, dict) else {}, factor
            )
        except InputError as error:
            cost = f"⚠ {error}"
        self._cost.setText(cost)
