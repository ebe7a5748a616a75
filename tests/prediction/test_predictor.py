from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from napari_dl4smlm.backend.acquisition.frame_readers import ArrayReader
from napari_dl4smlm.backend.acquisition.frames import PIXEL_TYPES, FrameStack, open_frames
from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.errors import DeviceError, InputError
from napari_dl4smlm.backend.localizations.peaks import find_peaks
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.models.prepared import prepare
from napari_dl4smlm.backend.prediction import predictor
from napari_dl4smlm.backend.prediction.config import UNCALIBRATED_THRESHOLD, PredictionConfig
from napari_dl4smlm.backend.prediction.events import (
    BatchPredicted,
    BatchReduced,
    PredictionFinished,
    PredictionStarted,
    PredictionStopped,
)
from napari_dl4smlm.backend.prediction.mismatch import mismatches
from napari_dl4smlm.backend.prediction.predictor import Predictor


def predict(model, frames, /, *, movie_pixel_nm=100.0, keep_maps=False, **config):
    """Run a prediction on the CPU to its end."""
    movie = open_frames(frames, pixel_size_nm=movie_pixel_nm)
    config = PredictionConfig(device="cpu", **config)
    return list(Predictor(model, movie, config, keep_maps=keep_maps).events())


def batches_of(events):
    return [event for event in events if isinstance(event, BatchPredicted)]


def localizations_of(events):
    return Localizations.concatenate(batch.localizations for batch in batches_of(events))


def points(*emitters, shape=(1, 12, 16)):
    """Frames that are zero but for (frame, row, column, counts)."""
    frames = np.zeros(shape, np.float32)
    for frame, row, column, counts in emitters:
        frames[frame, row, column] = counts
    return frames


def naive_maps(model, frames):
    """The definition of a prediction, frame by frame, in double precision."""
    card = model.card
    network = model.network.double().eval()
    maps = []
    for frame in frames:
        normalized = (frame - card.normalization.offset) / card.normalization.scale
        with torch.no_grad():
            output = network(torch.tensor(normalized[None, None]))
        maps.append(np.maximum(output[0, 0].numpy() / card.density_amplitude, 0))
    model.network.float()
    return np.array(maps)


def test_the_image_is_the_sum_of_the_clamped_maps_of_single_frames(u_storm, noise):
    expected = naive_maps(u_storm, noise)
    assert (expected == 0).any()
    finished = predict(u_storm, noise)[-1]
    assert isinstance(finished, PredictionFinished)
    np.testing.assert_allclose(
        finished.reconstruction.image, expected.sum(0), rtol=1e-5, atol=1e-6 * expected.max()
    )


@pytest.mark.parametrize("dtype", [*PIXEL_TYPES, ">u2", ">f4"])
def test_the_type_of_the_counts_changes_nothing(u_storm, noise, dtype):
    counts = noise.round().clip(0, 127)
    image = predict(u_storm, counts.astype(dtype))[-1].reconstruction.image
    expected = predict(u_storm, counts.astype(np.float32))[-1].reconstruction.image
    assert np.ptp(expected) > 0
    np.testing.assert_array_equal(image, expected)


def test_maps_and_image_are_blurred_as_the_loss_was_and_the_peaks_are_not(u_storm, noise):
    blurred = replace(u_storm, card=u_storm.card.model_copy(update={"blur_sigma_px": 1.0}))
    sharp_events, events = (predict(model, noise, keep_maps=True) for model in (u_storm, blurred))
    sharp, found = localizations_of(sharp_events), localizations_of(events)
    np.testing.assert_array_equal(found.positions_nm(), sharp.positions_nm())
    maps = np.concatenate([batch.density_maps for batch in batches_of(sharp_events)])
    expected = gaussian_filter(maps, (0, 1, 1), mode="constant", truncate=3)
    np.testing.assert_allclose(
        np.concatenate([batch.density_maps for batch in batches_of(events)]),
        expected,
        atol=1e-6 * expected.max(),
    )
    np.testing.assert_allclose(
        events[-1].reconstruction.image,
        expected.sum(0),
        rtol=1e-5,
        atol=1e-6 * expected.sum(0).max(),
    )


