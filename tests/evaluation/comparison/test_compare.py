"""Every count here is known by hand: the networks echo frames in which emitters are drawn."""

import math
import threading

import numpy as np
import pytest

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.errors import DeviceError, InputError
from napari_dl4smlm.backend.evaluation.comparison.candidates import Candidate
from napari_dl4smlm.backend.evaluation.comparison.compare import compare_models
from napari_dl4smlm.backend.evaluation.comparison.events import (
    ComparisonFinished,
    ComparisonStarted,
    ComparisonStopped,
    FramesPredicted,
    ImagesScored,
    ModelCompared,
    SpeedMeasured,
)
from napari_dl4smlm.backend.evaluation.comparison.table import tabulate
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.metrics.accuracy import accuracy_by_photons
from napari_dl4smlm.backend.metrics.detection import detection_scores
from napari_dl4smlm.backend.models.model_file import TrainedModel
from napari_dl4smlm.backend.models.registry import create_model
from napari_dl4smlm.backend.prediction.backends import candidates, selection
from napari_dl4smlm.backend.prediction.backends.candidates import REFERENCE
from napari_dl4smlm.backend.prediction.backends.choice import Choice
from napari_dl4smlm.backend.prediction.config import PredictionConfig

CPU = PredictionConfig(device="cpu", threshold=0.3)


def compare(candidates, movie, truth=None, config=CPU, **options):
    """Run a comparison to its end, and return it."""
    started, *_, finished = compare_models(
        candidates, movie, truth, config, **({"repeats": 1} | options)
    )
    assert isinstance(started, ComparisonStarted)
    assert isinstance(finished, ComparisonFinished)
    return finished.comparison


def test_a_model_that_misses_dim_emitters_is_behind_by_just_these(candidate, movie, truth):
    comparison = compare([candidate("all"), candidate("bright", 2.0)], movie, truth)
    table = tabulate(comparison)
    # the threshold of 0.3, at half the density, and the sum over the window round the peak
    share = (truth.photons / 1000 * 0.5 > 0.3).mean()
    recall = table.cells("recall")
    assert recall["all"].value == 1
    assert recall["bright"].value == pytest.approx(share, abs=0.06)
    assert 0.2 < recall["bright"].value < 0.8
    assert recall["all"].standing == "best"
    assert recall["bright"].standing == ""
    assert recall["bright"].behind.value == pytest.approx(recall["bright"].value - 1)
    assert recall["bright"].behind.interval.high < 0
    precision = table.cells("precision")
    assert [cell.value for cell in precision.values()] == [1, 1]
    # both are perfect, so that none is better
    assert [cell.standing for cell in precision.values()] == ["", ""]


def test_images_are_compared_scaled_so_that_the_amplitude_does_not_matter(candidate, movie, truth):
    comparison = compare([candidate("one"), candidate("half", 2.0)], movie, truth)
    one, half = comparison.models
    assert one.image.sum() == pytest.approx(2 * half.image.sum(), rel=1e-5)
    assert half.scores["ssim"].value == pytest.approx(one.scores["ssim"].value)
    assert tabulate(comparison).cells("nmse_percent")["one"].standing == ""
    # summed emitters differ in photons, which the truth does not draw
    assert 0 < one.scores["nmse_percent"].value < 5
    cell = tabulate(comparison).cells("nmse_percent")["one"]
    # half as long again below the value, were it not for the end of what is possible
    assert cell.interval.low == 0
    assert cell.interval.high == one.scores["nmse_percent"].interval().high
    assert math.isnan(one.scores["ms_ssim"].value)


def test_models_of_different_upsampling_share_the_finest_grid(candidate, movie, truth):
    coarse, fine = candidate("coarse"), candidate("fine", upsampling_factor=2)
    comparison = compare([coarse, fine], movie, truth)
    assert comparison.data.upsampling_factor == 2
    assert comparison.data.true_image.shape == (48, 48)
    assert [model.image.shape for model in comparison.models] == [(24, 24), (48, 48)]
    first, second = comparison.models
    # both images are the same once the coarse one is divided
    assert first.scores["nmse_percent"].value == pytest.approx(
        second.scores["nmse_percent"].value, rel=1e-4
    )
    (warning,) = comparison.warnings
    assert "finest grid, ×2: that of coarse (×1)" in warning


def training(movie, *frames, validation=()):
    return {
        "movie": "training.tif",
        "movie_fingerprint": movie.fingerprint(),
        "training_frames": list(frames),
        "validation_frames": list(validation),
    }


