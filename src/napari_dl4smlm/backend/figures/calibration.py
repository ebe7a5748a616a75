"""What validation told about a model's peaks: threshold, confidence and uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from napari_dl4smlm.backend.figures.style import (
    COLOURS,
    FONT_PT,
    GREY,
    LINE_PT,
    MARKER_PT,
    THIN_PT,
    TITLE_PT,
    TWO_COLUMNS_MM,
    new_figure,
    style_plot,
    wrap,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.models.calibration import (
        Calibration,
        ConfidenceCalibration,
        UncertaintyCalibration,
    )

# of a plot, three of which share the width of a page
_PLOT_MM = 42.0
_BAR_PT = 3.0


def draw_calibration(calibration: Calibration) -> Figure:
    """Draw how a model's threshold was chosen, and how far its confidence and uncertainty hold.

    Parameters
    ----------
    calibration
        As in ``ModelCard``.

    Returns
    -------
    Figure
        Precision, recall and Jaccard index against the threshold; on validation frames that were
        held out, the share of emitters against the confidence, and the actual against the predicted
        error. Grey is where 95 % of the points of a perfect calibration would lie.
    """
    figure = new_figure(TWO_COLUMNS_MM, 62)
    threshold, confidence, uncertainty = figure.subplots(1, 3)
    _draw_threshold(threshold, calibration)
    if calibration.confidence is None:
        _say_why_not(confidence, "Confidence")
    else:
        _draw_confidence(confidence, calibration.confidence)
    if calibration.uncertainty is None:
        _say_why_not(uncertainty, "Uncertainty")
    else:
        _draw_uncertainty(uncertainty, calibration.uncertainty)
    return figure


def _draw_threshold(ax: Axes, calibration: Calibration) -> None:
    precision, recall = np.array(calibration.precision), np.array(calibration.recall)
    # TP / (TP + FP + FN), in units of TP; without any TP there is no precision either
    with np.errstate(divide="ignore"):
        jaccard = 1 / (1 / precision + 1 / recall - 1)
    curves = {"precision": precision, "recall": recall, "Jaccard index": jaccard}
    for colour, (label, values) in zip(COLOURS, curves.items(), strict=False):
        ax.plot(calibration.thresholds, values, color=colour, linewidth=LINE_PT, label=label)
    ax.axvline(calibration.threshold, color=GREY, linewidth=THIN_PT, linestyle=":", zorder=0)
    title = f"Threshold\n{calibration.threshold:.2f}, Jaccard index {calibration.jaccard:.3f}"
    ax.set_title(title, fontsize=TITLE_PT, loc="left")
    style_plot(ax, xlabel="threshold (emitters)", ylabel="share")
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.03)
    ax.legend(fontsize=FONT_PT, frameon=False, loc="best", handlelength=1.8)


def _draw_confidence(ax: Axes, confidence: ConfidenceCalibration) -> None:
    error = confidence.expected_calibration_error
    ax.set_title(f"Confidence\nECE {100 * error:.1f} %", fontsize=TITLE_PT, loc="left")
    predicted, counts = np.array(confidence.predicted), np.array(confidence.counts)
    chance = 1.96 * np.sqrt(predicted * (1 - predicted) / counts)
    _draw_curve(ax, predicted, confidence.actual, chance, end=1.0)
    style_plot(ax, xlabel="confidence", ylabel="share with an emitter")


def _draw_uncertainty(ax: Axes, uncertainty: UncertaintyCalibration) -> None:
    error = uncertainty.expected_normalized_calibration_error
    ax.set_title(f"Uncertainty\nENCE {100 * error:.1f} %", fontsize=TITLE_PT, loc="left")
    predicted, counts = np.array(uncertainty.predicted_nm), np.array(uncertainty.counts)
    # of the root mean square of normally distributed errors along two axes
    chance = 1.96 * predicted / np.sqrt(4 * counts)
    end = 1.1 * max(predicted.max(), *uncertainty.actual_nm)
    _draw_curve(ax, predicted, uncertainty.actual_nm, chance, end=end)
    style_plot(ax, xlabel="predicted error along an axis (nm)", ylabel="actual error (nm)")


def _draw_curve(
    ax: Axes,
    predicted: NDArray[np.float64],
    actual: tuple[float, ...],
    chance: NDArray[np.float64],
    *,
    end: float,
) -> None:
    """Plot what happened against what was predicted, and the half width of what chance allows."""
    ax.plot([0, end], [0, end], color=GREY, linewidth=THIN_PT, zorder=0)
    low, high = np.clip([predicted - chance, predicted + chance], 0, end)
    ax.vlines(predicted, low, high, color="0.8", linewidth=_BAR_PT, zorder=0)
    ax.plot(predicted, actual, color=COLOURS[0], marker="o", markersize=MARKER_PT, linestyle="none")
    ax.set_xlim(0, 1.03 * end)
    ax.set_ylim(0, 1.03 * end)
    ax.set_aspect("equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def _say_why_not(ax: Axes, name: str) -> None:
    ax.set_title(f"{name}\nnot calibrated", fontsize=TITLE_PT, loc="left")
    ax.set_axis_off()
    ax.text(
        0.5,
        0.5,
        wrap(
            "The validation frames had too few emitters, or the model was trained by an older "
            "version.",
            _PLOT_MM,
        ),
        transform=ax.transAxes,
        ha="center",
        va="center",
        fontsize=FONT_PT,
        color=GREY,
    )