def test_the_localizations_are_the_peaks_of_the_maps_of_single_frames(u_storm, noise):
    expected = find_peaks(
        torch.tensor(naive_maps(u_storm, noise)),
        pixel_size_nm=100,
        upsampling_factor=2,
        threshold=UNCALIBRATED_THRESHOLD,
    )
    found = localizations_of(predict(u_storm, noise))
    assert len(expected) > 10
    np.testing.assert_array_equal(found.frame, expected.frame)
    np.testing.assert_allclose(found.positions_nm(), expected.positions_nm(), atol=0.01)
    np.testing.assert_allclose(found.confidence, expected.confidence, rtol=1e-4)


@pytest.mark.parametrize(
    "portion", [{"batch_size": 1}, {"batch_size": 3}, {"batch_size": 64}, {"tile_size": 16}]
)
def test_neither_batches_nor_tiles_change_the_result(u_storm, noise, portion):
    expected = predict(u_storm, noise, batch_size=10)
    events = predict(u_storm, noise, **portion)
    image, expected_image = (run[-1].reconstruction.image for run in (events, expected))
    np.testing.assert_allclose(image, expected_image, rtol=1e-5, atol=1e-6 * expected_image.max())
    found, expected_found = localizations_of(events), localizations_of(expected)
    np.testing.assert_array_equal(found.frame, expected_found.frame)
    np.testing.assert_allclose(found.positions_nm(), expected_found.positions_nm(), atol=0.01)


def test_a_point_is_found_at_the_centre_of_its_camera_pixel(nearest_model):
    # the four fine pixels of camera pixel (3, 5) share the density: their centroid is its centre
    events = predict(nearest_model(2), points((0, 3, 5, 1.0)), movie_pixel_nm=107.0)
    found = localizations_of(events)
    np.testing.assert_allclose(found.positions_nm(), [[3.5 * 107, 5.5 * 107]])
    np.testing.assert_allclose(found.confidence, [1.0])
    assert events[-1].reconstruction.image[6:8, 10:12].sum() == pytest.approx(1)
    assert events[-1].reconstruction.image.sum() == pytest.approx(1)
    assert events[-1].reconstruction.pixel_size_nm == 53.5


def test_the_output_is_divided_by_the_amplitude_and_clamped_at_zero(nearest_model):
    frames = points((0, 3, 5, 50.0), (0, 8, 9, -50.0))
    events = predict(nearest_model(1, density_amplitude=50.0), frames)
    np.testing.assert_allclose(localizations_of(events).confidence, [1.0])
    np.testing.assert_array_equal(events[-1].reconstruction.image, points((0, 3, 5, 1.0))[0])


def test_the_model_is_fed_with_its_own_normalization(nearest_model):
    normalization = Normalization(offset=100, scale=20, background=100, brightest=160)
    frames = points((0, 3, 5, 40.0)) + 100
    events = predict(nearest_model(1, normalization=normalization), frames)
    np.testing.assert_array_equal(events[-1].reconstruction.image, points((0, 3, 5, 2.0))[0])


def test_frame_numbers_are_those_of_the_movie(nearest_model):
    frames = points((4, 3, 5, 1.0), (6, 3, 5, 1.0), (7, 3, 5, 1.0), shape=(9, 12, 16))
    events = predict(nearest_model(), frames, frames="2:7", batch_size=2)
    assert [batch.frames for batch in batches_of(events)] == [range(2, 4), range(4, 6), range(6, 7)]
    assert localizations_of(events).frame.tolist() == [4, 6]
    assert events[-1].reconstruction.frames == (range(2, 7),)
    assert events[-1].reconstruction.image.sum() == pytest.approx(2)


def test_a_frame_of_one_value_has_no_emitters_whatever_the_network_says(nearest_model):
    frames = points((1, 3, 5, 1.0), shape=(4, 12, 16))
    frames[2] = 7.0
    events = predict(nearest_model(), frames, keep_maps=True, batch_size=4)
    (batch,) = batches_of(events)
    assert batch.density_maps.any(axis=(1, 2)).tolist() == [False, True, False, False]
    assert localizations_of(events).frame.tolist() == [1]


def test_a_movie_of_zeros_gives_neither_nan_nor_localizations(u_storm):
    events = predict(u_storm, np.zeros((3, 9, 9), np.uint16))
    np.testing.assert_array_equal(events[-1].reconstruction.image, np.zeros((18, 18)))
    assert len(localizations_of(events)) == 0


def test_frames_of_a_single_pixel_can_be_predicted(u_storm):
    events = predict(u_storm, np.array([[[100]], [[200]]], np.uint16))
    assert events[-1].reconstruction.image.shape == (2, 2)
    assert events[-1].reconstruction.n_frames == 2


