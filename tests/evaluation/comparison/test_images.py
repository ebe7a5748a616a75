import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.ndimage import center_of_mass

from napari_dl4smlm.backend.evaluation.comparison import images
from napari_dl4smlm.backend.evaluation.comparison.images import (
    draw_positions,
    group_frames,
    jackknife,
    leave_one_out,
    n_comparisons,
    refine,
)
from napari_dl4smlm.backend.evaluation.scores import score_image
from napari_dl4smlm.backend.localizations.density_map import render_density_map
from napari_dl4smlm.backend.localizations.table import Localizations


@given(
    arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.floats(0.1, 9)),
    st.sampled_from([1, 2, 4, 8]),
)
def test_a_finer_grid_keeps_sum_and_centre_of_mass(image, times):
    fine = refine(image, times)
    assert fine.shape == (times * image.shape[0], times * image.shape[1])
    assert fine.sum() == pytest.approx(image.sum())
    # in the unit of coarse pixels, from the outer corner
    centre = (np.array(center_of_mass(fine)) + 0.5) / times
    assert centre == pytest.approx(np.array(center_of_mass(image)) + 0.5)


@given(st.integers(1, 1000))
def test_groups_are_in_a_row_and_of_about_equal_size(n_frames):
    groups = group_frames(n_frames)
    assert [number for group in groups for number in group] == list(range(n_frames))
    sizes = {len(group) for group in groups}
    assert len(groups) == min(10, n_frames)
    assert max(sizes) - min(sizes) <= 1


def test_the_truth_is_drawn_with_one_fine_pixel_of_blur_in_any_number_of_parts(monkeypatch):
    generator = np.random.default_rng(0)
    table = Localizations(np.zeros(50), *generator.uniform(0, 1600, (2, 50)))
    monkeypatch.setattr(images, "_EMITTERS_AT_A_TIME", 7)
    drawn = draw_positions(table, height=16, width=16, pixel_size_nm=100.0, upsampling_factor=4)
    expected = render_density_map(
        table.positions_nm(),
        height=16,
        width=16,
        pixel_size_nm=100.0,
        upsampling_factor=4,
        sigma_px=1.0,
    )
    assert drawn == pytest.approx(expected, abs=1e-6)


@pytest.fixture(scope="module")
def movies():
    """Ten images of the truth, and what a model makes of them on a grid half as fine."""
    generator = np.random.default_rng(0)
    truth = generator.poisson(0.3, (10, 32, 32)).astype(np.float32)
    coarse = truth.reshape(10, 16, 2, 16, 2).sum((2, 4))
    return list((coarse + generator.uniform(0, 0.5, coarse.shape)).astype(np.float32)), list(truth)


def test_the_value_is_that_of_the_sum_of_all_images_on_the_finer_grid(movies):
    predicted, truth = movies
    compared = list(leave_one_out(predicted, truth))
    assert len(compared) == n_comparisons(10) == 11
    spread = np.kron(np.sum(predicted, axis=0), np.full((2, 2), 0.25))
    expected = score_image(spread, np.sum(truth, axis=0))
    assert jackknife(compared)["nmse_percent"].value == pytest.approx(expected.nmse_percent)
    # the images are smaller than five scales take
    assert math.isnan(jackknife(compared)["ms_ssim"].value)


def test_the_interval_is_that_of_pseudo_values_computed_by_hand(movies):
    predicted, truth = movies

    def error(keep):
        p = np.kron(np.sum([predicted[k] for k in keep], axis=0), np.full((2, 2), 0.25))
        t = np.sum([truth[k] for k in keep], axis=0).astype(np.float64)
        p *= t.sum() / p.sum()
        return 100 * ((p - t) ** 2).sum() / (t**2).sum()

    whole = error(range(10))
    pseudo = [10 * whole - 9 * error([k for k in range(10) if k != left]) for left in range(10)]
    score = jackknife(list(leave_one_out(predicted, truth)))["nmse_percent"]
    interval = score.interval()
    reach = stats.t.ppf(0.975, 9) * stats.sem(pseudo)
    assert (interval.low, interval.high) == pytest.approx((whole - reach, whole + reach), rel=1e-4)


def test_a_single_group_has_no_interval(movies):
    compared = list(leave_one_out(movies[0][:1], movies[1][:1]))
    assert len(compared) == n_comparisons(1) == 1
    assert jackknife(compared)["ssim"].interval() is None
