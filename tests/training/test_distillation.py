"""A student learns from a teacher: what it is told, what it changes, and what it leaves alone."""

import itertools

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.models.layers import Layer
from napari_dl4smlm.backend.models.model_file import load_model, load_training_state
from napari_dl4smlm.backend.training.clock import Clock
from napari_dl4smlm.backend.training.config import DistillationConfig, DistillationJob
from napari_dl4smlm.backend.training.datasets import load_batch
from napari_dl4smlm.backend.training.events import (
    EpochFinished,
    FirstPreview,
    StepFinished,
    TeacherTested,
    TrainingFinished,
    TrainingStarted,
    TrainingStopped,
)
from napari_dl4smlm.backend.training.hint import Regressor
from napari_dl4smlm.backend.training.progress import Progress
from napari_dl4smlm.backend.training.trainer import Trainer, TrainingDivergedError


@pytest.fixture
def config(tiny_config):
    return tiny_config.model_copy(update={"epochs": 4})


@pytest.fixture
def make_trainer(tiny_data, config, save_teacher, tmp_path):
    """Make a trainer of a student in tmp_path, with a teacher there."""
    default_teacher = save_teacher()

    def make(name="student", *, config=config, resume=False, teacher=default_teacher, **values):
        values = {"hint_share": 0.5, **values}
        distillation = DistillationConfig(teacher=teacher, **values)
        path = tmp_path / f"{name}.safetensors"
        return Trainer(tiny_data, config, path, distillation=distillation, resume=resume)

    return make


def weights(path):
    return load_model(path).network.state_dict()