def test_the_start_tells_what_is_going_to_happen(u_storm, noise):
    started = predict(u_storm, noise, frames="1:", batch_size=4, tile_size=16)[0]
    assert replace(started, warnings=()) == PredictionStarted(
        device="cpu",
        backend="torch",
        precision="float32",
        why="",
        n_frames=9,
        height=42,
        width=36,
        batch_size=4,
        tile_size=16,
        streams=1,
        warnings=(),
    )


def test_progress_counts_to_the_end(u_storm, noise):
    batches = batches_of(predict(u_storm, noise, frames="1:", batch_size=4))
    assert [batch.frames_done for batch in batches] == [4, 8, 9]
    assert {batch.n_frames for batch in batches} == {9}
    for batch in batches:
        left = batch.n_frames - batch.frames_done
        assert batch.seconds_left == pytest.approx(left / batch.frames_per_second)
    assert batches[-1].seconds_left == 0


def test_maps_are_given_only_when_asked_for(u_storm, noise):
    assert batches_of(predict(u_storm, noise))[0].density_maps is None
    batches = batches_of(predict(u_storm, noise, keep_maps=True, batch_size=4))
    maps = np.concatenate([batch.density_maps for batch in batches])
    expected = naive_maps(u_storm, noise)
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_the_callers_network_keeps_its_mode_and_its_statistics(u_storm, noise):
    network = u_storm.network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    in_training_mode = predict(u_storm, noise)[-1].reconstruction.image
    assert network.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    # the network's own statistics count, not those of the batch
    network.eval()
    np.testing.assert_array_equal(
        in_training_mode, predict(u_storm, noise)[-1].reconstruction.image
    )


def test_inference_mode_does_not_leak_to_who_iterates(u_storm, noise):
    movie = open_frames(noise)
    for _ in Predictor(u_storm, movie, PredictionConfig(device="cpu")).events():
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()


def test_a_stopped_prediction_keeps_what_is_done(nearest_model):
    frames = points((0, 3, 5, 1.0), (2, 3, 5, 1.0), (3, 3, 5, 1.0), shape=(6, 12, 16))
    config = PredictionConfig(device="cpu", batch_size=2)
    predictor = Predictor(nearest_model(), open_frames(frames, pixel_size_nm=100), config)
    seen = []
    for event in predictor.events():
        seen.append(event)
        # the running image can be looked at
        assert predictor.reconstruction.image.sum() == pytest.approx(
            {0: 0, 2: 1, 4: 3}[predictor.reconstruction.n_frames]
        )
        if isinstance(event, BatchPredicted) and event.frames.stop == 4:
            predictor.stop()
    assert isinstance(seen[-1], PredictionStopped)
    assert seen[-1].reconstruction.frames == (range(4),)
    assert localizations_of(seen).frame.tolist() == [0, 2, 3]


def test_two_workers_on_two_parts_give_the_single_run(u_storm, noise):
    whole = predict(u_storm, noise)
    parts = [predict(u_storm, noise, frames=frames) for frames in ("6:", ":6")]
    merged = parts[0][-1].reconstruction.merge(parts[1][-1].reconstruction)
    assert merged.frames == (range(10),)
    image = whole[-1].reconstruction.image
    np.testing.assert_allclose(merged.image, image, rtol=1e-5, atol=1e-6 * image.max())
    found = Localizations.concatenate(map(localizations_of, parts)).sorted_by_frame()
    np.testing.assert_allclose(
        found.positions_nm(), localizations_of(whole).positions_nm(), atol=0.01
    )


@pytest.mark.parametrize(
    ("asked", "of_movie", "of_model", "used"),
    [
        (90.0, 110.0, 100.0, 90.0),
        (None, 110.0, 100.0, 110.0),
        (None, None, 100.0, 100.0),
        (None, 110.0, None, 110.0),
    ],
)
def test_the_pixel_size_asked_for_wins_over_the_movies_and_that_over_the_models(
    nearest_model, asked, of_movie, of_model, used
):
    events = predict(
        nearest_model(pixel_size_nm=of_model),
        points((0, 0, 0, 1.0)),
        movie_pixel_nm=of_movie,
        pixel_size_nm=asked,
    )
    np.testing.assert_allclose(localizations_of(events).positions_nm(), [[used / 2, used / 2]])


