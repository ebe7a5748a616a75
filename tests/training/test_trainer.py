import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.errors import DeviceError, InputError
from napari_dl4smlm.backend.models.model_file import load_model
from napari_dl4smlm.backend.simulation.config import MovieConfig
from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie
from napari_dl4smlm.backend.training.config import DataConfig, TrainingConfig
from napari_dl4smlm.backend.training.data import open_training_data
from napari_dl4smlm.backend.training.events import (
    EpochFinished,
    FirstPreview,
    ModelSaved,
    StepFinished,
    TrainingFinished,
    TrainingStarted,
    TrainingStopped,
)
from napari_dl4smlm.backend.training.filmed import FilmedData
from napari_dl4smlm.backend.training.trainer import Trainer, TrainingDivergedError
from napari_dl4smlm.backend.training.truth import Patch, image_truth, position_truth


def weights(path):
    return load_model(path).network.state_dict()


def assert_equal_weights(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def changed(config, **values):
    return config.model_copy(update=values)


def stop_after(trainer, steps):
    """Follow a training and stop it after so many steps; return its events."""
    events = []
    for event in trainer.events():
        events.append(event)
        if sum(isinstance(event, StepFinished) for event in events) == steps:
            trainer.stop()
    return events


def test_the_stream_tells_the_whole_story_in_order(tiny_data, tiny_config, tmp_path):
    events = list(Trainer(tiny_data, tiny_config, tmp_path / "m.safetensors").events())
    assert isinstance(events[0], TrainingStarted)
    assert isinstance(events[1], FirstPreview)
    assert isinstance(events[-1], TrainingFinished)
    assert events[0].steps_per_epoch == 3
    steps = [event for event in events if isinstance(event, StepFinished)]
    assert [(e.epoch, e.step) for e in steps] == list(itertools.product((1, 2, 3), (1, 2, 3)))
    assert steps[-1].seconds_left == 0
    epochs = [event for event in events if isinstance(event, EpochFinished)]
    for number, epoch in enumerate(epochs):
        losses = [step.loss for step in steps[3 * number : 3 * number + 3]]
        assert epoch.training_loss == pytest.approx(np.mean(losses))
    best = min(epochs, key=lambda epoch: epoch.validation_loss)
    assert events[-1].best_epoch == best.epoch
    assert events[-1].best_validation_loss == best.validation_loss
    assert events[-1].reason == "all epochs done"
    saved = [event.kind for event in events if isinstance(event, ModelSaved)]
    assert saved.count("last") == 3
    assert saved.count("best") == sum(epoch.is_best for epoch in epochs)


@pytest.mark.parametrize("loss", ["l1l2", "weighted_mse", "weighted_mae"])
def test_every_loss_falls_with_its_default_lambda(tiny_data, tiny_config, tmp_path, loss):
    config = changed(tiny_config, loss=loss, epochs=8, patches_per_epoch=24, learning_rate=5e-3)
    events = Trainer(tiny_data, config, tmp_path / "m.safetensors").events()
    epochs = [event for event in events if isinstance(event, EpochFinished)]
    assert epochs[-1].validation_loss < 0.9 * epochs[0].validation_loss


def test_the_preview_shows_a_validation_frame_with_its_truth(tiny_data, tiny_config, tmp_path):
    events = Trainer(tiny_data, tiny_config, tmp_path / "m.safetensors").events()
    preview = next(event for event in events if isinstance(event, EpochFinished)).preview
    assert preview.frame_number == 6
    np.testing.assert_array_equal(preview.frame, tiny_data.frames.read(6, 7)[0])
    assert preview.truth.shape == preview.prediction.shape == (32, 32)
    # the L1L2 loss sees a spike as a Gaussian of one fine pixel
    expected = tiny_data.truth.render(Patch(6, 0, 0, 16, 16), 1.0)
    np.testing.assert_array_equal(preview.truth, expected)
    assert preview.prediction.min() >= 0
    assert preview.corner_px == (0, 0)


def test_the_same_seed_trains_the_same_model_and_seed_0_is_a_seed(tiny_data, tiny_config, tmp_path):
    paths = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(len(paths))  # whatever the process did before
        paths.append(tmp_path / f"{name}.safetensors")
        list(Trainer(tiny_data, changed(tiny_config, seed=seed), paths[-1]).events())
    assert_equal_weights(weights(paths[0]), weights(paths[1]))
    first, other = weights(paths[0]), weights(paths[2])
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_training_leaves_the_random_numbers_of_the_process_alone(tiny_data, tiny_config, tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    list(Trainer(tiny_data, tiny_config, tmp_path / "m.safetensors").events())
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("steps", [1, 3, 4, 8])
def test_a_resumed_training_ends_as_if_it_had_never_stopped(
    tiny_data, tiny_config, tmp_path, steps
):
    whole = tmp_path / "whole.safetensors"
    uninterrupted = list(Trainer(tiny_data, tiny_config, whole).events())
    resumed = tmp_path / "resumed.safetensors"
    first_part = stop_after(Trainer(tiny_data, tiny_config, resumed), steps)
    assert isinstance(first_part[-1], TrainingStopped)
    second_part = list(Trainer(tiny_data, tiny_config, resumed, resume=True).events())
    for suffix in (".safetensors", ".last.safetensors"):
        assert_equal_weights(
            weights(whole.with_name(f"whole{suffix}")),
            weights(resumed.with_name(f"resumed{suffix}")),
        )
    assert second_part[-1].best_validation_loss == uninterrupted[-1].best_validation_loss
    histories = [load_model(path).card.history for path in (whole, resumed)]
    assert histories[0] == histories[1]


def test_stopping_before_the_first_epoch_is_over_leaves_both_models(
    tiny_data, tiny_config, tmp_path
):
    trainer = Trainer(tiny_data, tiny_config, tmp_path / "m.safetensors")
    stopped = stop_after(trainer, 1)[-1]
    assert isinstance(stopped, TrainingStopped)
    for path in (stopped.best_path, stopped.last_path):
        load_model(path)


def test_a_finished_training_can_go_on_for_more_epochs(tiny_data, tiny_config, tmp_path):
    path = tmp_path / "m.safetensors"
    list(Trainer(tiny_data, tiny_config, path).events())
    longer = list(Trainer(tiny_data, changed(tiny_config, epochs=4), path, resume=True).events())
    assert longer[0].first_epoch == 4
    assert [e.epoch for e in longer if isinstance(e, EpochFinished)] == [4]


def test_resuming_with_another_learning_rate_is_refused(tiny_data, tiny_config, tmp_path):
    path = tmp_path / "m.safetensors"
    list(Trainer(tiny_data, changed(tiny_config, epochs=1), path).events())
    with pytest.raises(InputError, match=r"trained with learning_rate = 0.001, but 0.1 was asked"):
        Trainer(tiny_data, changed(tiny_config, learning_rate=0.1), path, resume=True)


def test_resuming_with_another_upsampling_is_refused(tiny_data, tiny_config, tmp_path):
    list(Trainer(tiny_data, tiny_config, tmp_path / "m.safetensors").events())
    finer = replace(tiny_data, upsampling_factor=4)
    message = r"m.last.safetensors was trained with upsampling_factor = 2, but 4 was asked for"
    with pytest.raises(InputError, match=message):
        Trainer(finer, tiny_config, tmp_path / "m.safetensors", resume=True)


def test_resuming_from_nothing_says_so(tiny_data, tiny_config, tmp_path):
    with pytest.raises(InputError, match=r"no .*m.last.safetensors to resume from"):
        Trainer(tiny_data, tiny_config, tmp_path / "m.safetensors", resume=True)


def test_a_new_training_sets_the_old_models_aside(tiny_data, tiny_config, tmp_path):
    path = tmp_path / "m.safetensors"
    list(Trainer(tiny_data, changed(tiny_config, epochs=1), path).events())
    old = path.read_bytes()
    list(Trainer(tiny_data, changed(tiny_config, epochs=1, seed=1), path).events())
    assert (tmp_path / "m.previous.safetensors").read_bytes() == old
    assert (tmp_path / "m.last.previous.safetensors").exists()


def test_validation_leaves_the_batch_norm_statistics_untouched(tiny_data, tiny_config, tmp_path):
    trainer = Trainer(tiny_data, changed(tiny_config, epochs=1), tmp_path / "m.safetensors")
    after_last_step = None
    for event in trainer.events():
        statistics = {
            f"{part}.{name}": value.clone()
            for part in ("averaged", "_network")
            for name, value in getattr(trainer._learner, part).state_dict().items()
            if "running" in name
        }
        if isinstance(event, StepFinished):
            after_last_step = statistics
    assert statistics
    for name, value in statistics.items():
        assert torch.equal(value, after_last_step[name])


def test_a_loss_that_is_not_a_number_ends_training_and_keeps_the_best_model(
    tiny_data, tiny_config, tmp_path
):
    path = tmp_path / "m.safetensors"
    trainer = Trainer(tiny_data, tiny_config, path)
    events = trainer.events()
    for event in events:
        if isinstance(event, StepFinished) and (event.epoch, event.step) == (2, 1):
            break
    kept = path.read_bytes()
    with torch.no_grad():
        next(trainer._learner._network.parameters()).fill_(torch.nan)
    with pytest.raises(
        TrainingDivergedError, match=r"loss became nan in epoch 2.*\(epoch 1\) is kept"
    ):
        list(events)
    assert path.read_bytes() == kept
    for name in ("m.safetensors", "m.last.safetensors"):
        assert all(value.isfinite().all() for value in weights(tmp_path / name).values())


def test_a_lack_of_memory_is_said_with_what_to_make_smaller(
    tiny_data, tiny_config, tmp_path, monkeypatch
):
    trainer = Trainer(tiny_data, tiny_config, tmp_path / "m.safetensors")

    def run_out(*args):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(trainer._learner, "step", run_out)
    with pytest.raises(InputError, match=r"memory of cpu .* 4 patches of 16 x 16 px.*No model was"):
        list(trainer.events())


def test_the_learning_rate_falls_on_a_plateau_and_training_ends_early(
    tiny_data, tiny_config, tmp_path
):
    config = changed(
        tiny_config,
        # too small a rate to change anything: the first epoch stays the best
        learning_rate=1e-30,
        plateau_patience=1,
        plateau_factor=0.5,
        early_stopping=5,
        epochs=50,
    )
    trainer = Trainer(tiny_data, config, tmp_path / "m.safetensors")
    for module in trainer._learner._network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.0
    events = list(trainer.events())
    rates = [event.learning_rate for event in events if isinstance(event, EpochFinished)]
    assert rates == pytest.approx([1e-30] * 3 + [5e-31] * 2 + [2.5e-31])
    assert events[-1].reason == "no longer improving"


def test_the_cosine_warms_up_falls_and_goes_on_after_a_break(tiny_data, tiny_config, tmp_path):
    config = changed(tiny_config, schedule="cosine", epochs=40, learning_rate=1e-3)
    trainer = Trainer(tiny_data, config, tmp_path / "m.safetensors")
    rates = [
        trainer._learner.learning_rate
        for event in trainer.events()
        if isinstance(event, StepFinished)
    ]
    assert len(rates) == 120
    assert rates[0] == pytest.approx(1e-3 / 50)
    # 60 of 120 steps are half of the way; 59 were done before
    assert rates[59] == pytest.approx(0.5e-3 * (1 + np.cos(np.pi * 59 / 120)))
    assert rates[-1] == pytest.approx(1e-5)
    resumed = tmp_path / "resumed.safetensors"
    stop_after(Trainer(tiny_data, config, resumed), 70)
    list(Trainer(tiny_data, config, resumed, resume=True).events())
    assert_equal_weights(
        weights(tmp_path / "m.last.safetensors"), weights(tmp_path / "resumed.last.safetensors")
    )


def test_training_on_simulated_patches_calibrates_the_threshold(tiny_config, tmp_path):
    data = open_training_data(
        DataConfig(
            simulation={"density": 0.3, "photons": {"kind": "uniform", "low": 5000, "high": 5000}},
            upsampling_factor=2,
            simulated_validation_frames=3,
        ),
        seed=0,
    )
    config = changed(tiny_config, epochs=12, patches_per_epoch=64, learning_rate=1e-2)
    path = tmp_path / "m.safetensors"
    events = list(Trainer(data, config, path).events())
    assert events[0].training_frames is None
    epochs = [event for event in events if isinstance(event, EpochFinished)]
    best = epochs[events[-1].best_epoch - 1].calibration
    card = load_model(path).card
    assert card.calibration == best
    assert best.jaccard > 0.5
    assert 0.04 <= best.threshold <= 0.96
    assert card.history[-1]["validation_jaccard"] == best.jaccard
    assert card.training["simulation"]["density"] == 0.3
    assert all(0 <= epoch.share_waited < 1 for epoch in epochs)


def test_a_time_limit_ends_training_with_a_validated_model(tiny_data, tiny_config, tmp_path):
    config = changed(tiny_config, epochs=100_000, max_minutes=0.02)
    finished = list(Trainer(tiny_data, config, tmp_path / "m.safetensors").events())[-1]
    assert finished.reason == "time limit reached"
    assert finished.epoch < 100_000
    load_model(finished.best_path)


def test_bfloat16_training_on_the_cpu_learns_too(tiny_data, tiny_config, tmp_path):
    config = changed(tiny_config, precision="bfloat16", epochs=8, learning_rate=5e-3)
    events = list(Trainer(tiny_data, config, tmp_path / "m.safetensors").events())
    assert events[0].precision == "bfloat16"
    losses = [event.validation_loss for event in events if isinstance(event, EpochFinished)]
    assert losses[-1] < 0.9 * losses[0]
    assert all(value.dtype != torch.bfloat16 for value in weights(events[-1].best_path).values())


def test_the_model_file_holds_all_that_prediction_needs(tiny_data, tiny_config, tmp_path):
    path = tmp_path / "m.safetensors"
    list(Trainer(tiny_data, tiny_config, path).events())
    card = load_model(path).card
    assert card.architecture == "fid_storm"
    assert card.options["blocks"] == 1
    assert card.upsampling_factor == 2
    assert card.pixel_size_nm == 100
    assert card.normalization == tiny_data.fit_normalization()
    assert card.training["lambda"] == 400
    assert card.blur_sigma_px == 1
    assert card.training["training_frames"] == [0, 1, 2, 3, 4, 5]


def test_a_lambda_at_which_the_empty_image_wins_is_warned_of(tiny_data, tiny_config, tmp_path):
    trainer = Trainer(tiny_data, changed(tiny_config, lambda_=0.5), tmp_path / "m.safetensors")
    (warning,) = next(trainer.events()).warnings
    assert "lambda is 0.5" in warning
    assert "empty image" in warning
    normal = Trainer(tiny_data, tiny_config, tmp_path / "m.safetensors")
    assert next(normal.events()).warnings == ()


@pytest.mark.parametrize("weight", [0.5, math.inf, math.nan])
def test_a_foreground_weight_that_is_no_number_from_1_is_refused(weight):
    with pytest.raises(ValidationError, match="foreground_weight"):
        TrainingConfig(foreground_weight=weight)


def test_the_foreground_weight_balances_few_bright_against_many_dark_pixels(
    tiny_data, tiny_config, tmp_path
):
    config = changed(tiny_config, loss="weighted_mse", epochs=1)
    list(Trainer(tiny_data, config, tmp_path / "m.safetensors").events())
    weight = load_model(tmp_path / "m.safetensors").card.training["foreground_weight"]
    # four emitters of 7 x 7 fine pixels in a field of 32 x 32, now and then overlapping
    assert 1024 / (4 * 49) - 1 < weight < 3 * 1024 / (4 * 49)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"model": "fidstorm"}, InputError, "Unknown model 'fidstorm'. Did you mean 'fid_storm'"),
        ({"model_options": {"depth": 3}}, InputError, "no option 'depth'; it has blocks"),
        ({"loss": "l2"}, InputError, "Unknown loss 'l2'"),
        ({"lambda_": -1.0}, InputError, "lambda is -1"),
        ({"device": "gpuu"}, DeviceError, "device 'gpuu'"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_it_starts(
    tiny_data, tiny_config, tmp_path, values, error, message
):
    with pytest.raises(error, match=message):
        Trainer(tiny_data, changed(tiny_config, **values), tmp_path / "m.safetensors")


def test_a_folder_that_does_not_exist_is_refused_before_training(tiny_data, tiny_config, tmp_path):
    with pytest.raises(InputError, match=r"no folder .*absent"):
        Trainer(tiny_data, tiny_config, tmp_path / "absent" / "m.safetensors")


def test_a_full_disk_is_reported_and_the_old_model_survives(
    tiny_data, tiny_config, tmp_path, monkeypatch
):
    path = tmp_path / "m.safetensors"
    trainer = Trainer(tiny_data, tiny_config, path)

    def full(*args):
        raise OSError(28, "No space left on device")

    events = trainer.events()
    for event in events:
        if isinstance(event, ModelSaved) and event.kind == "last":
            break
    kept = {file: file.read_bytes() for file in tmp_path.iterdir()}
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        list(events)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == kept


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("results", r"results is a folder. .*results.model.safetensors"),
        ("results/..", r"is a folder. Name a file in it"),
        ("movie.tif", r"movie.tif does not end as .* movie.tif.safetensors"),
        ("taken.safetensors", r"taken.last.safetensors, where the last model goes, is a folder"),
        ("5_\udcb5m.safetensors", r"holds bytes that are no UTF-8"),
    ],
)
def test_a_model_takes_the_place_of_no_folder_and_no_other_file(
    tiny_data, tiny_config, tmp_path, name, message
):
    (tmp_path / "results").mkdir()
    (tmp_path / "taken.last.safetensors").mkdir()
    (tmp_path / "movie.tif").touch()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=message):
        Trainer(tiny_data, tiny_config, tmp_path / name)
    assert sorted(tmp_path.iterdir()) == before


