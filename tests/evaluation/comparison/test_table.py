"""Who is best, and who only seems to be."""

import csv
import json
import math

import numpy as np
import pytest

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.evaluation.comparison.columns import DETECTION, Column
from napari_dl4smlm.backend.evaluation.comparison.drawing import draw_comparison
from napari_dl4smlm.backend.evaluation.comparison.output import (
    describe,
    make_folder,
    save_comparison,
)
from napari_dl4smlm.backend.evaluation.comparison.result import ComparedModel, Comparison, DataSet
from napari_dl4smlm.backend.evaluation.comparison.scores import Score
from napari_dl4smlm.backend.evaluation.comparison.speed import Speed
from napari_dl4smlm.backend.evaluation.comparison.table import tabulate
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.metrics.accuracy import accuracy_by_density

EMITTERS = Localizations(np.zeros(5), *np.random.default_rng(0).uniform(0, 2400, (2, 5)))
COLUMNS = ("jaccard", "rmse_nm", "bias_y_nm")
OTHERS = (
    *("precision", "recall", "bias_x_nm", "efficiency"),
    *("nmse_percent", "pearson", "psnr_db", "ssim", "ms_ssim"),
)


def spread_by(noise, value, *, seed=0, own=0.0):
    """A score whose replicates share their noise with those of the same seed."""
    common = np.random.default_rng(seed).normal(0, noise, 400)
    alone = np.random.default_rng(seed + 99).normal(0, own, 400) if own else 0
    return Score(value, "bootstrap", value + common + alone)


@pytest.fixture
def make(candidate):
    """Makes a comparison of models with given scores; all others are unknown."""

    def make(scores):
        image = np.random.default_rng(0).random((24, 24)).astype(np.float32)
        models = tuple(
            ComparedModel(
                label=label,
                path=None,
                card=candidate(label).model.card,
                threshold=0.3,
                scores=dict.fromkeys(OTHERS, Score(math.nan))
                | {
                    "parameters": Score(100 * (number + 1), "none"),
                    "gflop_per_frame": Score(1.0, "none"),
                    "file_megabytes": Score(math.nan, "none"),
                    "ms_per_frame_cpu": Score(2.0, "repeats", np.array([1.0, 2.0, 3.0])),
                    "frames_per_second_cpu": Score(500.0, "repeats", np.array([300.0, 1000.0])),
                    "peak_megabytes_cpu": Score(100.0),
                }
                | own,
                speeds=(Speed("cpu", 4, None, 1, Score(2.0, "repeats", np.ones(3)), None),),
                image=image,
                localizations=Localizations.empty(),
                by_density=accuracy_by_density(EMITTERS, EMITTERS),
                by_photons=None,
                quality=None,
                computed_with="torch float32",
                warnings=(),
            )
            for number, (label, own) in enumerate(scores.items())
        )
        data = DataSet(
            movie="movie.tif",
            n_frames=50,
            height=24,
            width=24,
            frames=tuple(range(40)),
            pixel_size_nm=100.0,
            upsampling_factor=1,
            n_emitters=80,
            tolerance_nm=100.0,
            border_nm=0.0,
            mean_frame=np.zeros((24, 24)),
            true_image=image.astype(np.float64),
        )
        return Comparison(data, models, ("cpu",), seed=0, repeats=3, warnings=("Careful.",))

    return make


def standings(comparison, column):
    return {label: cell.standing for label, cell in tabulate(comparison).cells(column).items()}


def scores(jaccard, rmse_nm, bias_nm):
    return dict(zip(COLUMNS, (jaccard, rmse_nm, bias_nm), strict=True))


def test_each_column_is_read_in_its_own_direction(make):
    # better in both of the first columns; its mean error is the smaller one but for the sign
    first = scores(spread_by(0.01, 0.8), spread_by(0.1, 20), spread_by(0.1, -1.0))
    second = scores(spread_by(0.01, 0.7), spread_by(0.1, 25), spread_by(0.1, 3.0))
    comparison = make({"a": first, "b": second})
    for column in COLUMNS:
        assert standings(comparison, column) == {"a": "best", "b": ""}
    behind = tabulate(comparison).cells("bias_y_nm")["b"].behind
    assert behind.value == pytest.approx(2.0)
    assert tabulate(comparison).cells("jaccard")["a"].behind is None


def test_two_that_cannot_be_told_apart_share_the_mark(make):
    close = {
        "a": scores(spread_by(0.01, 0.80), Score(20.0), Score(0.0)),
        "b": scores(spread_by(0.01, 0.79, own=0.05), Score(21.0), Score(0.0)),
        "c": scores(spread_by(0.01, 0.50), Score(22.0), Score(0.0)),
    }
    comparison = make(close)
    assert standings(comparison, "jaccard") == {
        "a": "among the best",
        "b": "among the best",
        "c": "",
    }
    # of what was measured once, nothing tells how sure it is
    assert set(standings(comparison, "rmse_nm").values()) == {""}