def assert_equal_weights(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def copies(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def of_type(kind, events):
    return [event for event in events if isinstance(event, kind)]


def test_the_stream_tells_of_the_test_of_the_teacher_the_hints_and_the_transfer(make_trainer):
    events = list(make_trainer().events())
    assert isinstance(events[0], TrainingStarted)
    assert isinstance(events[1], FirstPreview)
    assert [(e.patches, e.total) for e in events[2:5]] == [(4, 12), (8, 12), (12, 12)]
    assert len(of_type(TeacherTested, events)) == 3
    steps = of_type(StepFinished, events)
    assert [(e.epoch, e.step) for e in steps] == list(itertools.product((1, 2, 3, 4), (1, 2, 3)))
    assert [step.stage for step in steps] == ["hint"] * 6 + ["transfer"] * 6
    epochs = of_type(EpochFinished, events)
    assert [epoch.stage for epoch in epochs] == ["hint"] * 2 + ["transfer"] * 2
    assert [epoch.calibration is None for epoch in epochs] == [True, True, False, False]
    assert epochs[2].is_best, "its loss is not compared with those of the hints"
    assert isinstance(events[-1], TrainingFinished)
    assert events[-1].best_epoch in (3, 4)


@pytest.mark.parametrize("stage", ["hint", "transfer"])
def test_a_stage_alone_has_all_epochs(make_trainer, stage):
    epochs = of_type(EpochFinished, make_trainer(stages=stage).events())
    assert [epoch.stage for epoch in epochs] == [stage] * 4


@pytest.mark.parametrize(
    ("share", "hint_epochs"), [(0.01, 1), (0.25, 1), (0.5, 2), (0.75, 3), (0.99, 3)]
)
def test_each_stage_has_at_least_one_epoch(make_trainer, share, hint_epochs):
    hint, transfer = make_trainer(hint_share=share)._stages
    assert (hint.last_epoch, transfer.last_epoch) == (hint_epochs, 4)


def test_the_teacher_stays_as_it_is_and_gets_no_gradients(make_trainer, save_teacher):
    path = save_teacher()
    before = path.read_bytes()
    trainer = make_trainer(teacher=path)
    network = trainer._course._teacher._network
    frozen = copies(network)
    list(trainer.events())
    assert_equal_weights(copies(network), frozen)
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not network.training
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("model", "guided", "taught", "left_alone"),
    [
        ("fid_storm", "residual_blocks", {"stem", "residual_blocks"}, "tail"),
        # batch statistics beyond the guided layer stay as they are, too
        ("u_storm", "bottleneck", {"encoder", "bottleneck"}, ("decoder", "head")),
    ],
)
def test_hints_teach_the_layers_up_to_the_guided_one_and_the_regressor_alone(
    make_trainer, config, model, guided, taught, left_alone
):
    config = config.model_copy(update={"model": model, "model_options": {"channels": 3}})
    trainer = make_trainer(config=config, stages="hint", hints={"residual_blocks": guided})
    learner = trainer._learner
    student, regressors = copies(learner._network), copies(learner._regressors)
    list(trainer.events())
    with_gradients = {
        name.split(".")[0]
        for name, parameter in learner._network.named_parameters()
        if parameter.grad is not None
    }
    assert with_gradients == taught
    for name, value in learner._network.state_dict().items():
        assert torch.equal(value, student[name]) == name.startswith(left_alone), name
    assert regressors
    for name, value in learner._regressors.state_dict().items():
        assert not torch.equal(value, regressors[name]), name


def test_no_regressor_is_in_the_file_of_the_student(make_trainer, tmp_path):
    list(make_trainer(stages="hint").events())
    names = weights(tmp_path / "student.safetensors").keys()
    assert not any("project" in name for name in names)


@pytest.mark.parametrize(
    ("hints", "attentive"),
    [({}, True), ({"stem": "stem", "tail.to_2x": "residual_blocks"}, False)],
)
def test_the_loss_of_hints_falls(make_trainer, config, hints, attentive):
    config = config.model_copy(update={"epochs": 6, "learning_rate": 2e-2})
    trainer = make_trainer(config=config, stages="hint", hints=hints, attentive=attentive)
    losses = [epoch.validation_loss for epoch in of_type(EpochFinished, trainer.events())]
    assert losses[-1] < 0.7 * losses[0]


def test_only_an_attentive_student_tests_its_teacher(make_trainer):
    assert not of_type(TeacherTested, make_trainer(attentive=False).events())
    assert not of_type(TeacherTested, make_trainer(stages="transfer", alpha=1).events())


@pytest.mark.parametrize("loss", ["l1l2", "weighted_mse", "weighted_mae"])
def test_the_transfer_brings_the_student_near_its_teacher(make_trainer, tiny_data, config, loss):
    # whole frames, of which the student sees all that its teacher saw
    whole = {"patch_size": 16, "augment": False}
    update = {"epochs": 8, "learning_rate": 1e-2, "loss": loss, "lambda_": 4000, **whole}
    trainer = make_trainer(
        config=config.model_copy(update=update), stages="transfer", alpha=0, attentive=False
    )
    frames, _ = load_batch(trainer._training_set, range(12))
    taught = trainer._course._teacher.maps(frames)

    def distance():
        return float((trainer._loss.as_seen(trainer._learner.predict(frames)) - taught).norm())

    before = distance()
    list(trainer.events())
    assert distance() < 0.75 * before


def test_with_alpha_1_the_transfer_is_ordinary_training_bit_for_bit(
    make_trainer, tiny_data, config, tmp_path
):
    list(make_trainer(stages="transfer", alpha=1).events())
    list(Trainer(tiny_data, config, tmp_path / "alone.safetensors").events())
    for suffix in ("", ".last"):
        assert_equal_weights(
            weights(tmp_path / f"student{suffix}.safetensors"),
            weights(tmp_path / f"alone{suffix}.safetensors"),
        )


def test_the_transfer_is_judged_by_the_truth_alone(make_trainer):
    trainer = make_trainer(stages="transfer", alpha=0)
    epochs = of_type(EpochFinished, trainer.events())
    validation = trainer._validation
    frames, targets = load_batch(validation._grid, range(len(validation._grid)))
    loss = float(trainer._loss(trainer._learner.predict(frames), targets))
    assert epochs[-1].validation_loss == pytest.approx(loss, rel=1e-5)


def test_the_teacher_is_judged_by_its_error_in_patches_that_do_not_train(make_trainer):
    trainer = make_trainer()
    card_and_network = load_model(trainer._course._distillation.teacher)
    patches = trainer._training_set
    frames, spikes = load_batch(patches, range(len(patches)))
    with torch.inference_mode():
        output = card_and_network.network(frames).numpy() / 50
    errors = [
        float(np.mean(gaussian_filter(difference[0], 1, radius=3, mode="constant") ** 2))
        for difference in output - spikes.numpy()
    ]
    list(trainer.events())
    assert patches.epoch > 0
    assert trainer._course._teacher.error_range == pytest.approx((min(errors), max(errors)))


def test_sharp_and_blurred_maps_teach_the_same(make_trainer, save_teacher, tiny_data):
    sharp = make_trainer(teacher=save_teacher("sharp"))._course._teacher
    soft = make_trainer(teacher=save_teacher("soft", blur_sigma_px=0.0))._course._teacher
    frames = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    as_drawn = soft.maps(frames).numpy()
    blurred = gaussian_filter(as_drawn, (0, 0, 1, 1), radius=(0, 0, 3, 3), mode="constant")
    np.testing.assert_allclose(sharp.maps(frames), blurred, atol=1e-6)


@pytest.mark.parametrize(
    ("teacher", "student", "hints"),
    [
        # a finer and a coarser grid than the student's, and other channels
        ("u_storm", {"model": "fid_storm", "model_options": {"blocks": 1, "channels": 3}}, {}),
        ("fid_storm", {"model": "u_storm", "model_options": {"channels": 2}}, {}),
        ("fid_storm", {"model": "srcnn", "model_options": {}}, {}),
        ("u_storm", {"model": "deep_storm", "model_options": {"channels": 2}}, {"head": "head"}),
    ],
)
def test_any_network_teaches_any_other(make_trainer, save_teacher, config, teacher, student, hints):
    # 13 px are no multiple of any pooling cell: both networks pad
    config = config.model_copy(update={"epochs": 2, "patch_size": 13, **student})
    trainer = make_trainer(
        config=config, teacher=save_teacher("other", architecture=teacher), hints=hints
    )
    assert isinstance(list(trainer.events())[-1], TrainingFinished)


def test_features_are_brought_to_a_coarser_grid_by_averages_and_to_a_finer_one_in_place():
    features = torch.arange(16.0).view(1, 1, 4, 4)
    coarser = Regressor(Layer(1, 1), Layer(1, 0.5))(features)
    assert coarser.tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]
    # pixel centres at 1/4, 3/4, 5/4, … of a coarse pixel; a slope goes on between the outer ones
    slope = torch.arange(4.0).expand(1, 1, 4, 4) + 0.5
    finer = Regressor(Layer(1, 0.25), Layer(1, 0.5))(slope)
    assert finer.shape == (1, 1, 8, 8)
    assert finer[0, 0, 3, 1:7].tolist() == [0.75, 1.25, 1.75, 2.25, 2.75, 3.25]


