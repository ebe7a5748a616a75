from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.special import erf

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.processing.filtering import Region
from napari_dl4smlm.backend.processing.rendering import Rendering, render_localizations

FIELD_NM = (600.0, 800.0)
# of a normal distribution that is cut at three standard deviations
CUT_VARIANCE = 0.97334


def table(positions_nm, **columns):
    y_nm, x_nm = np.array(positions_nm, float).reshape(-1, 2).T
    return Localizations(np.zeros(len(y_nm)), y_nm, x_nm, **columns)


def random_table(n, seed=0, **columns):
    return table(np.random.default_rng(seed).uniform(100, 500, (n, 2)), **columns)


def moments_nm(image, pixel_nm):
    """Centre (y, x) and variances (y, x) of an image, in nm from its corner."""
    share = image / image.sum(dtype=float)
    centres = [(np.arange(side) + 0.5) * pixel_nm for side in image.shape]
    profiles = share.sum(axis=1), share.sum(axis=0)
    mean = [profile @ centre for profile, centre in zip(profiles, centres, strict=True)]
    variance = [
        profile @ (centre - m) ** 2
        for profile, centre, m in zip(profiles, centres, mean, strict=True)
    ]
    return mean, variance


def test_a_histogram_counts_as_numpy_does():
    localizations = table(np.random.default_rng(0).uniform(-100, 900, (5000, 2)))
    image = render_localizations(
        localizations, Rendering(mode="histogram", pixel_nm=20), field_nm=FIELD_NM
    )
    expected, _, _ = np.histogram2d(
        localizations.y_nm,
        localizations.x_nm,
        bins=[np.arange(0, 601, 20), np.arange(0, 801, 20)],
    )
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, expected)


@settings(deadline=None)
@given(
    y_nm=st.floats(200, 400),
    x_nm=st.floats(200, 600),
    sigma_nm=st.floats(2, 50),
    pixel_nm=st.sampled_from([5.0, 10.0, 16.25]),
)
def test_a_spot_has_its_place_its_sum_and_its_width(y_nm, x_nm, sigma_nm, pixel_nm):
    config = Rendering(pixel_nm=pixel_nm, sigma_nm=sigma_nm)
    image = render_localizations(table([(y_nm, x_nm)]), config, field_nm=FIELD_NM)
    assert image.sum(dtype=float) == pytest.approx(1, abs=1e-6)
    mean, variance = moments_nm(image, pixel_nm)
    if sigma_nm > pixel_nm:
        # narrower ones are drawn into so few pixels that these decide where they are
        assert mean == pytest.approx([y_nm, x_nm], abs=0.005 * pixel_nm)
        expected = CUT_VARIANCE * sigma_nm**2 + pixel_nm**2 / 12
        assert variance == pytest.approx([expected, expected], rel=0.01)


def test_a_spot_is_a_gaussian_integrated_over_each_pixel():
    image = render_localizations(table([(303, 406)]), Rendering(), field_nm=FIELD_NM)

    def integral(edge, centre):
        return 0.5 * (1 + erf((edge - centre) / (20 * np.sqrt(2))))

    in_row_30 = integral(310, 303) - integral(300, 303)
    in_column_42 = integral(430, 406) - integral(420, 406)
    # what is cut at three standard deviations is put back evenly, in both directions
    expected = in_row_30 * in_column_42 / 0.9973002**2
    assert image[30, 42] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("mode", ["histogram", "gaussian", "uncertainty", "density"])
def test_the_sum_of_the_image_is_the_number_of_localizations(mode):
    uncertainty_nm = np.random.default_rng(1).uniform(2, 30, 3000)
    localizations = random_table(3000, uncertainty_nm=uncertainty_nm)
    image = render_localizations(
        localizations, Rendering(mode=mode, max_sigma_nm=30), field_nm=FIELD_NM
    )
    assert image.shape == (60, 80)
    assert image.sum(dtype=float) == pytest.approx(3000, rel=1e-5)


def test_each_spot_is_as_wide_as_its_uncertainty():
    config = Rendering(mode="uncertainty", pixel_nm=2, min_sigma_nm=8, max_sigma_nm=40)
    for uncertainty_nm, width_nm in ((20, 20), (3, 8), (90, 40)):
        one = table([(300, 400)], uncertainty_nm=[uncertainty_nm])
        _, variance = moments_nm(render_localizations(one, config, field_nm=FIELD_NM), 2)
        expected = CUT_VARIANCE * width_nm**2 + 4 / 12
        assert variance == pytest.approx([expected, expected], rel=0.01)


def test_an_image_of_many_is_the_sum_of_the_images_of_each():
    # of very different widths, across tiles and beyond the edges
    generator = np.random.default_rng(3)
    positions = generator.uniform(-150, 950, (60, 2))
    widths = np.exp(generator.uniform(np.log(5), np.log(100), 60))
    config = Rendering(mode="uncertainty", pixel_nm=5, min_sigma_nm=5)
    all_together = table(positions, uncertainty_nm=widths)
    image = render_localizations(all_together, config, field_nm=FIELD_NM)
    one_by_one = sum(
        render_localizations(all_together[k : k + 1], config, field_nm=FIELD_NM).astype(float)
        for k in range(60)
    )
    np.testing.assert_allclose(image, one_by_one, atol=1e-6)
    assert image.any(axis=0).all()


