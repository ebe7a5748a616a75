import re

import pytest
from matplotlib.figure import Figure
from PIL import Image

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.figures.figure_file import save_figure


@pytest.fixture
def figure():
    figure = Figure(figsize=(2, 1))
    figure.subplots().set_title("counts")
    return figure


@pytest.mark.parametrize(
    ("name", "beginning"),
    [("f.png", b"\x89PNG"), ("f.pdf", b"%PDF"), ("f.svg", b"<?xml"), ("f.PNG", b"\x89PNG")],
)
def test_the_suffix_tells_the_format(tmp_path, figure, name, beginning):
    save_figure(figure, tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(beginning)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_image_has_300_dots_per_inch(tmp_path, figure):
    save_figure(figure, tmp_path / "f.png")
    with Image.open(tmp_path / "f.png") as image:
        assert image.size == (600, 300)


def test_a_pdf_has_no_type_3_fonts_which_journals_refuse(tmp_path, figure):
    save_figure(figure, tmp_path / "f.pdf")
    fonts = re.findall(rb"/Subtype /(Type0|Type3|TrueType)", (tmp_path / "f.pdf").read_bytes())
    assert b"Type0" in fonts
    assert b"Type3" not in fonts


def test_an_older_figure_is_kept_aside(tmp_path, figure):
    (tmp_path / "f.png").write_bytes(b"older")
    save_figure(figure, tmp_path / "f.png")
    assert (tmp_path / "f.previous.png").read_bytes() == b"older"
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["f.jpg", "f", "f.tif"])
def test_another_suffix_is_refused_with_those_possible(tmp_path, figure, name):
    with pytest.raises(InputError, match=r"ends in \.png, \.pdf or \.svg"):
        save_figure(figure, tmp_path / name)


def test_a_missing_folder_is_refused(tmp_path, figure):
    with pytest.raises(InputError, match="There is no folder"):
        save_figure(figure, tmp_path / "missing" / "f.png")


def test_a_failure_keeps_the_older_figure(tmp_path, figure, monkeypatch):
    path = tmp_path / "f.png"
    path.write_bytes(b"older")

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        save_figure(figure, path)
    assert path.read_bytes() == b"older"
