import base64
import hashlib
import os
import re
import shutil
import subprocess

import numpy as np
import pytest

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.evaluation.comparison.candidates import Candidate
from napari_dl4smlm.backend.evaluation.comparison.compare import compare_models
from napari_dl4smlm.backend.evaluation.comparison.drawing import draw_comparison
from napari_dl4smlm.backend.evaluation.comparison.table import tabulate
from napari_dl4smlm.backend.models.model_file import load_model
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.prediction.output import predict_to_files
from napari_dl4smlm.backend.report.comparison import write_comparison_report
from napari_dl4smlm.backend.report.models import model_facts
from napari_dl4smlm.backend.report.page import check_report_path, write_page
from napari_dl4smlm.backend.report.prediction import open_result, write_prediction_report
from napari_dl4smlm.backend.report.provenance import record_provenance

CPU = PredictionConfig(device="cpu", threshold=0.01)
COMMAND = "dl4smlm compare '<a> & \"b\".safetensors' --movie movie.tif"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge")


@pytest.fixture(scope="module")
def provenance(model_file):
    return record_provenance([("model", model_file("one.safetensors", 2))], command=COMMAND)


def compared(movie, model_file, hostile, *, truth):
    paths = [model_file("one.safetensors", 2), model_file("two.safetensors", 4)]
    candidates = [
        Candidate(label, load_model(path), path)
        for label, path in zip((hostile, "_two"), paths, strict=True)
    ]
    *_, finished = compare_models(candidates, movie, truth, CPU, repeats=2)
    return finished.comparison


def written(folder, comparison, provenance):
    path = folder / "report.html"
    table = tabulate(comparison)
    figures = draw_comparison(comparison, table)
    write_comparison_report(path, comparison, table, figures, provenance)
    return path


@pytest.fixture(scope="module")
def with_truth(tmp_path_factory, movie, model_file, hostile, truth, provenance):
    comparison = compared(movie, model_file, hostile, truth=truth)
    return written(tmp_path_factory.mktemp("truth"), comparison, provenance), comparison


@pytest.fixture(scope="module")
def without_truth(tmp_path_factory, movie, model_file, hostile, provenance):
    comparison = compared(movie, model_file, hostile, truth=None)
    return written(tmp_path_factory.mktemp("none"), comparison, provenance), comparison


@pytest.fixture(scope="module")
def predicted(tmp_path_factory, movie, model_file):
    folder = tmp_path_factory.mktemp("prediction")
    path = model_file("one.safetensors", 2)
    config = CPU.model_copy(update={"frames": "2:20"})
    list(predict_to_files(load_model(path), movie, folder, config))
    return folder, path


@pytest.fixture(params=["with_truth", "without_truth"])
def report(request):
    return request.getfixturevalue(request.param)


def test_the_page_is_well_formed_and_names_are_nothing_but_text(report, parse, hostile):
    page = parse(report[0])
    assert page.faults == []
    assert page.of("script") == []
    assert hostile in page.text
    assert not any("alert" in str(attributes) for tag, attributes in page.tags if tag != "img")


def test_the_page_needs_nothing_from_elsewhere(report, parse):
    page = parse(report[0])
    assert page.of("link") == page.of("iframe") == page.of("a") == []
    sources = [image["src"] for image in page.of("img")]
    assert len(sources) >= 4
    assert all(re.match(r"data:image/(png|svg\+xml);base64,", source) for source in sources)
    assert all(image["alt"] for image in page.of("img"))
    assert "url(" not in report[0].read_text(encoding="utf-8")
    policies = [meta["content"] for meta in page.of("meta") if "http-equiv" in meta]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_figures_are_whole(with_truth, parse):
    for image in parse(with_truth[0]).of("img"):
        kind, _, data = image["src"].partition(";base64,")
        content = base64.b64decode(data, validate=True)
        if kind.endswith("png"):
            assert content.startswith(b"\x89PNG")
            assert content.endswith(b"IEND\xaeB`\x82")
        else:
            assert content.rstrip().endswith(b"</svg>")


def test_every_number_stands_in_the_page_with_its_interval(with_truth, parse):
    path, comparison = with_truth
    text = parse(path).text
    table = tabulate(comparison)
    for column in table.columns:
        assert column.title in text
        assert column.assumption in text
        for cell in table.cells(column.name).values():
            if cell.value is not None:
                assert column.text(cell.value) in text
            if cell.interval is not None:
                low, high = cell.interval.low, cell.interval.high
                assert f"{column.text(low)} to {column.text(high)}" in text
    for warning in comparison.warnings:
        assert warning in text
    assert "finest grid, ×4" in text


def test_without_truth_the_page_says_why_a_number_is_missing_and_names_no_best(
    without_truth, parse
):
    path, comparison = without_truth
    text = parse(path).text
    for problem in comparison.models[0].problems.values():
        assert problem in text
    assert "no model is called best by them" in text
    assert "Without ground truth: _two" in text


