"""The Train widget: from the data of the session to a model, and what may come between."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from pathlib import Path

import npe2
import numpy as np
import pytest
import torch

pytest.importorskip("pytestqt")

from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QFileDialog,
    QLabel,
    QLineEdit,
    QPushButton,
    QSlider,
)

import napari_dl4smlm
from napari_dl4smlm.backend import InputError, open_training_data
from napari_dl4smlm.backend.losses.registry import LOSSES
from napari_dl4smlm.backend.models.model_file import load_model
from napari_dl4smlm.backend.models.registry import MODELS
from napari_dl4smlm.backend.simulation.config import SimulationConfig
from napari_dl4smlm.backend.training.config import DataConfig, TrainingConfig
from napari_dl4smlm.backend.training.events import StepFinished
from napari_dl4smlm.widgets.forms.field_editors import ChoiceEditor
from napari_dl4smlm.widgets.layers.layers import mark_of
from napari_dl4smlm.widgets.loss_plot import LossPlot
from napari_dl4smlm.widgets.predict.widget import PredictWidget
from napari_dl4smlm.widgets.session import Session, TrainingSource
from napari_dl4smlm.widgets.sources.model_text import MODEL_LABELS
from napari_dl4smlm.widgets.train.form import TrainingForm
from napari_dl4smlm.widgets.train.widget import TrainWidget
from napari_dl4smlm.widgets.training import facts
from napari_dl4smlm.widgets.training.facts import LOSS_LABELS, TorchFacts, network_cost
from napari_dl4smlm.widgets.training.file import ModelFile
from napari_dl4smlm.widgets.training.progress import TrainingProgress
from napari_dl4smlm.widgets.training.run import EarlierEpochs, TrainingRun
from napari_dl4smlm.widgets.training.source_choice import SourceChoice
from napari_dl4smlm.widgets.training.trained_model import copy_model
from napari_dl4smlm.widgets.wrapped_text import WrappedText

pytestmark = pytest.mark.gui

# far above what anything here takes, so that a busy machine fails no test

DATA = DataConfig(simulation=SimulationConfig(), simulated_validation_frames=2, upsampling_factor=2)
SMALL = {
    "model_options": {"blocks": 1, "channels": 4},
    "patch_size": 16,
    "patches_per_epoch": 4,
    "batch_size": 2,
    "epochs": 2,
    "device": "cpu",
}
ENDLESS = SMALL | {"epochs": 100_000, "early_stopping": None}


def simulated(open_data=lambda seed: open_training_data(DATA, seed=seed), config=DATA):
    return TrainingSource(
        open=open_data,
        config=config,
        movie_layer_name=None,
        summary="simulated patches · 100 nm · ×2",
        upsampling_factor=2,
        pixel_size_nm=100.0,
    )


def simulated_at(factor):
    """Patches whose upsampling the user may change."""
    config = DATA.model_copy(update={"upsampling_factor": factor})
    source = simulated(lambda seed: open_training_data(config, seed=seed), config)
    summary = f"simulated patches · 100 nm · ×{factor}"
    return replace(source, summary=summary, upsampling_factor=factor, at_upsampling=simulated_at)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def session(viewer):
    session = Session.of(viewer)
    session.data = simulated()
    return session


@pytest.fixture
def widget(viewer, session, qtbot, tmp_path, monkeypatch):
    """Ready to train a small network, with ``tmp_path`` as the current folder."""
    monkeypatch.chdir(tmp_path)
    widget = TrainWidget(viewer)
    qtbot.addWidget(widget)
    form(widget).set_values(SMALL)
    yield widget
    widget.deleteLater()
    wait_for_threads(qtbot)


def wait_for_threads(qtbot):
    qtbot.waitUntil(
        lambda: not any(thread.name.startswith("dl4smlm") for thread in threading.enumerate()),
    )


def form(widget):
    return widget.findChild(TrainingForm)


def button(widget, text):
    return next(each for each in widget.findChildren(QPushButton) if each.text() == text)


def press(widget, text, qtbot):
    assert button(widget, text).isEnabled(), button(widget, text).toolTip()
    qtbot.mouseClick(button(widget, text), Qt.MouseButton.LeftButton)


def shown(widget):
    """All texts that the widget shows."""
    labels = [label.text() for label in widget.findChildren(QLabel) if label.isVisibleTo(widget)]
    texts = [text.toPlainText() for text in widget.findChildren(WrappedText)]
    return "\n".join(labels + texts)


def wait_for(widget, text, qtbot):
    qtbot.waitUntil(lambda: text in shown(widget))


def wait_for_epoch(widget, number, qtbot):
    """Wait until this epoch has begun; not each one is seen, since some take milliseconds."""

    def has_begun():
        seen = re.search(r"epoch (\d+) of", shown(widget))
        return seen is not None and int(seen[1]) >= number

    qtbot.waitUntil(has_begun)


def wait_until_at_rest(widget, qtbot):
    qtbot.waitUntil(lambda: button(widget, "Train").isEnabled())


def train(widget, qtbot):
    press(widget, "Train", qtbot)
    wait_until_at_rest(widget, qtbot)


def previews(viewer):
    return {
        mark_of(layer)["part"]: layer
        for layer in viewer.layers
        if mark_of(layer).get("role") == "preview"
    }


def only_model(tmp_path):
    """Paths of the best and the last model of the only training."""
    [last] = tmp_path.glob("dl4smlm-models/*.last.safetensors")
    return last.with_name(last.name.replace(".last", "")), last


# before training


def test_it_opens_without_pytorch():
    script = """
        import sys
        from napari.components import ViewerModel
        from qtpy.QtWidgets import QApplication
        application = QApplication([])
        from napari_dl4smlm.widgets.train.widget import TrainWidget
        widget = TrainWidget(ViewerModel())
        assert "torch" not in sys.modules
        assert "matplotlib" not in sys.modules
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_without_data_it_says_where_to_choose_them(viewer, qtbot):
    widget = TrainWidget(viewer)
    qtbot.addWidget(widget)

    assert not button(widget, "Train").isEnabled()
    assert "Data widget" in button(widget, "Train").toolTip()
    assert "No training data yet" in shown(widget)

    Session.of(viewer).data = simulated()

    assert button(widget, "Train").isEnabled()
    assert "simulated patches · 100 nm · ×2" in shown(widget)


