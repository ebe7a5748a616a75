import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations


def table(frame, **columns):
    rows = np.arange(len(frame), dtype=float)
    return Localizations(frame=np.array(frame), y_nm=rows, x_nm=rows + 0.5, **columns)


def test_columns_are_converted_to_64_bits_and_come_in_a_fixed_order():
    localizations = Localizations(
        id=np.array([7.0, 8.0]),
        x_nm=[1, 2],
        y_nm=np.array([3, 4], dtype=np.float32),
        frame=np.array([0, 5], dtype=np.uint16),
        confidence=(0.5, 1),
    )
    columns = localizations.columns()
    assert list(columns) == ["frame", "y_nm", "x_nm", "confidence", "id"]
    assert [column.dtype for column in columns.values()] == ["i8", "f8", "f8", "f8", "i8"]
    assert localizations.frame.tolist() == [0, 5]
    assert localizations.id.tolist() == [7, 8]


def test_extra_columns_are_taken_along_and_come_last():
    localizations = table(
        [3, 1, 2], extra={"z [nm]": [1, 2, 3], "chi2": [4.0, np.nan, 6.0]}, id=[7, 8, 9]
    )
    assert list(localizations.columns()) == ["frame", "y_nm", "x_nm", "id", "z [nm]", "chi2"]
    taken = localizations.sorted_by_frame()
    assert taken.extra["z [nm]"].tolist() == [2.0, 3.0, 1.0]
    joined = Localizations.concatenate([taken, taken])
    assert joined.column("chi2")[-1] == 4.0
    again = Localizations.from_columns(localizations.columns())
    assert list(again.extra) == ["z [nm]", "chi2"]


def test_a_column_is_found_by_its_name_or_one_like_it_is_suggested():
    localizations = table([0, 1], photons=[5.0, 6.0])
    assert localizations.column("photons").tolist() == [5.0, 6.0]
    with pytest.raises(InputError, match=r"Unknown column 'photon'. Did you mean 'photons'"):
        localizations.column("photon")


def test_float64_columns_are_not_copied():
    y_nm = np.zeros(3)
    assert Localizations(np.arange(3), y_nm, y_nm).y_nm is y_nm


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"frame": [0, -1]}, r"'frame' holds -1 in row 1 .* frames count from 0"),
        ({"frame": [0.0, 1.5]}, r"'frame' holds 1\.5 in row 1 .* whole numbers"),
        ({"frame": [np.nan, 1.0]}, r"'frame' holds nan in row 0 .* whole numbers"),
        ({"frame": [0.0, 1e30]}, r"'frame' holds 1e\+30 in row 1 .* whole numbers"),
        ({"id": [1.0, np.inf]}, r"'id' holds inf in row 1 .* whole numbers"),
        ({"y_nm": [1.0, np.nan]}, r"'y_nm' holds nan in row 1 .* finite"),
        ({"x_nm": [np.inf, 0.0]}, r"'x_nm' holds inf in row 0 .* finite"),
        ({"photons": [1.0, 2.0, 3.0]}, r"'photons' has 3 rows, but 'frame' has 2"),
        ({"y_nm": [[1.0, 2.0]]}, r"'y_nm' has 2 dimensions, shape \(1, 2\)"),
        ({"frame": 0}, r"'frame' has 0 dimensions"),
        ({"photons": ["many", "few"]}, r"'photons' holds <U4 values. Give numbers"),
        ({"frame": [True, False]}, r"'frame' holds bool values"),
        ({"detections": [1.5, 1.0]}, r"'detections' holds 1\.5 in row 0 .* whole numbers"),
        ({"extra": {"z [nm]": [1.0]}}, r"'z \[nm\]' has 1 rows, but 'frame' has 2"),
        ({"extra": {"photons": [1.0, 2.0]}}, r"'photons' is not an extra column"),
    ],
)
def test_a_bad_column_is_refused_by_name_row_and_value(columns, message):
    good = {"frame": [0, 1], "y_nm": [0.0, 0.0], "x_nm": [0.0, 0.0]}
    with pytest.raises(InputError, match=message):
        Localizations(**(good | columns))


def test_an_unknown_uncertainty_may_be_nan():
    assert np.isnan(table([0], uncertainty_nm=[np.nan]).uncertainty_nm[0])


@pytest.mark.parametrize(
    "rows", [slice(1, 3), np.array([False, True, True, False]), np.array([1, 2])]
)
def test_a_slice_a_mask_and_indices_take_the_same_rows_of_every_column(rows):
    localizations = table([4, 3, 2, 1], photons=[10.0, 11.0, 12.0, 13.0], id=[5, 6, 7, 8])
    taken = localizations[rows]
    assert len(taken) == 2
    assert taken.frame.tolist() == [3, 2]
    assert taken.y_nm.tolist() == [1.0, 2.0]
    assert taken.x_nm.tolist() == [1.5, 2.5]
    assert taken.photons.tolist() == [11.0, 12.0]
    assert taken.id.tolist() == [6, 7]
    assert taken.sigma_nm is None


