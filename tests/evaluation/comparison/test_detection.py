import dataclasses
import math

import numpy as np
import pytest

from napari_dl4smlm.backend.evaluation.comparison.detection import (
    bootstrap_detection,
    count_by_frame,
)
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.metrics.detection import detection_scores

FRAMES = 12


@pytest.fixture(scope="module")
def tables():
    generator = np.random.default_rng(0)
    emitters = Localizations(generator.integers(0, 10, 200), *generator.uniform(0, 3000, (2, 200)))
    kept = generator.random(200) < 0.7
    found = emitters[kept]
    spurious = Localizations(generator.integers(0, 12, 40), *generator.uniform(0, 3000, (2, 40)))
    shifted = Localizations(
        found.frame,
        found.y_nm + generator.normal(3, 20, len(found)),
        found.x_nm + generator.normal(-5, 20, len(found)),
    )
    return Localizations.concatenate([shifted, spurious]), emitters


def test_the_scores_of_all_frames_are_the_usual_ones(tables):
    scores = bootstrap_detection(*tables, n_frames=FRAMES, tolerance_nm=60, seed=0, resamples=10)
    expected = dataclasses.asdict(detection_scores(*tables, tolerance_nm=60))
    assert {name: score.value for name, score in scores.items()} == pytest.approx(
        {name: expected[name] for name in scores}
    )


def test_every_frame_is_counted_as_it_would_be_alone(tables):
    counts = count_by_frame(*tables, n_frames=FRAMES, tolerance_nm=60)
    for number in range(FRAMES):
        frame = range(number, number + 1)
        alone = detection_scores(*(table.in_frames(frame) for table in tables), tolerance_nm=60)
        pairs = alone.true_positives
        assert counts[number, :3].tolist() == [pairs, alone.false_positives, alone.false_negatives]
        if pairs:
            assert math.sqrt(counts[number, 3] / pairs) == pytest.approx(alone.rmse_nm)
            assert counts[number, 4] / pairs == pytest.approx(alone.bias_y_nm)
            assert counts[number, 5] / pairs == pytest.approx(alone.bias_x_nm)


def test_intervals_hold_the_value_and_the_seed_decides_them(tables):
    scores, again, other = (
        bootstrap_detection(*tables, n_frames=FRAMES, tolerance_nm=60, seed=seed)
        for seed in (1, 1, 2)
    )
    for name, score in scores.items():
        interval = score.interval()
        assert interval.low < score.value < interval.high
        assert again[name].interval() == interval != other[name].interval()


def test_a_single_frame_has_no_interval(tables):
    one = [dataclasses.replace(table, frame=np.zeros(len(table))) for table in tables]
    scores = bootstrap_detection(*one, n_frames=1, tolerance_nm=60, seed=0)
    assert scores["jaccard"].value > 0
    assert all(score.interval() is None for score in scores.values())


def test_without_a_localization_nothing_is_found_and_errors_are_unknown(tables):
    scores = bootstrap_detection(
        Localizations.empty(), tables[1], n_frames=FRAMES, tolerance_nm=60, seed=0, resamples=10
    )
    expected = dataclasses.asdict(
        detection_scores(Localizations.empty(), tables[1], tolerance_nm=60)
    )
    assert {name: score.value for name, score in scores.items()} == pytest.approx(
        {name: expected[name] for name in scores}, nan_ok=True
    )
    assert scores["jaccard"].value == 0
    assert scores["rmse_nm"].interval() is None
