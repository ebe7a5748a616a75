import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad
from scipy.optimize import least_squares
from scipy.special import erf

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.gaussian_fit import fit_spots
from napari_dl4smlm.backend.metrics.precision import localization_bound_nm

SIDE = 17


def mean_photons(y, x, photons, background, sigma, side=SIDE):
    """Expected photons of one emitter; lengths in pixels from the outer corner."""
    edges = np.arange(side + 1)
    along_y, along_x = (np.diff(erf((edges - c) / (np.sqrt(2) * sigma))) / 2 for c in (y, x))
    return background + photons * along_y[:, None] * along_x


def fit(frames, row=SIDE // 2, column=SIDE // 2, sigma=1.2, **options):
    n = len(frames)
    return fit_spots(
        np.asarray(frames, dtype=float),
        np.arange(n),
        np.full(n, row),
        np.full(n, column),
        pixel_size_nm=100.0,
        psf_sigma_nm=100 * sigma,
        **options,
    )


def noisy_spots(n, photons, background, sigma=1.2, excess=1, read_noise=0.0, seed=0):
    generator = np.random.default_rng(seed)
    positions = SIDE // 2 + generator.random((n, 2))
    means = np.stack([mean_photons(y, x, photons, background, sigma) for y, x in positions])
    frames = excess * generator.poisson(means / excess).astype(float)
    return frames + read_noise * generator.standard_normal(frames.shape), 100 * positions


def test_the_picture_of_the_tests_is_that_of_a_numerical_integral():
    density, _ = dblquad(
        lambda x, y: np.exp(-((y - 8.3) ** 2 + (x - 8.9) ** 2) / 2 / 1.2**2) / (2 * np.pi * 1.2**2),
        9,
        10,
        7,
        8,
    )
    assert mean_photons(8.3, 8.9, 1000, 2, 1.2)[9, 7] == pytest.approx(2 + 1000 * density)


@settings(max_examples=50, deadline=None)
@given(
    y=st.floats(0, 1),
    x=st.floats(0, 1),
    photons=st.floats(300, 1e6),
    background=st.floats(0, 200),
    sigma=st.floats(0.7, 2.0),
    wider=st.floats(0.8, 1.25),
)
def test_without_noise_every_value_returns(y, x, photons, background, sigma, wider):
    y, x = SIDE // 2 + y, SIDE // 2 + x
    frames = [mean_photons(y, x, photons, background, sigma)]
    for found, kept in (
        fit(frames, sigma=sigma),
        fit(frames, sigma=sigma * wider, fit_sigma=True),
    ):
        assert kept.tolist() == [True]
        np.testing.assert_allclose(found.positions_nm(), [[100 * y, 100 * x]], atol=0.1)
        assert found.photons[0] == pytest.approx(photons, rel=2e-3)
        # a fit ends a thousandth of a standard error from its goal; under 1e6 photons that is more
        assert found.background[0] == pytest.approx(background, rel=2e-3, abs=0.03)
        assert found.sigma_nm[0] == pytest.approx(100 * sigma, rel=1e-3)


@pytest.mark.parametrize("fit_sigma", [False, True])
@pytest.mark.parametrize(
    ("photons", "background", "sigma", "excess", "read_noise"),
    [
        (300, 5, 1.2, 1, 0.0),
        (1000, 20, 1.0, 1, 0.0),
        (1000, 0.1, 1.2, 1, 0.0),
        (1000, 0, 1.2, 1, 0.0),
        (800, 2, 1.5, 1, 2.0),
        (2000, 4, 1.2, 2, 4.0),
    ],
)
def test_isolated_emitters_are_fitted_as_precisely_as_is_possible(
    photons, background, sigma, excess, read_noise, fit_sigma
):
    frames, truth = noisy_spots(2000, photons, background, sigma, excess, read_noise)
    found, kept = fit(
        frames, sigma=sigma, fit_sigma=fit_sigma, read_noise=read_noise, excess_noise=excess
    )
    assert kept.all()
    bound = localization_bound_nm(
        photons,
        background=background,
        psf_sigma_nm=100 * sigma,
        pixel_size_nm=100,
        read_noise=read_noise,
        excess_noise=excess,
    )[0]
    errors = found.positions_nm() - truth
    # a root mean square of 4000 has a standard error of 1.1 %
    assert 0.95 < np.sqrt((errors**2).mean()) / bound < 1.06
    assert (np.abs(errors.mean(axis=0)) < 3 * bound / np.sqrt(len(errors))).all()
    assert np.sqrt((found.uncertainty_nm**2).mean()) == pytest.approx(errors.std(), rel=0.05)
    # maximum likelihood is unbiased only for many photons, and a background not below 0 is too high
    assert found.photons.mean() == pytest.approx(photons, rel=0.02 if fit_sigma else 0.01)
    assert found.sigma_nm.mean() == pytest.approx(100 * sigma, rel=0.01)
    assert found.background.mean() == pytest.approx(background, abs=0.15)


def test_the_uncertainty_tells_bright_from_dim_spots():
    bright, dim = (fit(noisy_spots(500, n, 20)[0])[0] for n in (4000, 400))
    bounds = [
        localization_bound_nm(n, background=20, psf_sigma_nm=120, pixel_size_nm=100)[0]
        for n in (4000, 400)
    ]
    assert np.median(bright.uncertainty_nm) == pytest.approx(bounds[0], rel=0.1)
    assert np.median(dim.uncertainty_nm) == pytest.approx(bounds[1], rel=0.1)


@pytest.mark.parametrize("fit_sigma", [False, True])
def test_the_fit_is_the_maximum_of_the_likelihood_that_scipy_finds(fit_sigma):
    frames, _ = noisy_spots(8, 700, 12)
    found, _ = fit(frames, fit_sigma=fit_sigma)
    # half width of the window: 2.5 * 1.2 pixels
    window = slice(SIDE // 2 - 3, SIDE // 2 + 4)
    for k, image in enumerate(frames):
        seen = image[window, window]

        def deviance_residuals(values, seen=seen):
            mean = mean_photons(*values, *[1.2][fit_sigma:])[window, window]
            logarithm = np.where(seen > 0, seen * np.log(np.maximum(seen, 1) / mean), 0)
            return np.sqrt(2 * np.maximum(mean - seen + logarithm, 0)).ravel()

        start = [SIDE / 2, SIDE / 2, 500, 10] + [1.2] * fit_sigma
        values = least_squares(deviance_residuals, start, x_scale=start, xtol=1e-12).x
        ours = found[k : k + 1]
        np.testing.assert_allclose(ours.positions_nm()[0], 100 * values[:2], atol=0.1)
        np.testing.assert_allclose(ours.photons, values[2], rtol=1e-3)
        np.testing.assert_allclose(ours.background, values[3], rtol=1e-3)
        np.testing.assert_allclose(
            ours.sigma_nm, 100 * (values[4] if fit_sigma else 1.2), rtol=1e-3
        )


@pytest.mark.parametrize(("y", "x"), [(0.4, 8.0), (8.0, 0.6), (16.6, 16.4), (0.3, 16.5)])
def test_a_spot_at_the_border_is_fitted_in_a_window_that_is_moved_inside(y, x):
    frames = [mean_photons(y, x, 1000, 5, 1.2)]
    found, _ = fit(frames, row=int(y), column=int(x))
    np.testing.assert_allclose(found.positions_nm(), [[100 * y, 100 * x]], atol=0.1)


@pytest.mark.parametrize(("y", "row"), [(-0.5, 0), (SIDE + 0.5, SIDE - 1)])
def test_an_emitter_outside_of_the_frame_is_not_kept(y, row):
    found, kept = fit([mean_photons(y, 8.3, 1000, 5, 1.2)], row=row, column=8)
    assert len(found) == 0
    assert kept.tolist() == [False]


def test_a_fit_that_leaves_its_pixel_for_another_spot_is_dropped():
    assert not fit([mean_photons(8.5, 8.5, 1000, 5, 1.2)], row=8, column=11)[1].any()


def test_where_there_is_no_light_nothing_is_kept():
    assert not fit(np.zeros((3, SIDE, SIDE)))[1].any()
    assert not fit(np.full((3, SIDE, SIDE), -5.0))[1].any()


def test_a_spot_much_wider_than_the_psf_is_dropped_when_the_width_is_fitted():
    frames = [mean_photons(8.5, 8.5, 1000, 5, 1.2), mean_photons(8.5, 8.5, 5000, 5, 3.5)]
    assert fit(frames, fit_sigma=True)[1].tolist() == [True, False]


def test_what_is_kept_says_which_of_the_spots_have_a_localization():
    frames = np.stack(
        [
            mean_photons(8.2, 8.7, n, 5, 1.2) if n else np.zeros((SIDE, SIDE))
            for n in [400, 0, 900] * 300
        ]
    )
    found, kept = fit(frames, first_frame=50)
    assert kept.tolist() == [True, False, True] * 300
    np.testing.assert_array_equal(found.frame, 50 + np.flatnonzero(kept))
    np.testing.assert_allclose(found.photons, [400, 900] * 300, rtol=1e-3)


def test_no_spots_make_an_empty_table_with_all_columns():
    nothing = np.empty(0, int)
    found, kept = fit_spots(
        np.zeros((0, 9, 9)), nothing, nothing, nothing, pixel_size_nm=100, psf_sigma_nm=120
    )
    assert len(found) == len(kept) == 0
    assert found.photons is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_size_nm": 0.0}, "pixel_size_nm is 0"),
        ({"psf_sigma_nm": -120.0}, "psf_sigma_nm is -120"),
        ({"psf_sigma_nm": float("nan")}, "psf_sigma_nm is nan"),
        ({"psf_sigma_nm": 1.2}, r"PSF of 1\.2 nm .* Is psf_sigma_nm in nm\?"),
        ({"read_noise": -1.0}, "read_noise is -1"),
        ({"excess_noise": 0.5}, "excess_noise is 0.5; give a number of at least 1"),
        ({"frames": np.zeros((9, 9))}, r"shape \(9, 9\)\. Give photons of shape \(N, Y, X\)"),
        ({"frames": np.zeros((1, 9, 9), complex)}, "array of complex128"),
        ({"frames": np.zeros((1, 6, 9))}, "6 x 9 pixels are smaller than the window of 7 x 7"),
        ({"frames": np.full((1, 9, 9), np.nan)}, "NaN"),
        ({"frame": [0, 0]}, r"shapes \(2,\), \(1,\), \(1,\)"),
        ({"frame": [1]}, "frame of every spot is a whole number from 0 to 0"),
        ({"row": [-1]}, "row of every spot is a whole number from 0 to 8"),
        ({"column": [3.5]}, "column of every spot is a whole number from 0 to 8"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, message):
    given_values = {
        "frames": np.zeros((1, 9, 9)),
        "frame": [0],
        "row": [4],
        "column": [4],
        "pixel_size_nm": 100.0,
        "psf_sigma_nm": 120.0,
    }
    with pytest.raises(InputError, match=message):
        fit_spots(**{**given_values, **change})
