"""All that decides a training: network, loss, device and schedule, each explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.training.config import DEFAULT_UPSAMPLING_FACTOR, TrainingConfig
from napari_dl4smlm.widgets.forms.config_form import ConfigForm
from napari_dl4smlm.widgets.forms.log_slider import LogSliderEditor
from napari_dl4smlm.widgets.train.facts import LOSS_LABELS, MODEL_LABELS, network_cost

if TYPE_CHECKING:
    from napari_dl4smlm.widgets.train.facts import TorchFacts

_NETWORK = ("model",)
_LOSS = ("loss", "lambda_")
_DEVICE = ("device",)
_RUN = ("epochs", "batch_size", "learning_rate", "seed")
_ADVANCED = tuple(
    name for name in TrainingConfig.model_fields if name not in (*_NETWORK, *_LOSS, *_DEVICE, *_RUN)
)
# what no number means, where the fields do not say it
_IF_EMPTY = {"early_stopping": "never", "max_minutes": "no limit"}


class TrainingForm(QWidget):
    """The form of a ``TrainingConfig``.

    Attributes
    ----------
    changed
        Emitted after the user has changed something.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._network = ConfigForm(TrainingConfig, _NETWORK, choices={"model": MODEL_LABELS})
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
        self._run = ConfigForm(TrainingConfig, _RUN, advanced=_ADVANCED)
        self._forms = (self._network, self._loss, self._device, self._run)
        self._cost, self._about_device = note(), note()
        self._cost.setToolTip("Floating-point operations for one frame of 256 × 256 camera pixels")
        self._facts: TorchFacts | None = None
        self._upsampling_factor: int | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (
            self._network,
            self._cost,
            self._loss,
            self._device,
            self._about_device,
            self._run,
        ):
            layout.addWidget(widget)
        for name, meaning in _IF_EMPTY.items():
            self._run.set_empty(name, meaning)
        for form in self._forms:
            form.changed.connect(self._on_change)
        self._show_facts()

    def values(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults, by name."""
        return {name: value for form in self._forms for name, value in form.values().items()}

    def set_values(self, values: dict[str, Any]) -> None:
        """Show values by the names of the fields; the others stay as they are.

        Raises
        ------
        InputError
            The config refuses a value.
        """
        for form in self._forms:
            form.set_values(values)

    def build(self) -> TrainingConfig:
        """Make the config.

        Raises
        ------
        InputError
            It names each faulty field by its title.
        """
        return self._run.build(**self.values())

    def model(self) -> str:
        """Return the name of the chosen network."""
        return self._chosen("model")

    def set_facts(self, facts: TorchFacts) -> None:
        """Show what PyTorch knows of devices, losses and networks."""
        self._facts = facts
        fastest = next(iter(facts.devices))
        labels = {name: f"{name} · {text}" for name, text in facts.devices.items()}
        self._device.set_choices("device", {"auto": f"auto ({fastest})"} | labels)
        self._show_facts()

    def set_upsampling(self, factor: int | None) -> None:
        """Show the cost at the upsampling of the data; none where there are no data."""
        self._upsampling_factor = factor
        self._show_cost()

    def set_disabled(self, reason: str | None) -> None:
        """Disable all rows and say why, or enable them again."""
        names = (_NETWORK, _LOSS, _DEVICE, _RUN + _ADVANCED)
        for form, names_of_form in zip(self._forms, names, strict=True):
            for name in names_of_form:
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
        self._show_cost()
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

    def _show_cost(self) -> None:
        if self._facts is None:
            self._cost.setText("… parameters · … GFLOP")
            return
        factor = self._upsampling_factor or DEFAULT_UPSAMPLING_FACTOR
        options = self.values().get("model_options", {})
        try:
            # a text that is no options yet is told below its row
            cost = network_cost(self.model(), options if isinstance(options, dict) else {}, factor)
        except InputError as error:
            cost = f"⚠ {error}"
        self._cost.setText(cost)


def note(text: str = "") -> QLabel:
    """Make a label for what explains the rows around it."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setIndent(0)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return label
