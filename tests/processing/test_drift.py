from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.processing.cross_correlation import CrossCorrelation
from napari_dl4smlm.backend.processing.drift_curve import DriftCurve
from napari_dl4smlm.backend.processing.fiducials import Fiducials
from napari_dl4smlm.backend.processing.intersections import Intersections
from napari_dl4smlm.backend.processing.saved_drift import SavedDrift
from napari_dl4smlm.backend.processing.segments import Segments

FRAMES = 4000
BEADS_NM = ((2000.0, 3000.0), (9000.0, 4000.0), (6000.0, 11000.0))


def with_beads(localizations, drift_nm):
    """Add three beads that are localized to 5 nm in nearly every frame; one is lost half-way."""
    generator = np.random.default_rng(1)
    tables = [localizations]
    for number, bead in enumerate(BEADS_NM):
        frame = np.flatnonzero(generator.random(FRAMES) < 0.9)
        frame = frame[frame < FRAMES // 2] if number == 0 else frame
        position = bead + drift_nm[frame] + generator.normal(0, 5, (len(frame), 2))
        tables.append(Localizations(frame, position[:, 0], position[:, 1]))
    return Localizations.concatenate(tables)


def with_background(localizations, drift_nm):
    """Add a quarter of false localizations, anywhere."""
    generator = np.random.default_rng(2)
    n = len(localizations) // 4
    false = Localizations(generator.integers(0, FRAMES, n), *generator.uniform(0, 12800, (2, n)))
    return Localizations.concatenate([localizations, false])


def rms_nm(curve, drift_nm):
    """Deviation from the true drift along y and x, but for a shift of the whole."""
    return (np.column_stack([curve.y_nm, curve.x_nm]) - drift_nm).std(axis=0)


@pytest.fixture(scope="module")
def still(drifting, drift_nm):
    """The same localizations, had nothing drifted."""
    position = drifting.positions_nm() - drift_nm[drifting.frame]
    return Localizations(drifting.frame, position[:, 0], position[:, 1])


@pytest.mark.parametrize(
    ("method", "change"),
    [
        pytest.param(CrossCorrelation(), with_background, id="rcc"),
        pytest.param(Intersections(), with_background, id="aim"),
        pytest.param(Fiducials(positions_nm=BEADS_NM), with_beads, id="fiducials"),
    ],
)
def test_drift_is_found_to_3_nm_and_taken_off(drifting, drift_nm, method, change):
    localizations = change(drifting, drift_nm)
    curve = method.estimate(localizations)
    assert curve.frames == range(FRAMES)
    assert (rms_nm(curve, drift_nm) < 3).all()
    assert str(curve) == "{:.1f} nm in y, {:.1f} nm in x".format(*curve.range_nm)
    corrected = curve.correct(localizations)
    left_nm = corrected.positions_nm() - (
        localizations.positions_nm() - drift_nm[localizations.frame]
    )
    assert (left_nm.std(axis=0) < 3).all()
    assert corrected.frame is localizations.frame


@pytest.mark.parametrize("method", [CrossCorrelation(), Intersections()], ids=["rcc", "aim"])
def test_where_nothing_drifts_none_is_found(still, method):
    curve = method.estimate(still)
    assert (np.std([curve.y_nm, curve.x_nm], axis=1) < 3).all()


def test_frames_without_localizations_are_bridged(drifting, drift_nm):
    dark = (drifting.frame > 1500) & (drifting.frame < 1900)
    for method in (CrossCorrelation(), Intersections()):
        curve = method.estimate(drifting[~dark])
        assert curve.frames == range(FRAMES)
        assert (rms_nm(curve, drift_nm) < 5).all()


def test_a_pair_of_segments_that_contradicts_the_others_is_left_out(
    drifting, drift_nm, monkeypatch
):
    shift_px = CrossCorrelation._shift_px
    calls = []

    def sometimes_wrong(self, *images):
        calls.append(images)
        return shift_px(self, *images) + (30 if len(calls) in (5, 50) else 0)

    monkeypatch.setattr(CrossCorrelation, "_shift_px", sometimes_wrong)
    curve = CrossCorrelation().estimate(drifting)
    assert len(calls) == 20 * 19 / 2
    assert (rms_nm(curve, drift_nm) < 3).all()


@pytest.mark.parametrize("step_nm", [5, 12, 30, 700])
def test_a_step_of_any_size_is_found_by_cross_correlation(still, step_nm):
    moved = replace(still, y_nm=still.y_nm + np.where(still.frame < FRAMES // 2, 0, step_nm))
    curve = CrossCorrelation(segment_frames=FRAMES // 2).estimate(moved)
    # from the middle of the first segment to that of the last one
    middle = FRAMES // 4
    assert curve.y_nm[-middle] - curve.y_nm[middle] == pytest.approx(step_nm, abs=2)
    assert curve.x_nm[-middle] - curve.x_nm[middle] == pytest.approx(0, abs=2)


def test_intersections_follow_molecules_that_are_hardly_seen_again(drift_nm):
    # a segment of 200 has two of them in common with another one
    generator = np.random.default_rng(0)
    n = 20_000
    frame = generator.integers(0, FRAMES, n)
    site = generator.uniform(0, 12800, (n, 2))[generator.integers(n, size=n)]
    position = site + drift_nm[frame] + generator.normal(0, 12, site.shape)
    curve = Intersections().estimate(Localizations(frame, position[:, 0], position[:, 1]))
    assert (rms_nm(curve, drift_nm) < 5).all()


@pytest.mark.parametrize("method", [CrossCorrelation, Intersections])
def test_a_rest_of_one_frame_does_not_bend_the_end_of_the_curve(still, method):
    # what is seen in one frame more seems to have moved by 40 nm
    few = still[:5]
    stray = Localizations(np.full(5, FRAMES), few.y_nm + 40, few.x_nm)
    curve = method(segment_frames=FRAMES // 20).estimate(Localizations.concatenate([still, stray]))
    assert len(curve.y_nm) == FRAMES + 1
    assert abs(curve.y_nm[-1] - curve.y_nm[-FRAMES // 20]) < 10


@pytest.mark.parametrize(
    ("n_frames", "ends"), [(1001, [500, 1001]), (1249, [500, 1249]), (1250, [500, 1000, 1250])]
)
def test_a_rest_is_a_segment_if_it_is_half_as_long_as_the_others(n_frames, ends):
    frame = np.arange(n_frames)
    segments = Segments.cut(Localizations(frame, frame, frame), 500)
    assert [int(rows[-1]) + 1 for rows in segments.rows] == ends


def test_images_that_would_fill_the_memory_are_refused():
    localizations = Localizations([0, 1000], [0, 1e6], [0, 10])
    with pytest.raises(InputError, match=r"Images of 4\d+ x .* px are too large .* 'aim'"):
        CrossCorrelation(segment_frames=500).estimate(localizations)


@pytest.mark.parametrize(
    ("side_nm", "segment_frames", "message"),
    [
        (100, 4, r"250 segments are too many .* at least 5 frames, or the method 'aim'"),
        (1e5, 10, r"Images of 4\d+ x 4\d+ px are too large for 100 of them .* longer segments"),
    ],
)
def test_segments_that_would_take_hours_or_fill_the_memory_are_refused(
    side_nm, segment_frames, message
):
    frame = np.arange(1000)
    localizations = Localizations(frame, frame * side_nm / 999, frame * side_nm / 999)
    with pytest.raises(InputError, match=message):
        CrossCorrelation(segment_frames=segment_frames).estimate(localizations)


def test_beads_at_rest_have_no_drift_even_if_they_come_and_go():
    # the mean of all positions jumps each time
    frame = np.arange(200)
    first = Localizations(frame[:120], np.full(120, 1000.0), np.full(120, 5000.0))
    second = Localizations(frame[60:], np.full(140, 9000.0), np.full(140, 2000.0))
    curve = Fiducials(positions_nm=((1000, 5000), (9000, 2000))).estimate(
        Localizations.concatenate([first, second])
    )
    np.testing.assert_allclose([curve.y_nm, curve.x_nm], 0, atol=1e-6)


def test_what_is_seen_while_the_bead_is_dark_is_not_taken_for_it():
    frame = np.arange(1000)
    lit = frame[(frame < 400) | (frame >= 600)]
    bead = Localizations(lit, 1000 + 0.1 * lit, np.full(len(lit), 1000.0))
    others = Localizations(np.arange(300, 700, 7), np.full(58, 1200.0), np.full(58, 900.0))
    curve = Fiducials(positions_nm=((1000, 1000),)).estimate(
        Localizations.concatenate([bead, others])
    )
    np.testing.assert_allclose(curve.y_nm, 0.1 * frame, atol=1e-6)
    np.testing.assert_allclose(curve.x_nm, 0, atol=1e-6)


def test_the_drift_of_a_bead_without_noise_is_exact_in_the_mean_of_each_segment():
    frame = np.arange(1000)
    curve = Fiducials(positions_nm=((1000, 1000),), segment_frames=10).estimate(
        Localizations(frame, 1000 + 0.1 * frame, 1000 - 0.2 * frame)
    )
    np.testing.assert_allclose(curve.y_nm, 0.1 * frame, atol=1e-9)
    np.testing.assert_allclose(curve.x_nm, -0.2 * frame, atol=1e-9)


def test_fiducials_that_are_not_there_or_not_apart_are_refused(drifting):
    with pytest.raises(InputError, match=r"no localization within 500 nm .* y -9000, x 5 nm"):
        Fiducials(positions_nm=((-9000, 5),)).estimate(drifting)
    with pytest.raises(InputError, match="Two fiducials are less than 2 x 500 nm apart"):
        Fiducials(positions_nm=((0, 0), (0, 900))).estimate(drifting)
    with pytest.raises(ValidationError, match="at least 1 item"):
        Fiducials(positions_nm=())


@pytest.mark.parametrize(
    ("method", "least"), [(CrossCorrelation(), 1000), (Intersections(), 400)], ids=["rcc", "aim"]
)
def test_too_few_localizations_for_any_drift_are_refused_with_their_number(drifting, method, least):
    message = f"^{least - 1:,} localizations are too few .* takes at least {least:,}.* use beads"
    with pytest.raises(InputError, match=message):
        method.estimate(drifting[: least - 1])
    assert method.estimate(drifting[:least]).range_nm != (0, 0)


@pytest.mark.parametrize("method", [CrossCorrelation, Intersections])
def test_one_segment_has_nothing_to_be_compared_with(drifting, method):
    message = "Segments of 4,000 frames are too long to tell drift in 4,000 .* at most 2,000 frames"
    with pytest.raises(InputError, match=message):
        method(segment_frames=4000).estimate(drifting)
    now = replace(drifting, frame=np.full(len(drifting), 7))
    with pytest.raises(InputError, match=r"All 20,000 localizations lie in frame 7.* no drift"):
        method().estimate(now)


@pytest.mark.parametrize("slope_nm", [0, 0.02], ids=["still", "drifting"])
@pytest.mark.parametrize(
    ("dark", "told"),
    [
        ([(5000, 10_000)], "5000:10000, where it is kept as it was"),
        ([(0, 5000)], "0:5000, where it is kept as it was"),
        ([(4000, 6000)], "4000:6000, where it is interpolated"),
        (
            [(0, 200), (4000, 6000)],
            "4000:6000, where it is interpolated, nor in frames 0:200, where it is kept as it was",
        ),
    ],
)
def test_where_the_only_bead_is_dark_no_drift_is_invented(dark, told, slope_nm):
    generator = np.random.default_rng(0)
    frame = np.arange(10_000)
    lit = frame[np.all([(frame < start) | (frame >= stop) for start, stop in dark], axis=0)]
    place = 3000 + generator.normal(0, 5, (2, len(lit)))
    bead = Localizations(lit, place[0] + slope_nm * lit, place[1])
    others = Localizations(frame, np.full(10_000, 9000.0), np.full(10_000, 9000.0))
    curve = Fiducials(positions_nm=((3000, 3000),)).estimate(
        Localizations.concatenate([bead, others])
    )
    # outside of what was seen, the drift is as it was last
    y_nm = slope_nm * (frame.clip(lit[0], lit[-1]) - lit[0])
    # medians of 20 frames scatter by 1.4 nm, also the first one
    assert np.abs(curve.y_nm - y_nm).max() < 10
    assert np.abs(curve.x_nm).max() < 10
    assert str(curve).endswith(f" nm in x; it could not be measured in frames {told}")


def test_of_many_dark_stretches_the_first_three_are_told():
    frame = np.arange(1000)
    # a bead that is lit in every second hundred
    lit = frame[frame // 100 % 2 == 0]
    bead = Localizations(lit, np.full(len(lit), 10.0), np.full(len(lit), 10.0))
    last = Localizations([999], [5000.0], [5000.0])
    curve = Fiducials(positions_nm=((10, 10),)).estimate(Localizations.concatenate([bead, last]))
    assert len(curve.unmeasured) == 5
    assert "in frames 100:200, 300:400, 500:600 and 1 other stretch, where it is inter" in str(
        curve
    )


@pytest.mark.parametrize("frame", [[7], [7, 7, 7], [7, 8], [0, 100_000]])
def test_a_bead_that_is_hardly_seen_has_no_drift(frame):
    curve = Fiducials(positions_nm=((100, 100),)).estimate(
        Localizations(frame, np.full(len(frame), 100.0), np.full(len(frame), 99))
    )
    assert curve.frames == range(frame[0], frame[-1] + 1)
    np.testing.assert_allclose([curve.y_nm, curve.x_nm], 0, atol=1e-6)


def test_a_curve_goes_through_what_was_measured_and_straight_on_beyond():
    frame = np.array([10.0, 20.0, 30.0, 40.0])
    shift = np.column_stack([frame**2, -frame]) / 10
    curve = DriftCurve.through(frame, shift, frames=range(5, 46))
    assert curve.y_nm[0] == curve.x_nm[0] == 0
    at_knots = curve.y_nm[[5, 15, 25, 35]]
    np.testing.assert_allclose(at_knots - at_knots[0], shift[:, 0] - shift[0, 0])
    np.testing.assert_allclose(curve.x_nm, -(np.arange(5, 46) - 5) / 10)
    for end in (curve.y_nm[:5], curve.y_nm[-5:]):
        np.testing.assert_allclose(np.diff(end, 2), 0, atol=1e-9)


def test_a_saved_curve_is_read_back_and_corrects_other_tables(tmp_path):
    curve = DriftCurve(3, np.array([0.0, 1.5, 3.0]), np.array([0.0, -2.0, -4.0]))
    curve.save(tmp_path / "drift.csv")
    loaded = SavedDrift(path=tmp_path / "drift.csv").estimate(Localizations.empty())
    assert loaded.frames == range(3, 6)
    corrected = loaded.correct(
        Localizations([0, 4, 9], [10.0, 10.0, 10.0], [0.0, 0.0, 0.0], photons=[1, 2, 3])
    )
    # beyond its ends the curve stays as it is there
    assert corrected.y_nm.tolist() == [10.0, 8.5, 7.0]
    assert corrected.x_nm.tolist() == [0.0, 2.0, 4.0]
    assert corrected.photons.tolist() == [1, 2, 3]
    header, first, *_ = (tmp_path / "drift.csv").read_text().splitlines()
    assert header == '"id","frame","x [nm]","y [nm]"'
    assert first == "1,4,0.00000,0.00000"


def test_a_movie_much_longer_than_a_saved_drift_is_told(tmp_path):
    DriftCurve(100, np.arange(100.0), np.zeros(100)).save(tmp_path / "drift.csv")
    saved = SavedDrift(path=tmp_path / "drift.csv")
    table = Localizations([0, 150, 499], np.zeros(3), np.zeros(3))
    curve = saved.estimate(table)
    assert curve.unmeasured == (range(100), range(200, 500))
    assert "measured in frames 0:100, 200:500, where it is kept as it was" in str(curve)
    assert curve.correct(table).y_nm.tolist() == [0, -50, -99]
    assert saved.estimate(Localizations([95, 204], [0, 0], [0, 0])).unmeasured == ()


def test_a_table_with_gaps_is_no_curve(tmp_path):
    path = tmp_path / "drift.csv"
    path.write_text("frame,x [nm],y [nm]\n1,0,0\n3,0,0\n")
    with pytest.raises(InputError, match=r"drift\.csv is not a drift curve: it needs one row for"):
        DriftCurve.load(path)
    path.write_text("frame,x [nm],y [nm]\n")
    with pytest.raises(InputError, match="not a drift curve"):
        DriftCurve.load(path)


def test_two_corrections_one_after_the_other_add_up():
    first = DriftCurve(0, np.array([0.0, 1.0, 2.0]), np.zeros(3))
    second = DriftCurve(1, np.array([0.0, 10.0, 20.0]), np.ones(3))
    total = first + second
    assert total.frames == range(4)
    assert total.y_nm.tolist() == [0, 1, 12, 22]
    localizations = Localizations(np.arange(6), np.zeros(6), np.zeros(6))
    one_by_one = second.correct(first.correct(localizations))
    np.testing.assert_array_equal(
        total.correct(localizations).positions_nm(), one_by_one.positions_nm()
    )
