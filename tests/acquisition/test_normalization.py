import numpy as np
import pytest

from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.errors import InputError


@pytest.fixture
def frames() -> np.ndarray:
    """Ten frames of background 100 with 2 % of bright pixels."""
    generator = np.random.default_rng(0)
    frames = generator.normal(100, 5, (10, 32, 32))
    frames[generator.random(frames.shape) < 0.02] += 1000
    return frames.round().astype(np.uint16)


def test_the_training_frames_come_out_with_mean_0_and_standard_deviation_1(frames):
    normalized = Normalization.fit([frames[:3], frames[3:]]).apply(frames)
    assert normalized.dtype == np.float32
    assert normalized.mean() == pytest.approx(0, abs=1e-5)
    assert normalized.std() == pytest.approx(1, rel=1e-5)


def test_a_frame_is_normalized_the_same_whatever_stands_beside_it(frames):
    normalization = Normalization.fit([frames])
    alone = normalization.apply(frames[4:5])
    np.testing.assert_array_equal(normalization.apply(frames)[4:5], alone)


def test_normalizing_leaves_the_counts_of_the_caller_alone():
    frames = np.full((1, 4, 4), 7, dtype=np.float32)
    Normalization(offset=5, scale=2, background=5, brightest=9).apply(frames)
    assert (frames == 7).all()


def test_counts_near_the_end_of_16_bits_do_not_wrap():
    normalization = Normalization(offset=65000, scale=1, background=0, brightest=1)
    low = normalization.apply(np.array([[0]], dtype=np.uint16))
    assert low[0, 0] == -65000


def test_the_numbers_survive_json(frames):
    normalization = Normalization.fit([frames])
    assert Normalization.model_validate_json(normalization.model_dump_json()) == normalization


def test_frames_like_the_training_frames_do_not_differ(frames):
    assert Normalization.fit([frames]).mismatch(frames[5:]) is None


def test_another_camera_baseline_is_reported_with_both_numbers(frames):
    report = Normalization.fit([frames]).mismatch(frames + np.uint16(500))
    assert report is not None
    assert "background" in report
    assert "median 600" in report


@pytest.mark.parametrize("factor", [0.3, 4])
def test_dimmer_and_brighter_spots_are_reported(frames, factor):
    other = 100 + factor * (frames.astype(float) - 100)
    report = Normalization.fit([frames]).mismatch(other)
    assert report is not None
    assert "brightness of the spots" in report


def test_frames_without_any_contrast_are_refused():
    with pytest.raises(InputError, match="value 7: there is nothing to learn"):
        Normalization.fit([np.full((2, 4, 4), 7)])


def test_no_frame_at_all_is_refused():
    with pytest.raises(InputError, match="no training frame"):
        Normalization.fit([])