def test_all_networks_and_losses_can_be_chosen():
    assert MODEL_LABELS.keys() == MODELS.keys()
    assert LOSS_LABELS.keys() == LOSSES.keys()


def test_the_cost_of_fid_storm_is_that_of_its_publication():
    facts._network_cost.cache_clear()
    before = torch.random.get_rng_state()

    # 393,680 parameters, 525,888 multiply-accumulates per camera pixel
    assert network_cost("fid_storm", {}, 8) == "394 k parameters · 69 GFLOP per 256²\u00a0px"
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("blocks", [1.0, True])
def test_options_that_only_equal_a_valid_one_have_no_cost(blocks):
    assert network_cost("fid_storm", {"blocks": 1}, 8).startswith("61 k parameters")
    with pytest.raises(InputError, match="blocks must be a whole number"):
        network_cost("fid_storm", {"blocks": blocks}, 8)


def test_devices_and_defaults_appear_once_pytorch_is_there(widget, qtbot):
    widget.show()

    wait_for(widget, "parameters · 0.", qtbot)

    placeholders = [line.placeholderText() for line in widget.findChildren(QLineEdit)]
    assert "auto: 400 for L1L2" in placeholders
    assert "core" in shown(widget)


def test_what_is_wrong_with_the_form_disables_train(widget):
    broken = next(
        line for line in widget.findChildren(QLineEdit) if line.text() == "blocks=1,channels=4"
    )
    broken.setText("blocks")

    assert not button(widget, "Train").isEnabled()
    assert "Model options" in button(widget, "Train").toolTip()


def upsampling(widget):
    return widget.findChild(SourceChoice).findChild(ChoiceEditor)


def offered(choice):
    combo = choice.findChild(QComboBox)
    return [combo.itemText(row) for row in range(combo.count())]


def test_another_upsampling_than_that_of_the_data_can_be_chosen(widget, session, qtbot, tmp_path):
    session.data = simulated_at(2)
    assert offered(upsampling(widget)) == ["×1", "×2", "×4", "×8"]
    assert upsampling(widget).value() == 2

    upsampling(widget).set_value(4)

    assert "simulated patches · 100 nm · ×4" in shown(widget)
    assert "--upsampling 4" in shown(widget)
    assert session.data.upsampling_factor == 2
    train(widget, qtbot)
    best, _ = only_model(tmp_path)
    assert load_model(best).card.upsampling_factor == 4

    session.data = simulated_at(8)
    assert upsampling(widget).value() == 8


