import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tifffile
import torch
from scipy.ndimage import center_of_mass

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.density_map import render_density_map
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.localizations.thunderstorm import write_thunderstorm
from napari_dl4smlm.backend.training.config import DataConfig
from napari_dl4smlm.backend.training.data import open_training_data
from napari_dl4smlm.backend.training.datasets import PatchGrid
from napari_dl4smlm.backend.training.division import split_frames
from napari_dl4smlm.backend.training.filmed import FilmedData
from napari_dl4smlm.backend.training.truth import Patch, image_truth, position_truth

IDENTITY = Normalization(offset=0, scale=1, background=0, brightest=1)
PIXEL_NM = 100.0


@pytest.fixture
def data() -> FilmedData:
    """Six frames of 20 x 24 px whose one emitter a frame is a single bright camera pixel."""
    generator = np.random.default_rng(0)
    cells = np.column_stack([generator.integers(2, 18, 6), generator.integers(2, 22, 6)])
    movie = np.zeros((6, 20, 24), np.uint16)
    movie[np.arange(6), cells[:, 0], cells[:, 1]] = 100
    table = Localizations(
        frame=np.arange(6),
        y_nm=(cells[:, 0] + 0.5) * PIXEL_NM,
        x_nm=(cells[:, 1] + 0.5) * PIXEL_NM,
    )
    frames = open_frames(movie, pixel_size_nm=PIXEL_NM)
    truth = position_truth(frames, table, upsampling_factor=4)
    return FilmedData(frames, truth, 4, PIXEL_NM, (0, 1, 2, 3), (4, 5))


def dataset(data, **options):
    options = {
        "patch_size": 12,
        "patches": 40,
        "min_emitters": 1,
        "augment": True,
        "target_sigma_px": 1.0,
        "seed": 0,
    } | options
    return data.training_set(IDENTITY, **options)


def test_the_spot_lies_on_the_emitter_in_every_augmented_patch(data):
    for frame, density in dataset(data):
        assert frame.shape == (1, 12, 12)
        assert density.shape == (1, 48, 48)
        raw = center_of_mass(frame[0].numpy())
        fine = center_of_mass(density[0].numpy())
        np.testing.assert_allclose((np.array(fine) + 0.5) / 4, np.array(raw) + 0.5, atol=0.5)


def test_augmentation_is_exact_and_uses_all_eight_orientations():
    generator = np.random.default_rng(0)
    movie = generator.integers(1, 1000, (1, 8, 8)).astype(np.uint16)
    table = Localizations(frame=[0], y_nm=[130.0], x_nm=[560.0])
    frames = open_frames(movie, pixel_size_nm=PIXEL_NM)
    data = FilmedData(
        frames, position_truth(frames, table, upsampling_factor=2), 2, PIXEL_NM, (0,), (0,)
    )
    seen = {
        tuple(frame.numpy().ravel().astype(int)): density[0].numpy()
        for frame, density in dataset(data, patch_size=8, patches=100)
    }
    turned = [np.rot90(movie[0], k) for k in range(4)]
    orientations = turned + [image[:, ::-1] for image in turned]
    assert set(seen) == {tuple(image.ravel()) for image in orientations}
    plain = seen[tuple(movie[0].ravel())]
    np.testing.assert_array_equal(seen[tuple(turned[1].ravel())], np.rot90(plain))


def test_frames_that_are_not_square_are_turned_by_half_turns_only(data):
    items = dataset(data, patch_size=64, patches=20)
    assert {tuple(frame.shape) for frame, _ in items} == {(1, 20, 24)}


def test_an_item_depends_on_seed_epoch_and_index_alone(data):
    first, second = dataset(data), dataset(data)
    frame, density = first[7]
    for index in (3, 39, 7):
        again = second[index]
    assert torch.equal(again[0], frame)
    assert torch.equal(again[1], density)
    second.epoch = 1
    assert not torch.equal(second[7][0], frame)
    assert not torch.equal(dataset(data, seed=1)[7][0], frame)


def test_every_patch_holds_the_minimum_of_emitters(data):
    assert all(density.sum() > 0.9 for _, density in dataset(data, min_emitters=1))
    assert any(density.sum() < 0.1 for _, density in dataset(data, min_emitters=0))


def test_a_minimum_that_no_patch_reaches_is_refused(data):
    with pytest.raises(InputError, match=r"random patches of 12 x 12 px holds 2 emitter"):
        dataset(data, min_emitters=2)[0]


