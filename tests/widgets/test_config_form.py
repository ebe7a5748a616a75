from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QComboBox, QLabel, QLineEdit

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.option_pairs import options_text, parse_options
from napari_dl4smlm.backend.prediction.config import PredictionConfig
from napari_dl4smlm.backend.simulation.config import SimulationConfig
from napari_dl4smlm.backend.training.config import TrainingConfig
from napari_dl4smlm.widgets.forms.config_form import ConfigForm
from napari_dl4smlm.widgets.forms.field_terms import nested_models
from napari_dl4smlm.widgets.forms.number_box import NumberBox, number_text

pytestmark = pytest.mark.gui

NETWORKS = {"fid_storm": "FID-STORM", "srcnn": "SRCNN"}


@pytest.fixture
def form_of(qtbot):
    """Make a form and show it."""
    forms = []  # Qt deletes a form, with its rows, that only a row is held of

    def form_of(*arguments, **options):
        form = ConfigForm(*arguments, **options)
        forms.append(form)
        qtbot.addWidget(form)
        form.show()
        return form

    return form_of


def editor(form, *names):
    """Find an editor by the names of the fields on the way to it."""
    found = form._rows_with(names[0]).editors[names[0]]
    for name in names[1:]:
        rows = found._rows
        if isinstance(rows, dict):
            rows = rows[found.value()["kind"]]
        found = rows.editors[name]
    return found


def enter(form, text, *names, line=0):
    """Replace the text of an editor."""
    editor(form, *names).findChildren(QLineEdit)[line].setText(text)


def texts(form):
    """Return the texts of all labels that can be seen."""
    return [label.text() for label in form.findChildren(QLabel) if label.isVisible()]


@pytest.mark.parametrize("config", [TrainingConfig, PredictionConfig, SimulationConfig])
def test_an_untouched_form_has_no_values_and_builds_the_defaults(form_of, config):
    form = form_of(config)
    assert form.values() == {}
    assert form.build() == config()


FULL = {
    TrainingConfig: TrainingConfig(
        model="srcnn",
        model_options={"blocks": 5, "rate": 1e-5, "name": "a b", "deep": True},
        loss="weighted_mse",
        lambda_=2.5e-7,
        foreground_weight=30,
        device="cuda:1",
        precision="bfloat16",
        epochs=10**10,
        augment=False,
        learning_rate=3e-4,
        schedule="cosine",
        early_stopping=None,
        max_minutes=12.5,
        seed=2**62 + 1,
    ),
    PredictionConfig: PredictionConfig(
        batch_size=3, tile_size=64, threshold=0.25, frames="5:9", pixel_size_nm=106.7
    ),
    SimulationConfig: SimulationConfig.model_validate(
        {
            "pixel_size_nm": 1e-3,
            "density": 2,
            "structure": {"kind": "rings", "corners": 0, "per_um2": [1, 2]},
            "blinking": {"on_frames": [1, 5]},
            "photons": {"kind": "lognormal", "mean": [1e2, 1e6]},
            "psf": {"kind": "measured", "image": "/d/beads.tif", "pixel_size_nm": 20},
            "background": {"slope": [0, 1]},
            "camera": {"em_gain": 300, "saturation": 16383},
            "pixel_maps": "/d/maps.npz",
        }
    ),
}


@pytest.mark.parametrize("config", FULL.values(), ids=lambda config: type(config).__name__)
def test_a_form_shows_any_config_and_builds_it_again(form_of, config):
    form = form_of(type(config))
    form.set_values(config.model_dump())
    assert form.build() == config
    other = form_of(type(config))
    other.set_values(form.values())
    assert other.build() == config


def test_defaults_of_a_group_that_differ_from_those_of_its_config_survive_a_change(form_of):
    form = form_of(SimulationConfig)
    enter(form, "0.5", "background", "slope")
    # the background of a simulation is from 10 to 50 photons, that of a Background alone 20
    assert form.values() == {"background": {"photons": [10.0, 50.0], "slope": 0.5}}


def test_values_can_be_set_in_any_form_that_the_config_takes(form_of):
    form = form_of(SimulationConfig)
    form.set_values({"structure": "filaments", "density": "0.5:2"})
    assert form.values() == {"structure": {"kind": "filaments"}, "density": [0.5, 2.0]}


def test_setting_some_values_keeps_the_others_and_tells_once(form_of, qtbot):
    form = form_of(TrainingConfig, advanced=["seed"])
    form.set_values({"seed": 7})
    told = []
    form.changed.connect(lambda: told.append(form.values()))
    form.set_values({"epochs": 3, "lambda": 5})
    assert told == [{"epochs": 3, "lambda_": 5.0, "seed": 7}]


