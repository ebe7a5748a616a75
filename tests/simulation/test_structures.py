import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.stats import chisquare

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.simulation.structures import (
    STRUCTURES,
    Filaments,
    LinePairs,
    Random,
    Rings,
    Star,
    Structure,
)

FIELD_NM = (6400.0, 6400.0)
# so sparse that there is one alone
ALONE = 1e-9
STRUCTURE = TypeAdapter(Structure)


def positions_of(structure, *, n=20_000, field_nm=FIELD_NM, seed=0):
    generator = np.random.default_rng(seed)
    return structure.place(field_nm, generator)(n, generator)


def is_clear_of_the_edges(positions, distance_nm):
    return positions.min() > distance_nm and positions.max() < FIELD_NM[0] - distance_nm


def fourier_component(angles, order):
    return abs(np.exp(1j * order * angles).mean())


def across(positions):
    """Distances from the long axis of a straight structure."""
    centred = positions - positions.mean(axis=0)
    return centred @ np.linalg.eigh(np.cov(centred.T))[1][:, 0]


def length_of_curves(positions, within_nm=2.0):
    """Length from the number of neighbours: n points on a length L have n 2d/L within d."""
    neighbours = 2 * len(cKDTree(positions).query_pairs(within_nm)) / len(positions)
    return 2 * within_nm * (len(positions) - 1) / neighbours


def test_random_positions_fill_an_oblong_field_evenly():
    positions = positions_of(Random(), field_nm=(2000.0, 7000.0))
    counts, _, _ = np.histogram2d(*positions.T, bins=(8, 28), range=((0, 2000), (0, 7000)))
    assert chisquare(counts.ravel()).pvalue > 1e-3


@pytest.mark.parametrize("structure", [Filaments(radius_nm=100), Rings(), LinePairs()])
def test_over_many_acquisitions_a_field_is_as_full_at_its_edges_as_everywhere(structure):
    in_frame, in_middle = [], []
    for seed in range(1000):
        from_centre = abs(positions_of(structure, n=300, seed=seed) - 3200).max(axis=1)
        in_frame.append((from_centre > 3160).mean())
        in_middle.append((from_centre < 1600).mean())
    for fractions, area in ((in_frame, 1 - (3160 / 3200) ** 2), (in_middle, 0.25)):
        error = np.std(fractions) / math.sqrt(len(fractions))
        assert np.mean(fractions) == pytest.approx(area, abs=4 * error)
        assert error < 0.04 * area


@pytest.mark.parametrize("field_nm", [(10_000.0, 10_000.0), (4500.0, 18_000.0)])
@pytest.mark.parametrize("persistence_um", [3.0, 100.0])
def test_filaments_have_the_length_per_area_that_was_asked_for(field_nm, persistence_um):
    filaments = Filaments(length_um_per_um2=1.5, radius_nm=0, persistence_um=persistence_um)
    area_nm2 = field_nm[0] * field_nm[1]
    per_um = [
        1000 * length_of_curves(positions_of(filaments, field_nm=field_nm, seed=seed)) / area_nm2
        for seed in range(80)
    ]
    error = np.std(per_um) / math.sqrt(len(per_um))
    assert np.mean(per_um) == pytest.approx(1.5, abs=4 * error)
    assert error < 0.06


def test_a_filament_is_a_hollow_tube_seen_from_above():
    tube = Filaments(length_um_per_um2=ALONE, radius_nm=25, persistence_um=1e9)
    tubes = [positions_of(tube, seed=seed) for seed in range(10)]
    offsets = [across(tube) for tube in tubes if np.ptp(tube, axis=0).max() > 5000]
    assert len(offsets) > 2
    # x = r cos(phi) with phi uniform: mean square r²/2, mean fourth power 3 r⁴/8
    for offset in offsets:
        assert np.mean(offset**2) == pytest.approx(25**2 / 2, rel=0.03)
        assert np.mean(offset**4) == pytest.approx(3 * 25**4 / 8, rel=0.04)
        assert abs(offset).max() < 26