def test_training_patches_come_from_training_frames_only(data):
    bright = [np.argmax(data.frames.read(k, k + 1)) for k in data.training_frames]
    whole = dataset(data, patch_size=64, augment=False, patches=60)
    assert {int(frame.argmax()) for frame, _ in whole} == {int(place) for place in bright}


def test_the_normalization_knows_the_training_frames_only():
    movie = np.zeros((4, 8, 8), np.uint16)
    movie[:2, 0, 0] = 64
    movie[2:] = 1000
    frames = open_frames(movie, pixel_size_nm=PIXEL_NM)
    table = Localizations(frame=[0], y_nm=[1.0], x_nm=[1.0])
    truth = position_truth(frames, table, upsampling_factor=1)
    data = FilmedData(frames, truth, 1, PIXEL_NM, (0, 1), (2, 3))
    assert data.fit_normalization().offset == 1


def test_the_grid_covers_every_pixel_of_the_validation_frames():
    movie = np.arange(2 * 20 * 27).reshape(2, 20, 27).astype(np.float32)
    frames = open_frames(movie, pixel_size_nm=PIXEL_NM)
    table = Localizations(frame=[0], y_nm=[1.0], x_nm=[1.0])
    truth = position_truth(frames, table, upsampling_factor=1)
    data = FilmedData(frames, truth, 1, PIXEL_NM, (0,), (1,))
    grid = PatchGrid(data.validation, IDENTITY, patch_size=10, target_sigma_px=0.0)
    assert len(grid) == 2 * 3
    covered = {value for frame, _ in grid for value in frame.ravel().tolist()}
    assert covered == set(movie[1].ravel().tolist())


def test_a_patch_shows_the_light_of_emitters_just_outside(data):
    (cell,) = np.argwhere(data.frames.read(0, 1)[0])
    beside = Patch(frame=0, top=int(cell[0]) + 1, left=0, height=1, width=24)
    # the emitter is two fine pixels above the patch: 2.3 % of a Gaussian of one fine pixel
    assert data.truth.count_emitters(beside) == 0
    assert data.truth.render(beside, 1.0).sum() == pytest.approx(0.0215, abs=2e-3)


def test_ten_thousand_patches_take_no_memory_until_they_are_asked_for(data):
    many = dataset(data, patches=10_000_000)
    assert len(many) == 10_000_000
    assert many[9_999_999][0].shape == (1, 12, 12)


def test_an_item_beyond_the_end_is_an_index_error(data):
    with pytest.raises(IndexError, match="item 40 of 40"):
        dataset(data)[40]


def test_a_split_by_fraction_is_disjoint_complete_and_seeded():
    training, validation = split_frames(range(10, 30), validation_fraction=0.2, seed=0)
    assert sorted(training + validation) == list(range(10, 30))
    assert len(validation) == 4
    assert split_frames(range(10, 30), validation_fraction=0.2, seed=0)[1] == validation
    assert split_frames(range(10, 30), validation_fraction=0.2, seed=1)[1] != validation


def test_validation_frames_that_are_named_do_not_train():
    training, validation = split_frames(
        range(20), validation_fraction=0.2, validation_frames=range(16, 20), seed=0
    )
    assert training == tuple(range(16))
    assert validation == (16, 17, 18, 19)


def test_a_movie_of_one_frame_cannot_be_split():
    with pytest.raises(InputError, match="1 frame can be used, and validation takes 1"):
        split_frames(range(1), validation_fraction=0.2, seed=0)


@pytest.fixture
def movie_files(tmp_path):
    movie = np.random.default_rng(0).integers(0, 500, (5, 16, 16)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "movie.tif", movie, photometric="minisblack")
    table = Localizations(frame=np.arange(5), y_nm=np.full(5, 810.0), x_nm=np.full(5, 790.0))
    write_thunderstorm(tmp_path / "truth.csv", table)
    return tmp_path


def open_movie(folder, **options):
    options = {"pixel_size_nm": 100.0} | options
    config = DataConfig(movie=folder / "movie.tif", localizations=folder / "truth.csv", **options)
    return open_training_data(config, seed=0)


def test_a_movie_with_a_table_is_upsampled_8_times_by_default(movie_files):
    data = open_movie(movie_files)
    assert data.upsampling_factor == 8
    assert data.pixel_size_nm == 100
    assert len(data.training_frames) == 4


def test_a_range_of_frames_leaves_out_the_others(movie_files):
    data = open_movie(movie_files, frames="1:4")
    assert sorted(data.training_frames + data.validation_frames) == [1, 2, 3]


