import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.processing.filtering import Filter, Region

LIMITS = st.one_of(st.none(), st.integers(-3, 3).map(float))


def table(photons, **columns):
    n = len(photons)
    return Localizations(np.arange(n), np.zeros(n), np.zeros(n), photons=photons, **columns)


@given(
    values=st.lists(st.integers(-4, 4) | st.just(np.nan)),
    minimum=LIMITS,
    maximum=LIMITS,
    include=st.booleans(),
)
def test_a_filter_keeps_what_lies_between_its_limits(values, minimum, maximum, include):
    lowest = -np.inf if minimum is None else minimum
    highest = np.inf if maximum is None else maximum
    assume(np.isfinite([lowest, highest]).any() and lowest <= highest)
    chosen = Filter(column="photons", minimum=minimum, maximum=maximum, include_limits=include)
    expected = [
        value
        for value in values
        if (lowest <= value <= highest if include else lowest < value < highest)
    ]
    assert chosen.apply(table(np.array(values, float))).photons.tolist() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("photons > 3", [4, 5]),
        ("photons>=3", [3, 4, 5]),
        (" photons < 3 ", [1, 2]),
        ("photons<=3e0", [1, 2, 3]),
        ("frame > 2", [4, 5]),
        ("z [nm] >= -2.5", [1, 2]),
    ],
)
def test_a_filter_is_written_as_a_comparison(text, expected):
    localizations = table(
        [1.0, 2.0, 3.0, 4.0, 5.0], extra={"z [nm]": [-1.0, -2.0, -3.0, -4.0, np.nan]}
    )
    chosen = Filter.from_text(text)
    assert chosen.apply(localizations).photons.tolist() == expected
    assert Filter.from_text(str(chosen)) == chosen


def test_an_infinite_value_is_above_every_minimum():
    kept = Filter(column="photons", minimum=1).apply(table([np.inf, -np.inf, np.nan]))
    assert kept.photons.tolist() == [np.inf]


@pytest.mark.parametrize(
    "text", ["photons", "photons = 5", "photons > many", "> 5", "1 < photons < 5", "photons >"]
)
def test_what_is_no_comparison_is_refused(text):
    with pytest.raises(InputError, match=r"is not a filter\. Compare a column with a number"):
        Filter.from_text(text)


def test_an_unknown_column_gets_a_suggestion():
    with pytest.raises(InputError, match=r"Unknown column 'photon'. Did you mean 'photons'"):
        Filter.from_text("photon > 5").apply(table([1.0]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "give a minimum or a maximum"),
        ({"minimum": 2, "maximum": 1}, "minimum 2 is above maximum 1"),
        ({"minimum": np.nan}, "finite number"),
        ({"min": 2}, "Extra inputs are not permitted"),
    ],
)
def test_a_filter_without_sense_is_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        Filter(**values)


def test_an_empty_table_stays_empty_and_keeps_its_columns():
    kept = Filter(column="photons", minimum=1).apply(Localizations.empty(["photons"]))
    assert list(kept.columns()) == ["frame", "y_nm", "x_nm", "photons"]


def test_a_region_includes_its_upper_and_left_edge_and_moves_nothing():
    localizations = Localizations(
        np.zeros(5), y_nm=[100, 99.9, 299.9, 300, 200], x_nm=[50, 60, 60, 60, 150]
    )
    kept = Region(top_nm=100, left_nm=50, height_nm=200, width_nm=100).apply(localizations)
    assert kept.positions_nm().tolist() == [[100, 50], [299.9, 60]]