def test_a_filament_bends_as_a_worm_like_chain_of_its_persistence_length():
    # two chords of length s that meet in a point: their mean cosine is exp(-s / 3P) in a plane
    chain = Filaments(length_um_per_um2=ALONE, radius_nm=0, persistence_um=8)
    cosines = []
    for seed in range(400):
        positions = positions_of(chain, n=3000, seed=seed)
        middle = positions[abs(positions - 3200).max(axis=1) < 2100]
        if not len(middle):
            continue
        chords = positions - middle[0]
        chords = chords[abs(np.hypot(*chords.T) - 1000) < 20] / 1000
        forth = chords @ chords[0] > 0
        cosines.append(-chords[forth].mean(axis=0) @ chords[~forth].mean(axis=0))
    error = np.std(cosines) / math.sqrt(len(cosines))
    assert np.mean(cosines) == pytest.approx(math.exp(-1 / 24), abs=4 * error)
    assert error < 0.01


def test_filaments_run_in_all_directions():
    tube = Filaments(length_um_per_um2=ALONE, radius_nm=0, persistence_um=1e9)
    tubes = [positions_of(tube, n=50, seed=seed) for seed in range(600)]
    y, x = np.array([p[p[:, 0].argmax()] - p[p[:, 0].argmin()] for p in tubes]).T
    # as many long as short ones in every direction would favour the diagonals of the field
    length = np.hypot(y, x)
    for order in (2, 4):
        mean = abs((length * np.exp(1j * order * np.arctan2(y, x))).mean())
        assert mean < 2.5 * np.sqrt(np.mean(length**2) / 600)


def test_filaments_end_at_the_edges_of_the_field():
    tube = Filaments(length_um_per_um2=ALONE, radius_nm=0, persistence_um=15)
    for seed in range(5):
        positions = positions_of(tube, n=5000, seed=seed)
        tree = cKDTree(positions)
        around = tree.query_ball_point(positions, 30)
        lopsided = [
            np.hypot(*(positions[near].mean(axis=0) - position)) > 12
            for position, near in zip(positions, around, strict=True)
        ]
        ends = positions[lopsided]
        assert np.minimum(ends, np.array(FIELD_NM) - ends).min(axis=1).max() < 20


def test_a_ring_has_its_radius_and_the_symmetry_of_its_corners():
    ring = positions_of(Rings(per_um2=ALONE, jitter_nm=2))
    from_centre = ring - ring.mean(axis=0)
    distance = np.hypot(*from_centre.T)
    # 107 nm across (Thevathasan et al. 2019); jitter adds its variance in y and in x
    assert np.mean(distance**2) == pytest.approx(53.5**2 + 2 * 2**2, rel=2e-3)
    angles = np.arctan2(*from_centre.T)
    spread = 2 / 53.5
    assert fourier_component(angles, 8) == pytest.approx(
        math.exp(-((8 * spread) ** 2) / 2), abs=5e-3
    )
    for order in (1, 2, 3, 4, 5, 6, 7, 9):
        assert fourier_component(angles, order) < 0.03


def test_a_ring_without_corners_is_continuous():
    ring = positions_of(Rings(per_um2=ALONE, corners=0, jitter_nm=0))
    angles = np.arctan2(*(ring - ring.mean(axis=0)).T)
    assert all(fourier_component(angles, order) < 0.03 for order in range(1, 17))


def ring_centres(rings, seed):
    """Centres of rings with two corners: midpoints of positions one diameter apart."""
    corners = np.unique(positions_of(rings, seed=seed).round(6), axis=0)
    pairs = cKDTree(corners).query_pairs(2 * 53.5 + 1e-4, output_type="ndarray")
    distance = np.hypot(*(corners[pairs[:, 0]] - corners[pairs[:, 1]]).T)
    return corners[pairs[distance > 2 * 53.5 - 1e-4]].mean(axis=1)