def test_true_images_fix_the_upsampling(widget, session):
    session.data = replace(simulated(), summary="pairs")

    assert offered(upsampling(widget)) == ["×2"]
    assert not upsampling(widget).isEnabled()
    assert "2 times as fine" in upsampling(widget).toolTip()

    session.data = None
    assert offered(upsampling(widget)) == ["–"]
    assert "Data widget" in upsampling(widget).toolTip()


def test_the_upsampling_of_a_training_is_fixed_while_it_runs(widget, session, qtbot):
    session.data = simulated_at(2)
    form(widget).set_values(ENDLESS)
    press(widget, "Train", qtbot)

    assert not upsampling(widget).isEnabled()
    assert "stop it first" in upsampling(widget).toolTip()

    press(widget, "Stop", qtbot)
    wait_until_at_rest(widget, qtbot)
    assert upsampling(widget).isEnabled()


def test_lambda_has_the_default_of_the_loss_in_the_middle_of_its_slider(widget, qtbot):
    widget.show()
    wait_for(widget, "parameters · 0.", qtbot)
    slider = widget.findChild(QSlider)
    assert slider.value() == 0
    assert slider.toolTip() == "In the middle: the default, 400"

    form(widget).set_values({"loss": "weighted_mae"})
    slider.setValue(slider.minimum())

    assert form(widget).build().lambda_ == 0.1
    assert "--lambda 0.1" in shown(widget)
    form(widget).set_values({"loss": "l1l2", "lambda": None})
    assert form(widget).build().lambda_ is None
    assert slider.value() == 0
    assert "sparser, drops" in shown(widget)
    assert "and more haze" in shown(widget)


def test_what_no_number_means_is_said_in_the_words_of_the_field(widget):
    tips = {box.placeholderText() for box in widget.findChildren(QLineEdit)}
    assert {"never", "no limit"} <= tips


def test_a_machine_without_a_gpu_says_so_in_letters_that_every_font_has(widget, qtbot):
    facts = TorchFacts(
        {"cpu": "Intel Xeon, 2 cores"}, ("NVIDIA or AMD GPU: no driver.",), {"l1l2": 400.0}
    )
    form(widget).set_facts(facts)

    [line] = [text for text in shown(widget).splitlines() if "no GPU" in text]
    assert line == "Intel Xeon, 2 cores · no GPU (why?)"
    assert line.encode("latin-1")


def test_the_form_becomes_the_config_and_the_command(widget, tmp_path):
    form(widget).set_values({"model": "u_storm", "loss": "weighted_mse", "lambda": 25, "seed": 3})

    config = form(widget).build()

    assert (config.model, config.loss, config.lambda_, config.seed) == (
        "u_storm",
        "weighted_mse",
        25,
        3,
    )
    assert config.model_options == SMALL["model_options"]
    words = (
        "--model u_storm --loss weighted_mse --lambda 25.0 --seed 3 --patch-size 16 --upsampling 2"
    )
    command = shown(widget)
    for option, value in zip(*2 * [iter(words.split())], strict=True):
        assert f"{option} {value}" in command
    assert f"--out {tmp_path / 'dl4smlm-models' / 'u_storm-'}" in command


def test_the_command_is_copied(widget, qtbot):
    press(widget, "Copy", qtbot)

    assert QApplication.clipboard().text().startswith("dl4smlm train --simulate ")


def test_a_job_that_options_cannot_say_is_copied_with_its_file(widget, session, qtbot, tmp_path):
    session.data = simulated(
        config=DataConfig(simulation=SimulationConfig(density=5), upsampling_factor=2)
    )
    press(widget, "Copy, and write the file", qtbot)

    [file] = tmp_path.glob("dl4smlm-models/*.yaml")
    assert QApplication.clipboard().text() == f"dl4smlm train --config {file}"


def test_data_without_files_have_no_command(widget, session):
    session.data = simulated(config=None)

    assert "Save the movie and the positions" in shown(widget)
    assert not button(widget, "Copy").isEnabled()
    assert button(widget, "Train").isEnabled()


# training


