from __future__ import annotations

import functools
import itertools
import json

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from napari_dl4smlm.backend.acquisition import calibrated_tiff
from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.prediction.reconstruction import (
    Reconstruction,
    write_reconstruction,
)

MAPS = np.random.default_rng(0).exponential(size=(12, 5, 7)).astype(np.float32)


def reconstruction_of(frames: range) -> Reconstruction:
    reconstruction = Reconstruction(5, 7, pixel_size_nm=12.5)
    reconstruction.add(MAPS[frames.start : frames.stop].sum(0), frames)
    return reconstruction


@given(cuts=st.sets(st.integers(1, 11)), order=st.randoms(use_true_random=False))
def test_parts_of_a_movie_merge_to_the_single_run_in_any_order(cuts, order):
    edges = [0, *sorted(cuts), 12]
    parts = [reconstruction_of(range(*edge)) for edge in itertools.pairwise(edges)]
    order.shuffle(parts)
    middle = len(parts) // 2
    halves = [
        functools.reduce(Reconstruction.merge, half)
        for half in (parts[:middle], parts[middle:])
        if half
    ]
    merged = functools.reduce(Reconstruction.merge, halves)
    assert merged.frames == (range(12),)
    np.testing.assert_allclose(merged.image, MAPS.sum(0, dtype=np.float64), rtol=1e-6)


def test_merging_leaves_both_parts_as_they_were():
    first, second = reconstruction_of(range(4)), reconstruction_of(range(8, 12))
    before = first.image
    merged = first.merge(second)
    assert merged.frames == (range(4), range(8, 12))
    assert merged.n_frames == 8
    assert first.frames == (range(4),)
    np.testing.assert_array_equal(first.image, before)


def test_a_frame_cannot_count_twice():
    with pytest.raises(InputError, match="Frame 3 is in both parts"):
        reconstruction_of(range(4)).merge(reconstruction_of(range(3, 6)))
    reconstruction = reconstruction_of(range(4))
    before = reconstruction.image
    with pytest.raises(InputError, match="Frame 0 is in both parts"):
        reconstruction.add(MAPS[0], range(1))
    np.testing.assert_array_equal(reconstruction.image, before)


def test_images_of_another_size_or_pixel_are_refused():
    reconstruction = reconstruction_of(range(4))
    with pytest.raises(InputError, match=r"shape \(1, 7\) .* shape \(5, 7\)"):
        # numpy would broadcast it
        reconstruction.add(np.ones((1, 7), np.float32), range(4, 5))
    with pytest.raises(InputError, match=r"pixels of 12\.5 nm and 13 nm"):
        reconstruction.merge(Reconstruction(5, 7, pixel_size_nm=13))
    with pytest.raises(InputError, match="blurred by 0 px and 1 px"):
        reconstruction.merge(Reconstruction(5, 7, pixel_size_nm=12.5, blur_sigma_px=1))


def test_parts_are_added_up_before_they_are_blurred():
    parts = [Reconstruction(5, 7, pixel_size_nm=12.5, blur_sigma_px=1.0) for _ in range(2)]
    for number, part in enumerate(parts):
        part.add(MAPS[number], range(number, number + 1))
    merged = parts[0].merge(parts[1])
    expected = gaussian_filter(MAPS[0] + MAPS[1], 1.0, mode="constant", truncate=3)
    np.testing.assert_allclose(merged.image, expected, rtol=1e-6)
    np.testing.assert_array_equal(merged.total, MAPS[0].astype(float) + MAPS[1])


def test_a_million_dim_frames_are_not_lost_to_rounding():
    # in single precision 2e7 + 1 is 2e7
    reconstruction = Reconstruction(1, 1, pixel_size_nm=1)
    reconstruction.add(np.full((1, 1), 2e7, np.float32), range(1))
    for frame in range(1, 1001):
        reconstruction.add(np.ones((1, 1), np.float32), range(frame, frame + 1))
    assert reconstruction.image == np.float32(2e7 + 1000)


@pytest.mark.parametrize("pixel_size_nm", [12.5, 13.375, 133.5])
@pytest.mark.parametrize("largest", [2**32, 10], ids=["TIFF", "BigTIFF"])
def test_the_file_tells_its_pixel_size_and_where_it_comes_from(
    tmp_path, monkeypatch, pixel_size_nm, largest
):
    monkeypatch.setattr(calibrated_tiff, "LARGEST_TIFF_BYTES", largest)
    reconstruction = Reconstruction(5, 7, pixel_size_nm=pixel_size_nm)
    reconstruction.add(MAPS[0], range(1))
    path = tmp_path / "reconstruction.tif"
    write_reconstruction(path, reconstruction, description={"movie": "Zellkern µ.tif"})
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff == (largest == 10)
        page = file.pages.first
        assert page.dtype == np.float32
        # what ImageJ reads: pixels per unit, and the unit
        pixels, units = page.tags["XResolution"].value
        assert units / pixels * 1000 == pytest.approx(pixel_size_nm, rel=1e-6)
        assert page.tags["YResolution"].value == (pixels, units)
        assert file.imagej_metadata["unit"] == "micron"
        about = json.loads(file.imagej_metadata["Info"])
        assert about == {"movie": "Zellkern µ.tif", "frames": ["0:1"]}
        np.testing.assert_array_equal(file.asarray(), MAPS[0])
    with open_frames(path) as frames:
        assert frames.shape == (1, 5, 7)
        assert frames.pixel_size_nm == pytest.approx(pixel_size_nm, rel=1e-5)


def test_a_file_that_cannot_be_completed_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "reconstruction.tif"
    write_reconstruction(path, reconstruction_of(range(1)), description={})
    before = path.read_bytes()

    def full(*_args: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile.TiffWriter, "write", full)
    with pytest.raises(OSError, match="No space left"):
        write_reconstruction(path, reconstruction_of(range(2)), description={})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
