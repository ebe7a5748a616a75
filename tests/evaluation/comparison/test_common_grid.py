"""Images side by side: the sums are known, since the networks echo what was drawn."""

import numpy as np
import pytest

from napari_dl4smlm.backend.evaluation.comparison.common_grid import on_common_grid
from napari_dl4smlm.backend.evaluation.comparison.compare import compare_models
from napari_dl4smlm.backend.evaluation.comparison.drawing import draw_accuracies
from napari_dl4smlm.backend.localizations.density_map import render_density_map
from napari_dl4smlm.backend.prediction.config import PredictionConfig

CPU = PredictionConfig(device="cpu", threshold=0.3)


@pytest.fixture
def compare(candidate, movie):
    def compare(truth=None):
        models = [candidate("coarse"), candidate("fine", 2.0, upsampling_factor=2)]
        *_, finished = compare_models(models, movie, truth, CPU, repeats=1)
        return finished.comparison

    return compare


def test_density_maps_keep_their_sums_and_differences_are_scaled_as_for_the_scores(compare, truth):
    grid = on_common_grid(compare(truth))
    assert {image.shape for image in (grid.truth, *grid.images.values())} == {(48, 48)}
    photons = truth.photons.sum() / 1000
    sums = {label: image.sum() for label, image in grid.images.items()}
    assert sums == pytest.approx({"coarse": photons, "fine": photons / 2}, rel=1e-4)
    for label, difference in grid.differences.items():
        assert difference.sum() == pytest.approx(0, abs=1e-2)
        expected = grid.images[label] * (grid.truth.sum() / sums[label]) - grid.truth
        assert difference == pytest.approx(expected, abs=1e-4)
        assert (
            0 < grid.largest_difference <= max(np.abs(d).max() for d in grid.differences.values())
        )
    assert 0 < grid.brightest <= grid.truth.max()


def test_localizations_are_drawn_as_the_truth_is(compare, truth):
    comparison = compare(truth)
    grid = on_common_grid(comparison, "localizations")
    coarse, fine = comparison.models
    assert len(fine.localizations) < len(coarse.localizations)
    for model in (coarse, fine):
        expected = render_density_map(
            model.localizations.positions_nm(),
            height=24,
            width=24,
            pixel_size_nm=100.0,
            upsampling_factor=2,
            sigma_px=1.0,
        )
        assert grid.images[model.label] == pytest.approx(expected, abs=1e-5)
    # each localization is an emitter: what was missed is missing
    missing = len(truth) - len(fine.localizations)
    assert grid.differences["fine"].sum() == pytest.approx(-missing, rel=1e-3)


def test_without_truth_there_is_nothing_to_differ_from(compare):
    grid = on_common_grid(compare())
    assert grid.truth is None
    assert grid.differences == {}
    assert set(grid.images) == {"coarse", "fine"}


def test_accuracy_is_drawn_against_density_or_photons_alone(compare, truth):
    comparison = compare(truth)
    labels = {
        against: [ax.get_xlabel() for ax in draw_accuracies(comparison, against=against).axes]
        for against in ("density", "photons", None)
    }
    assert [len(each) for each in labels.values()] == [2, 2, 4]
    assert all("density" in label for label in labels["density"])
    assert all("photons" in label for label in labels["photons"])