def test_without_any_pixel_size_nothing_is_predicted(nearest_model):
    with pytest.raises(InputError, match="Neither array nor the model tells the pixel size"):
        predict(nearest_model(pixel_size_nm=None), points((0, 3, 5, 1.0)), movie_pixel_nm=None)


def test_the_user_is_told_when_the_models_pixel_size_is_used(nearest_model):
    frames = points((0, 3, 5, 1.0), (0, 3, 6, 1.0))
    (warning,) = predict(nearest_model(), frames, movie_pixel_nm=None)[0].warnings
    assert "array does not tell its pixel size: that of the model, 100 nm, is used" in warning


@pytest.mark.parametrize(
    ("pixel_size_nm", "n_warnings"), [(95.5, 0), (104.5, 0), (94, 1), (106, 1)]
)
def test_a_pixel_size_more_than_5_percent_off_is_told(nearest_model, pixel_size_nm, n_warnings):
    frames = points((0, 3, 5, 1.0), (0, 3, 6, 1.0))
    warnings = predict(nearest_model(), frames, movie_pixel_nm=pixel_size_nm)[0].warnings
    assert len(warnings) == n_warnings
    for warning in warnings:
        assert f"{pixel_size_nm:g} nm, but the model was trained with 100 nm" in warning


def test_intensities_unlike_those_of_the_training_are_told(nearest_model):
    frames = points((0, 3, 5, 1.0), (0, 3, 6, 1.0), shape=(100, 12, 16))
    # not in the first frames: the sample is spread over the movie
    frames[30:] += 1000
    (warning,) = predict(nearest_model(), frames)[0].warnings
    assert "background of this movie lies outside of what the model was trained on" in warning
    assert predict(nearest_model(), frames, frames=":1")[0].warnings == ()


@pytest.fixture
def two_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def fail_above(monkeypatch):
    """Make networks fail where they are given more camera pixels at a time."""

    def fail_above(pixels, error):
        def check(_network, inputs):
            if inputs[0].numel() > pixels:
                raise error

        def prepare_to_fail(network, device):
            prepared = prepare(network, device)
            prepared.register_forward_pre_hook(check)
            return prepared

        monkeypatch.setattr(predictor, "prepare", prepare_to_fail)

    return fail_above


OUT_OF_MEMORY = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.")


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("error", [OUT_OF_MEMORY, MemoryError()])
def test_when_the_memory_does_not_suffice_less_is_tried_and_no_frame_is_lost(
    nearest_model, noise, fail_above, error
):
    frames = np.tile(noise, (1, 2, 2))
    expected = predict(nearest_model(), frames)
    # a frame of 42 x 36 px does not fit, a tile of 21 x 18 px does
    fail_above(25 * 25, error)
    events = predict(nearest_model(), frames, batch_size=4)
    reduced = [event for event in events if isinstance(event, BatchReduced)]
    assert reduced == [
        BatchReduced(4, None, streams=1),
        BatchReduced(2, None, streams=1),
        BatchReduced(1, None, streams=1),
        BatchReduced(1, 21, streams=1),
    ]
    assert [batch.frames.start for batch in batches_of(events)] == list(range(10))
    image, expected_image = (run[-1].reconstruction.image for run in (events, expected))
    np.testing.assert_allclose(image, expected_image, rtol=1e-6)


def test_when_even_a_small_tile_does_not_fit_the_last_attempt_is_told(
    nearest_model, noise, fail_above
):
    frames = np.tile(noise, (1, 2, 2))
    fail_above(0, OUT_OF_MEMORY)
    with pytest.raises(InputError, match=r"'cpu' .* frame of 42 x 36 px, in tiles of 21 px"):
        predict(nearest_model(), frames, batch_size=2)