@given(
    frame=st.lists(st.integers(0, 30)),
    frames=st.builds(
        range, st.integers(-5, 35), st.integers(-5, 35), st.integers(-4, 4).filter(bool)
    ),
)
def test_in_frames_takes_the_rows_whose_frame_is_in_the_range(frame, frames):
    localizations = table(frame)
    expected = [row for row, number in enumerate(frame) if number in frames]
    assert localizations.in_frames(frames).y_nm.tolist() == expected


def test_sorting_by_frame_keeps_the_order_within_a_frame():
    frame = np.random.default_rng(0).integers(0, 5, 200)
    localizations = table(frame).sorted_by_frame()
    expected = sorted(range(200), key=lambda row: (frame[row], row))
    assert localizations.y_nm.tolist() == expected
    assert localizations.frame.tolist() == sorted(frame)


def test_positions_come_in_the_order_y_x():
    localizations = Localizations(np.zeros(2), y_nm=[1, 2], x_nm=[30, 40])
    np.testing.assert_array_equal(localizations.positions_nm(), [[1, 30], [2, 40]])
    assert Localizations.empty().positions_nm().shape == (0, 2)


def test_an_empty_table_has_the_columns_asked_for():
    localizations = Localizations.empty(["photons", "id"])
    assert len(localizations) == 0
    assert list(localizations.columns()) == ["frame", "y_nm", "x_nm", "photons", "id"]
    assert localizations.frame.dtype == np.int64
    with pytest.raises(InputError, match=r"Unknown column 'photon'. Did you mean 'photons'"):
        Localizations.empty(["photon"])


def test_concatenating_keeps_the_order_and_the_columns_that_all_tables_with_rows_have():
    joined = Localizations.concatenate(
        [
            table([3], photons=[1.0], sigma_nm=[100.0]),
            Localizations.empty(["background"]),
            table([0, 1], confidence=[0.1, 0.2], photons=[2.0, 3.0]),
        ]
    )
    assert list(joined.columns()) == ["frame", "y_nm", "x_nm", "photons"]
    assert joined.frame.tolist() == [3, 0, 1]
    assert joined.photons.tolist() == [1.0, 2.0, 3.0]


def test_concatenating_nothing_gives_an_empty_table():
    assert len(Localizations.concatenate([])) == 0
    joined = Localizations.concatenate(
        [Localizations.empty(["photons", "id"]), Localizations.empty(["photons"])]
    )
    assert list(joined.columns()) == ["frame", "y_nm", "x_nm", "photons"]


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(1, 7))
def test_the_parts_of_a_table_concatenate_to_the_table(frame, part_length):
    localizations = table(frame, photons=np.arange(len(frame)))
    parts = [localizations[start : start + part_length] for start in range(0, 20, part_length)]
    joined = Localizations.concatenate(parts)
    for name, values in localizations.columns().items():
        np.testing.assert_array_equal(joined.columns()[name], values)


def test_the_field_of_view_reaches_from_the_outer_corner_to_where_its_last_pixel_ends():
    last_y_nm, last_x_nm = np.nextafter([3200.0, 6400.0], 0)
    corners = Localizations([0, 0], [0.0, last_y_nm], [0.0, last_x_nm])
    corners.check_inside(32, 64, 100.0)


@pytest.mark.parametrize(("y_nm", "x_nm"), [(3200.0, 1.0), (-0.1, 1.0), (1.0, 6400.0), (1.0, -0.1)])
def test_the_first_position_beyond_each_edge_is_outside(y_nm, x_nm):
    localizations = Localizations([0, 9], [0.0, y_nm], [0.0, x_nm])
    with pytest.raises(
        InputError, match=rf"1 of 2 .* row 1: frame 9, y {y_nm:g} nm, x {x_nm:g} nm"
    ):
        localizations.check_inside(32, 64, 100.0)


def test_positions_outside_are_counted_and_the_first_is_named_with_what_may_be_wrong():
    swapped = Localizations([4, 5, 6], [10.0, 5000.0, -1.0], [0.0, 20.0, 20.0])
    with pytest.raises(
        InputError,
        match=r"2 of 3 localizations lie outside of the field of view of 32 x 64 pixels of 100 nm\."
        r" The first is row 1: frame 5, y 5000 nm, x 20 nm\. Is the pixel size right\? Are x and y",
    ):
        swapped.check_inside(32, 64, 100.0)
