import math

import numpy as np
import pytest

from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.metrics.detection import detection_scores
from napari_dl4smlm.backend.training.calibration import THRESHOLDS, calibrate


def table(x_nm, confidence=None):
    return Localizations(
        frame=np.zeros(len(x_nm)), y_nm=np.zeros(len(x_nm)), x_nm=x_nm, confidence=confidence
    )


def test_precision_recall_and_jaccard_of_a_handful_of_peaks():
    # two peaks on emitters (10 and 30 nm off), one spurious, one emitter without a peak
    found = table([10.0, 1030.0, 5000.0], confidence=[0.9, 0.5, 0.3])
    calibration = calibrate(found, table([0.0, 1000.0, 2000.0]))
    at = dict(
        zip(
            np.round(calibration.thresholds, 2),
            zip(calibration.precision, calibration.recall, strict=True),
            strict=True,
        )
    )
    assert at[0.2] == pytest.approx((2 / 3, 2 / 3))
    assert at[0.4] == pytest.approx((1, 2 / 3))
    assert at[0.6] == pytest.approx((1, 1 / 3))
    assert at[0.92] == (0, 0)
    assert 0.3 < calibration.threshold <= 0.5
    assert calibration.jaccard == pytest.approx(2 / 3)
    assert calibration.rmse_nm == pytest.approx(math.sqrt((10**2 + 30**2) / 2))


def test_a_peak_exactly_at_a_threshold_counts():
    calibration = calibrate(table([0.0], confidence=[THRESHOLDS[10]]), table([0.0]))
    assert calibration.recall[:12] == (1,) * 11 + (0,)


def test_nothing_found_has_no_error_and_no_jaccard():
    calibration = calibrate(Localizations.empty(["confidence"]), table([0.0]))
    assert calibration.jaccard == 0
    assert calibration.rmse_nm is None


def test_the_threshold_is_as_good_as_the_best_one_tried_by_hand():
    generator = np.random.default_rng(0)
    truth_nm = np.arange(300) * 500.0
    # of true peaks three in four are surer than most of the spurious ones
    found_nm = np.concatenate([truth_nm + generator.normal(0, 20, 300), truth_nm[:150] + 250])
    confidence = np.concatenate([generator.beta(4, 2, 300), generator.beta(2, 6, 150)])
    calibration = calibrate(table(found_nm, confidence), table(truth_nm))
    by_hand = {
        threshold: detection_scores(
            table(found_nm[confidence >= threshold]), table(truth_nm), tolerance_nm=100
        ).jaccard
        for threshold in THRESHOLDS
    }
    assert calibration.jaccard == pytest.approx(by_hand[calibration.threshold], abs=1e-9)
    assert calibration.jaccard >= max(by_hand.values()) - 1e-3
