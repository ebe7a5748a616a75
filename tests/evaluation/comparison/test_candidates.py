import pytest

from napari_dl4smlm.backend.errors import InputError, ModelFileError
from napari_dl4smlm.backend.evaluation.comparison.candidates import open_candidates
from napari_dl4smlm.backend.models.model_file import save_model
from napari_dl4smlm.backend.models.registry import create_model


@pytest.fixture
def save(tmp_path, candidate):
    """Writes a small network with weights of its own."""

    def save(name):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        network = create_model("fid_storm", upsampling_factor=2, blocks=1, channels=4)
        changes = {"architecture": "fid_storm", "options": network.options, "upsampling_factor": 2}
        save_model(path, network, candidate("").model.card.model_copy(update=changes))
        return path

    return save


def test_models_are_called_as_their_files_and_by_the_folders_that_tell_them_apart(save):
    names = ["x/one/model.safetensors", "x/two/model.safetensors", "y/two/model.safetensors"]
    paths = [save(name) for name in [*names, "fid.safetensors"]]
    candidates = open_candidates(paths)
    assert [candidate.label for candidate in candidates] == [
        "one/model",
        "x/two/model",
        "y/two/model",
        "fid",
    ]
    assert [candidate.path for candidate in candidates] == paths


def test_a_file_that_is_given_twice_is_refused_whatever_it_is_called(save, tmp_path, monkeypatch):
    path = save("model.safetensors")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"model\.safetensors is given twice"):
        open_candidates([path, "model.safetensors"])


def test_a_copy_of_a_model_is_refused(save):
    path = save("a.safetensors")
    copy = path.with_name("b.safetensors")
    copy.write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="b and a are the same model"):
        open_candidates([path, copy])


def test_no_file_and_a_file_that_is_no_model_are_refused(save, tmp_path):
    with pytest.raises(InputError, match="no model to compare"):
        open_candidates([])
    text = tmp_path / "text.safetensors"
    text.write_text("not a model at all")
    with pytest.raises(ModelFileError, match=r"text\.safetensors does not begin as"):
        open_candidates([save("a.safetensors"), text])
