import csv
import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.localizations.thunderstorm import (
    ThunderstormWriter,
    read_thunderstorm,
    write_thunderstorm,
)

OPTIONAL = ("photons", "sigma_nm", "background", "uncertainty_nm", "confidence")

# two rows as ThunderSTORM 1.3 writes them
EXPORT = (
    '"id","frame","x [nm]","y [nm]","sigma [nm]","intensity [photon]","offset [photon]",'
    '"bkgstd [photon]","chi2","uncertainty_xy [nm]"\r\n'
    "1,1,67.843,2484.15594,111.28713,2458.46515,50,4.47214,120.5,3.25\r\n"
    "2,7,28.94544,3531.11794,107.34945,2253.50657,51.5,4.47214,98.75,4.5\r\n"
)


def file_with(tmp_path, content):
    path = tmp_path / "some table µ.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(tmp_path, content, **options):
    return read_thunderstorm(file_with(tmp_path, content), **options)


def assert_same(one, other, **tolerance):
    assert list(one.columns()) == list(other.columns())
    for name, values in one.columns().items():
        np.testing.assert_allclose(values, other.columns()[name], err_msg=name, **tolerance)


@pytest.fixture
def exported(tmp_path):
    return read(tmp_path, EXPORT)


def test_an_export_is_read_with_frames_from_0_and_unknown_columns_under_their_labels(exported):
    columns = {name: values.tolist() for name, values in exported.columns().items()}
    assert columns == {
        "frame": [0, 6],
        "y_nm": [2484.15594, 3531.11794],
        "x_nm": [67.843, 28.94544],
        "photons": [2458.46515, 2253.50657],
        "sigma_nm": [111.28713, 107.34945],
        "background": [50, 51.5],
        "uncertainty_nm": [3.25, 4.5],
        "id": [1, 2],
        "bkgstd [photon]": [4.47214, 4.47214],
        "chi2": [120.5, 98.75],
    }
    assert list(exported.extra) == ["bkgstd [photon]", "chi2"]


@pytest.mark.parametrize(
    "rewrite",
    [
        pytest.param(lambda text: text.replace('"', ""), id="unquoted"),
        pytest.param(lambda text: text.replace('"', "'"), id="single quotes"),
        pytest.param(
            lambda text: '"' + text.replace('"', '""').replace("\r\n", '"\r\n', 1)[2:],
            id="header quoted as a whole",
        ),
        pytest.param(lambda text: text.replace("\r\n", "\n"), id="unix line ends"),
        pytest.param(lambda text: text.rstrip(), id="no line end at the end"),
        pytest.param(lambda text: text.replace(",", "\t"), id="tabs"),
        pytest.param(lambda text: text.replace(",", ";"), id="semicolons"),
        pytest.param(lambda text: text.replace(",", " , "), id="spaces around the cells"),
        pytest.param(lambda text: text.upper(), id="upper case"),
        pytest.param(lambda text: "\ufeff" + text, id="byte order mark"),
        pytest.param(lambda text: "\ufeff# exported\n\n" + text + "\r\n \r\n", id="blank lines"),
        pytest.param(lambda text: text.replace("\r\n2,", "\r\n# more\r\n2,"), id="comments"),
        pytest.param(lambda text: text.replace("\r\n2,7,", "\r\n2.0,7.000,"), id="float frames"),
        pytest.param(lambda text: text.replace("uncertainty_xy", "uncertainty"), id="version 1.2"),
        pytest.param(lambda text: text.replace(" [photon]", ""), id="photons without a unit"),
        pytest.param(lambda text: text.replace("chi2", "z [nm]"), id="another unknown column"),
        pytest.param(lambda text: text.replace("120.5", "good fit"), id="text in one"),
    ],
)
def test_the_same_table_in_another_spelling_reads_the_same(tmp_path, exported, rewrite):
    rewritten = read(tmp_path, rewrite(EXPORT))
    assert_same(replace(rewritten, extra={}), replace(exported, extra={}), rtol=0)


def test_a_column_with_text_and_a_second_one_under_a_name_of_ours_are_left_out(tmp_path):
    rows = "frame,x [nm],y [nm],x_nm,comment,z [nm],,z [nm]\n1,2,3,9,fine,4,8,8\n2,3,4,9,7,5,8,8\n"
    localizations = read(tmp_path, rows)
    assert localizations.x_nm.tolist() == [2, 3]
    assert {name: values.tolist() for name, values in localizations.extra.items()} == {
        "z [nm]": [4, 5]
    }


