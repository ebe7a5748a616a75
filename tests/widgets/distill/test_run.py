"""From a teacher to a student that predicts, and what may come between."""

from __future__ import annotations

import shlex
import threading
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.models.model_file import load_model
from napari_dl4smlm.backend.training.learner import Learner, NotANumberError
from napari_dl4smlm.cli import main
from napari_dl4smlm.widgets.layers.layers import mark_of
from napari_dl4smlm.widgets.loss_plot import LossPlot
from napari_dl4smlm.widgets.session import Session
from napari_dl4smlm.widgets.training.command import TrainingCommand
from napari_dl4smlm.widgets.training.file import ModelFile

pytestmark = pytest.mark.gui

ENDLESS = {"epochs": 100_000, "early_stopping": None}


def previews(viewer):
    return [
        mark_of(layer)["part"] for layer in viewer.layers if mark_of(layer).get("role") == "preview"
    ]


def stages(widget):
    return [epoch.stage for epoch in widget.findChild(LossPlot)._epochs]


def test_a_distillation_ends_with_a_student_that_predict_uses(ready, session, viewer):
    # the teacher is the model just trained, which is followed by default
    session.model_path = ready.form.teacher.value()
    ready.wait_until_at_rest()
    ready.distill()

    path = session.model_path
    assert path.name.startswith("fid_storm-student-")
    card = load_model(path).card
    assert card.options["channels"] == 4
    assert card.teacher.file == "teacher.safetensors"
    assert card.training["stages"] == "hint,transfer"
    assert "Finished after epoch 4: all epochs done." in ready.shown()
    assert f"Predict has the best model now:\n{path}" in ready.shown()
    # the student does not become its own teacher
    assert ready.form.teacher.value().name == "teacher.safetensors"


def test_both_stages_have_their_curves(ready):
    ready.distill()

    assert stages(ready.widget) == ["hint", "transfer", "transfer", "transfer"]
    plot = ready.widget.findChild(LossPlot)
    ready.wait(lambda: not plot.is_busy)
    assert not plot._view.pixmap().isNull()


def test_stage_and_time_left_are_told(ready):
    ready.set_learning(**ENDLESS)
    ready.press("Distill")
    ready.wait_for("of 100000 · hints · ")
    ready.wait_for(" left")
    assert "Best: epoch" not in ready.shown() or "hint loss" in ready.shown()
    ready.press("Stop")
    ready.wait_until_at_rest()


def test_raw_teacher_student_and_ground_truth_are_shown(ready, viewer):
    ready.distill()
    ready.wait(lambda: bool(previews(viewer)))

    assert previews(viewer) == ["frame", "teacher", "student", "ground truth"]


def test_a_pause_a_stop_and_a_resume_lose_nothing(ready, session):
    ready.set_learning(**ENDLESS)
    ready.press("Distill")
    ready.wait_for("hints")
    ready.press("Pause")
    ready.wait_for("· paused")
    ready.press("Resume")
    ready.press("Stop")
    ready.wait_for("Stopped in epoch")
    ready.wait_until_at_rest()
    # a model from the middle of the hints sees nothing
    assert session.model_path is None
    assert "Resume with the transfer" in ready.shown()
    assert not ready.button("Use in Predict").isEnabled()
    assert ready.button("Save as…").isEnabled()

    ready.set_learning(epochs=len(stages(ready.widget)) + 2)
    ready.press("Resume")
    ready.wait_for("Finished after epoch")
    ready.wait_until_at_rest()
    assert load_model(session.model_path).card.history[-1]["stage"] == "transfer"


def test_after_hints_alone_the_transfer_follows(ready, session):
    ready.form.teaching.set_values({"teacher": "t", "stages": "hint"})
    ready.set_learning(epochs=2)
    ready.distill()
    assert session.model_path is None
    assert "until it is resumed with the transfer" in ready.shown()

    ready.form.teaching.set_values({"teacher": "t", "stages": "hint,transfer"})
    ready.set_learning(epochs=4)
    ready.press("Resume")
    ready.wait_for("Finished after epoch 4")
    ready.wait_until_at_rest()
    assert stages(ready.widget) == ["hint", "hint", "transfer", "transfer"]
    assert session.model_path is not None


@pytest.mark.parametrize("stages", ["hint,transfer", "transfer"])
def test_the_command_makes_the_same_student(ready, session, tmp_path, stages):
    ready.form.teaching.set_values({"teacher": "t", "stages": stages, "alpha": 0.25})
    if stages == "hint,transfer":
        ready.press("Add a pair of layers")
    ready.widget.findChild(ModelFile).set_chosen(tmp_path / "by command")
    command = ready.widget.findChild(TrainingCommand).text()
    ready.widget.findChild(ModelFile).set_chosen(None)
    ready.distill()

    program, *words = shlex.split(command)
    assert (program, words[0]) == ("dl4smlm", "distill")
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output

    ours, theirs = (
        load_model(path) for path in (session.model_path, tmp_path / "by command.safetensors")
    )
    assert ours.card.weights_sha256 == theirs.card.weights_sha256
    assert ours.card.history == theirs.card.history
    assert ours.card.training == theirs.card.training
    for name, value in ours.network.state_dict().items():
        assert torch.equal(value, theirs.network.state_dict()[name]), name


