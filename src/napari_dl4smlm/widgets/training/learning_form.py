"""How a network learns: loss, device and schedule, each explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_dl4smlm.backend.training.config import TrainingConfig
from napari_dl4smlm.widgets.forms.config_form import ConfigForm
from napari_dl4smlm.widgets.forms.log_slider import LogSliderEditor
from napari_dl4smlm.widgets.forms.note import note
from napari_dl4smlm.widgets.training.facts import LOSS_LABELS

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari_dl4smlm.widgets.training.facts import TorchFacts

_LOSS = ("loss", "lambda_")
_DEVICE = ("device",)
_RUN = ("epochs", "batch_size", "learning_rate", "seed")
# what no number means, where the fields do not say it
_IF_EMPTY = {"early_stopping": "never", "max_minutes": "no limit"}


class LearningForm(QWidget):
    """The fields of a ``TrainingConfig`` that do not tell which network learns.

    Parameters
    ----------
    elsewhere
        Names of the fields that have their rows in another form.

    Attributes
    ----------
    changed
        Emitted after the user has changed something.
    """

    changed = Signal()

    def __init__(self, elsewhere: Collection[str]) -> None:
        super().__init__()
        self._lambda = LogSliderEditor(
            accepts=lambda number: number > 0,
            lower="sparser, drops\ndim emitters",
            higher="keeps more signal\nand more haze",
        )
        self._loss = ConfigForm(
            TrainingConfig,
            _LOSS,
            choices={"loss": LOSS_LABELS},
            editors={"lambda_": self._lambda},
        )
        self._device = ConfigForm(TrainingConfig, _DEVICE, choices={"device": {"auto": "auto"}})
        shown = {*elsewhere, *_LOSS, *_DEVICE, *_RUN}
        advanced = tuple(name for name in TrainingConfig.model_fields if name not in shown)
        self._run = ConfigForm(TrainingConfig, _RUN, advanced=advanced)
        self._names = {self._loss: _LOSS, self._device: _DEVICE, self._run: _RUN + advanced}
        self._about_device = note()
        self._facts: TorchFacts | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self._loss, self._device, self._about_device, self._run):
            layout.addWidget(widget)
        for name, meaning in _IF_EMPTY.items():
            self._run.set_empty(name, meaning)
        for form in self._names:
            form.changed.connect(self._on_change)
        self._show_facts()

    def values(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults, by name."""
        return {name: value for form in self._names for name, value in form.values().items()}

    def set_values(self, values: dict[str, Any]) -> None:
        """Show values by the names of the fields; the others stay as they are.

        Raises
        ------
        InputError
            The config refuses a value.
        """
        for form in self._names:
            form.set_values(values)

    def build(self, **others: Any) -> TrainingConfig:
        """Make the config.

        Parameters
        ----------
        **others
            Values of the fields that have their rows in another form.

        Raises
        ------
        InputError
            It names each faulty field by its title.
        """
        return self._run.build(**self.values(), **others)

    def set_facts(self, facts: TorchFacts) -> None:
        """Show what PyTorch knows of devices and losses."""
        self._facts = facts
        fastest = next(iter(facts.devices))
        labels = {name: f"{name} · {text}" for name, text in facts.devices.items()}
        self._device.set_choices("device", {"auto": f"auto ({fastest})"} | labels)
        self._show_facts()

    def set_disabled(self, reason: str | None) -> None:
        """Disable all rows and say why, or enable them again."""
        for form, names in self._names.items():
            for name in names:
                form.set_disabled(name, reason)
        if reason is None:
            self._disable_what_the_loss_ignores()

    def _chosen(self, name: str) -> str:
        return str(self.values().get(name, TrainingConfig.model_fields[name].default))

    def _on_change(self) -> None:
        self._show_facts()
        self._disable_what_the_loss_ignores()
        self.changed.emit()

    def _disable_what_the_loss_ignores(self) -> None:
        has_none = self._chosen("loss") == "l1l2"
        reason = "Only the weighted losses have a foreground weight." if has_none else None
        self._run.set_disabled("foreground_weight", reason)

    def _show_facts(self) -> None:
        if self._facts is None:
            self._about_device.hide()
            return
        loss = self._chosen("loss")
        default = self._facts.default_lambdas[loss]
        self._loss.set_automatic("lambda_", f"{default:g} for {LOSS_LABELS[loss]}")
        self._lambda.set_default(default)
        self._show_device(self._facts)

    def _show_device(self, facts: TorchFacts) -> None:
        fastest = next(iter(facts.devices))
        device = self._chosen("device")
        about = facts.devices.get(fastest if device == "auto" else device, "")
        has_gpu = fastest != "cpu"
        self._about_device.setText(about if has_gpu else f"{about} · no GPU (why?)")
        self._about_device.setToolTip("" if has_gpu else "\n".join(facts.unusable))
        self._about_device.show()
