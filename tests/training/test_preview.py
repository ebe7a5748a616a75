import numpy as np
import pytest
import torch

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.gaussian_blur import GaussianBlur
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.models.model_file import load_model
from napari_dl4smlm.backend.training.config import DistillationConfig
from napari_dl4smlm.backend.training.events import EpochFinished, FirstPreview
from napari_dl4smlm.backend.training.filmed import FilmedData, position_truth
from napari_dl4smlm.backend.training.trainer import Trainer

CROWD_PX = np.array([[52.5, 70.5], [60.2, 74.8], [57.0, 66.1]])


@pytest.fixture
def large_data():
    """Two frames of 80 x 96 px with one emitter at the upper left and three far from it."""
    frames = open_frames(
        np.random.default_rng(0).poisson(50, (2, 80, 96)).astype(np.uint16), pixel_size_nm=100.0
    )
    y, x = np.tile(np.vstack([[3.0, 3.0], CROWD_PX]), (2, 1)).T * 100
    truth = position_truth(frames, Localizations([0] * 4 + [1] * 4, y, x), upsampling_factor=2)
    return FilmedData(frames, truth, 2, 100.0, (0,), (1,))


def last_preview(data, config, path):
    events = Trainer(data, config, path).events()
    return [event for event in events if isinstance(event, EpochFinished)][-1].preview


def test_it_shows_the_most_crowded_part_of_a_frame(large_data, tiny_config, tmp_path):
    config = tiny_config.model_copy(update={"epochs": 1})
    preview = last_preview(large_data, config, tmp_path / "m.safetensors")
    (top, left), number = preview.corner_px, preview.frame_number
    assert preview.frame.shape == (32, 32)
    np.testing.assert_array_equal(
        preview.frame,
        large_data.frames.read(number, number + 1)[0, top : top + 32, left : left + 32],
    )
    inside = CROWD_PX - preview.corner_px
    assert ((inside > 0) & (inside < 32)).all()
    # each is a Gaussian of one fine pixel and unit sum
    assert preview.truth.sum() == pytest.approx(3, rel=0.01)
    brightest = np.array(np.unravel_index(preview.truth.argmax(), preview.truth.shape))
    assert (np.abs(brightest / 2 - inside) < 1).all(axis=1).any()


def test_the_first_one_shows_what_a_training_begins_with(large_data, tiny_config, tmp_path):
    config = tiny_config.model_copy(update={"epochs": 1})
    path = tmp_path / "m.safetensors"
    first, second = (
        event.preview
        for event in Trainer(large_data, config, path).events()
        if isinstance(event, FirstPreview | EpochFinished)
    )
    np.testing.assert_array_equal(first.frame, second.frame)
    np.testing.assert_array_equal(first.truth, second.truth)
    assert (first.prediction != second.prediction).any()

    longer = config.model_copy(update={"epochs": 2})
    resumed = next(
        event.preview
        for event in Trainer(large_data, longer, path, resume=True).events()
        if isinstance(event, FirstPreview)
    )
    np.testing.assert_array_equal(resumed.prediction, second.prediction)


def test_its_prediction_is_that_of_the_whole_frame(large_data, tiny_config, tmp_path):
    config = tiny_config.model_copy(update={"epochs": 1})
    preview = last_preview(large_data, config, tmp_path / "m.safetensors")
    model = load_model(tmp_path / "m.safetensors")
    frames = model.card.normalization.apply(large_data.frames.read(1, 2))[:, None]
    with torch.inference_mode():
        whole = GaussianBlur(1.0)(model.network(torch.from_numpy(frames)).clamp_min(0))[0, 0]
    top, left = np.multiply(preview.corner_px, 2)
    expected = whole[top : top + 64, left : left + 64]
    np.testing.assert_allclose(preview.prediction, expected, rtol=1e-4, atol=1e-6)
    assert preview.teacher is None


@pytest.mark.parametrize("blur_sigma_px", [0.0, 1.0])
def test_beside_the_student_it_shows_what_the_teacher_predicts(
    large_data, tiny_config, save_teacher, tmp_path, blur_sigma_px
):
    teacher = save_teacher(
        architecture="u_storm",
        options={"channels": 3},
        normalization=large_data.fit_normalization(),
        blur_sigma_px=blur_sigma_px,
    )
    config = tiny_config.model_copy(update={"epochs": 2})
    trainer = Trainer(
        large_data,
        config,
        tmp_path / "student.safetensors",
        distillation=DistillationConfig(teacher=teacher),
    )
    previews = [
        event.preview
        for event in trainer.events()
        if isinstance(event, FirstPreview | EpochFinished)
    ]
    assert len(previews) == 3
    model = load_model(teacher)
    frames = model.card.normalization.apply(large_data.frames.read(1, 2))[:, None]
    with torch.inference_mode():
        whole = model.network(torch.from_numpy(frames)).clamp_min(0) / 50
        # a map that is drawn with the width of the truth is not blurred again
        whole = GaussianBlur(1.0)(whole) if blur_sigma_px else whole
    top, left = np.multiply(previews[0].corner_px, 2)
    expected = whole[0, 0, top : top + 64, left : left + 64]
    # of a network whose map is also below 0
    assert expected.max() > 0
    assert (expected == 0).any() or blur_sigma_px
    for preview in previews:
        np.testing.assert_allclose(preview.teacher, expected, rtol=1e-4, atol=1e-6)


def test_a_student_that_is_its_teacher_looks_the_same(
    large_data, tiny_config, save_teacher, tmp_path
):
    distillation = DistillationConfig(teacher=save_teacher(), stages="transfer")
    options = {"blocks": 2, "channels": 6}
    config = tiny_config.model_copy(update={"epochs": 1, "model_options": options})
    trainer = Trainer(large_data, config, tmp_path / "s.safetensors", distillation=distillation)
    trainer._learner.averaged.load_state_dict(trainer._course._network.state_dict())
    preview = trainer._validation.preview(trainer._learner, trainer._course)
    np.testing.assert_allclose(preview.teacher, preview.prediction, rtol=1e-4, atol=1e-6)
