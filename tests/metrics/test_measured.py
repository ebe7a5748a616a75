import pytest

from napari_dl4smlm.backend.metrics.measured import Measured


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (8.0843, "8.08 nm"),
        (41.27, "41.3 nm"),
        (130.6, "131 nm"),
        (1078.9, "1,079 nm"),
        (0.0213, "0.0213 nm"),
        (-0.5, "-0.500 nm"),
        (0, "0 nm"),
    ],
)
def test_a_value_is_told_to_three_digits_with_its_unit(value, text):
    assert Measured("resolution", "nm", "nothing", value=value).text == text


def test_a_pure_number_has_no_unit():
    assert Measured("correlation", "", "nothing", value=0.977).text == "0.977"


def test_what_was_not_measured_has_no_number():
    missing = Measured("resolution", "nm", "nothing", problem="There is no image.")
    assert missing.text == "not measured"
    assert missing.value is None