def test_a_regressor_translates_channels_only_where_they_differ():
    assert not list(Regressor(Layer(3, 1), Layer(3, 2)).parameters())
    weight, bias = Regressor(Layer(3, 1), Layer(5, 2)).parameters()
    assert weight.shape == (5, 3, 1, 1)
    assert bias.shape == (5,)


def test_the_student_is_fed_and_read_as_its_teacher_and_its_file_says_whose_student_it_is(
    make_trainer, save_teacher, tiny_data, tmp_path
):
    normalization = Normalization(offset=90, scale=31, background=88, brightest=700)
    teacher = save_teacher(
        "wise",
        normalization=normalization,
        density_amplitude=30.0,
        training=tiny_data.record() | {"training_frames": [0, 1]},
    )
    list(make_trainer(teacher=teacher, alpha=0.25).events())
    card = load_model(tmp_path / "student.safetensors").card
    assert card.normalization == normalization
    assert card.density_amplitude == 30
    assert card.teacher.file == "wise.safetensors"
    assert card.teacher.architecture == "fid_storm"
    assert card.teacher.weights_sha256 == load_model(teacher).card.weights_sha256
    # so that they will not test the student either
    assert card.teacher.trained_on[0].movie_fingerprint == tiny_data.record()["movie_fingerprint"]
    assert card.teacher.trained_on[0].training_frames == {0, 1}
    assert card.training["alpha"] == 0.25
    assert card.training["stages"] == "hint,transfer"
    assert card.training["hints"] == {"residual_blocks": "residual_blocks"}
    assert [epoch["stage"] for epoch in card.history][:3] == ["hint", "hint", "transfer"]