@pytest.mark.parametrize("mode", ["histogram", "gaussian"])
def test_a_region_is_cut_from_the_whole_image(mode):
    localizations = random_table(500)
    whole = render_localizations(localizations, Rendering(mode=mode), field_nm=FIELD_NM)
    region = Region(top_nm=200, left_nm=150, height_nm=120, width_nm=310)
    part = render_localizations(
        localizations, Rendering(mode=mode, region=region), field_nm=FIELD_NM
    )
    np.testing.assert_allclose(part, whole[20:32, 15:46], atol=1e-6)


def test_localizations_far_outside_add_nothing():
    far = table([(-5000, 300), (300, 99999)])
    for mode in ("histogram", "gaussian"):
        assert not render_localizations(far, Rendering(mode=mode), field_nm=FIELD_NM).any()


def test_an_uncertainty_that_is_not_known_is_taken_to_be_the_median():
    known = [10.0, 20.0, 60.0]
    positions = [(100, 100), (100, 300), (100, 500), (400, 400)]
    config = Rendering(mode="uncertainty")
    unknown, median = (
        render_localizations(
            table(positions, uncertainty_nm=[*known, last]), config, field_nm=FIELD_NM
        )
        for last in (np.nan, 20.0)
    )
    np.testing.assert_array_equal(unknown, median)


@pytest.mark.parametrize("columns", [{}, {"uncertainty_nm": [np.nan, 0.0]}])
def test_without_any_uncertainty_another_mode_is_asked_for(columns):
    with pytest.raises(InputError, match=r"have no uncertainty_nm .* Choose the mode gaussian"):
        render_localizations(table([(1, 1), (2, 2)], **columns), Rendering(mode="uncertainty"))


def test_by_density_spots_are_as_wide_as_the_distance_to_a_neighbour():
    # a square lattice: four neighbours at 30 nm, the next ones at 42.4 nm
    lattice = np.stack(np.mgrid[0:20, 0:20], axis=-1).reshape(-1, 2) * 30.0
    for neighbours, width_nm in ((4, 30), (5, 30 * np.sqrt(2))):
        config = Rendering(mode="density", neighbours=neighbours, pixel_nm=5)
        field_nm = (900, 900)
        image = render_localizations(table(lattice + 160), config, field_nm=field_nm)
        inside = replace(table(lattice + 160), uncertainty_nm=np.full(400, width_nm))
        same_widths = render_localizations(
            inside, Rendering(mode="uncertainty", pixel_nm=5), field_nm=field_nm
        )
        centre = np.s_[80:100, 80:100]
        np.testing.assert_allclose(image[centre], same_widths[centre], rtol=1e-3)


def test_localizations_without_enough_neighbours_are_drawn_as_wide_as_allowed():
    image = render_localizations(
        table([(300, 400)]), Rendering(mode="density", max_sigma_nm=30), field_nm=FIELD_NM
    )
    wide = render_localizations(table([(300, 400)]), Rendering(sigma_nm=30), field_nm=FIELD_NM)
    np.testing.assert_array_equal(image, wide)


def test_without_a_field_the_image_reaches_to_the_farthest_localization():
    localizations = table([(0, 0), (125, 30), (40, 80)])
    image = render_localizations(localizations, Rendering(mode="histogram"))
    assert image.shape == (13, 9)
    assert image.sum() == 3


def test_a_field_that_is_no_whole_number_of_pixels_is_drawn_to_its_end():
    image = render_localizations(
        table([(99, 1)]), Rendering(mode="histogram", pixel_nm=30), field_nm=(100, 60)
    )
    assert image.shape == (4, 2)
    assert image[3, 0] == 1
    # three times 0.1 is a little more than 0.3
    field_nm = (3 * 0.1, 6 * 0.1)
    assert render_localizations(table([]), Rendering(pixel_nm=0.1), field_nm=field_nm).shape == (
        3,
        6,
    )


@pytest.mark.parametrize("mode", ["histogram", "gaussian", "uncertainty", "density"])
def test_an_empty_table_makes_a_black_image(mode):
    empty = table([], uncertainty_nm=[])
    image = render_localizations(empty, Rendering(mode=mode), field_nm=FIELD_NM)
    assert image.shape == (60, 80)
    assert not image.any()
    assert render_localizations(empty, Rendering(mode=mode)).shape == (1, 1)


def test_an_image_larger_than_4_gib_is_refused():
    with pytest.raises(InputError, match=r"with pixels of 1 nm would have 1000000 x 1000000 px"):
        render_localizations(table([]), Rendering(pixel_nm=1), field_nm=(1e6, 1e6))


def test_widths_in_the_wrong_order_are_refused():
    with pytest.raises(ValidationError, match="min_sigma_nm 50 is above max_sigma_nm 10"):
        Rendering(min_sigma_nm=50, max_sigma_nm=10)
