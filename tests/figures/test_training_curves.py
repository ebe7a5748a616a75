import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.figures.training_curves import draw_training_curves


def history(epochs, *, halve_after=(), **more):
    return [
        {
            "epoch": epoch,
            "training_loss": 1 / epoch,
            "validation_loss": 1 / epoch + 0.02 * epoch,
            "learning_rate": 1e-3 * 0.5 ** sum(epoch > last for last in halve_after),
        }
        | {name: values[epoch - 1] for name, values in more.items()}
        for epoch in range(1, epochs + 1)
    ]


def test_losses_are_drawn_on_a_logarithmic_axis_with_the_best_epoch_marked():
    (ax,) = draw_training_curves(history(20)).axes
    training, validation, best = ax.lines
    assert training.get_ydata() == pytest.approx(1 / np.arange(1, 21))
    # 1/x + 0.02 x is least at x = 7.07
    assert (best.get_xdata(), best.get_ydata()) == ([7], [validation.get_ydata()[6]])
    assert ax.get_yscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss")
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["training", "validation", "best: epoch 7"]


def test_steps_of_the_learning_rate_are_marked_between_their_epochs():
    losses, rate = draw_training_curves(history(20, halve_after=(5, 12))).axes
    assert [line.get_xdata()[0] for line in losses.lines[3:]] == [5.5, 12.5]
    assert rate.lines[0].get_ydata()[[0, -1]] == pytest.approx([1e-3, 2.5e-4])
    assert rate.get_ylabel() == "learning rate"


def test_detection_scores_have_a_panel_with_an_axis_for_each():
    scores = {"validation_jaccard": [0.2, None, 0.6], "validation_rmse_nm": [60, 50, 40.0]}
    _, jaccard, rmse = draw_training_curves(history(3, **scores)).axes
    assert jaccard.lines[0].get_ydata() == pytest.approx([0.2, np.nan, 0.6], nan_ok=True)
    assert rmse.lines[0].get_ydata() == pytest.approx([60, 50, 40])
    assert jaccard.get_ylabel() == "validation Jaccard index"
    assert rmse.get_ylabel() == "validation RMSE (nm)"
    assert jaccard.get_ylim() == (0, 1)


def test_hints_have_a_panel_of_their_own_with_a_best_epoch_of_their_own():
    stages = ["hint"] * 3 + ["transfer"] * 9
    hints, maps = draw_training_curves(history(12, stage=stages)).axes
    assert (hints.get_ylabel(), maps.get_ylabel()) == ("hint loss", "loss")
    assert hints.lines[0].get_xdata().tolist() == [1, 2, 3]
    assert maps.lines[0].get_xdata().tolist() == list(range(4, 13))
    assert [ax.lines[2].get_xdata()[0] for ax in (hints, maps)] == [3, 7]
    assert hints.get_xlim() == maps.get_xlim() == (0.5, 12.5)


def test_hints_alone_are_named_as_such():
    (ax,) = draw_training_curves(history(3, stage=["hint"] * 3)).axes
    assert ax.get_ylabel() == "hint loss"


def test_a_single_epoch_is_a_point_in_the_middle():
    figure = draw_training_curves(history(1))
    FigureCanvasAgg(figure).draw()
    (ax,) = figure.axes
    assert ax.get_xlim() == (0.5, 1.5)
    assert [tick for tick in ax.get_xticks() if 0.5 < tick < 1.5] == [1]
    assert ax.lines[0].get_marker() not in (None, "None")
    assert ax.get_yscale() == "linear"


def test_a_training_that_diverged_is_drawn_up_to_there():
    epochs = history(3)
    epochs[2] |= {"training_loss": float("nan"), "validation_loss": float("nan")}
    figure = draw_training_curves(epochs)
    FigureCanvasAgg(figure).draw()
    assert figure.axes[0].lines[2].get_xdata() == [2]


def test_a_history_without_learning_rate_has_no_steps():
    epochs = [
        {name: value for name, value in epoch.items() if name != "learning_rate"}
        for epoch in history(3)
    ]
    assert len(draw_training_curves(epochs).axes) == 1


@pytest.mark.parametrize(
    ("epochs", "message"),
    [
        ([], "No epoch has been finished"),
        ([*history(1), {"epoch": 2, "training_loss": 1.0}], "'validation_loss' of its entry 2"),
        ([{"epoch": "one"}], "'epoch' of its entry 1 is 'one'"),
    ],
)
def test_a_history_that_is_none_is_refused(epochs, message):
    with pytest.raises(InputError, match=message):
        draw_training_curves(epochs)
