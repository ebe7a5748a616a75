"""Shows the commands for what the widget does, and which file they need."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_dl4smlm.widgets.command_panel import CommandPanel
from napari_dl4smlm.widgets.forms.titled_rows import Message
from napari_dl4smlm.widgets.process.command import (
    default_table,
    needs_file,
    process_command,
    quality_command,
)

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dl4smlm.widgets.process.processing import Processed
    from napari_dl4smlm.widgets.process.saving import SavePanel

_NO_FILE = (
    "These localizations are in no file as they are. Save their layer as a table (File › Save "
    "Selected Layers…) and open that: the command then stands here."
)
_NOTHING = "There is nothing to do: add a step, or show the image."


class MeasuredMovie(NamedTuple):
    """What the quality is measured against, and how."""

    path: Path
    pixel_size_nm: float | None
    frames: str | None
    block_frames: int | None


class CommandView(QWidget):
    """Commands to process and to measure, in two lines."""

    def __init__(self) -> None:
        super().__init__()
        self._panel, self._note = CommandPanel(), Message()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._panel)
        layout.addWidget(self._note)

    def text(self) -> str:
        """Return what is shown."""
        return self._panel.text()

    def note(self) -> str:
        """Return what has to be done before."""
        return self._note.toPlainText()

    def show_reason(self, reason: str) -> None:
        """Say why there are no commands."""
        self._note.show_text("")
        self._panel.show_reason(reason)

    def show_commands(
        self,
        processed: Processed,
        saving: SavePanel,
        *,
        with_image: bool,
        pixel_size_nm: float | None,
        movie: MeasuredMovie | None,
    ) -> None:
        """Show what does the same in a terminal.

        Parameters
        ----------
        processed
            What was done.
        saving
            It knows where the results are.
        with_image
            Whether an image is made.
        pixel_size_nm
            Camera pixel with which the table was read.
        movie
            Against which the quality is measured; ``None`` if it is in no file.
        """
        source, config = processed.table.path, processed.config
        if source is None or not (config.steps or with_image or movie):
            self.show_reason(_NO_FILE if source is None else _NOTHING)
            return
        table = saving.table or default_table(source)
        steps_file = saving.steps_for(config) or table.with_suffix(".steps.yaml")
        commands = []
        if config.steps or with_image:
            command = process_command(
                source,
                config,
                steps_file=steps_file,
                out=table if config.steps else None,
                image=(saving.image or table.with_suffix(".tif")) if with_image else None,
                pixel_size_nm=pixel_size_nm,
            )
            commands.append(command)
        if movie is not None:
            measured = table if config.steps else source
            commands.append(quality_command(measured, **movie._asdict()))
        is_missing = needs_file(config) and saving.steps_for(config) is None
        self._note.show_text(
            f"⚠ The first command reads the steps from {steps_file.name}: write it there with "
            "Save steps… before."
            if is_missing
            else ""
        )
        self._panel.show_commands(commands)
