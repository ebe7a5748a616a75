import os
import sys

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from matplotlib import pyplot
from numpy.testing import assert_allclose

from napari_dl4smlm.backend.acquisition.frames import FrameStack
from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.localizations.thunderstorm import write_thunderstorm
from napari_dl4smlm.backend.models.model_file import ModelCard, save_model
from napari_dl4smlm.backend.models.registry import create_model
from napari_dl4smlm.backend.prediction.reconstruction import Reconstruction, write_reconstruction
from napari_dl4smlm.cli.figure import figure


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A movie of 40 frames, its truth and a reconstruction, without a pixel size in the movie."""
    generator = np.random.default_rng(0)
    tifffile.imwrite(tmp_path / "movie.tif", generator.poisson(100, (40, 16, 20)).astype(np.uint16))
    truth = Localizations(
        frame=range(40),
        y_nm=generator.uniform(0, 1600, 40),
        x_nm=generator.uniform(0, 2000, 40),
        photons=generator.uniform(500, 900, 40),
    )
    write_thunderstorm(tmp_path / "truth.csv", truth)
    write_thunderstorm(tmp_path / "found.csv", truth[:30])
    reconstruction = Reconstruction(64, 80, pixel_size_nm=25)
    reconstruction.add(generator.random((64, 80)), range(40))
    write_reconstruction(tmp_path / "image.tif", reconstruction, description={})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    return tmp_path


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved, in order."""
    from napari_dl4smlm.backend.figures import figure_file

    figures = []
    save = figure_file.save_figure

    def keep(figure, path):
        figures.append(figure)
        save(figure, path)

    monkeypatch.setattr(figure_file, "save_figure", keep)
    return figures


def run(*arguments, code=0):
    result = CliRunner().invoke(figure, arguments)
    assert result.exit_code == code, result.output
    return result


TRIPTYCH = ("triptych", "--movie=movie.tif", "--image=image.tif")


def test_a_triptych_of_movie_truth_and_reconstruction(folder, drawn):
    assert run(*TRIPTYCH, "--truth=truth.csv").output == "Figure: triptych.png\n"
    assert (folder / "triptych.png").read_bytes().startswith(b"\x89PNG")
    raw, truth, prediction = drawn[0].axes[:3]
    assert raw.get_xlim() == (0, 2000)
    mean = tifffile.imread(folder / "movie.tif").mean(axis=0)
    assert_allclose(raw.images[0].get_array(), mean)
    assert truth.images[0].get_array().sum() == pytest.approx(40, abs=2)
    assert prediction.images[0].get_array().shape == (64, 80)


def test_one_frame_and_a_range_of_frames_can_be_chosen(folder, drawn):
    run(*TRIPTYCH, "--truth=truth.csv", "--frame=7", "--frames=0:10", "--zoom-nm=200")
    raw, truth = drawn[0].axes[:2]
    assert raw.get_title() == "frame 7"
    assert (raw.images[0].get_array() == tifffile.imread(folder / "movie.tif", key=7)).all()
    assert truth.images[0].get_array().sum() == pytest.approx(10, abs=1)
    assert np.ptp(drawn[0].axes[3].get_xlim()) == pytest.approx(200)


def test_the_mean_reads_a_few_frames_at_a_time(folder, monkeypatch):
    lengths = []
    read = FrameStack.read

    def spy(self, start, stop):
        lengths.append(stop - start)
        return read(self, start, stop)

    monkeypatch.setattr(FrameStack, "read", spy)
    run(*TRIPTYCH)
    assert sum(lengths) == 41
    assert max(lengths) <= 16


def test_a_histogram_compares_two_movies(folder, drawn):
    frames = tifffile.imread(folder / "movie.tif")
    tifffile.imwrite(folder / "other.tif", frames + 50)
    run("histogram", "movie.tif", "--against=other.tif", "--out=h.svg")
    assert (folder / "h.svg").exists()
    legend = [text.get_text() for text in drawn[0].axes[0].get_legend().get_texts()]
    assert legend[::3] == ["movie.tif", "other.tif"]
    medians = [drawn[0].axes[0].lines[k].get_xdata()[0] for k in (0, 2)]
    assert medians[1] - medians[0] == 50


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_histogram_of_a_movie_whose_name_is_no_text_is_drawn(folder, drawn):
    name = os.fsdecode(b"film_5\xb5m.tif")
    tifffile.imwrite(folder / name, tifffile.imread(folder / "movie.tif"))
    run("histogram", name, "--out=h.svg")
    assert (folder / "h.svg").exists()


def test_of_a_long_movie_frames_from_all_of_it_are_read(folder, drawn, monkeypatch):
    frames = np.repeat(np.arange(40, dtype=np.uint16), 320).reshape(40, 16, 20)
    tifffile.imwrite(folder / "ramp.tif", frames)
    # the package has the command under the name of its module
    module = sys.modules["napari_dl4smlm.cli.figure"]
    monkeypatch.setattr(module, "_HISTOGRAM_PIXELS", 3 * 320)
    run("histogram", "ramp.tif")
    # frames 0, 19 and 39
    assert drawn[0].axes[0].lines[0].get_xdata()[0] == 19