def test_no_file_can_be_named_in_the_folder_one_is_in(tiny_data, tiny_config):
    for name in (".", ".."):
        with pytest.raises(InputError, match="is a folder"):
            Trainer(tiny_data, tiny_config, name)


def test_resuming_with_another_truth_is_refused(tiny_data, tiny_config, tmp_path):
    path = tmp_path / "m.safetensors"
    list(Trainer(tiny_data, changed(tiny_config, epochs=1, max_minutes=1e-9), path).events())
    other = SimulatedMovie(MovieConfig(frames=8, height=16, width=16, seed=1)).truth
    frames = tiny_data.frames
    message = "trained with other positions, true images or pixel size"
    for changes in (
        {"truth": position_truth(frames, other, upsampling_factor=2)},
        {"pixel_size_nm": 101.0},
    ):
        with pytest.raises(InputError, match=message):
            Trainer(replace(tiny_data, **changes), tiny_config, path, resume=True)


def test_a_training_from_before_there_were_fingerprints_of_the_truth_resumes(
    tiny_data, tiny_config, tmp_path, monkeypatch
):
    path = tmp_path / "m.safetensors"
    record = {k: v for k, v in tiny_data.record().items() if k != "truth_fingerprint"}
    with monkeypatch.context() as earlier:
        earlier.setattr(FilmedData, "record", lambda data: record)
        list(Trainer(tiny_data, changed(tiny_config, epochs=1, max_minutes=1e-9), path).events())
    Trainer(tiny_data, tiny_config, path, resume=True)


