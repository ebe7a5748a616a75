import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations import peaks
from napari_dl4smlm.backend.localizations.density_map import render_density_map
from napari_dl4smlm.backend.localizations.peaks import find_peaks


def maps_of(positions_nm, sigma=1.0, factor=8):
    density = render_density_map(
        np.asarray(positions_nm, dtype=float).reshape(-1, 2),
        height=16,
        width=20,
        pixel_size_nm=100.0,
        upsampling_factor=factor,
        sigma_px=sigma,
    )
    return torch.from_numpy(density)[None]


def peaks_of(maps, factor=8, threshold=0.3, **options):
    return find_peaks(
        maps, pixel_size_nm=100.0, upsampling_factor=factor, threshold=threshold, **options
    )


@given(y=st.floats(100, 1400), x=st.floats(100, 1800), factor=st.sampled_from([1, 2, 4, 8]))
def test_a_position_returns_within_a_tenth_of_a_fine_pixel(y, x, factor):
    if factor == 1:
        y, x = y / 2 + 400, x / 2 + 400
    found = peaks_of(maps_of([[y, x]], factor=factor), factor)
    assert len(found) == 1
    tolerance = 0.1 * 100 / factor
    np.testing.assert_allclose(found.positions_nm(), [[y, x]], atol=tolerance)
    assert found.confidence[0] == pytest.approx(0.97, abs=0.04)


@pytest.mark.parametrize("sigma", [0.0, 1.0])
def test_positions_to_map_to_peaks_has_no_bias(sigma):
    generator = np.random.default_rng(0)
    positions = generator.uniform(400, 1200, (400, 2))
    errors = [
        peaks_of(maps_of([position], sigma)).positions_nm()[0] - position for position in positions
    ]
    # 0.05 fine pixel is 0.6 nm
    assert np.abs(np.mean(errors, axis=0)).max() < 0.05 * 12.5


def test_two_emitters_three_fine_pixels_apart_are_two():
    spikes = maps_of([[806.25, 806.25], [806.25, 806.25 + 3 * 12.5]], sigma=0.0)
    assert len(peaks_of(spikes)) == 2


def test_equal_neighbours_give_one_localization_between_them():
    maps = torch.zeros(1, 20, 20)
    maps[0, 10, 10:12] = 0.5
    found = peaks_of(maps, factor=1)
    np.testing.assert_allclose(found.positions_nm(), [[1050, 1100]], atol=1e-3)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_peaks_are_those_of_a_plain_loop_over_pixels(seed):
    maps = np.random.default_rng(seed).integers(0, 4, (2, 9, 11)) / 4
    expected = []
    for frame, density in enumerate(np.pad(maps, ((0, 0), (2, 2), (2, 2)))):
        for row in range(9):
            for column in range(11):
                window = density[row : row + 5, column : column + 5]
                flat = window.ravel()
                if window.sum() < 2 or flat[12] < flat.max() or flat[12] in flat[13:]:
                    continue
                offsets = np.arange(-2, 3)
                expected.append(
                    (
                        frame,
                        100 * (row + 0.5 + (window.sum(1) * offsets).sum() / window.sum()),
                        100 * (column + 0.5 + (window.sum(0) * offsets).sum() / window.sum()),
                    )
                )
    found = peaks_of(torch.from_numpy(maps), factor=1, threshold=2.0)
    assert found.frame.tolist() == [row[0] for row in expected]
    np.testing.assert_allclose(
        found.positions_nm(), np.reshape([row[1:] for row in expected], (-1, 2)), rtol=1e-5
    )


@settings(max_examples=50)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12)),
    levels=st.integers(2, 6),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_gpu_finds_what_a_cpu_finds_although_it_goes_about_it_in_another_way(shape, levels, seed):
    # few levels, of which some are below zero, so that many neighbours are equal
    values = np.random.default_rng(seed).integers(-1, levels, shape).astype(np.float32)
    maps = torch.from_numpy(values)
    for least in (0.1, 2.0):
        pixels, windows = peaks._maxima_one_by_one(maps, least)
        expected_pixels, expected_windows = peaks._maxima_at_once(maps, least)
        np.testing.assert_array_equal(pixels, expected_pixels)
        np.testing.assert_array_equal(windows, expected_windows)


def test_frames_are_numbered_from_the_first_one_on():
    maps = torch.zeros(3, 16, 16)
    maps[[0, 2], 5, 5] = 1
    assert peaks_of(maps, factor=1, first_frame=40).frame.tolist() == [40, 42]


def test_maps_may_hold_multiples_of_the_density():
    maps = maps_of([[806, 806], [400, 500]])
    found, expected = peaks_of(1e3 * maps, amplitude=1e3), peaks_of(maps)
    assert len(found) == 2
    np.testing.assert_allclose(found.positions_nm(), expected.positions_nm(), rtol=1e-6)
    np.testing.assert_allclose(found.confidence, expected.confidence, rtol=1e-6)


def test_negative_density_neither_hides_nor_moves_a_peak():
    maps = maps_of([[800, 800]])
    below_zero = torch.where(maps > 0, maps, -0.5)
    np.testing.assert_array_equal(
        peaks_of(below_zero).positions_nm(), peaks_of(maps).positions_nm()
    )


def test_an_empty_map_has_no_peaks():
    found = peaks_of(torch.zeros(4, 64, 64))
    assert len(found) == 0
    assert found.confidence is not None


def test_a_peak_in_the_corner_is_found():
    assert len(peaks_of(maps_of([[3, 3]]))) == 1


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan")])
def test_a_threshold_that_every_pixel_passes_is_refused(threshold):
    with pytest.raises(InputError, match=r"threshold is .*above 0"):
        peaks_of(torch.zeros(1, 8, 8), threshold=threshold)
