import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.losses.registry import create_loss
from napari_dl4smlm.backend.metrics.detection import detection_scores
from napari_dl4smlm.backend.training import validation as validation_module
from napari_dl4smlm.backend.training.calibration import FEWEST, THRESHOLDS, calibrate
from napari_dl4smlm.backend.training.filmed import FilmedData
from napari_dl4smlm.backend.training.truth import position_truth
from napari_dl4smlm.backend.training.validation import Validation


def table(x_nm, confidence=None):
    return Localizations(
        frame=np.zeros(len(x_nm)), y_nm=np.zeros(len(x_nm)), x_nm=x_nm, confidence=confidence
    )


def test_precision_recall_and_jaccard_of_a_handful_of_peaks():
    # two peaks on emitters (10 and 30 nm off), one spurious, one emitter without a peak
    found = table([10.0, 1030.0, 5000.0], confidence=[0.9, 0.5, 0.3])
    calibration = calibrate(found, table([0.0, 1000.0, 2000.0]), second_half=1)
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
    calibration = calibrate(table([0.0], confidence=[THRESHOLDS[10]]), table([0.0]), second_half=1)
    assert calibration.recall[:12] == (1,) * 11 + (0,)


def test_nothing_found_has_no_error_and_no_jaccard():
    calibration = calibrate(Localizations.empty(["confidence"]), table([0.0]), second_half=1)
    assert calibration.jaccard == 0
    assert calibration.rmse_nm is None
    assert calibration.confidence is calibration.uncertainty is None


def test_the_threshold_is_as_good_as_the_best_one_tried_by_hand():
    generator = np.random.default_rng(0)
    truth_nm = np.arange(300) * 500.0
    # of true peaks three in four are surer than most of the spurious ones
    found_nm = np.concatenate([truth_nm + generator.normal(0, 20, 300), truth_nm[:150] + 250])
    confidence = np.concatenate([generator.beta(4, 2, 300), generator.beta(2, 6, 150)])
    calibration = calibrate(table(found_nm, confidence), table(truth_nm), second_half=1)
    by_hand = {
        threshold: detection_scores(
            table(found_nm[confidence >= threshold]), table(truth_nm), tolerance_nm=100
        ).jaccard
        for threshold in THRESHOLDS
    }
    assert calibration.jaccard == pytest.approx(by_hand[calibration.threshold], abs=1e-9)
    assert calibration.jaccard >= max(by_hand.values()) - 1e-3


def probability_of(density):
    return np.clip(density, 0.1, 0.98)


def uncertainty_of(density):
    return 30 - 22 * density


