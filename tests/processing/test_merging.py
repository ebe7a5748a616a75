import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.processing import merging
from napari_dl4smlm.backend.processing.merging import Merge, link
from napari_dl4smlm.backend.simulation.blinking import Blinking
from napari_dl4smlm.backend.simulation.config import MovieConfig, SimulationConfig
from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie


def along_x(frame, x_nm, **columns):
    return Localizations(frame, np.zeros(len(frame)), x_nm, **columns)


def test_blinking_molecules_are_counted():
    config = SimulationConfig(
        density=(0.005, 0.005), blinking=Blinking(on_frames=(3, 3), blinks=(1, 1))
    )
    truth = SimulatedMovie(MovieConfig(frames=500, height=128, width=128, simulation=config)).truth
    molecules = len(np.unique(truth.positions_nm(), axis=0))
    shuffled = truth[np.random.default_rng(0).permutation(len(truth))]
    noise = np.random.default_rng(1).normal(0, 10, (2, len(truth)))
    found = Localizations(shuffled.frame, shuffled.y_nm + noise[0], shuffled.x_nm + noise[1])
    merged = Merge(radius_nm=60, max_dark_frames=0).apply(found)
    assert molecules > 100
    assert len(merged) == molecules
    assert merged.detections.sum() == len(truth)


@pytest.mark.parametrize(("max_dark_frames", "molecules"), [(0, 4), (1, 3), (2, 2), (50, 2)])
def test_dark_frames_are_bridged_up_to_the_most_that_are_allowed(max_dark_frames, molecules):
    frames = along_x([3, 4, 6, 9, 9], [0, 0, 0, 0, 500])
    assert link(frames, 50, max_dark_frames).max() + 1 == molecules


def test_the_radius_is_the_largest_distance_from_frame_to_frame_and_counts_itself():
    assert link(along_x([0, 1, 2], [0, 50, 100]), 50, 0).tolist() == [0, 0, 0]
    assert link(along_x([0, 1], [0, 50.001]), 50, 0).tolist() == [0, 1]
    diagonal = Localizations([0, 1], [0, 40], [0, 40])
    assert link(diagonal, 50, 0).tolist() == [0, 1]


def test_two_molecules_are_never_joined_into_one():
    # both are near to the one of frame 1, which goes on with the nearer of them
    assert link(along_x([0, 0, 1], [0, 30, 20]), 50, 0).tolist() == [0, 1, 1]
    assert link(along_x([0, 0], [0, 1]), 50, 5).tolist() == [0, 1]


def test_the_earlier_frame_comes_before_the_nearer_position():
    assert link(along_x([0, 1, 2], [0, 40, 0]), 45, 1).tolist() == [0, 0, 0]


def by_hand(frame, position, radius, max_dark_frames):
    """Link greedily, pair by pair, and number the chains by their first row."""
    n = len(frame)
    pairs = sorted(
        (frame[j] - frame[i], abs(position[j] - position[i]), i, j)
        for i in range(n)
        for j in range(n)
        if 0 < frame[j] - frame[i] <= max_dark_frames + 1
        and abs(position[j] - position[i]) <= radius
    )
    following, preceding = {}, {}
    for _, _, i, j in pairs:
        if i not in following and j not in preceding:
            following[i], preceding[j] = j, i
    chain = {}
    for number, start in enumerate(
        sorted(set(range(n)) - preceding.keys(), key=lambda i: frame[i])
    ):
        while start is not None:
            chain[start] = number
            start = following.get(start)
    return [chain[i] for i in range(n)]


@given(
    rows=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 300)), max_size=12),
    max_dark_frames=st.integers(0, 3),
    seed=st.integers(0, 5),
)
def test_links_are_those_found_one_by_one(rows, max_dark_frames, seed):
    frame = [row[0] for row in rows]
    # distances that differ, for an order without ties
    jitter = np.random.default_rng(seed).uniform(0, 1, len(rows))
    x = np.array([row[1] for row in rows], float) + jitter
    expected = by_hand(frame, x, 60.5, max_dark_frames)
    assert link(along_x(frame, x), 60.5, max_dark_frames).tolist() == expected