def test_a_training_ends_with_a_model_that_predict_uses(widget, viewer, session, qtbot, tmp_path):
    train(widget, qtbot)

    best, last = only_model(tmp_path)
    assert session.model_path == best
    card = load_model(best).card
    assert card.training["epochs"] == 2
    assert card.options["channels"] == 4
    assert last.exists()
    assert "Finished after epoch 2: all epochs done." in shown(widget)
    assert "Best: epoch" in shown(widget)


def test_every_training_has_a_new_file_by_default(widget, session, qtbot):
    train(widget, qtbot)
    first = session.model_path
    before = first.read_bytes()

    train(widget, qtbot)

    assert session.model_path.name == f"{first.stem}-2.safetensors"
    assert first.read_bytes() == before


def test_an_older_model_of_the_chosen_name_is_kept_aside_and_that_is_said(
    widget, session, qtbot, tmp_path
):
    (tmp_path / "mine.safetensors").write_bytes(b"precious")
    widget.findChild(ModelFile).set_chosen(tmp_path / "mine")

    assert "keeps the older mine.safetensors aside" in shown(widget)
    train(widget, qtbot)

    assert session.model_path == tmp_path / "mine.safetensors"
    assert (tmp_path / "mine.previous.safetensors").read_bytes() == b"precious"


def test_warnings_of_the_start_are_shown(widget, qtbot):
    form(widget).set_values({"lambda": 1e-3})
    train(widget, qtbot)

    assert "⚠ lambda is 0.001" in shown(widget)


def test_while_it_runs_the_form_is_disabled_and_says_why(widget, qtbot):
    form(widget).set_values(ENDLESS)
    press(widget, "Train", qtbot)

    assert not button(widget, "Train").isEnabled()
    boxes = [line for line in form(widget).findChildren(QLineEdit) if line.text() == "100000"]
    assert not boxes[0].isEnabled()
    assert "stop it first" in boxes[0].parentWidget().parentWidget().toolTip()

    press(widget, "Stop", qtbot)
    wait_until_at_rest(widget, qtbot)
    assert boxes[0].isEnabled()


def test_the_time_that_is_left_is_told(widget, qtbot):
    form(widget).set_values(ENDLESS)
    press(widget, "Train", qtbot)

    qtbot.waitUntil(
        lambda: (
            re.search(r"epoch \d+ of 100000 · \d+:\d\d(:\d\d)? left", shown(widget)) is not None
        ),
    )

    press(widget, "Stop", qtbot)
    wait_until_at_rest(widget, qtbot)


def test_a_pause_holds_training_until_it_is_resumed(widget, viewer, qtbot):
    form(widget).set_values(ENDLESS)
    press(widget, "Train", qtbot)
    wait_for_epoch(widget, 2, qtbot)
    press(widget, "Pause", qtbot)
    # what was under way is told, and drawn
    qtbot.wait(300)
    qtbot.waitUntil(lambda: not widget.findChild(LossPlot).is_busy)
    paused = shown(widget)
    assert "· paused" in paused
    qtbot.wait(300)
    assert shown(widget) == paused

    press(widget, "Resume", qtbot)
    qtbot.waitUntil(lambda: "paused" not in shown(widget) and shown(widget) != paused)
    press(widget, "Pause", qtbot)
    press(widget, "Stop", qtbot)
    wait_for(widget, "Stopped in epoch", qtbot)


def test_a_stop_keeps_both_models_and_training_goes_on_from_there(widget, session, qtbot, tmp_path):
    form(widget).set_values(ENDLESS)
    press(widget, "Train", qtbot)
    wait_for_epoch(widget, 3, qtbot)
    press(widget, "Stop", qtbot)
    wait_for(widget, "Stopped in epoch", qtbot)
    wait_until_at_rest(widget, qtbot)

    best, last = only_model(tmp_path)
    assert session.model_path == best
    done = len(load_model(last).card.history)
    assert done >= 2

    form(widget).set_values({"epochs": done + 2})
    press(widget, "Resume", qtbot)
    wait_for(widget, f"Finished after epoch {done + 2}", qtbot)
    assert len(load_model(last).card.history) == done + 2
    assert only_model(tmp_path) == (best, last)


