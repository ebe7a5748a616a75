"""Every score here is known by hand: the network echoes frames in which emitters are drawn."""

import dataclasses
import math
import threading

import numpy as np
import pytest

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.evaluation.events import (
    SampleScored,
    ScoringFinished,
    ScoringStarted,
    ScoringStopped,
)
from napari_dl4smlm.backend.evaluation.score_model import score_model
from napari_dl4smlm.backend.localizations.density_map import render_density_map
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.metrics.detection import detection_scores
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.events import BatchPredicted
from napari_dl4smlm.backend.prediction.predictor import Predictor

# far from each other, each the centre of a pixel
A, B, C = (550.0, 550.0), (1750.0, 1750.0), (550.0, 1750.0)
SHOWN = [(A, B), (A,), (A, C), (A,), (C,), ()]
# one is missed, one invented, one 30 nm left of where it shows, one invented
TRUE = [(A, B), (A, B), (A,), ((550.0, 520.0),), (), ()]


def draw(positions):
    """Draw emitters as the truth is drawn: Gaussians of sum 1 and one pixel."""
    return render_density_map(
        np.reshape(positions, (-1, 2)),
        height=24,
        width=24,
        pixel_size_nm=100.0,
        upsampling_factor=1,
        sigma_px=1.0,
    )


def table(places_by_frame):
    rows = [(k, *place) for k, places in enumerate(places_by_frame) for place in places]
    return Localizations(*np.reshape(np.array(rows, dtype=float), (-1, 3)).T)


@pytest.fixture
def movie():
    return open_frames(np.stack([draw(places) for places in SHOWN]), pixel_size_nm=100.0)


@pytest.fixture
def truth():
    return table(TRUE)


def run(*arguments, **options):
    """Return the scores of the frames by their number, and the summary."""
    started, *scored, finished = score_model(*arguments, **options)
    assert isinstance(started, ScoringStarted)
    assert isinstance(finished, ScoringFinished)
    assert [event.samples_done for event in scored] == list(range(1, started.n_samples + 1))
    return {event.scores.frame: event.scores for event in scored}, finished.summary


def test_found_missed_and_invented_emitters_are_counted_in_every_frame(echo, movie, truth):
    samples, _ = run(echo(), movie, truth)
    counts = {
        number: (
            scores.detection.true_positives,
            scores.detection.false_positives,
            scores.detection.false_negatives,
        )
        for number, scores in samples.items()
    }
    assert counts == {
        0: (2, 0, 0),
        1: (1, 0, 1),
        2: (1, 1, 0),
        3: (1, 0, 0),
        4: (0, 1, 0),
        5: (0, 0, 0),
    }
    assert samples[3].detection.rmse_nm == pytest.approx(30)
    assert samples[3].detection.bias_x_nm == pytest.approx(30)
    assert samples[0].detection.rmse_nm == pytest.approx(0, abs=1e-3)


def test_a_missed_emitter_of_two_and_an_invented_one_beside_one_have_their_share_of_nmse(
    echo, movie, truth
):
    samples, _ = run(echo(), movie, truth)
    errors = [samples[k].density_map.map_nmse_percent for k in range(3)]
    assert errors == pytest.approx([0, 50, 100], abs=1e-4)
    assert samples[0].density_map.map_pearson == pytest.approx(1)
    assert samples[0].density_map.map_ssim == pytest.approx(1)
    assert samples[1].density_map.map_ssim < 1
    for number in (4, 5):
        assert all(math.isnan(v) for v in dataclasses.astuple(samples[number].density_map))


def test_a_map_of_half_the_density_is_compared_as_it_is(echo, movie, truth):
    samples, _ = run(echo(density_amplitude=2.0), movie, truth)
    assert samples[0].density_map.map_nmse_percent == pytest.approx(25, abs=1e-4)
    assert samples[0].density_map.map_pearson == pytest.approx(1)


