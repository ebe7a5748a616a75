import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import center_of_mass

from napari_dl4smlm.backend.localizations.density_map import render_density_map

factors = st.sampled_from([1, 2, 4, 8])
sigmas = st.sampled_from([0.0, 0.7, 1.0, 2.0])


def render(positions_nm, factor=8, sigma=1.0, height=12, width=14, pixel=100.0, weights=None):
    return render_density_map(
        np.asarray(positions_nm, dtype=float),
        height=height,
        width=width,
        pixel_size_nm=pixel,
        upsampling_factor=factor,
        sigma_px=sigma,
        weights=weights,
    )


@given(
    y=st.floats(700, 900),
    x=st.floats(700, 900),
    factor=factors,
    sigma=sigmas,
    pixel=st.sampled_from([65.0, 100.0, 133.5]),
)
def test_the_centroid_of_an_emitter_is_its_position(y, x, factor, sigma, pixel):
    density = render([[y, x]], factor, sigma, height=32, width=32, pixel=pixel)
    centroid_nm = (np.array(center_of_mass(density)) + 0.5) * pixel / factor
    # a Gaussian cut at three standard deviations leans by at most 0.02 pixel towards the window
    np.testing.assert_allclose(centroid_nm, [y, x], atol=0.03 * max(sigma, 0.1) * pixel / factor)


def test_over_all_sub_pixel_positions_the_centroid_has_no_bias():
    steps = 700 + 12.5 * np.linspace(0, 1, 41)
    errors = [
        (np.array(center_of_mass(render([[y, x]]))) + 0.5) * 12.5 - [y, x]
        for y in steps
        for x in (704.0, 709.7)
    ]
    assert np.abs(np.mean(errors, axis=0) / 12.5).max() < 0.005


@given(
    positions=st.lists(st.tuples(st.floats(550, 650), st.floats(550, 850)), max_size=20),
    factor=factors,
    sigma=sigmas,
)
def test_the_sum_is_the_number_of_emitters_inside(positions, factor, sigma):
    density = render(np.reshape(positions, (-1, 2)), factor, min(sigma, 1.0))
    assert density.shape == (12 * factor, 14 * factor)
    assert density.sum() == pytest.approx(len(positions), abs=1e-4)


def test_an_emitter_at_the_centre_of_a_fine_pixel_has_the_peak_of_the_integrated_gaussian():
    density = render([[606.25, 606.25]])
    # erf(0.5 / sqrt(2))² is the share of a Gaussian in a pixel, 1 - 0.0027 what 3 sigma keep
    assert density.max() == pytest.approx(0.38292**2, rel=2e-3)
    assert np.unravel_index(density.argmax(), density.shape) == (48, 48)


def test_a_spike_at_the_centre_of_a_fine_pixel_is_one_pixel():
    density = render([[606.25, 706.25]], sigma=0.0)
    assert np.argwhere(density).tolist() == [[48, 56]]


def test_emitters_in_one_place_add_up():
    one = render([[610, 720]])
    np.testing.assert_allclose(render([[610, 720]] * 3), 3 * one, rtol=1e-5)


def test_an_emitter_outside_gives_what_reaches_into_the_field():
    density = render([[-1.0, 600]])
    assert 0.4 < density.sum() < 0.5
    assert density[0].sum() > density[1].sum() > 0


def test_weights_scale_the_spots():
    density = render([[200, 200], [900, 900]], weights=np.array([500.0, 1500.0]))
    assert density.sum() == pytest.approx(2000, rel=1e-4)
    assert density[72, 72] == pytest.approx(3 * density[16, 16], rel=1e-5)


def test_no_emitters_make_an_empty_map():
    assert not render(np.empty((0, 2))).any()