def test_the_transfer_begins_with_what_the_hints_have_taught(make_trainer):
    trainer = make_trainer()
    after_hints = None
    for event in trainer.events():
        if isinstance(event, EpochFinished) and event.epoch == 2:
            after_hints = copies(trainer._learner.averaged)
            trainer._learner.step = pytest.fail
            break
    trainer._begin(trainer._stages[1])
    assert_equal_weights(copies(trainer._learner._network), after_hints)


def test_the_best_epoch_of_a_stage_is_not_compared_with_those_of_the_stage_before():
    progress = Progress(1e-3, "hint")
    progress.step = 1
    assert progress.finish_epoch(0.01, None)
    progress.begin_stage("transfer", 1e-3)
    progress.step = 1
    assert progress.finish_epoch(5.0, None)
    assert (progress.best_epoch, progress.best_validation_loss) == (2, 5.0)
    assert [epoch["stage"] for epoch in progress.history] == ["hint", "transfer"]


def test_the_cosine_begins_anew_with_each_stage(make_trainer, config):
    config = config.model_copy(update={"schedule": "cosine", "epochs": 8})
    trainer = make_trainer(config=config)
    rates = [
        trainer._learner.learning_rate
        for event in trainer.events()
        if isinstance(event, StepFinished)
    ]
    # 12 steps each, within the 50 of the warm-up
    of_stage = [1e-3 * (n + 1) / 50 * 0.5 * (1 + np.cos(np.pi * n / 12)) for n in range(12)]
    assert rates == pytest.approx(2 * of_stage)


def stop_after(trainer, kind, count):
    events = []
    for event in trainer.events():
        events.append(event)
        if len(of_type(kind, events)) == count:
            trainer.stop()
    return events


# in the hints, at their end, at the first step of the transfer, in its second epoch
@pytest.mark.parametrize("steps", [1, 6, 7, 10])
def test_a_resumed_distillation_ends_as_if_it_had_never_stopped(
    make_trainer, config, tmp_path, steps
):
    config = config.model_copy(update={"schedule": "cosine"})
    list(make_trainer("whole", config=config).events())
    stopped = stop_after(make_trainer("resumed", config=config), StepFinished, steps)
    assert isinstance(stopped[-1], TrainingStopped)
    resumed = list(make_trainer("resumed", config=config, resume=True).events())
    assert not of_type(TeacherTested, resumed), "its errors are known"
    for suffix in ("", ".last"):
        whole, second = (
            load_model(tmp_path / f"{name}{suffix}.safetensors") for name in ("whole", "resumed")
        )
        assert_equal_weights(whole.network.state_dict(), second.network.state_dict())
        assert whole.card.history == second.card.history


def test_stopping_while_the_teacher_is_tested_leaves_both_models(make_trainer, tmp_path):
    list(make_trainer("whole").events())
    events = stop_after(make_trainer("resumed"), TeacherTested, 1)
    assert len(of_type(TeacherTested, events)) == 1
    assert not of_type(StepFinished, events)
    for path in (events[-1].best_path, events[-1].last_path):
        load_model(path)
    assert len(of_type(TeacherTested, make_trainer("resumed", resume=True).events())) == 3
    assert_equal_weights(
        weights(tmp_path / "whole.last.safetensors"), weights(tmp_path / "resumed.last.safetensors")
    )


def test_stopping_in_the_first_epoch_of_the_transfer_keeps_what_is_learned_by_then(make_trainer):
    stopped = stop_after(make_trainer(), StepFinished, 8)[-1]
    assert_equal_weights(weights(stopped.best_path), weights(stopped.last_path))


