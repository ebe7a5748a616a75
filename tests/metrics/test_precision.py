import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.density_map import render_density_map
from napari_dl4smlm.backend.metrics.precision import localization_bound_nm

TYPICAL = {"background": 20, "psf_sigma_nm": 130, "pixel_size_nm": 100}


def mortensen_nm(photons, background, psf_sigma_nm, pixel_size_nm):
    """Bound of Mortensen et al. (2010), eq. 5, for pixels much smaller than the spot."""
    widened = psf_sigma_nm**2 + pixel_size_nm**2 / 12
    tau = 2 * np.pi * widened * background / (photons * pixel_size_nm**2)
    integral, _ = quad(lambda t: np.log(t) / (1 + t / tau), 0, 1)
    return np.sqrt(widened / photons / (1 + integral))


@pytest.mark.parametrize("photons", [300, 1000, 5000])
@pytest.mark.parametrize("background", [1, 20, 100])
def test_small_pixels_have_the_bound_of_mortensen(photons, background):
    per_pixel = background / 16
    bound = localization_bound_nm(photons, background=per_pixel, psf_sigma_nm=130, pixel_size_nm=25)
    expected = mortensen_nm(photons, per_pixel, 130, 25)
    assert bound == pytest.approx((expected, expected), rel=0.01)


def test_without_background_the_error_is_the_spots_width_over_the_root_of_the_photons():
    bound = localization_bound_nm(900, background=0, psf_sigma_nm=130, pixel_size_nm=10)
    assert bound == pytest.approx((130 / 30, 130 / 30), rel=2e-3)


def test_a_maximum_likelihood_fit_reaches_the_bound():
    generator = np.random.default_rng(0)
    truth = np.array([790.0, 815.0])

    def expected(position, photons, background):
        spot = render_density_map(
            position[None],
            height=16,
            width=16,
            pixel_size_nm=100.0,
            upsampling_factor=1,
            sigma_px=1.3,
        )
        return photons * spot.astype(float) + background

    frames = generator.poisson(expected(truth, 1000, 20), (150, 16, 16))
    errors = []
    for frame in frames:

        def minus_log_likelihood(parameters, frame=frame):
            mean = expected(parameters[:2] * 100, parameters[2] * 1000, parameters[3] * 20)
            return np.sum(mean - frame * np.log(np.maximum(mean, 1e-9)))

        fit = minimize(minus_log_likelihood, [8, 8, 1, 1], method="Nelder-Mead")
        errors.append(fit.x[:2] * 100 - truth)
    bound = localization_bound_nm(1000, **TYPICAL, offset_px=(0.9, 0.15))
    # the standard deviation of 150 values is known to 6 %
    assert np.std(errors, axis=0) == pytest.approx(bound, rel=0.18)


def test_an_emccd_halves_the_information():
    plain = localization_bound_nm(1000, **TYPICAL)
    multiplied = localization_bound_nm(1000, **TYPICAL, excess_noise=2)
    assert np.divide(multiplied, plain) == pytest.approx(np.sqrt(2))


def test_read_noise_acts_like_background_of_its_variance():
    noisy = localization_bound_nm(1000, **TYPICAL, read_noise=3)
    brighter = localization_bound_nm(1000, **(TYPICAL | {"background": 29}))
    assert noisy == pytest.approx(brighter)


def test_more_photons_are_never_worse():
    bounds = [localization_bound_nm(n, **TYPICAL)[0] for n in (100, 300, 1000, 3000)]
    assert bounds == sorted(bounds, reverse=True)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("photons", 0, "photons is 0; it must be a number above 0"),
        ("background", -1, "background is -1; .* at least 0"),
        ("psf_sigma_nm", float("nan"), "psf_sigma_nm is nan"),
        ("pixel_size_nm", -100, "pixel_size_nm is -100"),
        ("excess_noise", 0.5, "excess_noise is 0.5; .* at least 1"),
    ],
)
def test_impossible_conditions_are_refused_by_name(name, value, message):
    with pytest.raises(InputError, match=message):
        localization_bound_nm(**({"photons": 1000, **TYPICAL} | {name: value}))