def test_a_movie_without_pixel_size_asks_for_it(movie_files):
    with pytest.raises(InputError, match=r"movie.tif does not say how large.*--pixel-size-nm"):
        open_movie(movie_files, pixel_size_nm=None)


def test_positions_outside_the_field_hint_at_the_pixel_size(movie_files):
    with pytest.raises(InputError, match=r"5 of 5 localizations lie outside.*pixel size right"):
        open_movie(movie_files, pixel_size_nm=20.0)


def test_a_table_longer_than_the_movie_is_refused(movie_files):
    tifffile.imwrite(
        movie_files / "movie.tif", np.zeros((3, 16, 16), np.uint16), photometric="minisblack"
    )
    with pytest.raises(InputError, match=r"reach up to frame 5.*movie.tif has 3 frames"):
        open_movie(movie_files)


def test_an_empty_table_in_memory_is_refused_in_one_sentence():
    frames = open_frames(np.ones((3, 16, 16)), pixel_size_nm=PIXEL_NM)
    with pytest.raises(InputError, match=r"^The table holds no localization; there is nothing to"):
        position_truth(frames, Localizations.empty(), upsampling_factor=4)


def test_an_empty_table_has_nothing_to_teach(movie_files):
    write_thunderstorm(movie_files / "truth.csv", Localizations.empty())
    with pytest.raises(InputError, match="holds no localization"):
        open_movie(movie_files)


@pytest.fixture
def folders(tmp_path):
    generator = np.random.default_rng(0)
    for folder, side in (("raw", 16), ("truth", 64)):
        (tmp_path / folder).mkdir()
        for name in ("f1", "f2", "f10"):
            image = np.zeros((side, side), np.uint8)
            image[tuple(generator.integers(side, size=2))] = 255
            tifffile.imwrite(tmp_path / folder / f"{name}.tif", image)
    return tmp_path


def open_pairs(folder, first="raw", second="truth", **options):
    config = DataConfig(pairs=(folder / first, folder / second), **options)
    return open_training_data(config, seed=0)


def test_folders_are_paired_by_name_and_the_factor_is_inferred(folders):
    truth_of_f2 = tifffile.imread(folders / "truth" / "f2.tif")
    with open_pairs(folders) as data:
        assert data.upsampling_factor == 4
        rendered = data.truth.render(Patch(1, 0, 0, 16, 16), 0.0)
    np.testing.assert_array_equal(rendered, truth_of_f2 / 255)


def test_a_patch_of_an_image_truth_is_cut_where_the_frame_is(folders):
    whole = tifffile.imread(folders / "truth" / "f1.tif") / 255
    with open_pairs(folders) as data:
        part = data.truth.render(Patch(0, 3, 5, 8, 7), 0.0)
    np.testing.assert_array_equal(part, whole[12:44, 20:48])


def drawn(generator, *, sigma_px, per_frame, n_frames=20, side=128):
    """Density maps of emitters at places anywhere, and how many there are."""
    maps = [
        render_density_map(
            generator.uniform(0, side, (per_frame, 2)),
            height=side,
            width=side,
            pixel_size_nm=1.0,
            upsampling_factor=1,
            sigma_px=sigma_px,
        )
        for _ in range(n_frames)
    ]
    return np.stack(maps)


@pytest.mark.parametrize("unit", [1, 255, 40.5, 1e-4])
@pytest.mark.parametrize("sigma_px", [0, 1, 1.5])
def test_true_images_count_emitters_whatever_their_unit(sigma_px, unit):
    # 40 in 128 x 128 px: some share a pixel, and many have neighbours
    maps = drawn(np.random.default_rng(0), sigma_px=sigma_px, per_frame=40)
    whole = Patch(3, 0, 0, 128, 128)
    truth = image_truth(open_frames(unit * maps), upsampling_factor=1)
    np.testing.assert_allclose(truth.render(whole, 0), maps[3], rtol=0.02, atol=1e-6)
    assert truth.count_emitters(whole) == pytest.approx(40, abs=1)


def test_two_emitters_in_one_pixel_do_not_halve_the_others():
    maps = np.zeros((2, 64, 64), np.uint8)
    maps[0, 10::20, 10::20] = 1
    maps[1, 30, 30] = 2
    truth = image_truth(open_frames(maps), upsampling_factor=2)
    assert truth.count_emitters(Patch(0, 0, 0, 32, 32)) == 9
    assert truth.count_emitters(Patch(1, 0, 0, 32, 32)) == 2
    # elsewhere than the corner of the patch that holds it
    assert truth.count_emitters(Patch(1, 0, 0, 15, 32)) == 0


