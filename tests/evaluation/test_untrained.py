import numpy as np
import pytest
import tifffile

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.errors import InputError, ModelFileError
from napari_dl4smlm.backend.evaluation.untrained import untrained_frames
from napari_dl4smlm.backend.models.model_file import TeacherRecord


@pytest.fixture
def counts():
    return np.random.default_rng(0).poisson(100, (40, 12, 10)).astype(np.uint16)


@pytest.fixture
def card(echo, counts):
    """Of a model that every frame of the movie trained but for each third one."""
    return echo(
        training={
            "movie": "training.tif",
            "movie_fingerprint": open_frames(counts).fingerprint(),
            "training_frames": [k for k in range(40) if k % 3],
            "validation_frames": list(range(0, 30, 3)),
        }
    ).card


def test_the_training_movie_is_known_again_under_another_name_and_format(card, counts, tmp_path):
    tifffile.imwrite(tmp_path / "copy.tif", counts, photometric="minisblack")
    np.save(tmp_path / "copy.npy", counts)
    for name in ("copy.tif", "copy.npy"):
        with open_frames(tmp_path / name) as movie:
            untrained = untrained_frames(card, movie)
        assert untrained.numbers == tuple(range(0, 40, 3))
        assert untrained.validation == set(range(0, 30, 3))
        assert untrained.warnings[0].startswith("10 of the 14 frames")


def test_another_movie_of_the_same_name_and_size_may_be_tested_on_as_a_whole(
    card, counts, tmp_path
):
    tifffile.imwrite(tmp_path / "training.tif", counts[::-1], photometric="minisblack")
    with open_frames(tmp_path / "training.tif") as movie:
        untrained = untrained_frames(card, movie)
    assert untrained.numbers == tuple(range(40))
    assert (untrained.validation, untrained.warnings) == (frozenset(), ())


def test_a_range_that_trained_is_refused_and_says_which_frames(card, counts):
    movie = open_frames(counts)
    with pytest.raises(
        InputError, match=r"26 of the 40 frames .*\(1:3, 4:6, .* 13:15, …\).* the 14"
    ):
        untrained_frames(card, movie, range(40))
    with pytest.raises(InputError, match=r"2 of the 3 frames asked for .*\(31:33\)"):
        untrained_frames(card, movie, range(30, 33))


def test_a_movie_of_which_every_frame_trained_is_refused(card, counts):
    card.training["training_frames"] = list(range(40))
    with pytest.raises(InputError, match=r"All 40 frames of .* trained this model.*another movie"):
        untrained_frames(card, open_frames(counts))


def test_a_range_between_the_frames_that_trained_is_taken(card, counts):
    untrained = untrained_frames(card, open_frames(counts), range(39, 40))
    assert untrained.numbers == (39,)
    assert untrained.warnings == ()


def test_after_training_on_a_simulation_every_movie_is_new(echo, counts):
    card = echo(training={"simulation": {}, "validation_frames": [0, 1]}).card
    untrained = untrained_frames(card, open_frames(counts), range(5))
    assert untrained.numbers == tuple(range(5))
    assert (untrained.validation, untrained.warnings) == (frozenset(), ())


def test_a_model_that_does_not_tell_its_training_movie_is_warned_of(echo, counts):
    untrained = untrained_frames(echo(training={"epochs": 3}).card, open_frames(counts))
    assert len(untrained.numbers) == 40
    assert "does not tell which movie" in untrained.warnings[0]


def test_frames_that_trained_the_teacher_do_not_test_its_student(card, echo, counts):
    teacher = TeacherRecord(
        file="t.safetensors",
        architecture="fid_storm",
        weights_sha256="ab" * 32,
        trained_on=card.trained_on(),
    )
    # the student learned from a simulation, or from a few other frames of the same movie
    few = {"movie_fingerprint": card.training["movie_fingerprint"], "training_frames": [0, 3]}
    movie = open_frames(counts)
    for training, numbers in (({"simulation": {}}, range(0, 40, 3)), (few, range(6, 40, 3))):
        student = echo(training=training, teacher=teacher).card
        untrained = untrained_frames(student, movie)
        assert untrained.numbers == tuple(numbers)
        assert "validated this model or its teacher" in untrained.warnings[0]
        with pytest.raises(InputError, match=r"2 of the 3 frames .* this model or its teacher"):
            untrained_frames(student, movie, range(30, 33))
        # and of a student of this one
        assert student.trained_on()[-1] == card.trained_on()[0]
        assert untrained_frames(student, open_frames(counts[::-1])).numbers == tuple(range(40))


def test_a_record_of_frames_that_makes_no_sense_is_refused(echo, counts):
    card = echo(training={"movie_fingerprint": "ab", "training_frames": "all"}).card
    with pytest.raises(ModelFileError, match="does not tell which frames trained the model"):
        untrained_frames(card, open_frames(counts))
