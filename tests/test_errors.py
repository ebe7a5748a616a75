import pytest

from napari_dl4smlm.backend.errors import InputError, unknown_name

MODELS = ["srcnn", "deep_storm", "fid_storm"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("deepstorm", "deep_storm"), ("FID-STORM", "fid_storm"), ("srccn", "srcnn")],
)
def test_the_nearest_name_is_suggested(typed, meant):
    message = str(unknown_name("model", typed, MODELS))
    assert message.startswith(f"Unknown model {typed!r}. Did you mean {meant!r}?")


def test_a_name_like_no_other_gets_the_list_alone():
    error = unknown_name("model", "zebra", MODELS)
    assert isinstance(error, InputError)
    assert str(error) == "Unknown model 'zebra'. Available: srcnn, deep_storm, fid_storm."