def test_discs_that_never_lie_alone_count_as_one_each():
    maps = np.zeros((1, 12, 12), np.float32)
    maps[0, 1:4, 1:4] = maps[0, 1:4, 7:10] = maps[0, 7:10, 4:7] = 5
    truth = image_truth(open_frames(maps), upsampling_factor=1)
    assert truth.count_emitters(Patch(0, 0, 0, 12, 12)) == 3


def test_of_dense_images_not_all_are_read_to_find_spots_that_are_alone(monkeypatch):
    monkeypatch.setattr("napari_dl4smlm.backend.training.truth._MOST_SPOTS", 100)
    maps = np.zeros((20, 32, 32), np.float32)
    maps[:, 1::4, 1::4] = 3
    images = open_frames(maps)
    read = []
    monkeypatch.setattr(images, "read", lambda a, b: read.append(a) or maps[a:b])
    found = image_truth(images, upsampling_factor=1)
    # 64 in a frame
    assert len(read) == 2
    assert found.count_emitters(Patch(0, 0, 0, 32, 32)) == 64


def test_batches_still_come_while_python_ends():
    # as for a training that is stopped by closing the window, and still has to validate
    script = """
    import threading, time
    import torch
    from napari_dl4smlm.backend.training.datasets import prefetch

    items = [(torch.full((1,), k), torch.zeros(1)) for k in range(6)]

    def load():
        threading.main_thread().join()
        time.sleep(0.2)
        print(torch.cat([frames for frames, _ in prefetch(items, [[0, 1], [2, 3], [4, 5]])]))

    threading.Thread(target=load).start()
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True
    )
    assert run.stderr == ""
    assert re.findall(r"\d", run.stdout) == list("012345")


def test_pixels_that_are_not_square_are_refused(data):
    data.frames.pixel_size_nm = None
    data.frames.pixel_sides_nm = (100, 160)
    with pytest.raises(InputError, match="100 nm high and 160 nm wide"):
        position_truth(data.frames, Localizations.empty(), upsampling_factor=4)


def test_files_without_a_partner_are_named(folders):
    (folders / "truth" / "f2.tif").rename(folders / "truth" / "g2.tif")
    with pytest.raises(InputError, match=r"raw without a partner \(f2\).*truth .*\(g2\)"):
        open_pairs(folders)


def test_hidden_files_and_other_types_need_no_partner(folders):
    (folders / "raw" / "._f1.tif").touch()
    (folders / "truth" / "notes.txt").touch()
    with open_pairs(folders) as data:
        assert data.frames.n_frames == 3


def test_a_folder_and_a_stack_are_no_pair(folders):
    with pytest.raises(InputError, match=r"raw is a folder and .*f1.tif is not"):
        open_pairs(folders, second="truth/f1.tif")


def test_stacks_of_different_length_are_no_pair(tmp_path):
    np.save(tmp_path / "raw.npy", np.zeros((3, 8, 8), np.uint8))
    np.save(tmp_path / "truth.npy", np.zeros((4, 8, 8), np.uint8))
    with pytest.raises(InputError, match=r"raw.npy has 3 frames but truth.npy has 4"):
        open_pairs(tmp_path, "raw.npy", "truth.npy")


@pytest.mark.parametrize(("height", "width"), [(24, 24), (16, 32), (12, 12), (2, 2), (128, 128)])
def test_an_impossible_ratio_is_refused_with_both_sizes(tmp_path, height, width):
    np.save(tmp_path / "raw.npy", np.ones((3, 8, 8), np.uint8))
    np.save(tmp_path / "truth.npy", np.ones((3, height, width), np.uint8))
    with pytest.raises(InputError, match=rf"8 x 8 px and the truth is {height} x {width} px"):
        open_pairs(tmp_path, "raw.npy", "truth.npy")


def test_a_factor_that_contradicts_the_images_is_refused(folders):
    with pytest.raises(InputError, match=r"Upsampling 8 was asked for.*it is 4"):
        open_pairs(folders, upsampling_factor=8)


def test_a_black_truth_is_refused(tmp_path):
    np.save(tmp_path / "raw.npy", np.ones((3, 8, 8), np.uint8))
    np.save(tmp_path / "truth.npy", np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(InputError, match=r"truth.npy has no pixel above 0"):
        open_pairs(tmp_path, "raw.npy", "truth.npy")