def test_a_refused_value_changes_nothing(form_of):
    form = form_of(TrainingConfig)
    with pytest.raises(InputError, match=r"Epochs: .* greater than or equal to 1 .got 0"):
        form.set_values({"batch_size": 8, "epochs": 0})
    assert form.values() == {}


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 0.001), ("5e-4", 5e-4), (" 0.5 ", 0.5), ("1", 1.0)]
)
def test_a_learning_rate_is_entered_as_it_is_written(form_of, text, value):
    form = form_of(TrainingConfig)
    enter(form, text, "learning_rate")
    assert form.build().learning_rate == value


def test_a_unit_may_be_typed_or_left_out(form_of):
    form = form_of(PredictionConfig)
    for text in ("106.7", "106.7 nm", "106.7nm"):
        enter(form, text, "pixel_size_nm")
        assert form.values() == {"pixel_size_nm": 106.7}


@pytest.mark.parametrize(
    ("names", "text", "message"),
    [
        (("learning_rate",), "2", "Learning rate: .* less than or equal to 1"),
        (("learning_rate",), "fast", "Learning rate: .*got 'fast'"),
        (("learning_rate",), "", "Learning rate: .*valid number .got None"),
        (("epochs",), "1.5", r"Epochs: .*got '1\.5'"),
        (("model_options",), "blocks", "Model options: .*got 'blocks'"),
        (("lambda_",), "many", "λ: .*got 'many'"),
    ],
)
def test_a_faulty_value_is_named_by_the_title_of_its_field(form_of, names, text, message):
    form = form_of(TrainingConfig)
    enter(form, text, *names)
    with pytest.raises(InputError, match=message):
        form.build()


def test_a_fault_inside_a_group_is_named_with_its_group(form_of):
    form = form_of(SimulationConfig)
    enter(form, "3", "camera", "quantum_efficiency")
    editor(form, "psf")._choice.set_value("measured")
    with pytest.raises(
        InputError,
        match=r"PSF › Bead image: Field required; Camera › Quantum efficiency: 3: .* equal to 1",
    ):
        form.build()


def test_a_fault_is_shown_below_its_row_as_long_as_it_is_there(form_of):
    form = form_of(SimulationConfig)
    enter(form, "0", "density", line=1)
    fault = "⚠ 0.5:0 is no range; give a number, or first the lower one"
    assert fault in texts(form)
    enter(form, "1", "density", line=1)
    assert fault not in texts(form)


@pytest.mark.parametrize(
    ("config", "values", "names", "text"),
    [
        (TrainingConfig, {}, ("seed",), "-1"),
        (SimulationConfig, {}, ("background", "slope"), "3"),
        (SimulationConfig, {"blinking": {}}, ("blinking", "blinks"), "0"),
        (SimulationConfig, {"structure": "rings"}, ("structure", "corners"), "-1"),
    ],
)
def test_a_fault_in_a_fold_opens_it(form_of, config, values, names, text):
    form = form_of(config, advanced=["seed"] if config is TrainingConfig else [])
    form.set_values(values)
    enter(form, text, *names)
    assert editor(form, *names).isVisible()
    assert sum(text.startswith("⚠") for text in texts(form)) == 1


def test_a_fault_inside_a_kind_is_shown_below_its_own_row(form_of):
    form = form_of(SimulationConfig)
    form.set_values({"structure": "rings"})
    enter(form, "-1", "structure", "corners")
    rings = editor(form, "structure")._rows["rings"]
    assert rings._faults["corners"].text().startswith("⚠ Input should be greater than")


def test_a_fault_of_several_fields_together_is_shown_at_the_end(form_of):
    form = form_of(SimulationConfig)
    form.set_values({"pixel_variation": {}})
    enter(form, "/d/maps.npz", "pixel_maps")
    assert "⚠ give either pixel_maps or pixel_variation, not both" in form._fault.text()
    assert form._fault.isVisible()


def test_a_kind_swaps_the_fields_below_it_and_what_was_entered_is_kept(form_of):
    form = form_of(SimulationConfig)
    enter(form, "90", "psf", "sigma_nm")
    assert {"σ in focus", "Focal depth"} <= set(texts(form))
    editor(form, "psf")._choice.set_value("measured")
    assert "Bead image" in texts(form)
    assert "σ in focus" not in texts(form)
    editor(form, "psf")._choice.set_value("gaussian")
    assert form.values() == {"psf": {"kind": "gaussian", "sigma_nm": 90.0}}


def test_kinds_are_explained_by_their_own_words(form_of):
    structure = editor(form_of(SimulationConfig), "structure").findChild(QComboBox)
    shown = [
        (structure.itemText(row), structure.itemData(row, Qt.ItemDataRole.ToolTipRole))
        for row in (0, 3)
    ]
    assert shown == [
        ("random", "<qt>anywhere, without structure</qt>"),
        ("line pairs", "<qt>pairs of parallel lines</qt>"),
    ]


