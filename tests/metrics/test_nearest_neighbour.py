import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import curve_fit
from scipy.spatial import KDTree

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm
from napari_dl4smlm.backend.metrics.nearest_neighbour import nearest_neighbour_precision

FIELD_NM = 6400


def anywhere(generator, count):
    return generator.uniform(0, FIELD_NM, (count, 2))


def on_filaments(generator, count):
    """On eight straight filaments, 24 nm wide."""
    rise, slope = generator.uniform(0, FIELD_NM, 8), generator.uniform(-0.5, 0.5, 8)
    which, x_nm = generator.integers(0, 8, count), generator.uniform(0, FIELD_NM, count)
    y_nm = rise[which] + slope[which] * x_nm + generator.normal(0, 12, count)
    return np.column_stack([y_nm, x_nm])


def blinking(*, sigma_nm, per_frame, on_frames=3.0, frames=400, place=anywhere, seed=0):
    """Molecules that shine once, for a geometrically distributed time, with known precision."""
    generator = np.random.default_rng(seed)
    count = round(per_frame * frames / on_frames)
    places = place(generator, count)
    lasts = generator.geometric(1 / on_frames, count)
    molecule = np.repeat(np.arange(count), lasts)
    since = np.arange(lasts.sum()) - np.repeat(np.cumsum(lasts) - lasts, lasts)
    frame = generator.integers(0, frames, count)[molecule] + since
    y_nm, x_nm = (places[molecule] + generator.normal(0, sigma_nm, (len(molecule), 2))).T
    return Localizations(frame, y_nm, x_nm)[frame < frames]