@pytest.mark.parametrize(("per_um2", "fewest", "most"), [(8, 7.0, 8.8), (1000, 35, 61)])
def test_rings_do_not_overlap_and_are_fewer_where_there_is_no_room(per_um2, fewest, most):
    # random discs jam where they cover 0.547 of the area: 61 per µm² of this size
    rings = Rings(per_um2=per_um2, corners=2, jitter_nm=0)
    found = [ring_centres(rings, seed) for seed in range(5)]
    for centres in found:
        assert cKDTree(centres).query(centres, k=2)[0][:, 1].min() > 2 * 53.5 - 1e-3
    assert fewest < sum(map(len, found)) / (5 * 6.4**2) < most


def test_the_lines_of_a_pair_are_their_spacing_apart():
    found = 0
    for seed in range(20):
        pair = positions_of(LinePairs(per_um2=ALONE, spacing_nm=60, width_nm=5), seed=seed)
        if not is_clear_of_the_edges(pair, 20):
            continue
        found += 1
        offset = across(pair)
        left, right = offset[offset < 0], offset[offset > 0]
        error = 5 * math.sqrt(1 / len(left) + 1 / len(right))
        assert right.mean() - left.mean() == pytest.approx(60, abs=4 * error)
        assert left.std() == pytest.approx(5, rel=0.03)
        assert len(left) == pytest.approx(len(right), rel=0.06)
        assert np.ptp(pair @ np.linalg.eigh(np.cov(pair.T))[1][:, 1]) == pytest.approx(1000, abs=2)
    assert found > 5


def test_line_pairs_keep_clear_of_each_other():
    pairs = LinePairs(per_um2=5, length_nm=500, spacing_nm=40, width_nm=0)
    positions = positions_of(pairs, n=40_000)
    neighbours = cKDTree(positions).sparse_distance_matrix(cKDTree(positions), 10)
    _, labels = connected_components(neighbours)
    lines = [positions[labels == label] for label in np.unique(labels)]
    # crossing lines would be joined to something that is not straight
    assert len(lines) > 50
    assert all(abs(across(line)).max() < 1e-6 for line in lines if len(line) > 2)


@pytest.mark.parametrize("radius_nm", [0, 2000])
def test_a_star_has_as_many_spokes_as_fit_around_its_rim(radius_nm):
    positions = positions_of(Star(spacing_nm=300, radius_nm=radius_nm)) - 3200
    radius_nm = radius_nm or 3200
    distance = np.hypot(*positions.T)
    assert distance.max() == pytest.approx(radius_nm, rel=1e-3)
    # evenly per area: the squared distance is uniform
    counts = np.histogram(distance**2, bins=20, range=(0, radius_nm**2))[0]
    assert chisquare(counts).pvalue > 1e-3
    spokes = round(2 * math.pi * radius_nm / 300)
    shell = positions[abs(distance - radius_nm / 2) < radius_nm / 8]
    angles = np.arctan2(*shell.T)
    # wedges of half the period: the first harmonic is sin(pi/2) / (pi/2)
    assert fourier_component(angles, spokes) == pytest.approx(2 / math.pi, abs=0.03)
    others = set(range(1, 2 * spokes)) - {spokes}
    assert max(fourier_component(angles, order) for order in others) < 0.06


