import numpy as np
import pytest

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.processing.column_histogram import column_histogram


def table(**columns):
    n = len(next(iter(columns.values())))
    return Localizations(np.arange(n), np.zeros(n), np.zeros(n), **columns)


def test_every_known_value_is_counted_and_an_outlier_does_not_stretch_the_axis():
    photons = np.r_[np.random.default_rng(0).normal(1000, 100, 10_000), 1e9, np.nan, np.inf]
    histogram = column_histogram(table(photons=photons), "photons")
    assert histogram.counts.sum() == 10_001
    assert 500 < histogram.edges[0] < 900
    assert 1100 < histogram.edges[-1] < 2000
    assert (np.diff(histogram.edges) > 0).all()
    middle = np.average((histogram.edges[1:] + histogram.edges[:-1]) / 2, weights=histogram.counts)
    assert middle == pytest.approx(1000, abs=5)


def test_each_of_a_few_whole_numbers_has_a_bar_of_its_own():
    histogram = column_histogram(table(detections=[1, 1, 1, 2, 4]), "detections")
    assert histogram.edges.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert histogram.counts.tolist() == [3, 1, 0, 1]


def test_many_whole_numbers_share_bars_evenly():
    histogram = column_histogram(table(id=np.arange(1000)), "id")
    assert len(set(histogram.counts.tolist())) == 1
    assert histogram.counts.sum() == 1000


def test_one_value_has_an_axis_around_it():
    histogram = column_histogram(table(photons=[7.0, 7.0]), "photons")
    assert histogram.edges[0] < 7 < histogram.edges[-1]
    assert histogram.counts.sum() == 2


def test_a_column_without_known_values_has_no_bars():
    assert column_histogram(table(photons=[np.nan]), "photons").counts.size == 0
    assert column_histogram(Localizations.empty(), "frame").counts.size == 0


def test_a_column_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="Unknown column 'photon'"):
        column_histogram(table(photons=[1.0]), "photon")
