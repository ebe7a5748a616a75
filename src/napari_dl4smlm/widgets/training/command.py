"""The command that trains as the form says, to copy."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QApplication, QPushButton, QVBoxLayout, QWidget

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.widgets.command_line import config_file, save_job, train_command
from napari_dl4smlm.widgets.forms.titled_rows import Message
from napari_dl4smlm.widgets.wrapped_text import WrappedText

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dl4smlm.backend.training.config import TrainingJob

_COPY = "Copy"
_COPY_WITH_FILE = "Copy, and write the file"


class TrainingCommand(QWidget):
    """Shows a command, or why there is none."""

    def __init__(self) -> None:
        super().__init__()
        self._text = WrappedText()
        self._fault = Message()
        self._copy = QPushButton(_COPY)
        self._job: TrainingJob | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._text)
        layout.addWidget(self._copy)
        layout.addWidget(self._fault)
        self._copy.clicked.connect(self._on_copy)

    def text(self) -> str:
        """Return what is shown."""
        return self._text.toPlainText()

    def show_job(self, job: TrainingJob) -> None:
        """Show the command of a job."""
        self._job = job
        self._fault.show_fault("")
        self._text.setPlainText(train_command(job))
        file = config_file(job)
        self._copy.setEnabled(True)
        self._copy.setText(_COPY if file is None else _COPY_WITH_FILE)
        self._copy.setToolTip(
            "Copy the command"
            if file is None
            else f"Not all of this can be said by options: they are written to\n{file}"
        )

    def show_reason(self, reason: str) -> None:
        """Say why there is no command."""
        self._job = None
        self._text.setPlainText(reason)
        self._copy.setEnabled(False)
        self._copy.setText(_COPY)
        self._copy.setToolTip(reason)

    def _on_copy(self) -> None:
        assert self._job is not None
        file = config_file(self._job)
        if file is not None and not self._save(self._job, file):
            return
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(self.text())

    def _save(self, job: TrainingJob, file: Path) -> bool:
        """Write what the command reads; return whether that could be done."""
        try:
            # what keeps a folder from being made is said when the file cannot be written
            with suppress(OSError):
                file.parent.mkdir(parents=True, exist_ok=True)
            save_job(job, file)
        except InputError as error:
            self._fault.show_fault(str(error))
            return False
        self._fault.show_fault("")
        return True