def test_the_training_of_a_model_is_drawn_from_its_file(folder, drawn):
    network = create_model("fid_storm", upsampling_factor=2, channels=3, blocks=1)
    losses = {"training_loss": 0.5, "validation_loss": 0.6, "learning_rate": 1e-3}
    card = ModelCard(
        architecture=network.name,
        options=network.options,
        upsampling_factor=2,
        pixel_size_nm=100.0,
        normalization=Normalization(offset=120, scale=9.5, background=118, brightest=300),
        density_amplitude=100.0,
        training={},
        history=[{"epoch": epoch, **losses} for epoch in (1, 2)],
    )
    save_model(folder / "m.safetensors", network, card)
    run("training", "m.safetensors")
    assert len(drawn[0].axes[0].lines[0].get_xdata()) == 2


def test_tables_are_compared_under_their_labels(folder, drawn):
    run(
        *("accuracy", "--predicted=A=found.csv", "--predicted=truth.csv", "--truth=truth.csv"),
        *("--tolerance-nm=50", "--out=a.pdf"),
    )
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["A", "truth"]
    assert len(drawn[0].axes) == 4


def test_a_truth_without_photons_is_drawn_against_density_alone(folder, drawn):
    truth = Localizations(frame=[0, 1], y_nm=[10.0, 20], x_nm=[10.0, 20])
    write_thunderstorm(folder / "plain.csv", truth)
    output = run("accuracy", "--predicted=found.csv", "--truth=plain.csv").output
    assert "plain.csv has no photons" in output
    assert len(drawn[0].axes) == 2


def test_photons_that_are_unknown_in_the_chosen_frames_count_as_none(folder, drawn):
    truth = Localizations(
        frame=[0, 1], y_nm=[10.0, 20], x_nm=[10.0, 20], photons=[float("nan"), 900.0]
    )
    write_thunderstorm(folder / "partly.csv", truth)
    tables = ("accuracy", "--predicted=found.csv", "--truth=partly.csv")
    assert "partly.csv has no photons" in run(*tables, "--frames=0:1").output
    assert len(drawn[0].axes) == 2


def test_a_file_with_an_equals_sign_in_its_name_is_found(folder, drawn):
    (folder / "found.csv").rename(folder / "density=2.csv")
    run("accuracy", "--predicted=density=2.csv", "--truth=truth.csv")
    assert len(drawn) == 1


def test_accuracy_is_that_of_the_frames_that_were_chosen(folder, drawn):
    # of 40 frames of the truth, the first 30 were predicted
    tables = ("accuracy", "--predicted=found.csv", "--truth=truth.csv", "--out=a.svg")
    warning = run(*tables).stderr
    assert "Warning: 10 emitters are in frames before 0 or after 29, where found has" in warning
    assert "leave them out with --frames 0:30" in warning
    assert not run(*tables, "--frames=0:30").stderr
    some, all_found = (figure.axes[0].lines[0].get_ydata().mean() for figure in drawn)
    assert (some, all_found) == (pytest.approx(0.75), 1)
    assert "range '0:50' cannot be used" in run(*tables, "--frames=0:50", code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("histogram", "movie.tif", "--out=h.jpg"), "ends in .png, .pdf or .svg"),
        (("histogram", "movie.tif", "--out=no/h.png"), "There is no folder no"),
        (("histogram", "missing.tif"), "There is no file or folder"),
        ((*TRIPTYCH, "--pixel-size-nm=90"), "are 90 nm wide, but 4 pixels of the image are 100 nm"),
        ((*TRIPTYCH, "--frame=40"), "Frames 40 to 41 cannot be read"),
        ((*TRIPTYCH, "--zoom-nm=5000"), "square of 5000 nm cannot be enlarged"),
        (("triptych", "--movie=movie.tif", "--image=movie.tif"), "has 40 frames"),
        (("triptych", "--movie=movie.tif", "--image=plain.tif"), "Give --pixel-size-nm"),
        (("training", "movie.tif"), "is a TIFF image"),
        (
            ("accuracy", "--predicted=a.csv", "--predicted=b/a.csv", "--truth=truth.csv"),
            "Two tables are called 'a'",
        ),
        (
            ("accuracy", "--predicted=found.csv", "--truth=truth.csv", "--radius-nm=0"),
            "radius is 0.0 nm",
        ),
    ],
)
def test_what_cannot_be_drawn_is_said_in_one_line(folder, arguments, message):
    tifffile.imwrite(folder / "plain.tif", np.zeros((64, 80), np.float32))
    error = run(*arguments, code=2).stderr.splitlines()[-1]
    assert error.startswith("Error: ")
    assert message in error
    assert not list(folder.glob("*.png"))


def test_without_a_display_the_figure_is_saved_and_the_error_says_where(folder):
    # as matplotlib chooses where there is none, and not to wait for a window where there is one
    pyplot.switch_backend("agg")
    error = run("histogram", "movie.tif", "--show", code=2).stderr
    assert "No window can be opened here" in error
    assert "The figure is in histogram.png" in error
    assert (folder / "histogram.png").exists()