def validation(n, *, second_half_worse=1.0, seed=0):
    """Peaks whose probability and error follow from their density, one a frame."""
    generator = np.random.default_rng(seed)
    density = generator.uniform(0.3, 1, n)
    is_emitter = generator.random(n) < probability_of(density)
    sigma = uncertainty_of(density) * np.where(np.arange(n) < n // 2, 1, second_half_worse)
    error = sigma[:, None] * generator.normal(size=(n, 2))
    y, x = generator.uniform(1000, 9000, (2, n))
    frame = np.arange(n)
    found = Localizations(frame, y + error[:, 0], x + error[:, 1], confidence=density)
    truth = Localizations(frame[is_emitter], y[is_emitter], x[is_emitter])
    return found, truth


def test_a_known_probability_and_a_known_uncertainty_are_recovered():
    calibration = calibrate(*validation(8000), second_half=4000)
    confidence, uncertainty = calibration.confidence, calibration.uncertainty
    tables = (confidence.densities, confidence.probabilities)
    density = np.linspace(0.35, 0.95, 13)
    # 400 peaks an entry
    assert np.interp(density, *tables) == pytest.approx(probability_of(density), abs=0.06)
    tables = (uncertainty.densities, uncertainty.uncertainties_nm)
    assert np.interp(density, *tables) == pytest.approx(uncertainty_of(density), rel=0.12)
    assert confidence.expected_calibration_error < 0.03
    assert uncertainty.expected_normalized_calibration_error < 0.06
    kept = np.flatnonzero(validation(8000)[0].confidence >= calibration.threshold)
    assert sum(confidence.counts) == np.count_nonzero(kept >= 4000)


def test_the_reported_errors_are_those_of_frames_that_were_held_out():
    found, truth = validation(4000, second_half_worse=2.0)
    held_out = calibrate(found, truth, second_half=2000).uncertainty
    # twice as far as the first half tells: abs(1 - 2) / 1
    assert held_out.expected_normalized_calibration_error == pytest.approx(1, abs=0.1)
    ratio = np.array(held_out.actual_nm) / held_out.predicted_nm
    assert ratio == pytest.approx(2, rel=0.2)
    # the table that is used knows both halves: the root mean square of 1 and 2
    of_both = np.interp(0.65, held_out.densities, held_out.uncertainties_nm)
    assert of_both == pytest.approx(math.sqrt(2.5) * uncertainty_of(0.65), rel=0.12)


def test_a_weak_peak_does_not_take_the_emitter_of_a_strong_one():
    # a strong peak 20 nm from every emitter, a weak one 5 nm from one in eight, weak ones elsewhere
    frame = np.concatenate([np.arange(400), np.arange(0, 400, 8), np.arange(400)])
    x_nm = np.repeat([1020.0, 995.0, 3000.0], [400, 50, 400])
    density = np.where(x_nm == 1020, 0.9, 0.1) + np.random.default_rng(0).uniform(0, 0.01, 850)
    found = Localizations(frame, np.zeros(850), x_nm, confidence=density)
    truth = Localizations(np.arange(400), np.zeros(400), np.full(400, 1000.0))
    calibration = calibrate(found, truth, second_half=200)
    probabilities = np.interp([0.1, 0.91], *tables_of(calibration.confidence))
    assert probabilities == pytest.approx([0, 1])
    # 20 nm along x alone
    (uncertainty,) = set(np.round(calibration.uncertainty.uncertainties_nm, 6))
    assert uncertainty == pytest.approx(20 / math.sqrt(2))


def tables_of(confidence):
    return confidence.densities, confidence.probabilities


def test_either_half_must_have_enough_peaks_and_pairs():
    found, truth = validation(2 * FEWEST + 60)
    found = Localizations(found.frame, found.y_nm, found.x_nm, confidence=found.confidence + 1)
    assert calibrate(found, truth, second_half=FEWEST).confidence is not None
    assert calibrate(found, truth, second_half=FEWEST - 1).confidence is None
    assert calibrate(found, truth, second_half=FEWEST + 61).confidence is None
    # of 130 peaks in each half, less than 100 are emitters
    calibration = calibrate(found, truth[: len(truth) // 2], second_half=FEWEST + 30)
    assert calibration.confidence is not None
    assert calibration.uncertainty is None


@settings(deadline=None, max_examples=20)
@given(st.integers(800, 2000), st.integers(0, 1000))
def test_surer_peaks_are_never_less_probable_nor_less_precise(n, seed):
    calibration = calibrate(*validation(n, seed=seed), second_half=n // 2)
    probabilities = np.array(calibration.confidence.probabilities)
    assert (np.diff(calibration.confidence.densities) > 0).all()
    assert (np.diff(probabilities) >= 0).all()
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert (np.diff(calibration.uncertainty.uncertainties_nm) <= 0).all()


def test_peaks_without_any_error_have_an_uncertainty_above_zero():
    found, truth = validation(1000)
    exact = truth.positions_nm()
    density = np.full(len(truth), 0.9)
    found = Localizations(truth.frame, exact[:, 0], exact[:, 1], confidence=density)
    uncertainty = calibrate(found, truth, second_half=500).uncertainty
    assert min(uncertainty.uncertainties_nm) > 0
    assert math.isfinite(uncertainty.expected_normalized_calibration_error)


class Oracle:
    """A learner whose density maps are the truth."""

    def evaluate(self, frames, targets):
        return targets.sum(), targets


@pytest.mark.parametrize(("numbers", "second_half"), [((0, 2, 3, 4, 5), 8), ((4,), 2)])
def test_the_second_half_begins_with_a_frame_unless_there_is_but_one(
    monkeypatch, numbers, second_half
):
    frames = open_frames(np.zeros((6, 40, 40), np.uint16), pixel_size_nm=100.0)
    # an emitter in each of the four patches of each frame
    y, x = np.tile([[500, 500, 3500, 3500], [500, 3500, 500, 3500]], 6)
    emitters = Localizations(np.repeat(np.arange(6), 4), y, x)
    truth = position_truth(frames, emitters, upsampling_factor=2)
    data = FilmedData(frames, truth, 2, 100.0, (1,), numbers)
    asked = []

    def remember(found, truth, *, second_half):
        asked.append((len(found), len(truth), second_half))

    monkeypatch.setattr(validation_module, "calibrate", remember)
    normalization = Normalization(offset=0, scale=1, background=0, brightest=1)
    loss = create_loss("weighted_mse")
    Validation(data, normalization, loss=loss, patch_size=10, batch_size=4).run(Oracle())
    assert asked == [(4 * len(numbers), 4 * len(numbers), second_half)]