def test_an_unknown_column_is_written_again_even_if_its_label_is_no_utf_8(tmp_path):
    content = "frame,x [nm],y [nm],z [\u00b5m],\u00e9cart\n1,2,3,1.5,NaN\n".encode("cp1252")
    localizations = read(tmp_path, content)
    path = tmp_path / "again.csv"
    write_thunderstorm(path, localizations)
    assert path.read_text().splitlines() == [
        '"id","frame","x [nm]","y [nm]","z [um]","?cart"',
        "1,1,2.00000,3.00000,1.5,NaN",
    ]


def test_columns_are_found_in_any_order(tmp_path):
    localizations = read(tmp_path, "y [nm],confidence [a.u],x [nm],frame\n10,0.5,20,3\n")
    columns = {name: values.tolist() for name, values in localizations.columns().items()}
    assert columns == {"frame": [2], "y_nm": [10], "x_nm": [20], "confidence": [0.5]}


@pytest.mark.parametrize("label", ["confidence", "confidence [a.u]", "confidence [a.u.]"])
def test_a_confidence_has_no_unit(tmp_path, label):
    localizations = read(tmp_path, f"frame,x [nm],y [nm],{label}\n1,2,3,4\n")
    assert localizations.confidence.tolist() == [4]


@pytest.mark.parametrize(
    ("unit", "encoding", "nm"),
    [
        ("nm", "utf-8", 1),
        ("um", "utf-8", 1000),
        ("\u00b5m", "utf-8", 1000),
        ("\u03bcm", "utf-8", 1000),
        ("\u00b5m", "cp1252", 1000),
        ("px", "utf-8", 160),
    ],
)
def test_lengths_are_converted_to_nm(tmp_path, unit, encoding, nm):
    header = f"frame,x [{unit}],y [{unit}],sigma [{unit}],uncertainty [{unit}]"
    content = f"{header}\n1,2,4,0.5,0.25\n".encode(encoding)
    localizations = read(tmp_path, content, pixel_size_nm=160.0)
    assert localizations.x_nm.tolist() == [2 * nm]
    assert localizations.y_nm.tolist() == [4 * nm]
    assert localizations.sigma_nm.tolist() == [0.5 * nm]
    assert localizations.uncertainty_nm.tolist() == [0.25 * nm]


def test_our_own_names_of_columns_are_understood(tmp_path):
    names = ["frame", "y_nm", "x_nm", *OPTIONAL, "id", "detections"]
    content = f"{','.join(names)}\n1,2,3,{','.join('4' * len(OPTIONAL))},5,6\n"
    columns = read(tmp_path, content).columns()
    assert {name: values.tolist() for name, values in columns.items()} == {
        "frame": [0],
        "y_nm": [2],
        "x_nm": [3],
        **{name: [4] for name in OPTIONAL},
        "id": [5],
        "detections": [6],
    }
    assert read(tmp_path, "frame,x [nm],y [nm],Photons\n1,2,3,4\n").photons.tolist() == [4]


def test_an_intensity_in_camera_counts_is_not_taken_for_photons(tmp_path):
    localizations = read(tmp_path, "frame,x [nm],y [nm],intensity [ADU]\n1,2,3,4\n")
    assert localizations.photons is None


