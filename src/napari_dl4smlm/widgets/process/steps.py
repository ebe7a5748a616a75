"""The list of steps: added, put in order, switched off and removed, each with what it did."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFrame,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.widgets.figure_view import FigureView
from napari_dl4smlm.widgets.forms.titled_rows import Message
from napari_dl4smlm.widgets.process.processing import RowJob
from napari_dl4smlm.widgets.process.step_form import step_form

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from matplotlib.figure import Figure
    from napari.layers import Layer, Points

    from napari_dl4smlm.backend.processing.config import Step
    from napari_dl4smlm.backend.processing.drift_curve import DriftCurve
    from napari_dl4smlm.backend.processing.pipeline import StepApplied
    from napari_dl4smlm.widgets.figure_view import FigureLook
    from napari_dl4smlm.widgets.process.processing import RowReached

TITLES = {
    "filter": ("Filter", "Keep values of a column between two limits"),
    "region": ("Region", "Keep what lies in a rectangle"),
    "rcc": (
        "Drift: cross-correlation (RCC)",
        "From images of parts of the movie. Bears steps of up to 1 µm and few localizations; sees\n"
        "nothing faster than a twentieth of the movie.",
    ),
    "aim": (
        "Drift: intersections (AIM)",
        "From localizations that come back. Follows faster drift, of at most 60 nm from one\n"
        "hundredth of the movie to the next.",
    ),
    "fiducials": ("Drift: beads", "From beads, or other things that always shine"),
    "saved_drift": ("Drift: from a file", "As it was measured before, such as in another colour"),
    "merge": ("Merge", "Join the localizations of a molecule that shines in successive frames"),
}
"""What each kind of step is called, and what it does."""

_DRIFT_HEIGHT_IN_LINES = 10


class StepRow(QFrame):
    """One step: a head with its title and buttons, its form, and what it did.

    Attributes
    ----------
    changed
        Emitted when the step is another one.
    moved, removed
        The user wants it one place higher (-1) or lower (1), or away.
    """

    changed = Signal()
    moved = Signal(int)
    removed = Signal()

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.StyledPanel)
        title, about = TITLES[kind]
        self.form = step_form(kind)
        self._is_on = QCheckBox(title)
        self._is_on.setChecked(True)
        self._is_on.setToolTip(f"{about}.\nUncheck to leave this step out.".replace("..", "."))
        self._outcome = Message()
        self._drift = FigureView(_DRIFT_HEIGHT_IN_LINES)
        self._drift.setToolTip("Where the sample was in each frame, against the first one")
        self._drift.setVisible(False)
        self._up = _button("▲", "Do this step earlier", lambda: self.moved.emit(-1))
        self._down = _button("▼", "Do this step later", lambda: self.moved.emit(1))
        remove = _button("✕", "Remove this step", self.removed.emit)
        head = QHBoxLayout()
        head.addWidget(self._is_on, 1)
        for button in (self._up, self._down, remove):
            head.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(head)
        for widget in (self.form, self._outcome, self._drift):
            layout.addWidget(widget)
        self._is_on.toggled.connect(self._on_toggle)
        self.form.changed.connect(self.changed)

    def job(self) -> RowJob:
        """Return what is to be done.

        Raises
        ------
        InputError
            The step lacks something, or cannot be as it was entered.
        """
        column = self.form.wanted_column()
        return RowJob(self.form.step() if self._is_on.isChecked() else None, column)

    @property
    def is_busy(self) -> bool:
        """Tell whether its drift is being drawn."""
        return self._drift.is_busy

    def set_ends(self, *, is_first: bool, is_last: bool) -> None:
        """Disable what would move the step beyond the ends of the list."""
        self._up.setEnabled(not is_first)
        self._down.setEnabled(not is_last)

    def forget(self) -> None:
        """Say nothing of the step: one before it cannot be done."""
        self._outcome.show_text("")
        self._show_drift(None)

    def show_reached(self, reached: RowReached) -> None:
        """Show what there is before the step."""
        self.form.show_columns(reached.columns, reached.histogram)
        if not self._is_on.isChecked():
            self._outcome.show_text("left out")
        elif self.form.kind == "filter":
            self._outcome.show_text("keeps all: enter a limit, or drag in the histogram")

    def show_done(self, applied: StepApplied) -> None:
        """Show what the step did."""
        self._outcome.show_text(describe(applied))
        self._show_drift(applied.drift)

    def show_fault(self, message: str) -> None:
        """Show why the step cannot be done."""
        self._outcome.show_fault(message)
        self._show_drift(None)

    def outcome(self) -> str:
        """Return what is said about the step."""
        return self._outcome.toPlainText()

    def _show_drift(self, drift: DriftCurve | None) -> None:
        self._drift.setVisible(drift is not None)
        self._drift.show_figure(None if drift is None else partial(_drift_figure, drift))

    def _on_toggle(self, is_on: bool) -> None:
        self.form.setEnabled(is_on)
        if not is_on:
            self._show_drift(None)
        self.changed.emit()


class StepList(QWidget):
    """All steps in order, and a menu that adds one.

    Attributes
    ----------
    changed
        Emitted when something else is to be done.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[StepRow] = []
        self._layers: list[Layer] = []
        self._place: Points | None = None
        self._add = QPushButton("Add step")
        self._add.setToolTip("Steps are done from top to bottom, each on what the one before left")
        menu = QMenu(self._add)
        menu.setToolTipsVisible(True)
        for kind, (title, about) in TITLES.items():
            action = menu.addAction(title, partial(self.add, kind))
            assert action is not None
            action.setToolTip(about)
        self._add.setMenu(menu)
        self._list = QVBoxLayout()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._list)
        layout.addWidget(self._add)

    def add(self, kind: str) -> StepRow:
        """Add a step at the end, as its defaults are."""
        row = self._added(kind)
        self._show_ends()
        self.changed.emit()
        return row

    def set_steps(self, steps: Iterable[Step]) -> None:
        """Show recorded steps in place of those that are there."""
        for row in list(self.rows):
            self._take(row)
        for step in steps:
            row = self._added(step.kind)
            row.form.set_step(step)
        self._show_ends()
        self.changed.emit()

    def jobs(self) -> list[RowJob]:
        """Return what all rows ask for.

        Raises
        ------
        InputError
            A row cannot be done; it says so, and the message tells which it is.
        """
        jobs = []
        for number, row in enumerate(self.rows, 1):
            try:
                jobs.append(row.job())
            except InputError as error:
                self.show_fault(number - 1, str(error))
                raise InputError(f"Step {number}: {error}") from error
        return jobs

    def show_fault(self, number: int, message: str) -> None:
        """Show which row, counted from 0, cannot be done, so that those after it are not either."""
        self.rows[number].show_fault(message)
        for row in self.rows[number + 1 :]:
            row.forget()

    def set_layers(self, layers: Sequence[Layer], place: Points | None) -> None:
        """Tell which layers there are, and where the localizations are."""
        self._layers, self._place = list(layers), place
        for row in self.rows:
            row.form.set_layers(self._layers, place)

    def use(self, layer: Layer) -> bool:
        """Tell whether a step changes with a layer."""
        # every form looks at the layer
        uses = [row.form.uses(layer) for row in self.rows]
        return any(uses)

    def _added(self, kind: str) -> StepRow:
        row = StepRow(kind)
        row.form.set_layers(self._layers, self._place)
        row.changed.connect(self.changed)
        row.moved.connect(lambda by: self._move(row, by))
        row.removed.connect(lambda: self._remove(row))
        self.rows.append(row)
        self._list.addWidget(row)
        return row

    def _move(self, row: StepRow, by: int) -> None:
        place = self.rows.index(row) + by
        self.rows.remove(row)
        self.rows.insert(place, row)
        self._list.removeWidget(row)
        self._list.insertWidget(place, row)
        self._show_ends()
        self.changed.emit()

    def _remove(self, row: StepRow) -> None:
        self._take(row)
        self._show_ends()
        self.changed.emit()

    def _take(self, row: StepRow) -> None:
        self.rows.remove(row)
        self._list.removeWidget(row)
        row.hide()
        row.deleteLater()

    def _show_ends(self) -> None:
        for row in self.rows:
            row.set_ends(is_first=row is self.rows[0], is_last=row is self.rows[-1])


def describe(applied: StepApplied) -> str:
    """Tell what a step did."""
    before, after = applied.n_before, len(applied.localizations)
    if applied.drift is not None:
        return f"drift: {applied.drift}"
    if not before:
        return "no localizations arrive here"
    return f"{before:,} → {after:,} ({after / before:.0%})"


def _drift_figure(drift: DriftCurve, look: FigureLook) -> Figure:
    # imports matplotlib
    from napari_dl4smlm.backend.figures.drift import draw_drift

    figure = draw_drift(drift.first_frame, drift.y_nm, drift.x_nm)
    look.colour(figure)
    return figure


def _button(text: str, tooltip: str, on_click: Callable[[], object]) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tooltip)
    button.setAutoRaise(True)
    button.clicked.connect(lambda: on_click())
    return button
