"""All that decides a distillation: teacher, student, what is taught, and how it is learned."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QVBoxLayout

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.training.config import (
    DEFAULT_UPSAMPLING_FACTOR,
    DistillationConfig,
    TrainingConfig,
)
from napari_dl4smlm.widgets.distill.comparison import CostComparison
from napari_dl4smlm.widgets.distill.outline import NetworkChoice, Pair, outline_pair
from napari_dl4smlm.widgets.distill.student import StudentForm
from napari_dl4smlm.widgets.distill.teacher import check_upsampling, describe_teacher
from napari_dl4smlm.widgets.distill.teaching import TeachingForm
from napari_dl4smlm.widgets.forms.columns import editor_row
from napari_dl4smlm.widgets.forms.titled_rows import Message
from napari_dl4smlm.widgets.sources.latest_run import LatestRun
from napari_dl4smlm.widgets.sources.model_picker import ModelPicker
from napari_dl4smlm.widgets.training.existing_model import training_options
from napari_dl4smlm.widgets.training.job_form import JobForm
from napari_dl4smlm.widgets.training.learning_form import LearningForm

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dl4smlm.backend.models.model_file import ModelCard
    from napari_dl4smlm.widgets.session import TrainingSource
    from napari_dl4smlm.widgets.training.facts import TorchFacts

_ABOUT_TEACHER = "Trained model to learn from: drop a .safetensors file here, or choose one"
# where the frames of the data are not known, as of simulated patches
_FRAME_PX = (256, 256)


class DistillationForm(JobForm):
    """The form of a ``DistillationConfig`` and of the ``TrainingConfig`` of its student.

    Attributes
    ----------
    teacher, student, teaching
        Its parts.
    """

    def __init__(self) -> None:
        super().__init__()
        self.teacher = ModelPicker("teacher", describe_teacher)
        self.student, self.teaching = StudentForm(), TeachingForm()
        self._learning = LearningForm(elsewhere=("model", "model_options"))
        self._comparison = CostComparison()
        self._upsampling_fault, self._layer_fault = Message(), Message()
        self._source: TrainingSource | None = None
        self._frame_px: tuple[int, int] | None = None
        self._knows_torch = False
        self._asked: tuple[object, ...] = ()
        self._outlines = LatestRun(self)
        self._lay_out()
        for part in (self.teacher, self.student, self.teaching, self._learning):
            part.changed.connect(self._on_change)
        self._outlines.event_arrived.connect(self._on_outlines)
        self._outlines.failed.connect(self._on_no_outlines)
        self._comparison.show_pair(Pair(None, None), _FRAME_PX)

    def build(self) -> TrainingConfig:
        """Make the config of the student."""
        network = self.student.choice()
        return self._learning.build(model=network.name, model_options=network.options)

    def distillation(self) -> DistillationConfig:
        """Tell the teacher and what it teaches."""
        teacher = self.teacher.value()
        if teacher is None or self.teacher.problem is not None:
            raise InputError(self.teacher.problem or "Choose a teacher first.")
        return self.teaching.build(teacher.absolute())

    def file_stem(self) -> str:
        """Return what the file of a student is called after."""
        return f"{self.student.network()}-student"

    def check(self, source: TrainingSource) -> None:
        """Check that the teacher can teach on the data, and its layers the student's."""
        self.distillation()
        assert self.teacher.card is not None
        check_upsampling(self.teacher.card, source)
        self._check_layers()

    def take_over(self, card: ModelCard) -> None:
        """Show what a student was trained with; its teacher has to be chosen by the user."""
        if card.teacher is None:
            raise InputError("This model learned without a teacher: resume it in the Train widget.")
        self._learning.set_values(training_options(card, TrainingConfig))
        self.student.set_choice(card.architecture, card.options)
        taught = training_options(card, DistillationConfig)
        self.teaching.set_values(taught | {"teacher": card.teacher.file})

    def set_data(self, source: TrainingSource | None, frame_px: tuple[int, int] | None) -> None:
        """Show what follows from the upsampling and the size of the frames."""
        self._source, self._frame_px = source, frame_px
        self._show()

    def set_facts(self, facts: TorchFacts) -> None:
        """Show what PyTorch knows of devices, losses and networks."""
        self._knows_torch = True
        self._learning.set_facts(facts)
        self._ask_outlines()

    def set_disabled(self, reason: str | None) -> None:
        """Disable all rows and say why, or enable them again."""
        self.teacher.setEnabled(reason is None)
        self.teacher.setToolTip(reason or str(self.teacher.value() or _ABOUT_TEACHER))
        for part in (self.student, self.teaching, self._learning):
            part.set_disabled(reason)

    def close_all(self) -> None:
        """Find out no more."""
        self.teacher.close_all()
        self._outlines.cancel()
        self._asked = ()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(editor_row("Teacher", _ABOUT_TEACHER, self.teacher))
        for widget in (
            self._upsampling_fault,
            self.student,
            self._comparison,
            self.teaching,
            self._layer_fault,
            self._learning,
        ):
            layout.addWidget(widget)

    def _on_change(self) -> None:
        self._show()
        self.changed.emit()

    def _show(self) -> None:
        """Show what follows from another teacher, student or data."""
        self._ask_outlines()
        card, source = self.teacher.card, self._source
        upsampling = layers = ""
        if card is not None and source is not None:
            upsampling = _fault_of(partial(check_upsampling, card, source))
        if _fault_of(self.build) == "":
            layers = _fault_of(self._check_layers)
        self._upsampling_fault.show_fault(upsampling)
        self._layer_fault.show_fault(layers)

    def _check_layers(self) -> None:
        self.teaching.check(min(self.build().patch_size, *(self._frame_px or _FRAME_PX)))

    def _ask_outlines(self) -> None:
        """Find out, in another thread, how large both networks are and which layers they have."""
        card = self.teacher.card
        if not self._knows_torch and card is None:
            return
        teacher = None if card is None else NetworkChoice(card.architecture, card.options)
        try:
            student = self.student.choice()
        except InputError:
            # it is told below its row
            student = None
        if card is not None:
            factor = card.upsampling_factor
        elif self._source is not None:
            factor = self._source.upsampling_factor
        else:
            factor = DEFAULT_UPSAMPLING_FACTOR
        asked = teacher, student, factor, self._frame_px or _FRAME_PX
        if asked != self._asked:
            self._asked = asked
            self._outlines.start(partial(outline_pair, *asked))

    def _on_outlines(self, pair: Pair) -> None:
        self._comparison.show_pair(pair, self._frame_px or _FRAME_PX)
        if pair.teacher is not None and pair.student is not None:
            self.teaching.hints.set_networks(pair.teacher, pair.student)

    def _on_no_outlines(self, message: str) -> None:
        self._comparison.show_pair(Pair(None, None), self._frame_px or _FRAME_PX)
        self._layer_fault.show_fault(message)


def _fault_of(check: Callable[[], object]) -> str:
    """Return what a check objects to; empty if it does not."""
    try:
        check()
    except InputError as error:
        return str(error)
    return ""