def test_an_optional_group_is_left_out_until_it_is_checked(form_of):
    form = form_of(SimulationConfig)
    assert "On time (frames)" not in texts(form)
    editor(form, "blinking")._flag.set_value(True)
    assert form.values() == {"blinking": {}}
    assert "On time (frames)" in texts(form)


def test_a_number_that_does_not_vary_is_a_range_without_an_upper_end(form_of):
    form = form_of(SimulationConfig)
    enter(form, "", "density", line=1)
    assert form.values() == {"density": 0.5}
    assert form.build().density == (0.5, 0.5)


def placeholder(form, *names):
    return editor(form, *names).findChild(QLineEdit).placeholderText()


def test_an_empty_number_says_what_is_used_in_its_place(form_of):
    form = form_of(PredictionConfig)
    assert placeholder(form, "threshold") == ("auto: the one calibrated in training, or else 0.3")
    form.set_automatic("threshold", "0.31, calibrated")
    assert placeholder(form, "threshold") == "auto: 0.31, calibrated"
    assert placeholder(form_of(TrainingConfig), "max_minutes") == "not set"


def test_a_tooltip_says_what_an_empty_field_means_as_the_field_itself_does(form_of):
    form = form_of(TrainingConfig)
    assert editor(form, "lambda_").toolTip() == (
        "<qt>lower is sparser, higher keeps more signal<br>If empty: the loss&#x27;s own</qt>"
    )
    form.set_automatic("lambda_", "400 for L1L2")
    shown = editor(form, "lambda_").toolTip()
    assert shown.endswith("If empty: 400 for L1L2</qt>")
    assert "own" not in shown
    # where a number is the default, no number is something else
    form.set_empty("early_stopping", "never")
    shown = editor(form, "early_stopping").toolTip()
    assert shown.endswith("Default: 15<br>If empty: never</qt>")
    assert placeholder(form, "early_stopping") == "never"
    # why a row is disabled is not lost
    form.set_disabled("lambda_", "a reason")
    form.set_automatic("lambda_", "40")
    assert editor(form, "lambda_").toolTip() == "<qt>a reason</qt>"


def groups(model):
    """A config and all configs inside it."""
    yield model
    for field in model.model_fields.values():
        for nested in nested_models(field).values():
            yield from groups(nested)


@pytest.mark.parametrize("model", list(groups(SimulationConfig)), ids=lambda model: model.__name__)
def test_every_number_of_a_simulation_has_a_title_of_its_own(model):
    titles = [field.title for name, field in model.model_fields.items() if name != "kind"]
    assert all(titles)
    assert len(set(titles)) == len(titles)


def test_the_form_of_options_is_shown_by_an_example(form_of):
    assert placeholder(form_of(TrainingConfig), "model_options") == "such as blocks=5 for fid_storm"


def test_a_number_can_be_removed_where_none_is_allowed(form_of):
    form = form_of(TrainingConfig)
    enter(form, "", "early_stopping")
    assert form.values() == {"early_stopping": None}
    assert form.build().early_stopping is None


def test_choices_have_labels_and_one_that_is_not_offered_is_kept(form_of):
    form = form_of(TrainingConfig, choices={"model": NETWORKS, "device": {"auto": "auto"}})
    combo = editor(form, "model").findChild(QComboBox)
    assert combo.currentText() == "FID-STORM"
    combo.setCurrentText("SRCNN")
    form.set_values({"device": "cuda:1"})
    assert form.values() == {"model": "srcnn", "device": "cuda:1"}


def test_other_choices_keep_the_chosen_one(form_of, qtbot):
    form = form_of(TrainingConfig, choices={"model": NETWORKS})
    form.set_values({"model": "srcnn"})
    with qtbot.assertNotEmitted(form.changed):
        form.set_choices("model", {"u_storm": "U-STORM", "srcnn": "SRCNN"})
    assert form.values() == {"model": "srcnn"}


def test_a_disabled_row_says_why_until_it_is_enabled(form_of):
    form = form_of(TrainingConfig)
    form.set_disabled("foreground_weight", "the L1L2 loss has none")
    row = editor(form, "foreground_weight")
    assert not row.isEnabled()
    assert row.toolTip() == "<qt>the L1L2 loss has none</qt>"
    form.set_disabled("foreground_weight", None)
    assert row.isEnabled()
    assert "weight of pixels near emitters" in row.toolTip()