def test_a_diverging_transfer_leaves_the_model_of_the_hints(make_trainer, tmp_path):
    trainer = make_trainer()
    events = trainer.events()
    event = next(events)
    while not (isinstance(event, StepFinished) and event.stage == "transfer"):
        event = next(events)
    with torch.no_grad():
        next(trainer._learner._network.parameters()).fill_(torch.nan)
    with pytest.raises(TrainingDivergedError, match=r"in epoch 3.*stage before is kept"):
        list(events)
    assert all(value.isfinite().all() for value in weights(trainer.best_path).values())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"hints": {"residual_block": "stem"}},
            r"Unknown layer of the teacher \(fid_storm\) 'residual_block'. Did you mean 'resi",
        ),
        (
            {"hints": {"stem": "stem.conv"}},
            r"Unknown layer of the student \(fid_storm\) 'stem.conv'. Did you mean 'stem'",
        ),
    ],
)
def test_a_layer_that_does_not_exist_is_answered_with_the_closest(make_trainer, values, message):
    with pytest.raises(InputError, match=message):
        make_trainer(**values)


def test_a_layer_whose_grid_is_coarser_than_a_patch_is_refused(make_trainer, config):
    options = {"channels": 1, "depth": 6}
    config = config.model_copy(update={"model": "u_storm", "model_options": options})
    with pytest.raises(
        InputError, match=r"'bottleneck' of the student .* one cell for 32 camera pixels.* 16 px"
    ):
        make_trainer(config=config)


def test_another_upsampling_than_the_teachers_is_refused(make_trainer, save_teacher):
    teacher = save_teacher("fine", upsampling_factor=4)
    with pytest.raises(InputError, match=r"predicts 4 fine pixels .* prepared for 2\..* of 4"):
        make_trainer(teacher=teacher)


def test_two_stages_in_one_epoch_are_refused(make_trainer, config):
    with pytest.raises(InputError, match="at least two epochs, not 1"):
        make_trainer(config=config.model_copy(update={"epochs": 1}))


def test_data_unlike_those_of_the_teacher_are_warned_of(make_trainer, save_teacher):
    normalization = Normalization(offset=9000, scale=31, background=9000, brightest=9900)
    teacher = save_teacher("other", normalization=normalization, pixel_size_nm=160.0)
    first, second = next(make_trainer(teacher=teacher).events()).warnings
    assert "pixels of 160 nm; those of these data have 100 nm" in first
    assert "Of the teacher: The background" in second
    assert next(make_trainer().events()).warnings == ()


def test_validation_frames_that_trained_the_teacher_are_warned_of(
    make_trainer, save_teacher, tiny_data
):
    def warnings(**changed):
        record = tiny_data.record() | changed
        teacher = save_teacher("trained", training={"loss": "l1l2", **record})
        return next(make_trainer(teacher=teacher).events()).warnings

    [warning] = warnings(training_frames=[0, 1, 7])
    assert "1 of the 2 validation frames trained the teacher" in warning
    assert "too good" in warning
    assert warnings() == ()
    # the same numbers of another movie
    assert warnings(training_frames=[0, 1, 7], movie_fingerprint="other") == ()
    assert warnings(training_frames=[6, 7], movie_fingerprint=None) == ()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"alpha": 0.7}, "alpha = 0.5, but 0.7 was asked for"),
        ({"hint_share": 0.3}, "hint_share = 0.5, but 0.3 was asked for"),
        ({"stages": "transfer"}, "is in the stage 'hint', which was not asked for"),
    ],
)
def test_resuming_with_another_distillation_is_refused(make_trainer, changed, message):
    stop_after(make_trainer(), StepFinished, 1)
    with pytest.raises(InputError, match=message):
        make_trainer(resume=True, **changed)


@pytest.mark.parametrize(("epochs", "transferred"), [(2, [3]), (4, [3, 4])])
def test_after_hints_alone_the_transfer_goes_on_where_they_ended(
    make_trainer, config, epochs, transferred
):
    two, more = (config.model_copy(update={"epochs": number}) for number in (2, epochs))
    trainer = make_trainer(config=two, stages="hint")
    events = list(trainer.events())
    assert "until it is resumed with the transfer" in events[0].warnings[0]
    resumed = make_trainer(config=more, resume=True)
    assert_equal_weights(copies(resumed._learner.averaged), copies(trainer._learner.averaged))
    epochs_of_transfer = of_type(EpochFinished, resumed.events())
    assert [epoch.epoch for epoch in epochs_of_transfer] == transferred
    assert {epoch.stage for epoch in epochs_of_transfer} == {"transfer"}


