import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.backends.backend_agg import FigureCanvasAgg

from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.figures.calibration import draw_calibration
from napari_dl4smlm.backend.models.calibration import Calibration
from napari_dl4smlm.backend.models.model_file import ModelCard, save_model
from napari_dl4smlm.backend.models.registry import create_model
from napari_dl4smlm.cli.figure import figure

KNOWN = {
    "tolerance_nm": 100,
    "threshold": 0.4,
    # of 10 peaks and 10 emitters: 8, 6 and no pairs
    "thresholds": [0.2, 0.4, 0.9],
    "precision": [0.8, 1.0, 0.0],
    "recall": [0.8, 0.6, 0.0],
    "jaccard": 0.6,
    "rmse_nm": 20.0,
}
JUDGED = {
    "confidence": {
        "densities": [0.25, 1],
        "probabilities": [0.5, 1],
        "expected_calibration_error": 0.0214,
        "predicted": [0.5, 0.9],
        "actual": [0.6, 0.89],
        "counts": [100, 900],
    },
    "uncertainty": {
        "densities": [0.25, 1],
        "uncertainties_nm": [40, 10],
        "expected_normalized_calibration_error": 0.0931,
        "predicted_nm": [10, 30],
        "actual_nm": [11, 33],
        "counts": [100, 100],
    },
}


def draw(**parts):
    drawn = draw_calibration(Calibration.model_validate(KNOWN | parts))
    FigureCanvasAgg(drawn).draw()
    return drawn.axes


def titles(axes):
    return [ax.get_title(loc="left").splitlines() for ax in axes]


def test_the_jaccard_index_follows_from_precision_and_recall():
    threshold, _, _ = draw()
    precision, recall, jaccard, chosen = threshold.lines
    assert list(precision.get_ydata()) == KNOWN["precision"]
    assert list(recall.get_ydata()) == KNOWN["recall"]
    assert jaccard.get_ydata() == pytest.approx([8 / 12, 6 / 10, 0])
    assert chosen.get_xdata()[0] == 0.4
    assert titles([threshold]) == [["Threshold", "0.40, Jaccard index 0.600"]]


def test_what_was_predicted_and_what_happened_lie_beside_the_diagonal():
    _, confidence, uncertainty = axes = draw(**JUDGED)
    assert titles(axes)[1:] == [["Confidence", "ECE 2.1 %"], ["Uncertainty", "ENCE 9.3 %"]]
    for ax, section, names in (
        (confidence, "confidence", ("predicted", "actual")),
        (uncertainty, "uncertainty", ("predicted_nm", "actual_nm")),
    ):
        diagonal, points = ax.lines
        assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())
        predicted, actual = (JUDGED[section][name] for name in names)
        np.testing.assert_array_equal(points.get_xdata(), predicted)
        np.testing.assert_array_equal(points.get_ydata(), actual)
        assert ax.get_xlim()[1] > max(*predicted, *actual)


def test_grey_bars_are_where_chance_puts_95_percent():
    _, confidence, uncertainty = draw(**JUDGED)
    (bars,) = confidence.collections
    half = 1.96 * np.sqrt([0.5 * 0.5 / 100, 0.9 * 0.1 / 900])
    low, high = (np.array([bar[end, 1] for bar in bars.get_segments()]) for end in (0, 1))
    assert (high - low) / 2 == pytest.approx(half)
    # of the simulated root mean square of 100 errors along two axes
    errors = np.random.default_rng(0).normal(0, 30, (20_000, 200))
    limits = np.percentile(np.sqrt(np.mean(errors**2, axis=1)), [2.5, 97.5])
    (bars,) = uncertainty.collections
    assert bars.get_segments()[1][:, 1] == pytest.approx(limits, rel=0.01)


def test_what_is_not_calibrated_says_so():
    for ax in draw()[1:]:
        assert titles([ax])[0][1] == "not calibrated"
        assert "too few emitters" in ax.texts[0].get_text().replace("\n", " ")


@pytest.fixture
def save(tmp_path):
    """Saves a model with a calibration."""

    def model(calibration):
        network = create_model("srcnn", upsampling_factor=2)
        card = ModelCard(
            architecture="srcnn",
            options=network.options,
            upsampling_factor=2,
            pixel_size_nm=100,
            normalization=Normalization(offset=0, scale=1, background=0, brightest=1),
            density_amplitude=1,
            training={},
            history=[],
            calibration=calibration,
        )
        save_model(tmp_path / "model.safetensors", network, card)
        return tmp_path / "model.safetensors"

    return model


def test_the_command_draws_the_calibration_of_a_model(save, tmp_path):
    path = save(Calibration.model_validate(KNOWN | JUDGED))
    out = tmp_path / "calibration.png"
    result = CliRunner().invoke(figure, ["calibration", str(path), f"--out={out}"])
    assert result.output == f"Figure: {out}\n"
    assert out.read_bytes().startswith(b"\x89PNG")


def test_a_model_that_was_never_calibrated_is_refused(save):
    result = CliRunner().invoke(figure, ["calibration", str(save(None))])
    assert result.exit_code == 2
    assert "is not calibrated: its training had no positions" in result.output