def test_tooltips_are_descriptions_with_their_defaults(form_of):
    row = editor(form_of(TrainingConfig), "epochs")
    assert row.toolTip() == "<qt>passes over the training patches<br>Default: 20</qt>"


def test_only_the_asked_for_fields_have_rows_and_others_can_be_given(form_of):
    form = form_of(PredictionConfig, ["threshold"], ["tile_size"])
    assert texts(form) == ["Threshold"]
    enter(form, "0.2", "threshold")
    assert form.build(frames="0:5") == PredictionConfig(threshold=0.2, frames="0:5")
    form.set_values(PredictionConfig(frames="0:9").model_dump())
    assert form.values() == {}


def test_a_file_is_picked_into_its_row(form_of, monkeypatch, qtbot):
    monkeypatch.setattr(
        "napari_dl4smlm.widgets.forms.field_editors.QFileDialog.getOpenFileName",
        lambda *_: ("/d/maps.npz", ""),
    )
    form = form_of(SimulationConfig)
    editor(form, "pixel_maps")._browse()
    assert form.build().pixel_maps == Path("/d/maps.npz")


def test_the_columns_of_all_rows_and_forms_align_in_a_narrow_dock(form_of):
    form = form_of(SimulationConfig)
    form.set_values(FULL[SimulationConfig].model_dump() | {"structure": "filaments"})
    form.resize(360, form.heightForWidth(360))
    QApplication.processEvents()
    assert form.width() == 360
    inside = [("structure", "radius_nm"), ("blinking", "on_frames"), ("psf", "image")]
    lefts, rights = set(), set()
    other = form_of(TrainingConfig)
    other.resize(360, other.heightForWidth(360))
    QApplication.processEvents()
    outer = [("pixel_size_nm",), ("density",), ("structure",)]
    for shown, names in [(other, ("seed",)), *((form, names) for names in outer + inside)]:
        place = editor(shown, *names)
        left = place.mapTo(shown, place.rect().topLeft()).x()
        lefts.add(left)
        rights.add(left + place.width())
    assert len(lefts) == len(rights) == 1


def test_a_config_with_a_type_that_no_editor_knows_is_a_defect(qtbot):
    class Odd(BaseModel):
        when: set[int] = Field(set())

    with pytest.raises(TypeError, match="when: there is no editor for"):
        ConfigForm(Odd)


def test_an_optional_choice_can_be_left_open(form_of):
    class Sampling(BaseModel):
        factor: Literal[1, 2] | None = Field(None, description="by default 2")

    form = form_of(Sampling)
    combo = editor(form, "factor").findChild(QComboBox)
    assert [combo.itemText(row) for row in range(combo.count())] == ["auto: 2", "1", "2"]
    combo.setCurrentIndex(1)
    assert form.values() == {"factor": 1}


@pytest.mark.parametrize(
    ("start", "steps", "end"),
    [(100.0, 1, 110.0), (0.001, 1, 0.0011), (0.0011, -1, 0.001), (0.0, 1, 0.1), (400.0, 3, 430.0)],
)
def test_the_arrows_step_by_the_second_digit(qtbot, start, steps, end):
    box = NumberBox()
    qtbot.addWidget(box)
    box.set_value(start)
    box.stepBy(steps)
    assert box.value() == end


def test_the_arrows_stay_within_what_the_config_accepts(form_of, qtbot):
    form = form_of(TrainingConfig)
    box = editor(form, "learning_rate").findChild(NumberBox)
    box.set_value(1.0)
    qtbot.keyClick(box, Qt.Key.Key_Up)
    assert form.values() == {"learning_rate": 1.0}
    box = editor(form, "epochs").findChild(NumberBox)
    box.set_value(2)
    for _ in range(3):
        qtbot.keyClick(box, Qt.Key.Key_Down)
    assert box.value() == 1


def test_the_wheel_scrolls_past_rows_without_changing_them(form_of):
    form = form_of(TrainingConfig, choices={"model": NETWORKS})
    form.setFocus()
    for name in ("model", "epochs"):
        (control,) = editor(form, name).findChildren(QComboBox) or editor(form, name).findChildren(
            NumberBox
        )
        event = QWheelEvent(
            QPointF(5, 5),
            QPointF(5, 5),
            QPoint(),
            QPoint(0, -120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(control, event)
    assert form.values() == {}


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_a_number_is_read_back_as_it_was_written(value):
    assert type(value)(number_text(value)) == value


@given(st.dictionaries(st.text("ab_"), st.integers() | st.booleans() | st.floats(0, 1) | st.text()))
def test_options_are_written_only_where_they_are_read_back(options):
    text = options_text(options)
    simple = all(name and not isinstance(value, str) for name, value in options.items())
    assert (text is not None) or not simple
    assert text is None or parse_options(text) == options
