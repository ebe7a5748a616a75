"""A simulation, matched to a movie of the user's own."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_dl4smlm.backend.config_file import write_config
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.simulation.config import MovieConfig, SimulationConfig
from napari_dl4smlm.widgets.data.events import Fault, RefusalError, SimulatedFrame, about
from napari_dl4smlm.widgets.data.page import DataPage, movie_box
from napari_dl4smlm.widgets.data.simulated import check_simulation
from napari_dl4smlm.widgets.data.simulation_file import read_simulation
from napari_dl4smlm.widgets.forms.config_form import ConfigForm
from napari_dl4smlm.widgets.forms.titled_rows import Message
from napari_dl4smlm.widgets.forms.upsampling import UPSAMPLING_TIP, upsampling_editor
from napari_dl4smlm.widgets.saving import ask_for_file
from napari_dl4smlm.widgets.sources.choices import MovieChoice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FILES = "Simulations (*.yaml *.yml)"


class SimulationPage(DataPage):
    """All parameters of a simulation, and a movie to compare it with."""

    action = (
        "Preview",
        "Simulate a frame and show it beside one of your movie, with the same contrast.\n"
        "It follows the parameters; click again for another frame.",
    )

    def __init__(self) -> None:
        super().__init__()
        self.add_box(
            "own",
            "Your movie",
            movie_box(empty="none to compare with"),
            "A movie of your microscope. Change the parameters until frames and histograms of\n"
            "both look the same: a network knows only what was simulated.",
        )
        self.upsampling = upsampling_editor()
        self.rows.add("upsampling_factor", "Upsampling", self.upsampling, UPSAMPLING_TIP)
        self.below = QWidget()
        QVBoxLayout(self.below).setContentsMargins(0, 0, 0, 0)
        self.seed = 0
        self._movie_config = MovieConfig()
        self._file_fault = Message()
        self._layout.addLayout(self._file_buttons())
        self._layout.addWidget(self._file_fault)
        self.upsampling.changed.connect(self.changed)

    @cached_property
    def form(self) -> ConfigForm[SimulationConfig]:
        """All parameters; made when they are wanted, since there are many of them."""
        form = ConfigForm(SimulationConfig)
        form.changed.connect(self.changed)
        layout = self.below.layout()
        assert layout is not None
        layout.addWidget(form)
        return form

    def prepare(self) -> Callable[[], Iterator[object]]:
        """Take what is chosen."""
        with about("form"):
            config = self.form.build()
        return partial(self._events, config, self.upsampling.value(), self.seed, self._own())

    def show_fault(self, fault: Fault | None) -> bool:
        """Show a fault below its row; the form shows its own ones."""
        return super().show_fault(fault) or (fault is not None and fault.field == "form")

    def load(self, path: Path) -> None:
        """Show the simulation of a file.

        Raises
        ------
        InputError
            It holds none.
        """
        self._movie_config = read_simulation(path)
        self.form.set_values(self._movie_config.simulation.model_dump())

    def save(self, path: Path) -> None:
        """Write the simulation, with size and seed of the movie of the file that was loaded.

        Raises
        ------
        InputError
            A parameter is faulty, or the file cannot be written.
        """
        config = self._movie_config.model_copy(update={"simulation": self.form.build()})
        write_config(path, config.to_dict())

    def _own(self) -> MovieChoice | Fault | None:
        try:
            chosen = self.chosen("own", "")
            with about("own"):
                return MovieChoice.of(chosen)
        except RefusalError as refusal:
            return refusal.fault if refusal.fault.field else None

    @staticmethod
    def _events(
        config: SimulationConfig,
        factor: Literal[1, 2, 4, 8] | None,
        seed: int,
        own: MovieChoice | Fault | None,
    ) -> Iterator[object]:
        if isinstance(own, Fault):
            yield own
            own = None
        for event in check_simulation(config, upsampling_factor=factor, seed=seed, own=own):
            yield event
            if isinstance(event, SimulatedFrame):
                yield from _differing_pixel_sizes(event)

    def _file_buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        for title, tooltip, slot in (
            ("Load…", "Read a simulation.yaml", self._load),
            ("Save…", "Write a simulation.yaml, also for dl4smlm simulate --config", self._save),
        ):
            button = QPushButton(title)
            button.setToolTip(tooltip)
            button.clicked.connect(slot)
            row.addWidget(button)
        return row

    def _load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load a simulation", "", _FILES)
        if path:
            self._report(partial(self.load, Path(path)))

    def _save(self) -> None:
        path = ask_for_file(self, "Save the simulation", Path("simulation.yaml"), _FILES)
        if path is not None:
            self._report(partial(self.save, path))

    def _report(self, action: Callable[[], None]) -> None:
        try:
            action()
        except InputError as error:
            self._file_fault.show_fault(str(error))
        else:
            self._file_fault.show_fault("")


def _differing_pixel_sizes(simulated: SimulatedFrame) -> Iterator[Fault]:
    own_nm = simulated.own_pixel_size_nm
    if own_nm is not None and abs(own_nm - simulated.pixel_size_nm) > 0.01 * own_nm:
        yield Fault(
            "own",
            f"{simulated.own_name} has pixels of {own_nm:.4g} nm, the simulation of "
            f"{simulated.pixel_size_nm:.4g} nm. Make them equal to compare.",
        )
