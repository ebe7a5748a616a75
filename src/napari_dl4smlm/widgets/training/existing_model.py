"""What happens to a model file that is there already, under the name that was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.training.model_paths import last_model_of
from napari_dl4smlm.widgets.forms.titled_rows import Message

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

    from napari_dl4smlm.backend.models.model_file import ModelCard


class ExistingModel(QWidget):
    """Says that training keeps the file aside or goes on with it, which takes its options.

    Attributes
    ----------
    options_read
        Carries the card of the model with whose options the user wants to go on.
    """

    options_read = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._path: Path | None = None
        self._text, self._fault = Message(), Message()
        self._take = QPushButton("Take over its options")
        self._take.setToolTip("Fill the form with what this model was trained with, to resume it")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (self._text, self._take, self._fault):
            layout.addWidget(part)
        self._take.clicked.connect(self._on_take)
        self.show_file(None)

    def show_file(self, path: Path | None) -> None:
        """Show what becomes of a file; ``None`` for none, and of one that is not there nothing."""
        if path != self._path:
            self._fault.show_fault("")
        self._path = path
        exists = path is not None and path.exists()
        can_go_on = path is not None and last_model_of(path).exists()
        self.setVisible(exists or can_go_on)
        self._take.setVisible(can_go_on)
        sentences = []
        if path is not None and exists:
            sentences.append(f"A new training keeps the older {path.name} aside, as “previous”.")
        if can_go_on:
            sentences.append("Resume goes on with it, with the options that it was trained with.")
        self._text.show_text(" ".join(sentences))

    def _on_take(self) -> None:
        from napari_dl4smlm.backend.models.model_file import read_card

        assert self._path is not None
        try:
            card = read_card(last_model_of(self._path))
        except InputError as error:
            self._fault.show_fault(str(error))
            return
        teacher = card.teacher
        self._fault.show_text(
            "" if teacher is None else f"Its teacher was {teacher.file}: choose that to go on."
        )
        self.options_read.emit(card)

    def show_fault(self, message: str) -> None:
        """Say why the options cannot be taken over."""
        self._fault.show_fault(message)


def training_options(card: ModelCard, config: type[BaseModel]) -> dict[str, Any]:
    """Return what a model was trained with, as far as it is in a config."""
    fields = config.model_fields
    names = {field.alias or name for name, field in fields.items()}
    return {name: value for name, value in card.training.items() if name in names}