def test_data_without_files_have_no_command(ready, session):
    session.data = replace(session.data, config=None)

    assert "Save the movie and the positions" in ready.shown()
    assert ready.button("Distill").isEnabled()


def test_the_student_does_not_replace_its_teacher(ready):
    ready.widget.findChild(ModelFile).set_chosen(ready.form.teacher.value())

    assert ready.refusal() == "teacher.safetensors is the teacher. Name another model file."


def test_data_unlike_those_of_the_teacher_are_warned_of(ready, save_teacher):
    ready.choose_teacher(save_teacher("other", pixel_size_nm=160.0))
    ready.distill()

    assert "⚠ The teacher was trained on pixels of 160 nm" in ready.shown()


def test_a_loss_that_is_no_number_is_told_and_the_next_distillation_works(
    ready, session, monkeypatch
):
    def fail(self, *patches):
        raise NotANumberError("the loss became nan")

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "step", fail)
        ready.distill()
    assert "⚠ Training diverged: the loss became nan in epoch 1, step 1" in ready.shown()
    assert session.model_path is None
    ready.press("Copy details")
    assert "NotANumberError" in QApplication.clipboard().text()

    ready.distill()
    assert "diverged" not in ready.shown()
    assert session.model_path.exists()


def test_a_teacher_that_is_gone_is_told(ready, session):
    ready.form.teacher.value().unlink()
    ready.distill()

    assert "There is no file" in ready.shown()
    assert "teacher.safetensors" in ready.shown()
    assert session.model_path is None


def test_too_few_epochs_for_two_stages_are_told(ready):
    ready.set_learning(epochs=1)
    ready.distill()

    assert "⚠ Two stages take at least two epochs, not 1" in ready.shown()


def test_while_it_runs_the_form_is_disabled_and_says_why(ready):
    ready.set_learning(**ENDLESS)
    ready.press("Distill")

    for part in (ready.form.teacher, ready.form.student._network, ready.form.teaching.hints):
        combo = part if part is not ready.form.teaching.hints else part._rows[0]._layers[0]
        assert not combo.isEnabled()
        assert "stop it first" in combo.toolTip()

    ready.press("Stop")
    ready.wait_until_at_rest()
    assert ready.form.teacher.isEnabled()


def test_a_student_of_an_earlier_session_goes_on_with_its_options(
    ready, session, open_widget, save_teacher
):
    ready.press("Add a pair of layers")
    ready.form.teaching.set_values({"teacher": "t", "alpha": 0.3})
    ready.distill()
    viewer = ViewerModel()
    Session.of(viewer).data = session.data
    other = open_widget(viewer)
    other.widget.findChild(ModelFile).set_chosen(session.model_path)

    other.press("Take over its options")
    assert "Its teacher was teacher.safetensors: choose that to go on." in other.shown()
    other.choose_teacher(ready.form.teacher.value())
    ours, theirs = ready.form.build(), other.form.build()
    assert theirs.model_options == ours.model_options == {"blocks": 1, "channels": 4}
    assert theirs.patch_size == ours.patch_size
    assert other.form.distillation() == ready.form.distillation()

    other.set_learning(epochs=5)
    other.press("Resume")
    other.wait_for("Finished after epoch 5")
    other.wait_until_at_rest()
    assert stages(other.widget) == ["hint", *["transfer"] * 4]


def test_options_of_a_model_that_had_no_teacher_are_not_taken_over(ready, tmp_path, save_teacher):
    save_teacher("alone.last")
    ready.widget.findChild(ModelFile).set_chosen(tmp_path / "alone")
    before = ready.form.build()

    ready.press("Take over its options")

    assert "This model learned without a teacher: resume it in the Train widget" in ready.shown()
    assert ready.form.build() == before


def test_data_that_fail_to_open_are_told(ready, session):
    def fail(seed):
        raise InputError("There is no movie.tif. Choose another file.")

    session.data = replace(session.data, open=fail, at_upsampling=None)
    ready.distill()

    assert "⚠ There is no movie.tif. Choose another file." in ready.shown()


def test_closing_while_it_learns_keeps_both_models(ready, tmp_path):
    ready.set_learning(**ENDLESS)
    ready.press("Distill")
    ready.wait_for("of 100000 · hints")
    ready.wait(lambda: bool(stages(ready.widget)))

    ready.widget.on_closed(viewer_stays=True)

    ready.wait(lambda: not any(each.name.startswith("dl4smlm") for each in threading.enumerate()))
    for path in tmp_path.glob("dl4smlm-models/*.safetensors"):
        assert load_model(path).card.history
    assert len(list(tmp_path.glob("dl4smlm-models/*.safetensors"))) == 2