def test_a_header_without_rows_is_an_empty_table(tmp_path):
    localizations = read(tmp_path, EXPORT.splitlines()[0])
    assert len(localizations) == 0
    assert list(localizations.columns()) == [
        *("frame", "y_nm", "x_nm", "photons", "sigma_nm", "background", "uncertainty_nm", "id"),
        *("bkgstd [photon]", "chi2"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty. A table starts with a line of column names"),
        ("# only a comment\n\n", "is empty"),
        (b"II*\0\x08\0\0\0", "is not a text file"),
        ("frame,x [nm],y [nm]\n1,2,3\n".encode("utf-16"), "is not a text file"),
        ("\x89PNG\r\n", "not a ThunderSTORM table"),
        (
            "frame,x,y [nm]\n1,2,3\n",
            r"its columns are 'frame', 'x', 'y \[nm\]'\. Needed are 'frame', 'x \[nm\]' and",
        ),
        (
            "# <localizations insequence='true'>\n11135.1 4757.58 1 2213.93\n",
            "its columns are '11135.1 4757.58 1 2213.93'",
        ),
        ("x [nm],y [nm]\n1,2\n", "Needed are 'frame'"),
        ("frame,x [px],y [px]\n1,2,3\n", r"'x \[px\]' in camera pixels. State the pixel size"),
        ("frame,x [nm],y [nm],x [um]\n", r"two columns .* 'x \[nm\]' and 'x \[um\]'"),
        ("frame,x [nm],y [nm]\n\n1,2,3\n1,2\n", "line 4 has 2 cells, but the header has 3"),
        ("frame,x [nm],y [nm]\n1,2,3,4\n", "line 2 has 4 cells, but the header has 3"),
        ("frame;x [nm];y [nm]\n1;2,5;3\n", "line 2: '2,5' is not a number.* with a point"),
        ("frame,x [nm],y [nm]\n1,2,3\n1,two,3\n", "line 3: 'two' is not a number"),
        ("frame,x [nm],y [nm]\n1,2,\n", "line 2: '' is not a number"),
        (b"frame,x [nm],y [nm]\n1,2,3\xb5\n", r"line 2: '3\\udcb5' is not a number"),
        ("frame,x [nm],y [nm]\n1,NaN,3\n", "line 2: x_nm is nan. .* has no position"),
        ("frame,x [nm],y [nm]\n1,2,Infinity\n", "line 2: y_nm is inf"),
        ("frame,x [nm],y [nm]\n# 0\n1,2,3\n1.5,2,3\n", "line 4: frame is 1.5. .* whole number"),
        ("frame,x [nm],y [nm],id\n1,2,3,0.5\n", "line 2: id is 0.5. It must be a whole"),
        (
            "frame,x [nm],y [nm]\n0,2,3\n",
            "line 2: frame is 0. ThunderSTORM counts frames from 1. .* add 1 to all",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, content)
    assert "some table µ.csv" in str(caught.value)


def test_an_empty_cell_is_nan_and_costs_no_column(tmp_path):
    # as pandas writes what is not known
    table = read(
        tmp_path, "frame,x [nm],y [nm],uncertainty [nm],z [nm]\n1,2,3,,5\n2,2,3,4,\n3,2,3, ,1\n"
    )
    np.testing.assert_array_equal(table.column("uncertainty_nm"), [np.nan, 4, np.nan])
    np.testing.assert_array_equal(table.column("z [nm]"), [5, np.nan, 1])


def test_the_line_of_an_error_is_right_beside_empty_cells(tmp_path):
    with pytest.raises(InputError, match="line 3: 'two' is not a number"):
        read(tmp_path, "frame,x [nm],y [nm],sigma [nm]\n1,2,3,\n1,two,3,\n")


@pytest.mark.parametrize("place", ["id", "detections"])
def test_a_whole_number_is_never_missing(tmp_path, place):
    with pytest.raises(InputError, match="line 2: '' is not a number"):
        read(tmp_path, f"frame,x [nm],y [nm],{place}\n1,2,3,\n")


def test_a_table_with_delimiters_in_a_label_is_read_back(tmp_path):
    path = tmp_path / "table.csv"
    write_thunderstorm(path, Localizations([0], [1], [2], extra={'a, b; "c"\td': [3]}))
    assert read_thunderstorm(path).column("a  b   c  d").tolist() == [3]


def test_numbers_may_be_quoted(tmp_path):
    table = read(tmp_path, '"frame","x [nm]","y [nm]","z [nm]"\n"1","2.5","3","-4"\n')
    assert {name: values.tolist() for name, values in table.columns().items()} == {
        "frame": [0], "y_nm": [3], "x_nm": [2.5], "z [nm]": [-4]
    }  # fmt: skip


def test_the_line_of_an_error_is_right_far_down_in_a_long_file(tmp_path):
    rows = ["1,2,3\n"] * 50_000
    rows[40_000] = "1,oops,3\n"
    with pytest.raises(InputError, match="line 40002: 'oops'"):
        read(tmp_path, "frame,x [nm],y [nm]\n" + "".join(rows))
    rows[40_000] = "0,2,3\n"
    with pytest.raises(InputError, match="line 40002: frame is 0"):
        read(tmp_path, "frame,x [nm],y [nm]\n" + "".join(rows))


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.csv cannot be read: No such file"):
        read_thunderstorm(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_thunderstorm(tmp_path)


@pytest.mark.parametrize("pixel_size_nm", [0, -100, float("nan")])
def test_a_pixel_size_must_be_positive(tmp_path, pixel_size_nm):
    with pytest.raises(InputError, match=r"pixel size is .* nm\. Give a positive number"):
        read(tmp_path, EXPORT, pixel_size_nm=pixel_size_nm)


@st.composite
def localization_tables(draw):
    rows = draw(st.integers(0, 8))
    reals = arrays(np.float64, rows, elements=st.floats(-1e9, 1e9))
    columns = draw(st.sets(st.sampled_from(OPTIONAL)))
    whole = arrays(np.int64, rows, elements=st.integers(0, 10**12))
    return Localizations(
        frame=draw(whole),
        y_nm=draw(reals),
        x_nm=draw(reals),
        id=draw(whole),
        detections=draw(whole),
        **{name: draw(reals) for name in columns},
        extra={"z [nm]": draw(reals)},
    )


@settings(deadline=None)
@given(localization_tables())
def test_what_is_written_is_read_back_to_a_hundredth_of_a_picometre(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("table") / "table.csv"
    write_thunderstorm(path, written)
    read_back = read_thunderstorm(path)
    assert list(read_back.columns()) == list(written.columns())
    for name, values in written.columns().items():
        # eight or nine significant digits of these, five decimals of the rest
        relative = 1e-7 if name in ("confidence", "z [nm]") else 1e-15
        np.testing.assert_allclose(
            read_back.columns()[name], values, rtol=relative, atol=0.51e-5, err_msg=name
        )


def test_the_file_looks_like_thunderstorms(tmp_path):
    path = tmp_path / "table.csv"
    localizations = Localizations(
        frame=[0, 9],
        y_nm=[2484.15594, 10],
        x_nm=[67.843, 20],
        photons=[2458.5, np.inf],
        sigma_nm=[111.25, 100],
        background=[50, 0],
        uncertainty_nm=[3.25, np.nan],
        confidence=[0.75, 1.25e-7],
    )
    write_thunderstorm(path, localizations)
    assert path.read_bytes().decode() == (
        '"id","frame","x [nm]","y [nm]","sigma [nm]","intensity [photon]","offset [photon]",'
        '"uncertainty [nm]","confidence"\n'
        "1,1,67.84300,2484.15594,111.25000,2458.50000,50.00000,3.25000,0.75\n"
        "2,10,20.00000,10.00000,100.00000,Infinity,0.00000,NaN,1.25e-07\n"
    )


def test_pieces_make_one_table_with_ids_counted_on(tmp_path):
    random = np.random.default_rng(0)
    frame = np.sort(random.integers(0, 50, 40_000))
    whole = Localizations(frame, *random.uniform(0, 1e4, (2, len(frame))))
    path = tmp_path / "table.csv"
    with ThunderstormWriter(path) as writer:
        for start in range(0, 50, 25):
            writer.append(whole.in_frames(range(start, start + 25)))
    read_back = read_thunderstorm(path)
    np.testing.assert_array_equal(read_back.id, np.arange(1, len(frame) + 1))
    np.testing.assert_array_equal(read_back.frame, frame)
    np.testing.assert_allclose(read_back.positions_nm(), whole.positions_nm(), atol=1e-5)


def test_pieces_without_rows_may_lack_columns_but_others_may_not(tmp_path):
    row = Localizations([0], [1], [2], confidence=[0.5])
    with ThunderstormWriter(tmp_path / "table.csv") as writer:
        writer.append(Localizations.empty())
        writer.append(row)
        writer.append(Localizations.empty(["photons"]))
        with pytest.raises(
            InputError, match=r"with the columns 'frame', 'y_nm', 'x_nm', 'confidence'; a table"
        ):
            writer.append(Localizations([0], [1], [2]))
    assert len(read_thunderstorm(tmp_path / "table.csv")) == 1


def test_a_writer_without_rows_leaves_a_readable_empty_table(tmp_path):
    with ThunderstormWriter(tmp_path / "table.csv"):
        pass
    assert len(read_thunderstorm(tmp_path / "table.csv")) == 0


def test_a_writer_interrupted_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write_and_fail():
        with ThunderstormWriter(path) as writer:
            writer.append(Localizations([0], [1], [2]))
            assert path.read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no folder .*results"):
        write_thunderstorm(tmp_path / "results" / "table.csv", Localizations.empty())


def test_the_simulated_truth_of_deep_storm_is_read_as_it_stands(third_party_data):
    path = third_party_data / "deepstorm_demo1" / "positions_demo1.csv"
    localizations = read_thunderstorm(path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(localizations) == len(rows) == 4956
    assert localizations.frame.tolist() == [int(row["frame"]) - 1 for row in rows]
    assert localizations.x_nm.tolist() == [float(row["x [nm]"]) for row in rows]
    assert localizations.y_nm.tolist() == [float(row["y [nm]"]) for row in rows]
    localizations.check_inside(64, 64, 100.0)
    assert np.unique(localizations.frame).tolist() == list(range(20))


def test_a_header_that_is_one_quoted_cell_is_read(third_party_data):
    localizations = read_thunderstorm(third_party_data / "locan" / "Thunderstorm_dstorm_data.csv")
    assert len(localizations) == 19
    assert localizations.id[0] == 73897
    assert localizations.frame[0] == 2000
    assert localizations.x_nm[0] == 1320.109670647555
    assert localizations.uncertainty_nm[-1] == 24.896079927009612


def test_a_rapidstorm_table_is_refused(third_party_data):
    with pytest.raises(InputError, match="not a ThunderSTORM table"):
        read_thunderstorm(third_party_data / "locan" / "rapidSTORM_from_images.txt")


@pytest.fixture(scope="module")
def locan_reads():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the many libraries that locan imports
        locan = pytest.importorskip("locan")
    # convert=False, since locan otherwise rounds to 32-bit floats
    return lambda path: locan.load_thunderstorm_file(path, convert=False).data


def test_locan_reads_the_same_numbers(third_party_data, locan_reads):
    path = third_party_data / "deepstorm_demo1" / "positions_demo1.csv"
    ours, theirs = read_thunderstorm(path), locan_reads(path)
    # locan keeps the file's own frame numbers, which start at 1
    np.testing.assert_array_equal(ours.frame, theirs["frame"] - 1)
    np.testing.assert_array_equal(ours.x_nm, theirs["position_x"])
    np.testing.assert_array_equal(ours.y_nm, theirs["position_y"])
    np.testing.assert_array_equal(ours.photons, theirs["intensity"])
    np.testing.assert_array_equal(ours.sigma_nm, theirs["psf_sigma"])
    np.testing.assert_array_equal(ours.background, theirs["local_background"])


def test_locan_reads_what_we_write(tmp_path, exported, locan_reads):
    path = tmp_path / "ours.csv"
    write_thunderstorm(path, exported)
    theirs = locan_reads(path)
    np.testing.assert_array_equal(theirs["frame"], [1, 7])
    np.testing.assert_array_equal(theirs["position_x"], exported.x_nm)
    np.testing.assert_array_equal(theirs["position_y"], exported.y_nm)
    np.testing.assert_array_equal(theirs["uncertainty"], exported.uncertainty_nm)


def fill_disk(writer):
    """Let nothing more that is written to a table find room."""
    writer._file.flush()
    os.dup2(full := os.open("/dev/full", os.O_WRONLY), writer._file.fileno())
    os.close(full)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_disk_that_is_full_when_the_last_rows_come_is_told_with_the_file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write():
        with ThunderstormWriter(path) as writer:
            fill_disk(writer)
            writer.append(Localizations([0], [1], [2]))

    with pytest.raises(OSError, match="No space left on device") as raised:
        write()
    assert raised.value.filename == str(path)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_what_has_ended_the_writing_is_told_rather_than_what_follows_from_it(tmp_path):
    def write():
        with ThunderstormWriter(tmp_path / "table.csv") as writer:
            fill_disk(writer)
            writer.append(Localizations([0], [1], [2]))
            raise InputError("first")

    with pytest.raises(InputError, match="first"):
        write()
    assert not list(tmp_path.iterdir())
