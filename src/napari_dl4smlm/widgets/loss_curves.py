"""Draws the losses of a training, epoch by epoch.

Losses of hints compare features and not density maps: they have a scale of their own and are never
joined to those of other stages.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from napari_dl4smlm.backend.training.events import StageName
    from napari_dl4smlm.widgets.figure_view import FigureLook

# places in the colours of figures of the blue and the orange that stand out best
_CURVES_ON_DARK = (5, 4)
_CURVES_ON_LIGHT = (0, 1)
# ratio of the highest to the lowest loss; labels of a shorter logarithmic axis are hard to read
_LOGARITHMIC_FROM = 10
# left, bottom, width and height as shares of the figure, with room for labels of five digits at the
# width of a dock; to measure the labels each time would double the time to draw
_AXES = (0.2, 0.19, 0.77, 0.7)
# the same for the hints and, beside them, with labels on the right, for the transfer
_TWO_AXES = (0.2, 0.19, 0.6, 0.63)
# share of them that each has at least
_LEAST_SHARE = 0.25
# from that ratio on there is no room for labels at 2 and 5
_CROWDED_FROM = 1000
# losses between these are written as they are; labels of others would be too long
_PLAIN = (1e-3, 1e4)
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# with more epochs, markers would run into one another
_MOST_MARKERS = 25


class Epoch(NamedTuple):
    """What is drawn of one epoch.

    Attributes
    ----------
    number
        From 1; that of a resumed training may begin later.
    training_loss, validation_loss
        Means of the epoch.
    stage
        What was learned in it.
    """

    number: int
    training_loss: float
    validation_loss: float
    stage: StageName = "training"

    @property
    def losses(self) -> tuple[float, float]:
        """Both losses."""
        return self.training_loss, self.validation_loss

    @property
    def is_hint(self) -> bool:
        """Whether the loss compares features."""
        return self.stage == "hint"


def panels_of(epochs: Sequence[Epoch]) -> dict[bool, list[Epoch]]:
    """Return the epochs of hints (true) and all others (false), as far as there are any of them."""
    panels: dict[bool, list[Epoch]] = {}
    for epoch in epochs:
        panels.setdefault(epoch.is_hint, []).append(epoch)
    return panels


def draw_losses(epochs: Sequence[Epoch], best: Mapping[bool, Epoch], look: FigureLook) -> Figure:
    """Draw both losses of all epochs; the stages of a distillation lie side by side.

    Parameters
    ----------
    epochs
        At least one, in order.
    best
        The best epoch of the hints (true) and of what is no hint (false), which are marked.
    look
        Colours.
    """
    from matplotlib.figure import Figure

    figure = Figure()
    panels = panels_of(epochs)
    for is_hint, place in _places(panels).items():
        axes = figure.add_axes(place)
        _draw_curves(axes, panels[is_hint], best, look, with_markers=len(epochs) <= _MOST_MARKERS)
        _style(axes, panels[is_hint])
    if len(panels) > 1:
        hints, transfer = figure.axes
        _lay_side_by_side(hints, transfer)
        hints.set_xlim(panels[True][0].number - 0.5, panels[True][-1].number + 0.5)
        transfer.set_xlim(panels[False][0].number - 0.5, panels[False][-1].number + 0.5)
    _show_legend(figure)
    look.colour(figure)
    return figure


def _draw_curves(
    axes: Axes,
    epochs: Sequence[Epoch],
    best: Mapping[bool, Epoch],
    look: FigureLook,
    *,
    with_markers: bool,
) -> None:
    from napari_dl4smlm.backend.figures.style import COLOURS, LINE_PT, MARKER_PT, MARKERS

    numbers = [epoch.number for epoch in epochs]
    curves = {
        "training": [epoch.training_loss for epoch in epochs],
        "validation": [epoch.validation_loss for epoch in epochs],
    }
    colours = _CURVES_ON_DARK if look.is_dark else _CURVES_ON_LIGHT
    for index, (label, values) in enumerate(curves.items()):
        axes.plot(
            numbers,
            values,
            color=COLOURS[colours[index]],
            linewidth=LINE_PT,
            marker=MARKERS[index] if with_markers else None,
            markersize=MARKER_PT,
            label=label,
        )
    marked = best.get(epochs[0].is_hint)
    if marked is not None:
        axes.plot(
            marked.number,
            marked.validation_loss,
            linestyle="none",
            marker="o",
            markersize=3 * MARKER_PT,
            clip_on=False,
            markerfacecolor="none",
            markeredgecolor=look.text,
            # of two stages, each has one
            label="best epoch" if len(best) > 1 else f"best: epoch {marked.number}",
        )


def _style(axes: Axes, epochs: Sequence[Epoch]) -> None:
    from napari_dl4smlm.backend.figures.style import style_plot, whole_numbers_along_x

    losses = [loss for epoch in epochs for loss in epoch.losses]
    exponent = _exponent(max(map(abs, losses)))
    unit = f" / 10{str(exponent).translate(_SUPERSCRIPTS)}" if exponent else ""
    what = "hint loss" if epochs[0].is_hint else "loss"
    style_plot(axes, xlabel="epoch", ylabel=f"{what}{unit}")
    whole_numbers_along_x(axes)
    _label_losses(axes, losses, exponent)


def _show_legend(figure: Figure) -> None:
    """Explain the curves above the last panel, whose best epoch is that of the model."""
    from napari_dl4smlm.backend.figures.style import FONT_PT

    handles, labels = figure.axes[-1].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="upper right",
        bbox_to_anchor=(0.97, 0.99),
        ncols=3,
        fontsize=FONT_PT,
        frameon=False,
        borderaxespad=0,
        columnspacing=1.0,
    )


def _places(
    panels: Mapping[bool, Sequence[Epoch]],
) -> dict[bool, tuple[float, float, float, float]]:
    """Return left, bottom, width and height of each panel, the wider the more epochs it has."""
    if len(panels) == 1:
        return dict.fromkeys(panels, _AXES)
    hints, others = len(panels[True]), len(panels[False])
    share = min(max(hints / (hints + others), _LEAST_SHARE), 1 - _LEAST_SHARE)
    left, bottom, width, height = _TWO_AXES
    return {
        True: (left, bottom, share * width, height),
        False: (left + share * width, bottom, (1 - share) * width, height),
    }


def _lay_side_by_side(hints: Axes, transfer: Axes) -> None:
    """Name two panels, draw the boundary between them, and label the second one on its right."""
    from napari_dl4smlm.backend.figures.style import FONT_PT, THIN_PT

    for axes, name in ((hints, "hints"), (transfer, "transfer")):
        axes.set_title(name, fontsize=FONT_PT, pad=3)
    transfer.yaxis.tick_right()
    transfer.yaxis.set_label_position("right")
    transfer.spines["right"].set_visible(True)
    transfer.spines["left"].set_linestyle("--")
    transfer.spines["left"].set_linewidth(2 * THIN_PT)


def _exponent(largest: float) -> int:
    """Return the power of ten that the axis counts in, 0 where losses are written as they are."""
    if largest == 0 or _PLAIN[0] <= largest < _PLAIN[1]:
        return 0
    return math.floor(math.log10(largest))


def _label_losses(axes: Axes, losses: list[float], exponent: int) -> None:
    """Label the vertical axis without the number that matplotlib would write above it."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    # plain numbers: mathematical text, such as powers of ten, takes long to draw
    plain = FuncFormatter(lambda loss, _: f"{loss / 10.0**exponent:g}")
    span = max(losses) / min(losses) if min(losses) > 0 else 0.0
    if span > _LOGARITHMIC_FROM:
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.yaxis.set_minor_formatter(plain if span < _CROWDED_FROM else NullFormatter())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(plain)
