"""How a training went: losses, learning rate and detection scores, epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import NullFormatter

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.figures.style import (
    COLOURS,
    FONT_PT,
    GREY,
    LINE_PT,
    MARKER_PT,
    MARKERS,
    ONE_COLUMN_MM,
    THIN_PT,
    legend_above,
    new_figure,
    style_plot,
    whole_numbers_along_x,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_LOSSES = ("training_loss", "validation_loss")
_SCORES = {"validation_jaccard": "Jaccard index", "validation_rmse_nm": "RMSE (nm)"}

# with more epochs, markers would run into one another
_MOST_MARKERS = 25

# ratio of the highest to the lowest loss; labels of a shorter logarithmic axis are hard to read
_LOGARITHMIC_FROM = 3

_PANEL_MM = {"hint loss": 36.0, "loss": 50.0, "scores": 36.0, "rate": 20.0}


def draw_training_curves(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the losses of each epoch and, where they are known, the detection scores.

    Parameters
    ----------
    history
        As in ``ModelCard``: ``epoch``, ``training_loss`` and ``validation_loss`` of each epoch.
        With ``learning_rate``, its steps are marked, unless it falls in most epochs, and drawn in a
        panel of their own, if there are any. With ``validation_jaccard`` or
        ``validation_rmse_nm`` in any epoch, a further panel shows these. Epochs whose ``stage`` is
        ``"hint"`` have a panel of their own: their losses are of features, not of density maps.

    Raises
    ------
    InputError
        There are no epochs, or one lacks a loss or its number.
    """
    if not history:
        raise InputError("No epoch has been finished, so that there are no curves to draw.")
    epochs = _column(history, "epoch")
    losses = {name: _column(history, name) for name in _LOSSES}
    rate = _column(history, "learning_rate", optional=True)
    scores = {name: _column(history, name, optional=True) for name in _SCORES}
    steps = epochs[1:][np.diff(rate) != 0] if np.isfinite(rate).all() else epochs[:0]
    falls_smoothly = 2 * len(steps) > len(epochs)
    is_hint = np.array([epoch.get("stage") == "hint" for epoch in history])
    in_stage = {"hint loss": is_hint, "loss": ~is_hint}
    panels = [name for name, chosen in in_stage.items() if chosen.any()]
    panels += ["scores"] if any(np.isfinite(values).any() for values in scores.values()) else []
    panels += ["rate"] if len(steps) else []
    heights = [_PANEL_MM[panel] for panel in panels]
    figure = new_figure(ONE_COLUMN_MM, sum(heights) + 12)
    column = figure.subplots(len(panels), squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    axes = dict(zip(panels, column, strict=True))
    for name, chosen in in_stage.items():
        if name in axes:
            of_stage = {loss: values[chosen] for loss, values in losses.items()}
            _draw_losses(axes[name], epochs[chosen], of_stage, ylabel=name)
    if "scores" in axes:
        _draw_scores(axes["scores"], epochs, scores)
    if "rate" in axes:
        _draw_learning_rate(axes["rate"], epochs, rate)
    for ax in column:
        for step in () if falls_smoothly else steps:
            ax.axvline(step - 0.5, color=GREY, linewidth=THIN_PT, linestyle=":", zorder=0)
    column[-1].set_xlabel("epoch", fontsize=FONT_PT)
    column[-1].set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    whole_numbers_along_x(column[-1])
    figure.align_ylabels(column)
    return figure


def _column(
    history: Sequence[Mapping[str, Any]], name: str, *, optional: bool = False
) -> NDArray[np.float64]:
    """Return one number per epoch; what is optional and absent is NaN."""
    values = [epoch.get(name) for epoch in history]
    for number, value in enumerate(values, start=1):
        if not (isinstance(value, int | float) or (optional and value is None)):
            raise InputError(
                f"The history cannot be drawn: {name!r} of its entry {number} is {value!r}, not a "
                "number. Give the history of a model that this program trained."
            )
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _draw_losses(
    ax: Axes,
    epochs: NDArray[np.float64],
    losses: Mapping[str, NDArray[np.float64]],
    *,
    ylabel: str,
) -> None:
    for index, (name, values) in enumerate(losses.items()):
        _draw_curve(ax, epochs, values, index, label=name.replace("_loss", ""))
    validation = losses["validation_loss"]
    if np.isfinite(validation).any():
        best = int(np.nanargmin(validation))
        ax.plot(
            epochs[best],
            validation[best],
            linestyle="none",
            marker="o",
            markersize=8,
            markerfacecolor="none",
            markeredgecolor="black",
            clip_on=False,  # the last epoch lies at the edge
            label=f"best: epoch {epochs[best]:g}",
        )
    drawn = np.concatenate(list(losses.values()))
    if np.nanmax(drawn) > _LOGARITHMIC_FROM * np.nanmin(drawn) > 0:
        ax.set_yscale("log")
    style_plot(ax, ylabel=ylabel)
    legend_above(ax, columns=3)


def _draw_scores(
    ax: Axes, epochs: NDArray[np.float64], scores: Mapping[str, NDArray[np.float64]]
) -> None:
    """Draw the scores there are, each with an axis of its own in its colour."""
    known = [name for name, values in scores.items() if np.isfinite(values).any()]
    for place, name in enumerate(known):
        own = ax.twinx() if place else ax
        index = 2 + list(_SCORES).index(name)
        _draw_curve(own, epochs, scores[name], index, label=_SCORES[name])
        style_plot(own, ylabel=f"validation {_SCORES[name]}")
        own.yaxis.label.set_color(COLOURS[index])
        own.tick_params(axis="y", colors=COLOURS[index])
        if place:
            own.spines["right"].set_visible(True)
        own.set_ylim(bottom=0, top=1 if name == "validation_jaccard" else None)


def _draw_learning_rate(ax: Axes, epochs: NDArray[np.float64], rate: NDArray[np.float64]) -> None:
    ax.step(epochs, rate, where="mid", color=GREY, linewidth=LINE_PT)
    # with less than that, a logarithmic axis may have a single label
    if rate.max() > 10 * rate.min() > 0:
        ax.set_yscale("log")
        ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_ylim(bottom=0)
    style_plot(ax, ylabel="learning rate")


def _draw_curve(
    ax: Axes, epochs: NDArray[np.float64], values: NDArray[np.float64], index: int, *, label: str
) -> None:
    ax.plot(
        epochs,
        values,
        color=COLOURS[index],
        linewidth=LINE_PT,
        marker=MARKERS[index] if len(epochs) <= _MOST_MARKERS else None,
        markersize=MARKER_PT,
        label=label,
    )