def test_an_error_of_another_kind_is_not_taken_for_lack_of_memory(nearest_model, noise, fail_above):
    fail_above(0, RuntimeError("mat1 and mat2 cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        predict(nearest_model(), noise)


def test_a_device_that_fails_is_told_as_such(nearest_model, noise, fail_above):
    # as PyTorch says it, with hints for programmers in the lines below
    error = RuntimeError("CUDA error: unspecified launch failure\nCompile with TORCH_USE_CUDA_DSA")
    fail_above(0, error)
    with pytest.raises(DeviceError, match=r"'cpu' has failed .*unspecified launch failure\). R"):
        predict(nearest_model(), noise)


def test_a_frame_that_cannot_be_predicted_is_named(nearest_model):
    frames = points((0, 3, 5, 1.0), (3, 3, 5, np.nan), shape=(6, 12, 16))
    with pytest.raises(InputError, match="Frame 3 of array"):
        predict(nearest_model(), frames, batch_size=2)


def test_frames_outside_of_the_movie_are_refused_at_once(nearest_model, noise):
    with pytest.raises(InputError, match=r"'5:99' .* 10 frames"):
        Predictor(nearest_model(), open_frames(noise), PredictionConfig(frames="5:99"))


def test_a_device_that_does_not_exist_is_refused_at_once(nearest_model, noise):
    with pytest.raises(DeviceError, match="tpu"):
        Predictor(nearest_model(), open_frames(noise), PredictionConfig(device="tpu"))


@pytest.mark.parametrize(
    "nonsense",
    [
        {"batch_size": 0},
        {"tile_size": 8},
        {"threshold": 0},
        {"threshold": np.inf},
        {"pixel_size_nm": -1},
        {"pixel_size_nm": np.nan},
        {"precision": "float64"},
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused_at_birth(nonsense):
    with pytest.raises(ValidationError, match=next(iter(nonsense))):
        PredictionConfig(**nonsense)


@pytest.mark.slow
def test_peak_memory_does_not_grow_with_the_number_of_frames(tmp_path):
    pytest.importorskip("resource", reason="Windows does not tell the peak memory this way")
    frames = np.random.default_rng(0).poisson(100, (2000, 32, 32)).astype(np.uint16)
    np.save(tmp_path / "movie.npy", frames)
    # all maps together would take 131 MB
    script = f"""
        import resource
        import torch
        from napari_dl4smlm.backend.acquisition.frames import open_frames
        from napari_dl4smlm.backend.acquisition.normalization import Normalization
        from napari_dl4smlm.backend.models.model_file import ModelCard, TrainedModel
        from napari_dl4smlm.backend.models.registry import create_model
        from napari_dl4smlm.backend.prediction.config import PredictionConfig
        from napari_dl4smlm.backend.prediction.output import predict_to_files

        torch.manual_seed(0)
        network = create_model("fid_storm", upsampling_factor=4, blocks=1, channels=4)
        card = ModelCard(
            architecture=network.name, options=network.options, upsampling_factor=4,
            pixel_size_nm=100, density_amplitude=0.3, training={{}}, history=[],
            normalization=Normalization(offset=100, scale=10, background=100, brightest=130),
        )
        for n_frames in (50, 2000):
            config = PredictionConfig(device="cpu", frames=f":{{n_frames}}", batch_size=16)
            with open_frames({str(tmp_path / "movie.npy")!r}) as movie:
                for event in predict_to_files(
                    TrainedModel(network, card), movie, {str(tmp_path)!r}, config, save_maps=True
                ):
                    pass
            print(event.n_localizations, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    (few, after_50), (many, after_2000) = (
        map(int, line.split()) for line in run.stdout.splitlines()
    )
    assert many > few > 0
    assert after_2000 <= 1.1 * after_50


def test_pixels_that_are_not_square_are_refused_unless_their_size_is_given(nearest_model):
    frames = np.zeros((2, 8, 10), np.float32)
    movie = FrameStack(
        ArrayReader(frames, "film"), name="film", pixel_size_nm=None, pixel_sides_nm=(100, 160)
    )
    with pytest.raises(InputError, match=r"film are 100 nm high and 160 nm wide.* Resample"):
        Predictor(nearest_model(), movie, PredictionConfig(device="cpu"))
    sentence, *_ = mismatches(nearest_model().card, movie, frames=range(2), given_nm=None)
    assert "100 nm high and 160 nm wide" in sentence
    config = PredictionConfig(device="cpu", pixel_size_nm=120)
    assert Predictor(nearest_model(), movie, config).pixel_size_nm == 120


def test_an_image_that_is_no_number_is_refused(nearest_model):
    bright = Normalization(offset=0, scale=1e-6, background=0, brightest=1)
    frames = np.zeros((6, 8, 10), np.float32)
    frames[3, 2, 2] = 3e38
    with pytest.raises(InputError, match="no finite numbers of frames 2 to 3 of array"):
        predict(nearest_model(normalization=bright), frames, batch_size=2)