def test_all_models_are_scored_on_the_frames_that_trained_none_of_them(candidate, movie, truth):
    first = candidate("first", training=training(movie, 0, 1, 2, validation=[5, 1]))
    second = candidate("second", training=training(movie, 2, 9))
    comparison = compare([first, second], movie, truth)
    left = [number for number in range(24) if number not in (0, 1, 2, 9)]
    assert comparison.data.frames == tuple(left)
    assert comparison.data.n_emitters == 4 * len(left)
    for model in comparison.models:
        assert sorted(set(model.localizations.frame)) == left
        assert model.scores["recall"].value == 1
    (warning,) = comparison.warnings
    assert warning.startswith("first: 1 of the 20 frames validated this model")


def test_frames_that_trained_a_model_are_refused_if_asked_for(candidate, movie, truth):
    models = [candidate("a"), candidate("b", training=training(movie, 3))]
    with pytest.raises(InputError, match=r"^b: 1 of the 4 frames asked for trained this model"):
        compare(models, movie, truth, CPU.model_copy(update={"frames": "0:4"}))


def test_models_that_were_trained_on_all_frames_between_them_cannot_be_compared(
    candidate, movie, truth
):
    models = [
        candidate("a", training=training(movie, *range(10))),
        candidate("b", training=training(movie, *range(10, 24))),
    ]
    with pytest.raises(
        InputError, match=r"No frame .* 24 frames, 10 trained a, 14 trained b\. Compare on another"
    ):
        compare(models, movie, truth)


def test_a_model_alone_is_a_table_of_one_without_a_best(candidate, movie, truth):
    comparison = compare([candidate("only")], movie, truth)
    table = tabulate(comparison)
    assert table.labels == ("only",)
    assert all(
        cell.standing == ""
        for column in table.columns
        for cell in table.cells(column.name).values()
    )


@pytest.mark.parametrize(
    ("labels", "sha256", "message"),
    [
        ([], [], "no model to compare"),
        (["a", "a"], ["1", "2"], "Two models are called 'a'"),
        (["a", "b"], ["1", "1"], "b and a are the same model"),
    ],
)
def test_no_model_or_a_model_twice_is_refused(candidate, movie, labels, sha256, message):
    models = [candidate(name, weights_sha256=sha) for name, sha in zip(labels, sha256, strict=True)]
    with pytest.raises(InputError, match=message):
        compare_models(models, movie)


def test_a_single_frame_has_scores_without_intervals(candidate, movie, truth):
    one = CPU.model_copy(update={"frames": "3:4"})
    comparison = compare([candidate("all"), candidate("bright", 2.0)], movie, truth, one)
    table = tabulate(comparison)
    for column in ("jaccard", "recall", "ssim"):
        for cell in table.cells(column).values():
            assert cell.value is not None
            assert (cell.interval, cell.standing) == (None, "")
    assert "A single frame is compared" in comparison.warnings[0]


def test_few_frames_are_warned_about(candidate, movie, truth):
    few = CPU.model_copy(update={"frames": "0:5"})
    assert "Only 5 frames" in compare([candidate("a")], movie, truth, few).warnings[0]


@pytest.mark.parametrize("table", [Localizations.empty(), Localizations([30], [50.0], [50.0])])
def test_a_movie_without_emitters_in_its_frames_is_refused(candidate, movie, table):
    with pytest.raises(InputError, match=r"None of the 24 frames .* leave the positions out"):
        compare([candidate("a")], movie, table)