def test_a_star_is_cut_by_a_smaller_field():
    positions = positions_of(Star(radius_nm=1e6), n=4000)
    counts, _, _ = np.histogram2d(*positions.T, bins=2, range=((0, 6400),) * 2)
    assert counts.min() > 900


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_same_generator_state_places_the_same_positions(name):
    structure = STRUCTURES[name]()
    first, again, other = (positions_of(structure, n=50, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@given(
    name=st.sampled_from(list(STRUCTURES)),
    height=st.floats(300, 9000),
    width=st.floats(300, 9000),
    seed=st.integers(0, 2**32),
    n=st.integers(0, 300),
)
@settings(max_examples=150, deadline=None)
def test_exactly_as_many_positions_as_asked_for_lie_inside_the_field(name, height, width, seed, n):
    positions = positions_of(STRUCTURES[name](), n=n, field_nm=(height, width), seed=seed)
    assert positions.shape == (n, 2)
    assert (positions >= 0).all()
    assert (positions < (height, width)).all()


@pytest.mark.parametrize(
    "structure",
    [
        Filaments(radius_nm=400, length_um_per_um2=ALONE),
        Filaments(persistence_um=0.01),
        Rings(per_um2=1e30),
        Rings(radius_nm=400, jitter_nm=800, per_um2=ALONE, corners=1),
        LinePairs(length_nm=1e9, per_um2=100),
        LinePairs(spacing_nm=800, length_nm=1, width_nm=800),
        Star(spacing_nm=1256, radius_nm=0),
        Star(spacing_nm=1e-3, radius_nm=1e9),
    ],
)
def test_odd_parameters_find_places_in_a_field_of_8_pixels(structure):
    for seed in range(10):
        positions = positions_of(structure, n=100, field_nm=(800.0, 800.0), seed=seed)
        assert positions.shape == (100, 2)
        assert (positions >= 0).all()
        assert (positions < 800).all()


def test_a_range_gives_every_acquisition_its_own_number():
    radii = []
    for seed in range(40):
        ring = positions_of(
            Rings(per_um2=ALONE, radius_nm="40:60", jitter_nm=0, corners=0), n=2000, seed=seed
        )
        radii.append(np.hypot(*(ring - ring.mean(axis=0)).T).mean())
    assert 39.9 < min(radii) < 43
    assert 57 < max(radii) < 60.1


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        (Filaments(radius_nm=[20, 500]), r"filaments: radius_nm .*1000 nm.*800 x 900 nm"),
        (Rings(radius_nm=401), r"rings: radius_nm .*802 nm.*smaller radius_nm or a larger field"),
        (Rings(jitter_nm=801), r"rings: jitter_nm .*801 nm"),
        (LinePairs(spacing_nm=[50, 900]), r"line_pairs: spacing_nm .*900 nm"),
        (LinePairs(width_nm=1e4), r"line_pairs: width_nm .*10000 nm"),
        (Star(spacing_nm=[100, 2000]), r"star: spacing_nm 2000 .*radius 400 nm"),
        (Star(radius_nm=10), r"star: spacing_nm 400 .*radius 10 nm"),
        (Star(radius_nm=1e300), r"star: .*too many spokes .*radius 1e\+300 nm. Give both in nm"),
        (Star(spacing_nm=1e-300), r"star: spacing_nm 1e-300 makes too many spokes"),
        (Filaments(length_um_per_um2=[1, 1e8]), r"length_um_per_um2 1e\+08 would be .*Give µm"),
        (LinePairs(per_um2=1e30, length_nm=1e-9, spacing_nm=1e-9), r"line_pairs: per_um2 1e\+30"),
    ],
)
def test_a_structure_that_does_not_fit_the_field_is_refused(structure, message):
    with pytest.raises(InputError, match=message):
        structure.place((800.0, 900.0), np.random.default_rng(0))


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_name_alone_stands_for_the_defaults(name):
    assert STRUCTURE.validate_python(name) == STRUCTURES[name]()
    assert STRUCTURES[name]().kind == name


def test_a_structure_survives_json():
    rings = STRUCTURE.validate_python({"kind": "rings", "radius_nm": "40:60", "per_um2": 3})
    assert STRUCTURE.validate_json(STRUCTURE.dump_json(rings)) == rings


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("filament", r"Unknown structure 'filament'. Did you mean 'filaments'\?"),
        ({"kind": "line-pair"}, r"Did you mean 'line_pairs'\?"),
        ({"kind": ["rings"]}, "kind"),
        ({"corners": 8}, "kind"),
        ({"kind": "rings", "radius_nm": -3}, r"radius_nm\n.*-3 is not above 0"),
        ({"kind": "rings", "corners": -1}, r"corners\n.*greater than or equal to 0"),
        ({"kind": "rings", "corners": 10**22}, r"corners\n.*less than or equal to 1000"),
        ({"kind": "star", "jitter_nm": 3}, r"jitter_nm\n.*not permitted"),
    ],
)
def test_bad_parameters_are_refused_by_name(value, message):
    with pytest.raises(ValidationError, match=message):
        STRUCTURE.validate_python(value)


def test_every_parameter_is_described_in_one_line():
    for structure in STRUCTURES.values():
        for name, field in structure.model_fields.items():
            assert field.description, name
            assert "\n" not in field.description
