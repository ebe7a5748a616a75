import numpy as np
import pytest

from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.metrics.localization_statistics import (
    localizations_per_frame,
    photon_distribution,
    sigma_distribution,
)


def table(frame, **columns):
    return Localizations(frame, np.zeros(len(frame)), np.zeros(len(frame)), **columns)


def test_photons_have_the_median_of_the_known_values():
    photons = np.random.default_rng(0).exponential(1000, 5000)
    photons[:50] = np.nan
    result = photon_distribution(table(np.zeros(5000), photons=photons))
    assert result.median.value == pytest.approx(np.nanmedian(photons))
    assert result.median.unit == "photons"
    # an exponential distribution has the median ln 2 times its mean
    assert result.median.value == pytest.approx(1000 * np.log(2), rel=0.05)


def test_the_histogram_leaves_out_one_value_in_two_hundred():
    sigma_nm = np.append(np.random.default_rng(0).normal(130, 10, 999), 1e6)
    result = sigma_distribution(table(np.zeros(1000), sigma_nm=sigma_nm))
    assert result.counts.sum() == 995
    assert result.edges[-1] < 200
    assert result.counts[(result.edges[:-1] < 130).nonzero()[0][-1]] > 10


@pytest.mark.parametrize(
    ("columns", "reason"),
    [({}, "a density map does not tell them"), ({"photons": [np.nan] * 3}, "has a known value")],
)
def test_photons_that_are_not_known_are_no_number(columns, reason):
    result = photon_distribution(table(range(3), **columns))
    assert result.median.value is None
    assert reason in result.median.problem
    assert result.counts.size == 0


def test_equal_values_are_one_bin():
    result = sigma_distribution(table(range(3), sigma_nm=[130.0] * 3))
    assert result.median.value == 130
    assert result.counts.max() == 3


def test_frames_without_localizations_count():
    frame = np.repeat([2, 3, 8], [5, 1, 4])
    result = localizations_per_frame(table(frame), range(2, 12))
    assert result.per_frame.tolist() == [5, 1, 0, 0, 0, 0, 4, 0, 0, 0]
    assert result.edges.tolist() == list(range(2, 13))
    assert result.mean.value == 1


def test_a_long_movie_is_averaged_over_blocks_of_which_the_last_may_be_shorter():
    frame = np.repeat(np.arange(1003), 3)
    result = localizations_per_frame(table(frame), range(1003))
    assert np.diff(result.edges).tolist() == [11] * 91 + [2]
    assert result.per_frame == pytest.approx(3)


def test_bleaching_shows_as_a_fall():
    generator = np.random.default_rng(0)
    frame = generator.exponential(300, 5000).astype(int)
    result = localizations_per_frame(table(frame), range(1000))
    middle = (result.edges[:-1] + result.edges[1:]) / 2
    rate = np.polyfit(middle, np.log(result.per_frame), 1, w=np.sqrt(result.per_frame))[0]
    assert -1 / rate == pytest.approx(300, rel=0.1)


def test_an_empty_table_has_no_localizations_in_any_frame():
    result = localizations_per_frame(Localizations.empty(), range(7))
    assert result.mean.value == 0
    assert not result.per_frame.any()