def test_positions_of_another_movie_are_refused(candidate, movie, truth):
    beyond = Localizations.concatenate([truth, Localizations([99], [50.0], [50.0])])
    with pytest.raises(InputError, match="reach up to frame 100"):
        compare([candidate("a")], movie, beyond)
    outside = Localizations.concatenate([truth, Localizations([1], [50.0], [5000.0])])
    with pytest.raises(InputError, match="outside of the field of view"):
        compare([candidate("a")], movie, outside)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance_nm": 0}, "tolerance is 0 nm"),
        ({"border_nm": 1300}, "border of 1300 nm"),
        ({"repeats": 0}, "0 batches cannot be timed"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_at_once(
    candidate, movie, truth, options, message
):
    with pytest.raises(InputError, match=message):
        compare_models([candidate("a")], movie, truth, CPU, **options)


def test_an_unknown_device_is_refused_at_once(candidate, movie):
    with pytest.raises(DeviceError, match="Unknown device 'gpu'"):
        compare_models([candidate("a")], movie, devices=["cpu", "gpu"])


def test_a_device_by_two_names_is_timed_once(candidate, movie, truth):
    comparison = compare([candidate("a")], movie, truth, devices=["cpu", "cpu:0", "cpu"])
    assert comparison.devices == ("cpu",)
    assert [speed.device for speed in comparison.models[0].speeds] == ["cpu"]


def test_a_movie_unlike_the_training_is_warned_about_as_in_predict(candidate, movie, truth):
    models = [candidate("same"), candidate("other", pixel_size_nm=160.0)]
    warnings = compare(models, movie, truth).warnings
    assert [w for w in warnings if w.startswith("other: The pixel size of this movie is 100 nm")]
    assert not [w for w in warnings if w.startswith("same: The pixel size")]


def test_without_a_pixel_size_that_of_all_models_is_used(candidate, movie, truth):
    unknown = open_frames(movie.read(0, 24))
    comparison = compare([candidate("a"), candidate("b", 2.0)], unknown, truth)
    assert comparison.data.pixel_size_nm == 100
    assert comparison.models[0].scores["recall"].value == 1
    assert "a: array does not tell its pixel size" in comparison.warnings[0]
    models = [candidate("a"), candidate("b", pixel_size_nm=160.0)]
    with pytest.raises(InputError, match=r"do not agree on one \(100 nm, 160 nm\)"):
        compare(models, unknown, truth)
    given = CPU.model_copy(update={"pixel_size_nm": 100.0})
    assert compare(models, unknown, truth, given).data.pixel_size_nm == 100
    unknown.pixel_sides_nm = (100, 160)
    with pytest.raises(InputError, match="100 nm high and 160 nm wide"):
        compare([candidate("a")], unknown, truth)


def test_the_rim_is_left_out_of_the_detection_and_of_nothing_else(candidate, movie, truth):
    # so that some emitters and localizations lie on both sides of its inner edge
    shift = np.random.default_rng(0).uniform(-90, 90, len(truth))
    moved = Localizations(truth.frame, truth.y_nm, truth.x_nm + shift)
    (model,) = compare([candidate("a")], movie, moved, border_nm=610).models
    expected = detection_scores(
        model.localizations,
        moved,
        tolerance_nm=100,
        border_nm=610,
        field_of_view_nm=(2400.0, 2400.0),
    )
    assert 0 < expected.false_positives < expected.true_positives
    assert model.scores["jaccard"].value == pytest.approx(expected.jaccard)
    assert model.scores["rmse_nm"].value == pytest.approx(expected.rmse_nm)
    assert len(model.localizations) == 96


def test_accuracy_against_photons_is_that_of_the_localizations(candidate, movie, truth):
    (model,) = compare([candidate("bright", 2.0)], movie, truth).models
    expected = accuracy_by_photons(model.localizations, truth, tolerance_nm=100)
    assert model.by_photons.recall == pytest.approx(expected.recall)
    assert model.by_photons.recall[0] == 0
    assert model.by_photons.recall[-1] == 1
    assert model.by_density.recall.mean() < 1
    without = Localizations(truth.frame, truth.y_nm, truth.x_nm)
    assert compare([candidate("a")], movie, without).models[0].by_photons is None


def test_size_and_cost_are_those_of_the_published_network(candidate, movie, truth):
    network = create_model("fid_storm", upsampling_factor=8, blocks=5).eval()
    card = candidate("").model.card.model_copy(
        update={"architecture": "fid_storm", "options": network.options, "upsampling_factor": 8}
    )
    fid = Candidate("fid", TrainedModel(network, card))
    few = CPU.model_copy(update={"frames": "0:2"})
    scores = compare([fid], movie, truth, few).models[0].scores
    # Zhou et al. 2023, five blocks: counted from the layers of the released ONNX file
    assert scores["parameters"].value == 208_720
    assert scores["gflop_per_frame"].value == pytest.approx(2e-9 * 341_568 * 24 * 24)
    assert math.isnan(scores["file_megabytes"].value)


def test_without_truth_there_are_measures_but_no_best(candidate, movie):
    models = [candidate("all"), candidate("bright", 2.0)]
    comparison = compare(models, movie)
    table = tabulate(comparison)
    assert comparison.data.true_image is None
    assert comparison.data.n_emitters is None
    assert table.sections[0].group.title == "Without ground truth"
    per_frame = table.cells("localizations_per_frame")
    assert per_frame["all"].value == 4
    assert per_frame["bright"].value < 4
    rsp = table.cells("rsp")
    assert 0 < rsp["all"].value <= 1
    for column in table.sections[0].group.columns:
        assert all(cell.standing == "" for cell in table.cells(column.name).values())
    photons = table.cells("photons")["all"]
    assert photons.value is None
    assert "no photons" in photons.problem


def test_without_truth_frames_that_trained_a_model_are_left_out_too(candidate, movie):
    model = candidate("a", training=training(movie, *range(2, 20)))
    comparison = compare([model], movie)
    assert comparison.data.frames == (0, 1, 20, 21, 22, 23)
    assert comparison.models[0].scores["localizations_per_frame"].value == 4


def test_a_model_that_finds_nothing_is_compared_all_the_same(candidate, movie, truth):
    models = [candidate("all"), candidate("blind", 100.0)]
    table = tabulate(compare(models, movie, truth))
    assert table.cells("recall")["blind"].value == 0
    assert table.cells("rmse_nm")["blind"].value is None
    assert table.cells("rmse_nm")["all"].standing == ""
    assert table.cells("jaccard")["all"].standing == "best"
    assert tabulate(compare(models, movie)).cells("localizations_per_frame")["blind"].value == 0


def test_no_trial_decides_what_the_models_are_computed_with(candidate, movie, truth, monkeypatch):
    monkeypatch.setattr(selection, "is_worth_a_trial", lambda *_, **__: True)
    comparison = compare([candidate("all")], movie, truth)
    assert comparison.models[0].computed_with == "torch float32"
    assert comparison.warnings == ()


def test_a_precision_that_was_not_used_is_warned_about(candidate, movie, truth, monkeypatch):
    def refuse(_, reference, *__, **___):
        return Choice(REFERENCE, reference, "bfloat16 is not used: it moves the localizations.")

    monkeypatch.setattr(selection.Selection, "choose", refuse)
    # not every processor computes with 16 bits
    every = ("bfloat16", "float32")
    monkeypatch.setattr(candidates, "available_precisions", lambda device: every)
    config = CPU.model_copy(update={"precision": "bfloat16"})
    comparison = compare([candidate("all")], movie, truth, config)
    assert comparison.models[0].computed_with == "torch float32"
    assert comparison.warnings == ("all: bfloat16 is not used: it moves the localizations.",)


def test_the_events_come_in_order_and_count_up(candidate, movie, truth):
    config = CPU.model_copy(update={"batch_size": 2})
    events = list(
        compare_models([candidate("a"), candidate("b", 2.0)], movie, truth, config, repeats=1)
    )
    assert events[0].labels == ("a", "b")
    assert events[0].n_frames == 24
    for label in ("a", "b"):
        own = [event for event in events if getattr(event, "label", "") == label]
        done = [event.frames_done for event in own if isinstance(event, FramesPredicted)]
        assert done == sorted(set(done))
        assert done[-1] == 24
        scored = [event.done for event in own if isinstance(event, ImagesScored)]
        assert scored == list(range(1, 12))
        assert sum(isinstance(event, SpeedMeasured) for event in own) == 1
    compared = [event for event in events if isinstance(event, ModelCompared)]
    assert [event.model.label for event in compared] == ["a", "b"]
    so_far = [[model.label for model in event.comparison.models] for event in compared]
    assert so_far == [["a"], ["a", "b"]]


@pytest.mark.parametrize("kind", [FramesPredicted, ImagesScored, SpeedMeasured])
def test_a_stop_ends_the_comparison_with_the_models_done(candidate, movie, truth, kind):
    stop = threading.Event()
    events = compare_models(
        [candidate("a"), candidate("b", 2.0)], movie, truth, CPU, repeats=1, stop=stop
    )
    for event in events:
        last = event
        if isinstance(event, kind) and event.label == "b":
            stop.set()
    assert isinstance(last, ComparisonStopped)
    assert [model.label for model in last.comparison.models] == ["a"]


def test_a_stop_before_the_first_model_is_done_leaves_nothing(candidate, movie, truth):
    stop = threading.Event()
    stop.set()
    *_, last = compare_models([candidate("a")], movie, truth, CPU, stop=stop)
    assert last == ComparisonStopped(None) or last.comparison is None


def test_an_error_on_the_way_names_the_model(candidate, truth):
    class Broken:
        shape, dtype = (24, 24, 24), np.dtype(float)
        reads = 0

        def __getitem__(self, key):
            Broken.reads += 1
            frames = np.ones((24, 24, 24))[key]
            return frames if Broken.reads < 10 else np.full_like(frames, np.nan)

    broken = open_frames(Broken(), pixel_size_nm=100.0)
    with pytest.raises(InputError, match=r"^a: Frame .* holds NaN"):
        compare([candidate("a")], broken, truth)