def test_the_fingerprint_of_a_truth_does_not_depend_on_the_order_of_its_rows(tiny_data):
    movie = SimulatedMovie(MovieConfig(frames=8, height=16, width=16, simulation={"density": 1.6}))
    backwards = position_truth(tiny_data.frames, movie.truth[::-1], upsampling_factor=2)
    assert replace(tiny_data, truth=backwards).record() == tiny_data.record()


def test_the_fingerprint_of_true_images_is_of_their_pixels():
    def record(brighter):
        stack = np.zeros((3, 16, 16), np.float32)
        stack[:, 3, 4] = 1
        stack[2, 5, 5] += brighter
        images = open_frames(stack)
        truth = image_truth(images, upsampling_factor=1)
        return FilmedData(images, truth, 1, None, (0, 1), (2,)).record()["truth_fingerprint"]

    assert record(0.0) == record(0.0) != record(0.5)


@pytest.mark.parametrize(
    ("model", "options", "size", "patches"),
    [("u_storm", {"depth": 3, "channels": 1}, 8, 5), ("deep_storm", {"channels": 1}, 8, 17)],
)
def test_a_step_with_a_single_value_to_normalize_by_is_refused(
    tiny_data, tiny_config, tmp_path, model, options, size, patches
):
    coarse = replace(tiny_data, upsampling_factor=1)
    config = changed(
        tiny_config,
        model=model,
        model_options=options,
        patch_size=size,
        batch_size=4,
        patches_per_epoch=patches,
    )
    with pytest.raises(InputError, match=r"8 x 8 px is one cell of .* cannot learn from one value"):
        Trainer(coarse, config, tmp_path / "m.safetensors")
    Trainer(coarse, changed(config, patches_per_epoch=6), tmp_path / "m.safetensors")
    Trainer(coarse, changed(config, patch_size=9), tmp_path / "m.safetensors")


def test_a_model_larger_than_memory_is_said_so(monkeypatch, tiny_data, tiny_config, tmp_path):
    path = tmp_path / "m.safetensors"
    options = {"blocks": 1, "channels": 10**12}
    with pytest.raises(InputError, match="channels must be at most 512; got 1000000000000"):
        Trainer(tiny_data, changed(tiny_config, model_options=options), path)
    # what is allowed is still too large for some machines
    monkeypatch.setattr(
        "napari_dl4smlm.backend.training.trainer.create_model", lambda *_, **__: torch.empty(2**55)
    )
    with pytest.raises(InputError, match=r"does not suffice for the model fid_storm .* channels"):
        Trainer(tiny_data, tiny_config, path)


def test_a_seed_beyond_those_of_pytorch_and_an_upsampling_among_the_options_are_refused():
    with pytest.raises(ValueError, match="less than or equal to 9223372036854775807"):
        TrainingConfig(seed=2**63)
    with pytest.raises(ValueError, match="give it as --upsampling"):
        TrainingConfig(model_options={"upsampling_factor": 4})