def test_the_summary_pools_the_emitters_of_all_frames(echo, movie, truth):
    _, summary = run(echo(), movie, truth)
    pooled = summary.detection
    assert (pooled.true_positives, pooled.false_positives, pooled.false_negatives) == (5, 2, 1)
    assert pooled.jaccard == pytest.approx(5 / 8)
    assert pooled.precision == pytest.approx(5 / 7)
    assert pooled.recall == pytest.approx(5 / 6)
    assert pooled.rmse_nm == pytest.approx(30 / math.sqrt(5))
    assert pooled.bias_x_nm == pytest.approx(6)
    assert pooled.bias_y_nm == pytest.approx(0, abs=1e-3)


def test_the_summary_has_mean_and_deviation_over_the_frames_that_have_a_score(echo, movie, truth):
    _, summary = run(echo(), movie, truth)
    assert summary.n_samples == 6
    jaccard = summary.per_sample["jaccard"]
    # 1, 1/2, 1/2, 1 and 0; the last frame has neither emitter nor localization
    assert (jaccard.n_samples, jaccard.mean) == (5, pytest.approx(0.6))
    assert jaccard.standard_deviation == pytest.approx(math.sqrt(0.7 / 4))
    assert summary.per_sample["true_positives"].mean == pytest.approx(5 / 6)
    assert summary.per_sample["map_nmse_percent"].n_samples == 4


def test_pooled_scores_are_those_of_a_prediction_of_the_whole_movie(echo, movie, truth):
    _, summary = run(echo(), movie, truth, tolerance_nm=20.0, border_nm=600.0)
    found = [
        event.localizations
        for event in Predictor(echo(), movie).events()
        if isinstance(event, BatchPredicted)
    ]
    expected = detection_scores(
        Localizations.concatenate(found),
        truth,
        tolerance_nm=20.0,
        border_nm=600.0,
        field_of_view_nm=(2400.0, 2400.0),
    )
    # only B is inside the border
    assert (expected.true_positives, expected.false_negatives) == (1, 1)
    assert dataclasses.asdict(summary.detection) == pytest.approx(
        dataclasses.asdict(expected), nan_ok=True
    )


def test_the_image_is_the_sum_of_the_frames_brought_to_the_sum_of_the_truth(echo, movie, truth):
    chosen = PredictionConfig(frames="0:3")
    _, summary = run(echo(), movie, truth, chosen)
    # 3 A + B + C predicted, 3 A + 2 B true, all spots of one shape: both of sum 5
    assert summary.image.nmse_percent == pytest.approx(100 * 2 / 13, abs=1e-3)
    assert 0 < summary.image.pearson < 1
    assert math.isnan(summary.image.ms_ssim)
    _, dim = run(echo(density_amplitude=2.0), movie, truth, PredictionConfig(frames="0:3"))
    assert dim.image.nmse_percent == pytest.approx(summary.image.nmse_percent, abs=1e-3)


def training(movie, *frames, validation=()):
    return {
        "movie": "training.tif",
        "movie_fingerprint": movie.fingerprint(),
        "training_frames": list(frames),
        "validation_frames": list(validation),
    }


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_frames_between_those_that_trained_keep_their_numbers_and_their_truth(
    echo, movie, truth, batch_size
):
    model = echo(training=training(movie, 0, 2, 4, validation=(1, 5)))
    samples, summary = run(model, movie, truth, PredictionConfig(batch_size=batch_size))
    assert list(samples) == [1, 3, 5]
    assert [scores.is_validation for scores in samples.values()] == [True, False, True]
    assert samples[1].detection.false_negatives == 1
    assert samples[3].detection.rmse_nm == pytest.approx(30)
    assert summary.detection.jaccard == pytest.approx(2 / 3)


def test_frames_that_validated_the_model_are_told(echo, movie, truth):
    model = echo(training=training(movie, 0, 1, validation=(2, 3)))
    started = next(score_model(model, movie, truth))
    assert any(w.startswith("2 of the 4 frames to test on validated") for w in started.warnings)


