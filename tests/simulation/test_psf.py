import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy.integrate import dblquad
from scipy.interpolate import RegularGridInterpolator

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.simulation.psf import PSF, BeadImage, GaussianPSF, MeasuredPSF

subpixel = st.floats(0, 1, exclude_max=True)


def generator():
    return np.random.default_rng(0)


def render(spot, positions_nm, photons=None, widths_nm=None, height=32, width=36, pixel=100.0):
    positions_nm = np.asarray(positions_nm, dtype=float)
    n = len(positions_nm)
    return spot.render(
        positions_nm,
        np.ones(n) if photons is None else np.asarray(photons, dtype=float),
        spot.draw_widths_nm(n, generator()) if widths_nm is None else np.asarray(widths_nm),
        height=height,
        width=width,
        pixel_size_nm=pixel,
    )


def gaussian(sigma_nm=130.0):
    return GaussianPSF(sigma_nm=sigma_nm).form(generator())


def gaussian_image(sigma_px, size=41, centre=(0.3, -0.2)):
    y, x = (np.arange(size) - size // 2 - offset for offset in centre)
    return np.exp(-(y[:, None] ** 2 + x**2) / (2 * sigma_px**2))


def asymmetric_light():
    """Light in 14 x 11 pixels without any symmetry, dark at the border."""
    light = np.zeros((14, 11))
    light[2:-2, 2:-2] = generator().gamma(0.5, size=(10, 7))
    return light / light.sum()


def bead(light=None, pixel=50.0, spread=0.0):
    return BeadImage(asymmetric_light() if light is None else light, pixel, (spread, spread))


def moments_nm(image, pixel=100.0):
    """Centroid (y, x) and variances of an image's pixels, taken as points at their centres."""
    image = image / image.sum()
    profiles = image.sum(axis=1), image.sum(axis=0)
    centres = [(np.arange(len(profile)) + 0.5) * pixel for profile in profiles]
    means = [p @ c for p, c in zip(profiles, centres, strict=True)]
    variances = [p @ (c - m) ** 2 for p, c, m in zip(profiles, centres, means, strict=True)]
    return means, variances


@given(y=subpixel, x=subpixel, sigma=st.floats(100, 180))
def test_a_gaussian_spot_has_its_photons_its_position_and_its_variance(y, x, sigma):
    position = [1500 + 100 * y, 1700 + 100 * x]
    image = render(gaussian(sigma), [position], photons=[750])
    assert image.sum() == pytest.approx(750, rel=1e-12)
    centroid, variances = moments_nm(image)
    # 100 nm pixels alias the moments of a Gaussian by exp(-2 π² σ² / p²): 3e-9 at 100 nm
    np.testing.assert_allclose(centroid, position, rtol=0, atol=1e-9 if sigma > 120 else 1e-6)
    np.testing.assert_allclose(variances, sigma**2 + 100**2 / 12, rtol=1e-6)


@pytest.mark.parametrize(("y", "x"), [(3.13, 4.77), (3.5, 4.5), (3.999, 4.001)])
def test_a_pixel_of_a_gaussian_spot_is_the_integral_over_its_area(y, x):
    image = render(gaussian(), [[100 * y, 100 * x]], photons=[1000], height=7, width=9)

    def density(x_nm, y_nm):
        r2 = (y_nm - 100 * y) ** 2 + (x_nm - 100 * x) ** 2
        return 1000 * np.exp(-r2 / (2 * 130**2)) / (2 * np.pi * 130**2)

    for row, column in [(3, 4), (2, 6), (0, 0), (6, 1)]:
        edges = (100 * row, 100 * (row + 1), 100 * column, 100 * (column + 1))
        assert image[row, column] == pytest.approx(dblquad(density, *edges)[0], rel=1e-9)


@pytest.mark.parametrize("spot", [gaussian(), bead().form(generator())])
class TestBothShapes:
    def test_no_emitters_give_a_dark_field(self, spot):
        image = render(spot, np.empty((0, 2)))
        assert image.shape == (32, 36)
        assert not image.any()

    def test_a_crowd_is_the_sum_of_its_emitters_each_with_its_own_photons_and_width(self, spot):
        positions = generator().uniform(-300, 3700, (300, 2))
        photons = generator().uniform(1, 9, 300)
        widths = generator().uniform(60, 250, 300)
        one_by_one = sum(
            render(spot, [position], [n], [w])
            for position, n, w in zip(positions, photons, widths, strict=True)
        )
        np.testing.assert_allclose(
            render(spot, positions, photons, widths), one_by_one, rtol=0, atol=1e-12
        )

    def test_a_shift_by_whole_pixels_shifts_the_image(self, spot):
        image = render(spot, [[1234.5, 1678.9]])
        shifted = render(spot, [[1234.5 + 300, 1678.9 - 200]])
        np.testing.assert_allclose(shifted[3:, :-2], image[:-3, 2:], rtol=0, atol=1e-13)

    def test_a_field_sees_of_an_emitter_outside_what_a_larger_field_sees_there(self, spot):
        inside = render(spot, [[1450, 1600]])
        outside = render(spot, [[1450 - 1500, 1600 - 1500]], height=17, width=21)
        np.testing.assert_allclose(outside, inside[15:, 15:], rtol=0, atol=1e-13)
        assert 0 < outside.sum() < 0.9

    def test_an_emitter_beyond_all_reach_leaves_the_field_dark(self, spot):
        assert render(spot, [[-1e5, 1600], [1600, 1e5]]).max() < 1e-12


def test_emitters_evenly_out_of_focus_have_the_second_and_fourth_moment_of_a_parabola():
    spot = GaussianPSF(sigma_nm=120, defocus_nm=600, focal_depth_nm=400).form(generator())
    variances = spot.draw_widths_nm(200_000, generator()) ** 2 / 120**2
    # v = 1 + (z / d)², z even within ±D and u = (D / d)²: E v = 1 + u / 3, var v = u² (1/5 - 1/9)
    u = (600 / 400) ** 2
    assert variances.mean() == pytest.approx(1 + u / 3, rel=0.005)
    assert variances.var() == pytest.approx(u**2 * (1 / 5 - 1 / 9), rel=0.01)
    assert variances.min() >= 1
    assert variances.max() <= 1 + u


def test_at_the_focal_depth_a_spot_is_wider_by_the_square_root_of_two():
    spot = GaussianPSF(sigma_nm=100, defocus_nm=250, focal_depth_nm=250).form(generator())
    assert spot.draw_widths_nm(20_000, generator()).max() == pytest.approx(141.42, abs=0.05)


@pytest.mark.parametrize("spread", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("kind", ["gaussian", "measured"])
def test_the_spread_is_the_relative_deviation_around_an_unchanged_mean(spread, kind):
    psf = GaussianPSF(sigma_nm=130, spread=spread) if kind == "gaussian" else bead(spread=spread)
    mean = 130 if kind == "gaussian" else bead().sigma_nm
    widths = psf.form(generator()).draw_widths_nm(400_000, generator())
    assert widths.min() > 0
    assert widths.mean() == pytest.approx(mean, rel=0.005 + 0.005 * spread)
    assert widths.std() == pytest.approx(spread * mean, rel=0.03)


def test_without_spread_or_defocus_all_spots_have_one_width():
    assert (gaussian().draw_widths_nm(5, generator()) == 130).all()
    assert (bead().form(generator()).draw_widths_nm(5, generator()) == bead().sigma_nm).all()


def test_each_acquisition_draws_its_own_values_from_the_ranges():
    psf = GaussianPSF(sigma_nm=(110, 150), defocus_nm=(0, 300))
    random = generator()
    spots = [psf.form(random) for _ in range(300)]
    sigmas = [spot.sigma_nm for spot in spots]
    assert 110 <= min(sigmas) < 112 < 148 < max(sigmas) <= 150
    assert np.std([spot.defocus_nm for spot in spots]) == pytest.approx(300 / 12**0.5, rel=0.1)
    spreads = [BeadImage(asymmetric_light(), 50, (0, 0.2)).form(random).spread for _ in range(99)]
    assert 0 <= min(spreads) < 0.02 < 0.18 < max(spreads) <= 0.2


def test_at_its_reach_an_emitter_adds_a_thousandth_of_its_light():
    psf = GaussianPSF(sigma_nm=(100, 150))
    image = render(gaussian(150), [[-psf.reach_nm, 1800]])
    assert image.sum() == pytest.approx(1e-3, rel=1e-6)
    lopsided = bead()
    y, x = 1600 + lopsided.reach_nm, 1800 + lopsided.reach_nm
    beyond = [
        render(lopsided.form(generator()), [position], height=32, width=36).sum()
        for position in [[1600 + y, 1800], [1600 - y, 1800], [1600, 1800 + x], [1600, 1800 - x]]
    ]
    assert max(beyond) == pytest.approx(1e-3, rel=1e-6)


def test_all_but_one_emitter_in_a_thousand_is_within_reach():
    psf = GaussianPSF(sigma_nm=130, spread=(0, 0.4))
    widths = (
        GaussianPSF(sigma_nm=130, spread=0.4).form(generator()).draw_widths_nm(10**6, generator())
    )
    wider = np.mean(widths * 3.0902 > psf.reach_nm)
    assert wider == pytest.approx(1e-3, rel=0.1)
    defocused = GaussianPSF(sigma_nm=130, defocus_nm=(0, 600), focal_depth_nm=(300, 500))
    assert defocused.reach_nm == pytest.approx(3.0902 * 130 * 5**0.5, rel=1e-4)


@given(y=subpixel, x=subpixel, magnification=st.floats(0.4, 2.5), pixel=st.floats(15, 200))
def test_a_measured_spot_keeps_all_photons_wherever_it_lies(y, x, magnification, pixel):
    light = bead(pixel=pixel)
    position = [100 * (50 + y), 100 * (54 + x)]
    image = render(
        light.form(generator()),
        [position],
        photons=[750],
        widths_nm=[magnification * light.sigma_nm],
        height=100,
        width=108,
    )
    assert image.sum() == pytest.approx(750, rel=1e-12)
    assert image.min() >= 0


@given(y=subpixel, x=subpixel, magnification=st.floats(0.7, 1.4))
def test_a_measured_spot_is_the_interpolated_cumulative_sum_of_its_image(y, x, magnification):
    light = bead(pixel=43.0)
    position = np.array([1600 + 100 * y, 1800 + 100 * x])
    image = render(light.form(generator()), [position], widths_nm=[magnification * light.sigma_nm])
    cumulative = np.pad(light.light, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    grid = [np.arange(n) * 43.0 for n in cumulative.shape]
    below = RegularGridInterpolator(grid, cumulative)
    centroid = moments_nm(light.light, 43.0)[0]
    edges = [
        np.clip(
            (np.arange(n + 1) * 100 - position[axis]) / magnification + centroid[axis],
            0,
            grid[axis][-1],
        )
        for axis, n in enumerate(image.shape)
    ]
    corners = below(tuple(np.meshgrid(*edges, indexing="ij")))
    expected = np.diff(np.diff(corners, axis=0), axis=1)
    np.testing.assert_allclose(image, expected, rtol=0, atol=1e-13)


def test_a_measured_spot_on_pixels_of_its_own_size_is_the_bead_image_itself():
    light = bead(pixel=100.0)
    position = 100 * (np.array([6, 5]) + light.centroid_px)
    image = render(light.form(generator()), [position])
    np.testing.assert_allclose(image[6:20, 5:16], light.light, rtol=0, atol=1e-13)


def test_the_centroid_and_width_of_a_measured_spot_are_those_it_was_asked_for():
    light = bead(pixel=50.0)
    position = np.array([1623.4, 1787.6])
    image = render(
        light.form(generator()),
        [position * 10],
        widths_nm=[light.sigma_nm * 10],
        height=320,
        width=360,
    )
    # magnified tenfold, a pixel of the camera is small: 100 nm against 500 nm of the bead image
    centroid, variances = moments_nm(image)
    np.testing.assert_allclose(centroid, position * 10, rtol=0, atol=2)
    assert np.mean(variances) == pytest.approx((10 * light.sigma_nm) ** 2 + 100**2 / 12, rel=1e-3)


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_a_finely_sampled_gaussian_bead_gives_the_gaussian_spot(tmp_path, suffix):
    path = tmp_path / f"bead{suffix}"
    image = (200 + 1000 * gaussian_image(13.0, size=161, centre=(2.3, -1.2))).astype(np.float32)
    if suffix == ".tif":
        tifffile.imwrite(path, image)
    else:
        np.save(path, image)
    loaded = MeasuredPSF(image=path, pixel_size_nm=10).load()
    # pixels of 10 nm widen the spot by their own variance
    assert loaded.sigma_nm == pytest.approx((130**2 + 10**2 / 12) ** 0.5, rel=1e-3)
    positions = generator().uniform(800, 2500, (5, 2))
    measured = render(loaded.form(generator()), positions, photons=[1000] * 5)
    exact = render(gaussian(), positions, photons=[1000] * 5)
    np.testing.assert_allclose(measured, exact, rtol=0, atol=1e-3 * exact.max())


def test_the_pixel_size_comes_from_the_file_unless_it_is_given(tmp_path):
    path = tmp_path / "bead.tif"
    tifffile.imwrite(
        path,
        gaussian_image(4.0).astype(np.float32),
        imagej=True,
        resolution=(1 / 0.025, 1 / 0.025),
        metadata={"unit": "um"},
    )
    assert MeasuredPSF(image=path).load().pixel_size_nm == pytest.approx(25)
    assert MeasuredPSF(image=path).load().sigma_nm == pytest.approx(100, rel=5e-3)
    assert MeasuredPSF(image=path, pixel_size_nm=30).load().pixel_size_nm == 30


def test_the_noise_of_a_mean_bead_image_makes_no_halo(tmp_path):
    path = tmp_path / "bead.npy"
    noise = generator().normal(0, 0.005, (41, 41))
    np.save(path, 5 + gaussian_image(2.6) + noise)
    loaded = MeasuredPSF(image=path, pixel_size_nm=50).load()
    assert loaded.light.min() == 0
    assert loaded.light.sum() == pytest.approx(1)
    # clipped at 0 without regard to the noise, the image would have a sigma of 212 nm
    assert loaded.sigma_nm == pytest.approx(130, rel=0.05)
    np.testing.assert_allclose(loaded.centroid_px, [20.8, 20.3], atol=0.1)


def refused(tmp_path, image, match, **options):
    path = tmp_path / "bead.npy"
    np.save(path, image)
    with pytest.raises(InputError, match=match):
        MeasuredPSF(image=path, **{"pixel_size_nm": 50, **options}).load()


@pytest.mark.parametrize("value", [0.0, 7.5])
def test_an_image_without_light_is_refused(tmp_path, value):
    refused(tmp_path, np.full((9, 9), value), f"holds no light: .* border, {value:g}")


def test_an_image_of_nothing_but_noise_is_refused(tmp_path):
    refused(tmp_path, generator().normal(100, 5, (21, 21)), "or the mean of more beads")


def test_an_image_with_nan_is_refused(tmp_path):
    image = gaussian_image(2.6)
    image[3, 4] = np.nan
    refused(tmp_path, image, "NaN")


def test_a_stack_is_refused_as_a_bead_image(tmp_path):
    refused(tmp_path, np.stack([gaussian_image(2.6)] * 7), "holds 7 images.*Average")


def test_an_image_without_a_pixel_size_is_refused(tmp_path):
    refused(tmp_path, gaussian_image(2.6), "Give pixel_size_nm", pixel_size_nm=None)


def test_an_image_that_cuts_off_light_is_refused_and_a_larger_crop_is_not(tmp_path):
    # 13 pixels reach to 2.3 standard deviations, where a Gaussian has 7 % of its peak left
    refused(tmp_path, gaussian_image(2.6, size=13), r"cut off: .* with \d+% of the peak, and 2%")
    np.save(tmp_path / "bead.npy", gaussian_image(2.6, size=19))
    MeasuredPSF(image=tmp_path / "bead.npy", pixel_size_nm=50).load()


def test_a_border_at_three_and_a_half_standard_deviations_narrows_a_bead_by_one_percent(tmp_path):
    np.save(tmp_path / "bead.npy", gaussian_image(100 / 3.5, size=201, centre=(0, 0)))
    loaded = MeasuredPSF(image=tmp_path / "bead.npy", pixel_size_nm=1).load()
    assert loaded.sigma_nm == pytest.approx(0.99 * 100 / 3.5, rel=2e-3)


def test_a_neighbour_on_the_border_is_refused(tmp_path):
    image = gaussian_image(2.6)
    image[17:20, 0] += 0.2
    refused(tmp_path, image, "with 20% of the peak.*without neighbours")


def test_a_missing_file_is_refused_when_it_is_loaded(tmp_path):
    psf = MeasuredPSF(image=tmp_path / "no.tif")
    with pytest.raises(InputError, match=r"no\.tif"):
        psf.load()


def test_a_psf_returns_from_its_json(tmp_path):
    adapter = TypeAdapter(PSF)
    for psf in (
        GaussianPSF(sigma_nm="110:150", spread=0.1, defocus_nm=(0, 300)),
        MeasuredPSF(image=tmp_path / "bead.tif", spread=0.05),
    ):
        assert adapter.validate_json(adapter.dump_json(psf)) == psf
    assert all(f.description for f in GaussianPSF.model_fields.values())
    assert all(f.description for f in MeasuredPSF.model_fields.values())


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"sigma_nm": 0}, "not above 0"),
        ({"spread": 20}, "20 is above 1; the spread is relative, so 0.1 means 10 %"),
        ({"defocus_nm": -1}, "below 0"),
        ({"focal_depth_nm": 0}, "not above 0"),
        ({"sigma": 130}, "sigma\n.*not permitted"),
    ],
)
def test_impossible_spots_are_refused(options, match):
    with pytest.raises(ValidationError, match=match):
        GaussianPSF(**options)