def test_merged_values_are_those_of_the_sum_of_the_frames():
    merged = Merge(radius_nm=50).apply(
        along_x(
            [7, 5, 6],
            [0.0, 10.0, 40.0],
            photons=[100.0, 300.0, 600.0],
            background=[1.0, 2.0, 3.0],
            sigma_nm=[100.0, 110.0, 120.0],
            uncertainty_nm=[10.0, 6.0, 3.0],
            confidence=[0.5, 0.6, 0.7],
            id=[1, 2, 3],
            extra={"chi2": [10.0, 20.0, 30.0]},
        )
    )
    columns = {name: values.tolist() for name, values in merged.columns().items()}
    assert columns == {
        "frame": [5],
        "y_nm": [0],
        "x_nm": [pytest.approx(0.1 * 0 + 0.3 * 10 + 0.6 * 40)],
        "photons": [1000],
        "background": [6],
        "sigma_nm": [pytest.approx(115)],
        "uncertainty_nm": [pytest.approx(np.sqrt(1.0**2 + 1.8**2 + 1.8**2))],
        "confidence": [pytest.approx(0.65)],
        "detections": [3],
        "chi2": [pytest.approx(25)],
    }


def test_the_uncertainty_of_the_merged_is_the_scatter_of_their_positions():
    generator = np.random.default_rng(0)
    n_molecules, n_frames = 2000, 4
    x = generator.normal(np.arange(n_molecules)[:, None] * 1000, 10, (n_molecules, n_frames))
    frame = np.broadcast_to(np.arange(n_frames), x.shape)
    photons = generator.uniform(100, 1000, x.shape)
    merged = Merge(radius_nm=90).apply(
        along_x(
            frame.ravel(), x.ravel(), photons=photons.ravel(), uncertainty_nm=np.full(x.size, 10)
        )
    )
    assert len(merged) == n_molecules
    error = (merged.x_nm - np.arange(n_molecules) * 1000) / merged.uncertainty_nm
    assert error.std() == pytest.approx(1, rel=0.05)


def test_without_photons_all_frames_weigh_the_same():
    assert Merge().apply(along_x([0, 1], [0, 10])).x_nm.tolist() == [5]
    unknown = Merge().apply(along_x([0, 1, 5], [0, 10, 900], photons=[np.nan, 7, 5]))
    assert unknown.x_nm.tolist() == [5, 900]
    np.testing.assert_array_equal(unknown.photons, [np.nan, 5])
    for useless in (0, -1, np.inf):
        merged = Merge().apply(along_x([0, 1], [0, 10], photons=[useless, 7]))
        assert merged.x_nm.tolist() == [5]


def test_a_value_that_is_not_known_of_one_frame_is_not_known_of_the_molecule():
    merged = Merge().apply(along_x([0, 1, 9], [0, 0, 0], sigma_nm=[np.nan, 100, 100]))
    np.testing.assert_array_equal(merged.sigma_nm, [np.nan, 100])


def test_merging_again_adds_up_the_detections():
    once = Merge(max_dark_frames=0).apply(along_x([0, 1, 3, 4, 5], np.zeros(5)))
    assert once.detections.tolist() == [2, 3]
    again = Merge(max_dark_frames=2).apply(once)
    assert again.detections.tolist() == [5]


def test_molecules_come_in_the_order_in_which_they_appear():
    merged = Merge().apply(along_x([9, 2, 3, 0], [0, 500, 500, 900]))
    assert merged.frame.tolist() == [0, 2, 9]


def test_within_one_frame_nothing_is_even_compared(monkeypatch):
    # all pairs of a dense table that has lost its frames would fill the memory
    monkeypatch.setattr(merging.scipy.spatial, "cKDTree", None)
    lost = Localizations(np.full(9, 4), np.zeros(9), np.zeros(9))
    assert len(Merge().apply(lost)) == 9


def test_an_empty_table_and_a_single_localization_are_merged_with_nothing():
    empty = Merge().apply(Localizations.empty(["photons"]))
    assert list(empty.columns()) == ["frame", "y_nm", "x_nm", "photons", "detections"]
    assert len(empty) == 0
    single = Merge().apply(along_x([4], [20], photons=[50]))
    assert single.x_nm.tolist() == [20]
    assert single.detections.tolist() == [1]