def test_a_failure_stays_readable_and_the_next_training_works(widget, session, qtbot):
    def fail(seed):
        raise InputError("There is no movie.tif. Choose another file.")

    good, session.data = session.data, simulated(fail)
    train(widget, qtbot)

    assert "⚠ There is no movie.tif. Choose another file." in shown(widget)
    assert session.model_path is None
    press(widget, "Copy details", qtbot)
    assert "in fail" in QApplication.clipboard().text()

    session.data = good
    train(widget, qtbot)

    assert "movie.tif" not in shown(widget)
    assert session.model_path.exists()


# what becomes of a model


@pytest.fixture
def save_as(monkeypatch):
    """Answer the dialog of "Save as…"."""

    def answer(path):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (str(path), ""))

    return answer


def test_a_model_is_saved_where_the_user_says_and_nothing_is_overwritten(
    widget, session, qtbot, tmp_path, save_as
):
    train(widget, qtbot)
    best = session.model_path
    assert f"Predict has the best model now:\n{best}" in shown(widget)
    (tmp_path / "mine.safetensors").write_bytes(b"precious")

    save_as(tmp_path / "mine")
    press(widget, "Save as…", qtbot)

    assert (tmp_path / "mine.safetensors").read_bytes() == best.read_bytes()
    assert (tmp_path / "mine.previous.safetensors").read_bytes() == b"precious"
    assert "The older file is now mine.previous.safetensors" in shown(widget)
    # what Predict has, and what training goes on from, is where it was
    assert session.model_path == best
    # the user may think better of it
    save_as("")
    press(widget, "Save as…", qtbot)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


def test_a_model_that_cannot_be_saved_says_why(widget, session, qtbot, tmp_path, save_as):
    train(widget, qtbot)

    save_as(tmp_path / "absent" / "mine.safetensors")
    press(widget, "Save as…", qtbot)
    assert "mine.safetensors cannot be written (No such file or directory)" in shown(widget)

    save_as(session.model_path)
    press(widget, "Save as…", qtbot)
    assert "is this model itself" in shown(widget)
    assert load_model(session.model_path).card.history

    session.model_path.rename(tmp_path / "elsewhere.safetensors")
    save_as(tmp_path / "mine.safetensors")
    press(widget, "Save as…", qtbot)
    assert "any more" in shown(widget)
    assert not (tmp_path / "mine.safetensors").exists()


def test_a_copy_that_fails_leaves_the_older_file(tmp_path, monkeypatch):
    (tmp_path / "model.safetensors").write_bytes(b"new")
    (tmp_path / "mine.safetensors").write_bytes(b"precious")

    def fail(source, target):
        target.write_bytes(b"ne")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_dl4smlm.widgets.training.trained_model.shutil.copyfile", fail)
    with pytest.raises(InputError, match="No space left on device"):
        copy_model(tmp_path / "model.safetensors", tmp_path / "mine.safetensors")

    assert (tmp_path / "mine.safetensors").read_bytes() == b"precious"
    assert len(list(tmp_path.iterdir())) == 2


def test_predict_is_given_the_model_again_when_it_has_another_one(widget, session, qtbot):
    train(widget, qtbot)
    best, session.model_path = session.model_path, None

    press(widget, "Use in Predict", qtbot)

    assert session.model_path == best


def test_in_a_window_the_predict_widget_opens_with_the_model(
    make_napari_viewer, npe2pm, session, widget, qtbot, tmp_path
):
    train(widget, qtbot)
    manifest = Path(napari_dl4smlm.__file__).parent / "napari.yaml"
    npe2pm.register(npe2.PluginManifest.from_file(manifest))
    viewer = make_napari_viewer(show=True)
    in_window = TrainWidget(viewer)
    viewer.window.add_dock_widget(in_window, name="Train")
    in_window._model_path = session.model_path
    in_window._show_state()

    press(in_window, "Use in Predict", qtbot)

    assert Session.of(viewer).model_path == session.model_path
    predict = viewer.window._qt_window.findChild(PredictWidget)
    qtbot.waitUntil(predict.isVisible)
    # it says what the model is once it was read
    wait_for(predict, "FID-STORM · ×2 · 100 nm", qtbot)


def curves(widget):
    plot = widget.findChild(LossPlot)
    return [(epoch.number, epoch.training_loss, epoch.validation_loss) for epoch in plot._epochs]