def test_resuming_with_another_teacher_is_refused_but_it_may_be_called_otherwise(
    make_trainer, save_teacher
):
    teacher = save_teacher()
    stop_after(make_trainer(teacher=teacher), StepFinished, 1)
    make_trainer(resume=True, teacher=teacher.rename(teacher.with_name("moved.safetensors")))
    other = save_teacher("other", blur_sigma_px=0.0, options={"blocks": 2, "channels": 7})
    with pytest.raises(InputError, match="trained with teacher = "):
        make_trainer(resume=True, teacher=other)


def test_a_distillation_is_not_resumed_as_an_ordinary_training_nor_the_other_way_round(
    make_trainer, tiny_data, config, tmp_path
):
    stop_after(make_trainer(), StepFinished, 1)
    with pytest.raises(InputError, match="is in the stage 'hint', which was not asked for"):
        Trainer(tiny_data, config, tmp_path / "student.safetensors", resume=True)
    stop_after(Trainer(tiny_data, config, tmp_path / "alone.safetensors"), StepFinished, 1)
    with pytest.raises(InputError, match="is in the stage 'training', which was not asked for"):
        make_trainer("alone", resume=True)


@pytest.mark.parametrize("alpha", [-0.1, 1.5])
def test_an_alpha_outside_of_0_and_1_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha"):
        DistillationConfig(teacher="t.safetensors", alpha=alpha)


def test_the_student_does_not_replace_its_teacher():
    with pytest.raises(ValueError, match="is the teacher"):
        DistillationJob(
            data={"simulation": {}},
            distillation={"teacher": "models/../m.safetensors"},
            out="models/../m.safetensors",
        )


@pytest.mark.parametrize(
    ("teacher", "student"),
    [
        ("t.safetensors", "sub/../t.safetensors"),
        ("m.last.safetensors", "m.safetensors"),
        ("hard.safetensors", "t.safetensors"),
    ],
)
def test_no_model_of_the_student_replaces_its_teacher_whatever_it_is_called(
    make_trainer, save_teacher, tmp_path, teacher, student
):
    save_teacher("t")
    save_teacher("m.last")
    (tmp_path / "sub").mkdir()
    if teacher == "hard.safetensors":
        (tmp_path / teacher).hardlink_to(tmp_path / student)
    for resume in (False, True):
        with pytest.raises(InputError, match="is the teacher"):
            make_trainer(
                student.removesuffix(".safetensors"), teacher=tmp_path / teacher, resume=resume
            )


def test_the_test_of_the_teacher_leaves_most_of_the_time_limit(
    make_trainer, config, monkeypatch, tmp_path
):
    ticks = itertools.count()
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    monkeypatch.setattr(Clock, "_elapsed", lambda clock: float(next(ticks)))
    # a tenth of it is over after the first batch
    config = config.model_copy(update={"max_minutes": 1 / 60})
    trainer = make_trainer(config=config, stages="transfer")
    events = list(trainer.events())
    assert [(e.patches, e.total) for e in of_type(TeacherTested, events)] == [(4, 4)]
    lowest, highest = trainer._course._teacher.error_range
    assert 0 < lowest < highest
    assert (
        load_training_state(tmp_path / "student.last.safetensors")[0]["course.error_range"][0] > 0
    )


@pytest.mark.parametrize("taught", ["residual_blocks", "tail.to_2x"])
def test_hints_in_another_order_resume_what_they_have_learned(
    make_trainer, config, tmp_path, taught
):
    hints = {"stem": "stem", taught: "residual_blocks"}
    list(make_trainer("whole", stages="hint", hints=hints).events())
    stop_after(make_trainer("resumed", stages="hint", hints=hints), StepFinished, 4)
    swapped = dict(reversed(hints.items()))
    list(make_trainer("resumed", stages="hint", hints=swapped, resume=True).events())
    assert_equal_weights(
        weights(tmp_path / "whole.last.safetensors"), weights(tmp_path / "resumed.last.safetensors")
    )
