"""What is asked for: teacher, student, stages and layers, and what cannot be asked for."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pytestqt")

from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QToolButton

from napari_dl4smlm.backend.models.options import NETWORK_OPTIONS
from napari_dl4smlm.widgets.distill.comparison import CostComparison
from napari_dl4smlm.widgets.forms.number_box import NumberBox
from napari_dl4smlm.widgets.forms.share_slider import ShareSliderEditor
from napari_dl4smlm.widgets.sources.model_text import MODEL_LABELS

pytestmark = pytest.mark.gui


def test_it_opens_without_pytorch():
    script = """
        import sys
        from napari.components import ViewerModel
        from qtpy.QtWidgets import QApplication
        application = QApplication([])
        from napari_dl4smlm.widgets.distill.widget import DistillWidget
        widget = DistillWidget(ViewerModel())
        assert "torch" not in sys.modules
        assert "matplotlib" not in sys.modules
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stderr


# the teacher


def test_without_data_or_teacher_it_says_what_is_missing(empty, session, save_teacher):
    assert empty.refusal() == "Choose a teacher first."

    session.data = None
    assert "Data widget" in empty.refusal()


def test_a_teacher_says_what_it_is(ready, save_teacher):
    assert "FID-STORM · ×2 · 100 nm · L1L2" in ready.shown()
    assert "Jaccard index 0.88 on its validation frames" in ready.shown()

    ready.choose_teacher(
        save_teacher("other", "u_storm", options={"channels": 2}, calibration=None)
    )
    assert "U-STORM · ×2 · 100 nm · L1L2" in ready.shown()
    assert "not calibrated" in ready.shown()


def test_a_file_that_is_no_model_is_refused(empty, tmp_path):
    path = tmp_path / "photo.safetensors"
    path.write_bytes(b"\x89PNG and more")
    empty.form.teacher.set_value(path)

    empty.wait_for("photo.safetensors is a PNG image. Choose a .safetensors file")
    assert "is a PNG image" in empty.refusal()


def test_a_file_that_is_dropped_is_the_teacher(empty, save_teacher):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(save_teacher()))])
    left = Qt.MouseButton.LeftButton
    drop = QDropEvent(
        QPointF(5, 5), Qt.DropAction.CopyAction, data, left, Qt.KeyboardModifier.NoModifier
    )
    empty.form.teacher.dropEvent(drop)

    empty.wait_for("FID-STORM · ×2 · 100 nm · L1L2")


def test_the_model_just_trained_is_the_teacher_until_the_user_chooses_another(
    empty, session, save_teacher
):
    session.model_path = save_teacher("first")
    assert empty.form.teacher.value() == session.model_path
    session.model_path = save_teacher("second")
    assert empty.form.teacher.value() == session.model_path

    chosen = save_teacher("chosen")
    empty.form.teacher.set_value(chosen)
    session.model_path = save_teacher("third")
    assert empty.form.teacher.value() == chosen


def test_a_widget_that_opens_later_knows_the_model_too(open_widget, viewer, session, save_teacher):
    session.model_path = save_teacher()
    assert open_widget(viewer).form.teacher.value() == session.model_path


def test_another_upsampling_than_the_teachers_is_refused_before_anything_starts(
    ready, session, save_teacher, fixed
):
    ready.choose_teacher(save_teacher("fine", upsampling_factor=8))
    refusal = ready.refusal()
    assert "draws ×8 fine pixels, but the data are prepared for ×2" in refusal
    assert "Choose upsampling ×8 above, or another teacher." in refusal
    assert f"⚠ {refusal}" in ready.shown()

    session.data = fixed
    assert "The true images fix ×2: choose a teacher that was" in ready.refusal()
    ready.choose_teacher(save_teacher("fitting"))
    assert ready.button("Distill").isEnabled()
    assert "fine pixels, but" not in ready.shown()


# the student


def test_all_networks_can_be_students(empty):
    assert NETWORK_OPTIONS.keys() == MODEL_LABELS.keys()
    for name, options in NETWORK_OPTIONS.items():
        empty.form.student.set_choice(name, {})
        assert empty.form.build().model == name
        shown = empty.shown()
        for field in options.model_fields.values():
            assert field.title in shown


def test_a_student_is_small_at_first(empty):
    assert empty.form.build().model_options == {"blocks": 3, "channels": 32}


def test_an_option_that_no_network_can_have_is_told_below_its_row(ready):
    form = ready.form.student._options["fid_storm"]
    blocks = form.findChildren(NumberBox)[0]
    blocks.lineEdit().setText("0")

    assert "Blocks: Input should be greater than or equal to 1" in ready.refusal()
    assert "⚠ Input should be greater than or equal to 1" in ready.shown()

    blocks.lineEdit().setText("2")
    assert ready.button("Distill").isEnabled()


def test_costs_are_compared_as_one_edits(ready, session, viewer, save_teacher):
    # the numbers of the publication: 393,680 and 208,720 parameters, 525,888 and 341,568
    # multiplications per camera pixel
    teacher = save_teacher("published", upsampling_factor=8, options={"blocks": 10, "channels": 64})
    ready.choose_teacher(teacher)
    ready.set_student("fid_storm", blocks=5, channels=64)
    table = ready.widget.findChild(CostComparison)
    ready.wait(lambda: table.text() == "394 k 209 k 53 %\n69 45 65 %")
    assert "256 × 256 px" in ready.shown()

    ready.form.student._options["fid_storm"].findChildren(NumberBox)[0].stepBy(5)
    ready.wait(lambda: table.text() == "394 k 394 k 100 %\n69 69 100 %")
    assert "predictions will not be faster" in ready.shown()