def test_a_model_of_an_earlier_session_goes_on_with_its_options_and_its_curves(
    widget, session, qtbot, tmp_path
):
    form(widget).set_values({"lambda": 123, "seed": 5})
    train(widget, qtbot)
    best, last = only_model(tmp_path)
    first = curves(widget)
    other_viewer = ViewerModel()
    Session.of(other_viewer).data = simulated()
    other = TrainWidget(other_viewer)
    qtbot.addWidget(other)
    other.findChild(ModelFile).set_chosen(best)
    assert "Resume goes on with it" in shown(other)

    press(other, "Take over its options", qtbot)
    assert form(other).build().lambda_ == 123
    assert form(other).build().seed == 5
    form(other).set_values({"epochs": 3})
    press(other, "Resume", qtbot)
    wait_for(other, "Finished after epoch 3", qtbot)

    drawn = curves(other)
    assert drawn[:2] == first
    assert [number for number, *_ in drawn] == [1, 2, 3]
    assert len(load_model(last).card.history) == 3
    other.deleteLater()
    wait_for_threads(qtbot)


def test_a_model_of_another_upsampling_is_not_resumed(widget, session, qtbot, tmp_path):
    session.data = simulated_at(2)
    train(widget, qtbot)
    best, last = only_model(tmp_path)
    before = last.read_bytes()
    upsampling(widget).set_value(4)
    form(widget).set_values({"epochs": 3})

    press(widget, "Resume", qtbot)
    wait_for(widget, "was trained with upsampling_factor = 2, but 4 was asked for", qtbot)
    wait_until_at_rest(widget, qtbot)

    assert last.read_bytes() == before
    widget.findChild(ModelFile).set_chosen(best)
    press(widget, "Take over its options", qtbot)
    assert upsampling(widget).value() == 2


def test_a_damaged_model_gives_no_options_and_says_why(widget, qtbot, tmp_path):
    widget.findChild(ModelFile).set_chosen(tmp_path / "mine.safetensors")
    (tmp_path / "mine.last.safetensors").write_bytes(b"damaged")
    before = form(widget).values()
    form(widget).changed.emit()

    press(widget, "Take over its options", qtbot)

    assert "mine.last.safetensors" in shown(widget)
    assert form(widget).values() == before


def test_of_earlier_epochs_what_is_known_is_drawn(qtbot):
    progress = TrainingProgress()
    qtbot.addWidget(progress)
    entry = {"training_loss": 2.0, "validation_loss": 3.0, "learning_rate": 0.1}
    progress.tell(
        EarlierEpochs(
            [
                {"epoch": 1, "training_loss": 5.0},
                entry | {"epoch": 2, "validation_jaccard": 0.5},
                entry | {"epoch": 3, "validation_loss": 4.0},
            ]
        )
    )

    assert curves(progress) == [(2, 2.0, 3.0), (3, 2.0, 4.0)]
    assert "Best: epoch 2 · loss 3 · Jaccard 0.50" in shown(progress)


def test_of_no_earlier_epochs_nothing_is_drawn(qtbot):
    progress = TrainingProgress()
    qtbot.addWidget(progress)
    progress.tell(EarlierEpochs([]))

    assert curves(progress) == []


def test_where_nothing_can_be_written_models_go_to_the_home_of_the_user(
    widget, tmp_path, monkeypatch
):
    monkeypatch.setattr("napari_dl4smlm.widgets.training.file.os.access", lambda *_: False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))

    assert widget.findChild(ModelFile).path().parent == tmp_path / "home" / "dl4smlm-models"


def test_a_file_that_the_command_needs_but_cannot_be_written_is_told(
    widget, session, qtbot, tmp_path
):
    session.data = simulated(
        config=DataConfig(simulation=SimulationConfig(density=5), upsampling_factor=2)
    )
    (tmp_path / "file").touch()
    widget.findChild(ModelFile).set_chosen(tmp_path / "file" / "mine.safetensors")
    QApplication.clipboard().setText("before")

    press(widget, "Copy, and write the file", qtbot)

    assert "mine.yaml cannot be written (Not a directory)" in shown(widget)
    assert QApplication.clipboard().text() == "before"


# previews