def test_the_page_tells_files_versions_machine_and_command(with_truth, parse, model_file):
    text = parse(with_truth[0]).text
    path = model_file("one.safetensors", 2)
    assert COMMAND in text
    assert str(path) in text
    assert np.__version__ in text


def test_checksums_are_those_of_sha256sum(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "a.bin").write_bytes(b"abc")
    (tmp_path / "b" / "c.bin").write_bytes(b"")
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    files = [("file", tmp_path / "a.bin"), ("folder", tmp_path)]
    file, folder = record_provenance(files).files
    assert (file.sha256, file.n_bytes) == (abc, 3)
    listing = f"{abc}  a.bin\n{nothing}  b/c.bin\n"
    assert folder.sha256 == hashlib.sha256(listing.encode()).hexdigest()
    assert folder.n_bytes == 3


def test_a_prediction_is_told_with_its_measures_its_model_and_its_frames(
    predicted, movie, parse, tmp_path, provenance
):
    folder, model_path = predicted
    result = open_result(folder)
    card = load_model(model_path).card
    path = tmp_path / "report.html"
    write_prediction_report(path, result, movie, card, provenance)
    page = parse(path)
    assert page.faults == []
    assert "2:20, counted from 0, 18 in all" in page.text
    assert "FRC resolution" in page.text
    assert card.weights_sha256 in page.text
    assert len(page.of("img")) == 2
    write_prediction_report(path, result, movie, None, provenance)
    assert (tmp_path / "report.previous.html").exists()


def test_a_report_of_another_model_or_folder_is_refused(
    predicted, movie, model_file, tmp_path, provenance
):
    result = open_result(predicted[0])
    other = load_model(model_file("other.safetensors", 2)).card
    with pytest.raises(InputError, match="does not hold the weights"):
        write_prediction_report(tmp_path / "a.html", result, movie, other, provenance)
    with pytest.raises(InputError, match=r"There is no reconstruction\.tif"):
        open_result(tmp_path)
    shutil.copy(predicted[0] / "localizations.csv", tmp_path)
    (tmp_path / "reconstruction.tif").write_bytes(b"no image")
    with pytest.raises(InputError, match="does not tell which movie"):
        open_result(tmp_path)


def test_a_report_that_cannot_be_written_is_refused_beforehand(tmp_path):
    with pytest.raises(InputError, match=r"'report\.pdf' has to end in \.html"):
        check_report_path(tmp_path / "report.pdf")
    with pytest.raises(InputError, match="There is no folder"):
        check_report_path(tmp_path / "none" / "report.html")


def test_one_epoch_is_not_called_epochs(model_file):
    card = load_model(model_file("model.safetensors", 2)).card
    counted = [
        model_facts("model", card.model_copy(update={"history": [{}] * count})) for count in (1, 2)
    ]
    assert ", 1 epoch<" in counted[0]
    assert ", 2 epochs<" in counted[1]


def test_a_name_that_is_no_text_is_written_all_the_same(tmp_path):
    name = os.fsdecode(b"\xff.tif")
    write_page(tmp_path / "a.html", name, [])
    assert r"\udcff.tif" in (tmp_path / "a.html").read_text(encoding="utf-8")


def browser():
    named = os.environ.get("DL4SMLM_TEST_BROWSER")
    found = named or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(
            "no browser to open the page in: install Chromium, or name one like it in "
            "DL4SMLM_TEST_BROWSER"
        )
    return found


@pytest.mark.slow
def test_a_browser_shows_the_page_with_all_its_figures_and_runs_nothing(
    with_truth, parse, tmp_path
):
    source = with_truth[0].read_text(encoding="utf-8")
    # what the page may not run, a marker shows; the browser draws it if it does
    page = tmp_path / "page.html"
    page.write_text(
        source.replace("</main>", "</main><script>document.title = 'ran'</script>"),
        encoding="utf-8",
    )
    options = ["--headless", "--disable-gpu", "--no-sandbox", f"--user-data-dir={tmp_path / 'u'}"]
    shot = tmp_path / "page.png"
    outcome = subprocess.run(
        [browser(), *options, "--window-size=1200,4000", f"--screenshot={shot}", page.as_uri()],
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert shot.exists(), outcome.stderr.decode(errors="replace")[-2000:]
    dom = subprocess.run(
        [browser(), *options, "--dump-dom", page.as_uri()],
        capture_output=True,
        check=True,
        timeout=120,
    ).stdout.decode("utf-8")
    assert "<title>ran</title>" not in dom
    assert "<title>Comparison of 2 models" in dom
    shown = dom.count("<img ")
    assert shown == len(parse(with_truth[0]).of("img"))
    import matplotlib.image

    pixels = matplotlib.image.imread(shot)[..., :3]
    # text, table lines and coloured figures: not an empty page
    assert len(np.unique((pixels[::8, ::8] * 8).astype(int).reshape(-1, 3), axis=0)) > 20
