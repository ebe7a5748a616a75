import numpy as np
import pytest
import torch
from pydantic import ValidationError

from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.peaks import find_peaks
from napari_dl4smlm.backend.training.config import DataConfig
from napari_dl4smlm.backend.training.data import open_training_data
from napari_dl4smlm.backend.training.datasets import load_batch, prefetch

IDENTITY = Normalization(offset=0, scale=1, background=0, brightest=1)


def simulated(seed=0, frames=4, factor=4, **simulation):
    config = DataConfig(
        simulation=simulation, simulated_validation_frames=frames, upsampling_factor=factor
    )
    return open_training_data(config, seed=seed)


def patches(data, **options):
    options = {
        "patch_size": 16,
        "patches": 20,
        "min_emitters": 1,
        "augment": True,
        "target_sigma_px": 1.0,
        "seed": 0,
    } | options
    return data.training_set(IDENTITY, **options)


def test_a_patch_depends_on_seed_epoch_and_index_alone():
    first, second = patches(simulated()), patches(simulated())
    frame, density = first[7]
    for index in (3, 19, 7):
        again = second[index]
    assert torch.equal(again[0], frame)
    assert torch.equal(again[1], density)
    second.epoch = 1
    assert not torch.equal(second[7][0], frame)
    assert not torch.equal(patches(simulated(), seed=1)[7][0], frame)


def test_batch_size_and_threads_change_no_patch():
    dataset = patches(simulated())
    expected = load_batch(dataset, range(20))
    for size in (1, 6, 20):
        batches = [range(k, min(k + size, 20)) for k in range(0, 20, size)]
        loaded = [torch.cat(parts) for parts in zip(*prefetch(dataset, batches), strict=True)]
        assert torch.equal(loaded[0], expected[0])
        assert torch.equal(loaded[1], expected[1])


def test_no_frame_is_seen_twice_nor_validated_on():
    data = simulated(density=1)
    dataset = patches(data, patch_size=64)
    seen = {frame.numpy().tobytes() for frame, _ in dataset}
    dataset.epoch = 1
    seen |= {frame.numpy().tobytes() for frame, _ in dataset}
    assert len(seen) == 40
    validation = data.validation.frames.read(0, 4).astype(np.float32)
    assert not seen & {frame.tobytes() for frame in validation}


def test_validation_frames_are_the_same_for_a_seed():
    first, again, other = (simulated(seed=seed).validation.frames.read(0, 4) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_density_map_shows_the_emitters_where_their_light_is():
    data = simulated(
        density=0.3, background={"photons": 0}, camera={"baseline": 0, "read_noise": 0}
    )
    centre = np.arange(16) + 0.5
    checked = 0
    for frame, density in patches(data, patches=200):
        found = find_peaks(density, pixel_size_nm=1, upsampling_factor=4, threshold=0.9)
        light = frame[0].numpy()
        alone = (
            len(found) == 1 and light[[0, -1]].sum() + light[:, [0, -1]].sum() < 0.01 * light.sum()
        )
        if not alone:
            continue
        checked += 1
        # photons scatter by 1.3 px / sqrt(500 or more)
        assert light.sum(1) @ centre / light.sum() == pytest.approx(found.y_nm[0], abs=0.25)
        assert light.sum(0) @ centre / light.sum() == pytest.approx(found.x_nm[0], abs=0.25)
    assert checked >= 10


def test_the_normalization_is_measured_on_simulated_frames():
    data = simulated(density=0.1, background={"photons": 20})
    assert data.fit_normalization().background == pytest.approx(140, abs=1)
    assert data.fit_normalization() == data.fit_normalization()


def test_every_patch_holds_the_minimum_of_emitters():
    dense = patches(simulated(density=(0.1, 1)), min_emitters=3)
    sparse = patches(simulated(density=(0.1, 1)), min_emitters=0)
    # of emitters just inside, a part of the Gaussian is beyond the edge
    assert min(float(density.sum()) for _, density in dense) > 1.5
    assert min(float(density.sum()) for _, density in sparse) < 1


def test_a_minimum_that_is_never_reached_is_refused():
    with pytest.raises(InputError, match=r"simulated patches of 16 x 16 px holds 99 emitter"):
        patches(simulated(density=0.5), min_emitters=99)[0]


def test_a_simulation_without_emitters_has_nothing_to_teach():
    with pytest.raises(InputError, match=r"density: none of 4 simulated frames .* has an emitter"):
        simulated(density=0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"movie": "movie.tif"}, "a simulation has no movie"),
        ({"pairs": ("a", "b")}, "a simulation has no pairs"),
        ({"validation_frames": "0:3"}, "a simulation has no validation_frames"),
        ({"pixel_size_nm": 100}, r"simulation\.pixel_size_nm"),
        ({"simulated_validation_frames": 0}, "simulated_validation_frames"),
    ],
)
def test_a_simulation_stands_alone(values, message):
    with pytest.raises(ValidationError, match=message):
        DataConfig(simulation={}, **values)


def test_what_trained_a_model_can_be_told_from_its_record():
    record = simulated(density=[1, 2]).record()
    assert record["simulation"]["density"] == [1, 2]
    again = DataConfig(simulation=record["simulation"])
    assert again.simulation.density == (1, 2)


def test_the_record_knows_the_files_of_a_simulation_by_what_they_hold(tmp_path):
    def record(brightness):
        image = np.zeros((9, 9), np.float32)
        image[3:6, 3:6] = 1
        image[4, 4] = brightness
        np.save(tmp_path / "bead.npy", image)
        psf = {"kind": "measured", "image": tmp_path / "bead.npy", "pixel_size_nm": 50}
        return simulated(frames=1, density=2, psf=psf).record()

    first, same, other = record(5), record(5), record(6)
    assert first == same
    assert first["simulation"] == other["simulation"]
    assert first["simulation_fingerprint"] != other["simulation_fingerprint"]
    assert "simulation_fingerprint" not in simulated(frames=1).record()