def test_where_no_model_is_told_from_the_best_none_is_marked(make):
    alike = {
        label: scores(spread_by(0.05, 0.8 - k / 1000, seed=k), Score(1.0), Score(1.0))
        for k, label in enumerate("abc")
    }
    assert set(standings(make(alike), "jaccard").values()) == {""}


def test_exact_numbers_are_best_unless_they_are_equal(make):
    own = scores(Score(0.5), Score(1.0), Score(1.0))
    comparison = make({"a": own, "b": own})
    assert standings(comparison, "parameters") == {"a": "best", "b": ""}
    assert standings(comparison, "gflop_per_frame") == {"a": "", "b": ""}
    assert standings(comparison, "file_megabytes") == {"a": "", "b": ""}


def test_overlapping_times_are_not_told_apart(make):
    own = scores(Score(0.5), Score(1.0), Score(1.0))
    faster = Score(0.5, "repeats", np.array([0.4, 0.5, 0.9]))
    comparison = make({"a": own, "b": own | {"ms_per_frame_cpu": faster}})
    assert standings(comparison, "ms_per_frame_cpu") == {"a": "", "b": "best"}
    overlapping = Score(0.5, "repeats", np.array([0.4, 0.5, 1.1]))
    comparison = make({"a": own, "b": own | {"ms_per_frame_cpu": overlapping}})
    assert standings(comparison, "ms_per_frame_cpu") == {"a": "", "b": ""}


def test_a_model_without_a_value_has_nothing_to_be_behind_with(make):
    known = scores(spread_by(0.01, 0.8), spread_by(0.1, 20), Score(1.0))
    blind = scores(spread_by(0.0, 0.0), Score(math.nan), Score(math.nan))
    table = tabulate(make({"a": known, "b": blind}))
    cells = table.cells("rmse_nm")
    assert (cells["b"].value, cells["b"].behind, cells["b"].standing) == (None, None, "")
    assert cells["a"].standing == ""


def test_intervals_end_where_the_number_can_go_no_further(make):
    replicates = np.linspace(0.9, 1.0, 10)
    own = scores(Score(0.5), Score(1.0), Score(1.0)) | {
        "ssim": Score(0.98, "jackknife", replicates)
    }
    interval = tabulate(make({"a": own})).cells("ssim")["a"].interval
    assert interval.high == 1
    assert interval.low < 0.98


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.81234, "0.812"),
        (0.0041, "0.0041"),
        (0.0000041, "0.00000"),
        (-0.5, "−0.500"),
        (1234.5, "1,234.500"),
        (math.inf, "∞"),
        (0.0, "0.000"),
    ],
)
def test_numbers_are_written_with_the_decimals_of_their_column(value, text):
    (jaccard, *_) = DETECTION.columns
    assert jaccard.text(value) == text


def test_whole_numbers_stay_whole():
    assert Column("n", "n", "", "", 0, "").text(0.4) == "0"


def test_files_hold_every_number_once_for_people_and_once_for_programs(make, tmp_path):
    own = scores(spread_by(0.01, 0.8), Score(math.nan), Score(1.0)) | {"psnr_db": Score(math.inf)}
    other = scores(spread_by(0.01, 0.7, own=0.01), Score(20.0), Score(1.0))
    comparison = make({"=a, b": own, "c": other})
    table = tabulate(comparison)
    make_folder(tmp_path / "new" / "out")
    figures = draw_comparison(comparison, table)
    paths = save_comparison(tmp_path / "new" / "out", comparison, table, figures)
    assert [path.name for path in paths] == [
        *("comparison.csv", "comparison.json"),
        *("pareto_cpu.png", "images.png", "differences.png", "accuracy.png"),
    ]
    assert all(path.stat().st_size > 0 for path in paths)
    with paths[0].open(newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert first["model"] == "=a, b"
    assert float(first["jaccard"]) == pytest.approx(0.8)
    assert float(first["jaccard_low"]) < 0.8 < float(first["jaccard_high"])
    assert first["rmse_nm"] == first["psnr_db"] == second["rmse_nm_low"] == ""
    numbers = json.loads(paths[1].read_text(encoding="utf-8"))
    assert numbers == json.loads(json.dumps(describe(comparison, table)))
    assert numbers["columns"]["jaccard"]["better"] == "higher"
    assert numbers["models"][0]["scores"]["jaccard"]["standing"] == "best"
    behind = numbers["models"][1]["scores"]["jaccard"]["behind_best"]
    assert behind["low"] < behind["value"] < behind["high"] < 0
    assert numbers["models"][0]["scores"]["psnr_db"]["value"] is None
    assert numbers["warnings"] == ["Careful."]
    again = save_comparison(tmp_path / "new" / "out", comparison, table, [])
    assert again == paths[:2]
    assert (tmp_path / "new" / "out" / "comparison.previous.csv").exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be created"):
        make_folder(tmp_path / "file" / "out")
