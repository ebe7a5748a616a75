"""A teacher looks at each frame once, and its maps come with all patches of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_dl4smlm.backend.models.model_file import load_model
from napari_dl4smlm.backend.training import taught_maps
from napari_dl4smlm.backend.training.arithmetic import Arithmetic
from napari_dl4smlm.backend.training.config import DistillationConfig
from napari_dl4smlm.backend.training.datasets import load_batch
from napari_dl4smlm.backend.training.events import TrainingFinished
from napari_dl4smlm.backend.training.taught_maps import TaughtMaps
from napari_dl4smlm.backend.training.teacher import Teacher
from napari_dl4smlm.backend.training.trainer import Trainer
from napari_dl4smlm.backend.training.truth import Patch


class CountingTeacher(Teacher):
    """Remembers how many frames it was shown."""

    frames_seen = 0

    def maps(self, frames):
        self.frames_seen += len(frames)
        return super().maps(frames)


@pytest.fixture
def model(save_teacher):
    return load_model(save_teacher())


@pytest.fixture
def teacher(model):
    arithmetic = Arithmetic.choose("cpu", "float32", model.card.density_amplitude)
    return CountingTeacher(model, arithmetic, attentive=False)


@pytest.fixture
def make_trainer(tiny_data, tiny_config, save_teacher, tmp_path):
    def make(name="student", *, config=tiny_config, **values):
        distillation = DistillationConfig(teacher=save_teacher(), stages="transfer", **values)
        return Trainer(
            tiny_data, config, tmp_path / f"{name}.safetensors", distillation=distillation
        )

    return make


def test_the_map_of_a_patch_is_cut_out_of_that_of_the_frame(teacher, model, tiny_data):
    maps = TaughtMaps(teacher, tiny_data, model.card.normalization)
    (frame,) = tiny_data.frames.read(3, 4)
    whole = teacher.maps(torch.from_numpy(model.card.normalization.apply(frame))[None, None])
    whole = whole[0, 0].numpy()

    part = maps.render(Patch(frame=3, top=2, left=5, height=8, width=6))

    # half precision has 11 bits
    np.testing.assert_allclose(part, whole[4:20, 10:22], rtol=2**-10, atol=1e-7)
    assert part.dtype == np.float32
    assert np.abs(part).max() > 1e-3


def test_a_frame_is_predicted_once(teacher, model, tiny_data):
    maps = TaughtMaps(teacher, tiny_data, model.card.normalization)
    for _ in range(3):
        for frame in (0, 5):
            maps.render(Patch(frame, 0, 0, 8, 8))
    assert teacher.frames_seen == 2


class Enlarging:
    """Stands for a teacher that makes the same of a frame however it is turned."""

    def maps(self, frames):
        return frames.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def test_maps_are_turned_and_mirrored_with_their_patches(tiny_data, tiny_config, make_trainer):
    parts = tiny_config.model_copy(update={"patch_size": 8})
    trainer = make_trainer(config=parts, alpha=0)
    patches = trainer._training_set
    frames, truth = load_batch(patches, range(8))
    patches.taught = TaughtMaps(Enlarging(), tiny_data, trainer._course.normalization)

    same_frames, targets = load_batch(patches, range(8))

    assert torch.equal(same_frames, frames)
    assert torch.equal(targets[:, :1], truth)
    torch.testing.assert_close(targets[:, 1:], Enlarging().maps(frames), rtol=2**-10, atol=1e-6)


def test_the_loss_is_that_of_maps_made_on_the_spot(make_trainer, tiny_config):
    # patches as large as the frames, of which the teacher sees all either way
    whole = tiny_config.model_copy(update={"patch_size": 16, "augment": False})
    trainer = make_trainer(config=whole, alpha=0.3)
    patches, stage = trainer._training_set, trainer._stage
    frames, truth = load_batch(patches, range(4))
    patches.taught = stage.taught
    _, targets = load_batch(patches, range(4))
    network = trainer._learner.averaged

    expected = stage.objective.loss(network, torch.nn.ModuleList(), frames, truth)
    found = stage.objective.loss(network, torch.nn.ModuleList(), frames, targets)

    assert float(found) == pytest.approx(float(expected), rel=1e-4)
    assert not torch.equal(targets[:, 1:], truth)


def test_maps_of_more_frames_than_memory_holds_are_made_on_the_spot(make_trainer, monkeypatch):
    monkeypatch.setattr(taught_maps, "_MOST_BYTES", 6 * 32 * 32 * 2 - 1)
    trainer = make_trainer(alpha=0)
    assert trainer._stage.taught is None
    *_, last = trainer.events()
    assert isinstance(last, TrainingFinished)

    monkeypatch.setattr(taught_maps, "_MOST_BYTES", 6 * 32 * 32 * 2)
    assert make_trainer("other", alpha=0)._stage.taught is not None


def test_large_frames_are_not_shown_to_the_teacher_as_a_whole(make_trainer, monkeypatch):
    monkeypatch.setattr(taught_maps, "_MOST_PIXELS", 16 * 16 - 1)
    assert make_trainer(alpha=0)._stage.taught is None


def test_without_imitation_no_maps_are_kept(make_trainer):
    assert make_trainer(alpha=1)._stage.taught is None