@pytest.mark.parametrize("place", [anywhere, on_filaments])
@pytest.mark.parametrize(
    ("sigma_nm", "per_frame"),
    [(2, 10), (8, 10), (15, 10), (15, 100), (30, 40)],
)
def test_the_precision_of_simulated_molecules_is_recovered(place, sigma_nm, per_frame):
    table = blinking(sigma_nm=sigma_nm, per_frame=per_frame, place=place)
    result = nearest_neighbour_precision(table)
    pairs = result.counts.sum() - result.by_chance.sum()
    # four standard errors of a Rayleigh distribution's parameter
    assert result.precision.value == pytest.approx(sigma_nm, rel=0.01 + 2 / np.sqrt(pairs))
    assert result.precision.unit == "nm"
    assert result.expected.sum() == pytest.approx(result.counts.sum(), rel=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_a_few_lasting_molecules_are_told_from_a_crowd_of_others(seed):
    # one in eleven is seen again, and others are as close by chance
    table = blinking(sigma_nm=4, per_frame=150, on_frames=1.1, place=on_filaments, seed=seed)
    assert nearest_neighbour_precision(table).precision.value == pytest.approx(4, rel=0.08)


@pytest.mark.parametrize("place", [anywhere, on_filaments])
@pytest.mark.parametrize("per_frame", [5, 40, 150])
def test_molecules_that_never_last_have_no_precision_however_dense_they_are(place, per_frame):
    table = blinking(sigma_nm=15, per_frame=per_frame, on_frames=1, place=place)
    result = nearest_neighbour_precision(table)
    assert result.precision.value is None
    assert "100 frames later as in the next frame" in result.precision.problem
    assert result.expected.size == 0
    # as many by chance as in the next frame
    assert result.counts.sum() == pytest.approx(result.by_chance.sum(), rel=0.1, abs=30)


def test_the_published_function_fits_the_same_precision_where_molecules_are_sparse():
    table = blinking(sigma_nm=12, per_frame=8)
    result = nearest_neighbour_precision(table)
    distance_nm = (result.edges_nm[:-1] + result.edges_nm[1:]) / 2

    # Endesfelder et al. (2014), eq. 1
    def published(d, sigma, a1, a2, omega, centre, a3):
        pairs = a1 * d / (2 * sigma**2) * np.exp(-(d**2) / (4 * sigma**2))
        return pairs + a2 * np.exp(-((d - centre) ** 2) / (2 * omega**2)) + a3 * d

    start = [10, result.counts.sum(), 0, 100, 200, 0]
    bounds = ([1, 0, 0, 50, 100, 0], [50, np.inf, np.inf, 500, 600, np.inf])
    parameters, _ = curve_fit(published, distance_nm, result.counts, p0=start, bounds=bounds)
    assert result.precision.value == pytest.approx(parameters[0], rel=0.03)
    assert result.precision.value == pytest.approx(12, rel=0.03)


def test_the_displacements_that_locan_finds_have_the_same_precision():
    table = blinking(sigma_nm=12, per_frame=6, frames=60)
    columns = {"position_x": table.x_nm, "position_y": table.y_nm, "frame": table.frame}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the many libraries that locan imports and calls
        locan = pytest.importorskip("locan")
        data = locan.LocData.from_dataframe(dataframe=pd.DataFrame(columns))
        found = locan.LocalizationPrecision(radius=60).compute(data)
    theirs = found.results["position_delta_x"].std() / np.sqrt(2)
    ours = nearest_neighbour_precision(table).precision.value
    assert ours == pytest.approx(theirs, rel=0.1)


def test_neighbours_are_counted_in_the_next_frame_only():
    table = blinking(sigma_nm=10, per_frame=6, frames=40)
    result = nearest_neighbour_precision(table, max_distance_nm=150)
    assert result.later_frames == 19
    for later, counts in ((1, result.counts), (19, result.by_chance)):
        distances = []
        for frame in range(40 - 19):
            here, there = (
                table.in_frames(range(number, number + 1)).positions_nm()
                for number in (frame, frame + later)
            )
            if len(there) and len(here):
                distances.extend(KDTree(there).query(here)[0])
        expected, _ = np.histogram(distances, result.edges_nm)
        assert counts.tolist() == expected.tolist()


def test_order_place_and_first_frame_do_not_matter_and_lengths_scale():
    table = blinking(sigma_nm=10, per_frame=10)
    expected = nearest_neighbour_precision(table).precision.value
    shuffled = table[np.random.default_rng(0).permutation(len(table))]
    moved = Localizations(shuffled.frame + 777, shuffled.y_nm + 1e4, shuffled.x_nm)
    assert nearest_neighbour_precision(moved).precision.value == pytest.approx(expected, rel=1e-3)
    doubled = Localizations(table.frame, 2 * table.y_nm, 2 * table.x_nm)
    result = nearest_neighbour_precision(doubled, max_distance_nm=600)
    assert result.precision.value == pytest.approx(2 * expected, rel=1e-3)


def test_the_precision_that_picasso_expects_of_its_fits_is_close(third_party_data):
    pytest.importorskip("h5py")
    from napari_dl4smlm.backend.localizations.picasso import read_picasso

    table = read_picasso(third_party_data / "picasso" / "testdata_locs.hdf5").localizations
    # Picasso's is the Cramér-Rao bound of each fit, which no estimator can fall below
    bound_nm = np.median(table.uncertainty_nm)
    assert 0.95 < nearest_neighbour_precision(table).precision.value / bound_nm < 1.5


def test_a_crowded_movie_in_which_no_molecule_lasts_has_no_precision(third_party_data):
    # 250 in each frame: the published function finds some 100 nm here
    table = read_thunderstorm(third_party_data / "deepstorm_demo1" / "positions_demo1.csv")
    result = nearest_neighbour_precision(table).precision
    assert result.value is None
    assert "As many neighbours are found 9 frames later" in result.problem


def merged(table):
    detections = np.full(len(table), 3)
    return Localizations(table.frame, table.y_nm, table.x_nm, detections=detections)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (Localizations.empty(), "no localizations"),
        (Localizations([3] * 200, [1.0] * 200, [1.0] * 200), "lie within 1 frame;"),
        (blinking(sigma_nm=10, per_frame=50, frames=4), "lie within 4 frames; it takes at least 5"),
        (blinking(sigma_nm=10, per_frame=0.2), "were found twice; it takes 100"),
        (blinking(sigma_nm=90, per_frame=5), "by more than 75 nm"),
        (merged(blinking(sigma_nm=10, per_frame=10)), "are merged in this table"),
    ],
)
def test_what_has_no_precision_says_why_instead_of_a_number(table, reason):
    result = nearest_neighbour_precision(table).precision
    assert result.value is None
    assert reason in result.problem


def test_a_distance_that_is_none_is_refused():
    with pytest.raises(InputError, match="largest distance is 0 nm"):
        nearest_neighbour_precision(Localizations.empty(), max_distance_nm=0)