def test_costs_are_those_of_the_frames_of_the_movie(ready, session, viewer, fixed):
    viewer.add_image(np.zeros((3, 32, 64)), name="movie")
    session.data = replace(fixed, movie_layer_name="movie")

    ready.wait_for("GFLOP per frame\n32 × 64 px")


def test_without_a_teacher_the_student_has_its_costs(empty):
    empty.widget.show()

    empty.wait(lambda: empty.widget.findChild(CostComparison).text().startswith("– 28 k –"))


# what is taught


def test_the_default_hints_need_not_be_said(ready):
    assert ready.pairs() == [("residual_blocks", "residual_blocks")]
    assert ready.form.distillation().hints == {}
    assert "--hint" not in ready.shown()


def test_default_hints_follow_the_networks(ready, save_teacher):
    ready.set_student("u_storm", channels=2, depth=1)
    assert ready.pairs() == [("residual_blocks", "bottleneck")]
    ready.choose_teacher(save_teacher("other", "deep_storm", options={"channels": 2}))
    assert ready.pairs() == [("hourglass.bottleneck", "bottleneck")]


def test_pairs_are_added_and_removed(ready):
    ready.press("Add a pair of layers")

    assert ready.pairs() == [("residual_blocks", "residual_blocks"), ("stem", "residual_blocks")]
    assert ready.form.distillation().hints == dict(ready.pairs())
    assert "--hint residual_blocks:residual_blocks --hint stem:residual_blocks" in ready.shown()

    first = ready.form.teaching.hints._rows[0]
    first.findChildren(QToolButton)[-1].click()
    assert ready.form.distillation().hints == {"stem": "residual_blocks"}
    remove = ready.form.teaching.hints._rows[0].findChildren(QToolButton)[-1]
    assert not remove.isEnabled()
    assert remove.toolTip() == "Hints take at least one pair of layers."


def test_how_two_layers_are_compared_is_said(ready, save_teacher):
    assert "4 feature maps, translated to 6 by a convolution that learns along · same grid" in (
        ready.shown()
    )
    ready.set_student("u_storm", channels=3, depth=1)
    assert "6 feature maps each · same grid" in ready.shown()
    ready.form.teaching.hints.set_values({"residual_blocks": "encoder.level_0"})
    assert "averaged over 2 × 2 pixels, the teacher's grid" in ready.shown()
    ready.form.teaching.hints.set_values({"tail.to_2x": "bottleneck"})
    assert "interpolated to a grid 2 times as fine" in ready.shown()


def test_a_layer_that_gives_two_hints_is_refused(ready):
    ready.press("Add a pair of layers")
    ready.form.teaching.hints._rows[1]._layers[0].set_value("residual_blocks")

    assert "The teacher's layer 'residual_blocks' is chosen twice" in ready.refusal()
    assert "⚠ The teacher's layer 'residual_blocks' is chosen twice" in ready.shown()


def test_a_layer_whose_grid_is_coarser_than_a_patch_is_explained(ready):
    ready.set_student("u_storm", channels=1, depth=6)

    assert "'bottleneck' of the student has one cell for 32 camera pixels" in ready.refusal()
    assert "the patches are 16 px wide" in ready.shown()

    # hints are not asked for then
    ready.form.teaching.set_values({"teacher": "t", "stages": "transfer"})
    assert ready.button("Distill").isEnabled()
    assert "'bottleneck'" not in ready.shown()


def test_a_layer_that_was_chosen_and_is_no_more_is_told(ready):
    ready.set_student("fid_storm", blocks=3, channels=4)
    ready.form.teaching.hints.set_values({"stem": "residual_blocks.block_2"})
    ready.set_student("fid_storm", blocks=2, channels=4)

    assert "There is no layer 'residual_blocks.block_2' of the student" in ready.refusal()

    ready.set_student("fid_storm", blocks=3, channels=4)
    assert ready.form.distillation().hints == {"stem": "residual_blocks.block_2"}


def test_what_a_stage_does_not_have_is_disabled_and_says_why(ready):
    teaching = ready.form.teaching
    alpha = teaching._config.findChild(ShareSliderEditor)
    assert alpha.isEnabled()
    teaching.set_values({"teacher": "t", "stages": "hint"})
    assert not alpha.isEnabled()
    assert "Hints alone have no α" in alpha.toolTip()
    assert "predicts nothing until it is resumed" in ready.shown()

    teaching.set_values({"teacher": "t", "stages": "transfer"})
    assert alpha.isEnabled()
    assert not teaching.hints.isVisibleTo(ready.widget)


def test_alpha_has_a_slider(ready):
    alpha = ready.form.teaching._config.findChild(ShareSliderEditor)
    alpha._slider.setValue(alpha._slider.minimum())
    assert ready.form.distillation().alpha == 0
    alpha.set_value(0.75)
    assert alpha._slider.value() == 15
    assert "--alpha 0.75" in ready.shown()
    alpha.set_value(3)
    assert "α: Input should be less than or equal to 1" in ready.refusal()