def test_asking_for_frames_that_trained_the_model_is_refused(echo, movie, truth):
    model = echo(training=training(movie, 0, 1, 4, validation=(2, 3)))
    with pytest.raises(InputError, match=r"3 of the 6 frames .*\(0:2, 4:5\)"):
        score_model(model, movie, truth, PredictionConfig(frames="0:6"))
    samples, _ = run(model, movie, truth, PredictionConfig(frames="2:4"))
    assert list(samples) == [2, 3]


def test_true_images_give_image_scores_in_whatever_unit_they_are(echo, movie):
    images = open_frames(np.stack([1000 * draw(places) for places in TRUE]))
    samples, summary = run(echo(), movie, images)
    assert summary.detection is None
    assert samples[0].detection is None
    assert samples[0].density_map.map_nmse_percent == pytest.approx(0, abs=1e-4)
    # A of sum 1 is brought to the sum 2 of A and B
    assert samples[1].density_map.map_nmse_percent == pytest.approx(100, abs=1e-3)
    assert math.isnan(samples[4].density_map.map_ssim)
    assert set(summary.per_sample) == {"map_nmse_percent", "map_pearson", "map_ssim"}


def test_a_test_stops_after_the_frame_at_hand_with_the_scores_so_far(echo, movie, truth):
    stop = threading.Event()
    events = []
    for event in score_model(echo(), movie, truth, stop=stop):
        events.append(event)
        if isinstance(event, SampleScored) and event.samples_done == 2:
            stop.set()
    assert isinstance(events[-1], ScoringStopped)
    summary = events[-1].summary
    assert (summary.n_samples, summary.detection.true_positives) == (2, 3)
    # 4/3 (2 A + B) against 2 A + 2 B: the rest of the batch, though predicted, is not in it
    assert summary.image.nmse_percent == pytest.approx(100 / 9, abs=1e-3)


def test_a_pixel_size_unlike_that_of_the_training_is_warned_of(echo, movie, truth):
    started = next(score_model(echo(pixel_size_nm=160.0), movie, truth))
    assert any("trained with 160 nm" in warning for warning in started.warnings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config": PredictionConfig(frames="4:6")}, "None of the 2 frames of array"),
        ({"config": PredictionConfig(frames="4:9")}, "'4:9' cannot be used"),
        ({"config": PredictionConfig(pixel_size_nm=50.0)}, "outside of the field of view"),
        ({"config": PredictionConfig(device="cuda:99")}, "cuda"),
        ({"truth": table([(A,)] * 7)}, "reach up to frame 7 .* has 6 frames"),
        ({"truth": table([((2400.0, 0.0),)])}, "outside of the field of view"),
        ({"truth": Localizations.empty()}, "among the 0 true positions"),
        ({"truth": open_frames(np.ones((5, 24, 24)))}, "has 6 frames but array has 5"),
        ({"truth": open_frames(np.ones((6, 48, 48)))}, "it is 2"),
        ({"tolerance_nm": 0.0}, "tolerance is 0.0 nm"),
        ({"border_nm": 1200.0}, "border of 1200.0 nm cannot be left out"),
    ],
)
def test_what_cannot_be_tested_is_said_before_anything_is_predicted(
    echo, movie, truth, options, message
):
    with pytest.raises(InputError, match=message):
        score_model(**{"model": echo(), "frames": movie, "truth": truth} | options)


def test_a_movie_without_pixel_size_is_refused_although_the_model_has_one(echo, truth):
    movie = open_frames(np.stack([draw(places) for places in SHOWN]))
    with pytest.raises(InputError, match="does not say how large its pixels are"):
        score_model(echo(), movie, truth)
    samples, _ = run(echo(), movie, truth, PredictionConfig(pixel_size_nm=100.0))
    assert samples[3].detection.rmse_nm == pytest.approx(30)