def test_previews_are_updated_in_place_until_the_last_epoch(widget, viewer, qtbot):
    train(widget, qtbot)
    qtbot.waitUntil(lambda: len(previews(viewer)) == 3)
    first = previews(viewer)
    before = first["prediction"].data

    form(widget).set_values({"seed": 1})
    train(widget, qtbot)

    qtbot.waitUntil(lambda: first["prediction"].data is not before)
    assert previews(viewer) == first
    assert mark_of(first["prediction"])["model"] == "FID-STORM"


def test_they_are_there_before_the_first_epoch_is_over(widget, viewer, qtbot):
    form(widget).set_values(ENDLESS | {"patches_per_epoch": 100_000})
    press(widget, "Train", qtbot)

    qtbot.waitUntil(lambda: len(previews(viewer)) == 3)
    assert "epoch 1 of" in shown(widget)
    assert not widget.findChild(LossPlot)._epochs

    press(widget, "Stop", qtbot)
    wait_for(widget, "Stopped in epoch 1", qtbot)


def test_previews_lie_where_the_movie_lies_and_go_on_without_it(widget, viewer, session, qtbot):
    movie = viewer.add_image(np.zeros((2, 64, 64)), name="movie", translate=(0, 5, 7))
    session.data = replace(session.data, movie_layer_name="movie")
    train(widget, qtbot)
    qtbot.waitUntil(lambda: len(previews(viewer)) == 3)
    frame = previews(viewer)["frame"]
    # a part of a frame, on whole pixels of the movie
    corner = frame.translate - (5, 7)
    assert (corner == corner.round()).all()
    assert (corner >= 0).all()
    assert (corner + frame.data.shape <= 64).all()

    viewer.layers.remove(movie)
    viewer.add_points(name="movie")
    before = frame.data
    train(widget, qtbot)

    qtbot.waitUntil(lambda: frame.data is not before)
    assert "Finished after epoch 2" in shown(widget)


def test_a_preview_that_is_removed_breaks_nothing(widget, viewer, qtbot):
    form(widget).set_values(ENDLESS)
    press(widget, "Train", qtbot)
    qtbot.waitUntil(lambda: len(previews(viewer)) == 3)
    removed = previews(viewer)
    viewer.layers.remove(removed.pop("prediction"))
    before = removed["frame"].data

    qtbot.waitUntil(lambda: removed["frame"].data is not before)
    assert previews(viewer) == removed

    press(widget, "Stop", qtbot)
    wait_for(widget, "Stopped in epoch", qtbot)


# closing


def test_a_stream_that_is_closed_after_its_first_step_leaves_both_models(tmp_path):
    config = TrainingConfig.model_validate(ENDLESS)
    run = TrainingRun(simulated(), config, tmp_path / "new" / "model.safetensors", resume=False)
    events = run.events(threading.Event())
    while not isinstance(next(events), StepFinished):
        pass

    events.close()

    assert load_model(tmp_path / "new" / "model.safetensors").card.history == []
    assert (tmp_path / "new" / "model.last.safetensors").exists()


@pytest.mark.parametrize("what", ["dock", "viewer"])
def test_closing_while_it_trains_keeps_both_models_and_ends_the_thread(
    make_napari_viewer, qtbot, tmp_path, monkeypatch, what
):
    monkeypatch.chdir(tmp_path)
    viewer = make_napari_viewer(show=True)
    Session.of(viewer).data = simulated()
    widget = TrainWidget(viewer)
    dock = viewer.window.add_dock_widget(widget, name="Train")
    form(widget).set_values(ENDLESS)
    press(widget, "Train", qtbot)
    wait_for_epoch(widget, 2, qtbot)
    qtbot.waitUntil(lambda: len(previews(viewer)) == 3)

    if what == "dock":
        dock.destroyOnClose()
    else:
        viewer.close()

    wait_for_threads(qtbot)
    for path in only_model(tmp_path):
        assert load_model(path).card.history
    del widget, dock
    gc.collect()


def test_a_dock_that_is_hidden_trains_on(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    viewer = make_napari_viewer(show=True)
    Session.of(viewer).data = simulated()
    widget = TrainWidget(viewer)
    dock = viewer.window.add_dock_widget(widget, name="Train")
    form(widget).set_values(ENDLESS)
    press(widget, "Train", qtbot)
    dock.hide()

    wait_for_epoch(widget, 2, qtbot)

    press(widget, "Stop", qtbot)
    wait_until_at_rest(widget, qtbot)
    wait_for_threads(qtbot)
