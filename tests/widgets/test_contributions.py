"""What napari finds in the manifest: a reader, a writer, samples and widgets that do their work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from time import process_time

import npe2
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import gaussian_filter

import napari_dl4smlm
from napari_dl4smlm.backend import (
    InputError,
    Localizations,
    open_frames,
    read_thunderstorm,
    render_density_map,
    write_thunderstorm,
)
from napari_dl4smlm.reader import get_reader, read_tables
from napari_dl4smlm.sample_data import filaments, pairs, unseen
from napari_dl4smlm.widgets.layers import layers
from napari_dl4smlm.writer import write_points

MANIFEST = npe2.PluginManifest.from_file(Path(napari_dl4smlm.__file__).parent / "napari.yaml")
POSITIONS_NM = np.array([[730.12345, 1590.5], [55.0, 2399.99999], [1234.5, 0.0]])


@pytest.fixture
def table():
    return Localizations(
        [0, 0, 7],
        POSITIONS_NM[:, 0],
        POSITIONS_NM[:, 1],
        photons=[100, 2000.5, np.nan],
        uncertainty_nm=[9, 8, 7],
        confidence=[0.1, 1, 5],
        id=[3, 5, 9],
        detections=[1, 2, 1],
        extra={"z [nm]": [-100, 0, 30.5]},
    )


@pytest.fixture
def csv(tmp_path, table):
    write_thunderstorm(tmp_path / "cells.csv", table)
    return tmp_path / "cells.csv"


@pytest.fixture
def plugin(npe2pm):
    """The plugin alone, installed in npe2."""
    npe2pm.register(MANIFEST)
    return npe2pm


def opened(path):
    (data,) = read_tables(str(path))
    return Layer.create(*data)


def assert_equal_tables(found, expected):
    assert found.columns().keys() == expected.columns().keys()
    for name, values in expected.columns().items():
        assert_allclose(found.column(name), values, rtol=0, atol=1e-6)


def test_napari_opens_a_table_as_points_in_nm(plugin, csv):
    ((data, attributes, kind),) = npe2.read([str(csv)], stack=False)
    points = Layer.create(data, attributes, kind)
    assert points.name == "cells"
    assert_array_equal(points.data, np.column_stack([[0, 0, 7], POSITIONS_NM]))
    assert [str(unit) for unit in points.units] == ["pixel", "nanometer", "nanometer"]
    columns = ["photons", "uncertainty_nm", "confidence", "id", "detections", "z [nm]"]
    assert list(points.features) == columns
    assert layers.mark_of(points) == {"role": "localizations", "path": str(csv)}


def test_several_tables_are_several_layers(csv):
    reader = get_reader([str(csv), str(csv)])
    assert reader is not None
    assert [name["name"] for _, name, _ in reader([str(csv), str(csv)])] == ["cells", "cells"]


def test_an_opened_table_lies_on_a_movie_that_this_package_shows(csv):
    spots = render_density_map(
        POSITIONS_NM[:1],
        height=20,
        width=24,
        pixel_size_nm=100,
        upsampling_factor=1,
        sigma_px=1.3,
    )
    frames = open_frames(np.stack([spots]), pixel_size_nm=100)
    movie = layers.add_movie(ViewerModel(), frames, name="movie")
    index = [np.average(grid, weights=spots) for grid in np.indices(spots.shape)]
    points = opened(csv)
    seen = np.subtract(points.data_to_world(points.data[0]), movie.data_to_world([0, *index]))
    # 0.05 camera pixels, of which a wrong convention costs 0.5
    assert np.abs(seen).max() < 5


def test_points_that_napari_saved_are_left_to_napari(plugin, tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("index,axis-0,axis-1,axis-2\n0,1.0,2.0,3.0\n")
    assert get_reader(str(path)) is None


def test_a_table_that_cannot_be_used_is_opened_only_to_say_why(tmp_path):
    path = tmp_path / "broken.csv"
    path.write_text("# of an unknown program\n\nframe,x,y\n1,2,3\n")
    reader = get_reader(str(path))
    assert reader is not None
    with pytest.raises(InputError, match="not a ThunderSTORM table"):
        reader(str(path))


def test_a_table_in_camera_pixels_says_where_to_enter_their_size(tmp_path):
    path = tmp_path / "px.csv"
    path.write_text("frame,x [px],y [px]\n1,2,3\n")
    with pytest.raises(
        InputError,
        match=r"px.csv is in camera pixels .* widget Data or Process .* camera pixel there",
    ):
        read_tables(str(path))
    # the size alone would not help
    path.write_text("frame,x [px],y [px]\n1,2,far\n")
    with pytest.raises(InputError, match=r"px.csv, line 2.* 'far'"):
        read_tables(str(path))


def test_a_picasso_table_without_pixel_size_is_sent_to_the_widget_that_reads_it(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "cells.hdf5"
    with h5py.File(path, "w") as file:
        file["locs"] = np.array([(0, 3, 2)], [("frame", "u4"), ("x", "f4"), ("y", "f4")])
    with pytest.raises(InputError, match="Choose the file in the widget Process "):
        read_tables(str(path))


def test_the_reader_claims_no_images():
    patterns = [reader.filename_patterns for reader in MANIFEST.contributions.readers]
    assert patterns == [["*.csv", "*.tsv", "*.hdf5", "*.h5"]]


def test_a_picasso_table_is_opened_in_nm_from_the_outer_corner(plugin, tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "cells.hdf5"
    fields = [("frame", "u4"), ("x", "f4"), ("y", "f4"), ("photons", "f4"), ("z", "f4")]
    with h5py.File(path, "w") as file:
        # the centre of the pixel in row 2 and column 3
        file["locs"] = np.array([(0, 3, 2, 500, -120)], fields)
    path.with_suffix(".yaml").write_text("Pixelsize: 130\nHeight: 16\nWidth: 16\nFrames: 9\n")
    ((data, attributes, kind),) = npe2.read([str(path)], stack=False)
    points = Layer.create(data, attributes, kind)
    assert_allclose(points.data, [[0, 2.5 * 130, 3.5 * 130]])
    assert [str(unit) for unit in points.units] == ["pixel", "nanometer", "nanometer"]
    assert points.features.to_dict("list") == {"photons": [500], "z [nm]": [-120]}


def test_hdf5_files_without_localizations_are_left_to_other_readers(plugin, tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "volume.h5", "w") as file:
        file["exported_data"] = np.zeros((3, 4))
    with h5py.File(tmp_path / "picks.hdf5", "w") as file:
        file["locs"] = np.zeros(3, [("group", "i4")])
    with h5py.File(tmp_path / "group.hdf5", "w") as file:
        file.create_group("locs")
    (tmp_path / "text.h5").write_text("frame,x [nm],y [nm]")
    (tmp_path / "cut.h5").write_bytes((tmp_path / "volume.h5").read_bytes()[:100])
    for name in ("volume.h5", "picks.hdf5", "group.hdf5", "text.h5", "cut.h5"):
        assert get_reader(str(tmp_path / name)) is None, name


def test_without_h5py_a_picasso_table_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "cells.hdf5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    monkeypatch.setitem(sys.modules, "h5py", None)
    reader = get_reader(str(path))
    assert reader is not None
    with pytest.raises(InputError, match=r'pip install "napari-dl4smlm\[hdf5\]"'):
        reader(str(path))


def test_a_table_that_is_opened_and_saved_is_the_same(plugin, csv, tmp_path, table):
    path = tmp_path / "again.csv"
    written = npe2.write(str(path), [opened(csv)], plugin_name=MANIFEST.name)
    assert written == [str(path)]
    assert_equal_tables(read_thunderstorm(path), table)
    assert path.read_bytes() == csv.read_bytes()


def test_localizations_of_a_movie_far_from_the_origin_are_saved_from_its_corner(tmp_path, table):
    movie = Image(
        np.zeros((8, 20, 24)),
        scale=(1, 0.1, 0.1),
        translate=(0, 300, 400),
        rotate=(0, 0, 30),
        units=("pixel", "um", "um"),
    )
    points = layers.show_localizations(ViewerModel(), movie, table, name="points")
    data, attributes, _ = points.as_layer_data_tuple()
    write_points(str(tmp_path / "a.csv"), data, attributes)
    assert_equal_tables(read_thunderstorm(tmp_path / "a.csv"), table)


def test_points_that_are_hidden_are_not_saved(tmp_path, table):
    movie = Image(np.zeros((8, 20, 24)), scale=(1, 100, 100), units=("pixel", "nm", "nm"))
    points = layers.show_localizations(ViewerModel(), movie, table, name="points")
    points.shown = np.arange(len(table)) % 2 == 0
    data, attributes, _ = points.as_layer_data_tuple()
    write_points(str(tmp_path / "a.csv"), data, attributes)
    assert_equal_tables(read_thunderstorm(tmp_path / "a.csv"), table[::2])


def test_points_of_others_are_saved_where_they_are_in_the_world(tmp_path):
    drawn = Points(
        [[2, 4, 5.5]],
        scale=(1, 0.1, 0.1),
        translate=(0, 0.05, 0.05),
        units=("pixel", "um", "um"),
    )
    data, attributes, _ = drawn.as_layer_data_tuple()
    write_points(str(tmp_path / "a.csv"), data, attributes)
    found = read_thunderstorm(tmp_path / "a.csv")
    assert found.frame.tolist() == [2]
    assert_allclose(found.positions_nm(), [[450, 600]])


def test_points_in_pixels_are_not_saved_as_if_they_were_in_nm(tmp_path):
    data, attributes, _ = Points([[2, 4, 5.5]], name="spots").as_layer_data_tuple()
    with pytest.raises(InputError, match="'spots' are in pixels, but a table needs nm"):
        write_points(str(tmp_path / "a.csv"), data, attributes)
    assert not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize(("key", "n_layers"), [("filaments", 2), ("unseen", 1), ("pairs", 2)])
def test_a_sample_opens_in_less_than_2_s(plugin, key, n_layers):
    viewer = ViewerModel()
    # the processor's time, since other programs make the clock's as long as they like
    start = process_time()
    opened = viewer.open_sample(MANIFEST.name, key)
    assert process_time() - start < 2
    assert len(opened) == len(viewer.layers) == n_layers
    assert [str(unit) for unit in viewer.layers.units] == ["pixel", "nanometer", "nanometer"]


def rendered(movie, found, shift_px=0.0):
    """Spots of unit sum where the localizations are, as wide as those of the sample."""
    frames = layers.frames_of(movie)
    return np.stack(
        [
            render_density_map(
                found.in_frames(range(number, number + 1)).positions_nm() + 100 * shift_px,
                height=frames.height,
                width=frames.width,
                pixel_size_nm=100,
                upsampling_factor=1,
                sigma_px=1.3,
            )
            for number in range(frames.n_frames)
        ]
    )


def test_the_true_positions_of_the_filaments_are_those_of_their_spots():
    movie, points = (Layer.create(*data) for data in filaments())
    assert layers.mark_of(points) == {"role": "ground truth", "movie": movie.name}
    found = layers.localizations_of(points, movie)
    similarity = {
        shift: np.corrcoef(movie.data.ravel(), rendered(movie, found, shift).ravel())[0, 1]
        for shift in (-0.1, 0, 0.1)
    }
    assert max(similarity, key=similarity.get) == 0
    assert similarity[0] > 0.8
    # in the world too, where they were simulated in nm from the corner
    assert_allclose(movie.data_to_world((0, -0.5, -0.5)), points.data_to_world((0, 0, 0)))


def test_the_movie_to_predict_shows_other_filaments():
    known, other = (Layer.create(*data[0]) for data in (filaments(), unseen()))
    assert other.data.shape == (500, 64, 64)
    lit = [layer.data.max(axis=0) > layer.data.min(axis=0) + 200 for layer in (known, other)]
    assert np.corrcoef(*map(np.ravel, lit))[0, 1] < 0.5


def test_the_maps_of_the_pairs_lie_on_their_frames_and_count_the_emitters():
    movie, maps = (Layer.create(*data) for data in pairs())
    truth = layers.localizations_of(Layer.create(*filaments()[1]), movie)
    assert maps.data.shape == (60, 256, 256)
    assert_allclose(maps.data.sum(), len(truth), rtol=0.02)
    binned = maps.data.reshape(60, 64, 4, 64, 4).sum(axis=(2, 4))
    # the maps are of sigma 0.25 camera pixels, and 1.3² = 0.25² + 1.276²
    blurred = gaussian_filter(binned, (0, 1.276, 1.276))
    assert np.corrcoef(blurred.ravel(), rendered(movie, truth).ravel())[0, 1] > 0.98
    for corner in ((0, 0), (64, 64)):
        coarse = movie.data_to_world((5, *np.subtract(corner, 0.5)))
        assert_allclose(maps.data_to_world((5, *np.subtract(np.multiply(corner, 4), 0.5))), coarse)


OPEN = """
import sys
from importlib import import_module
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication

application = QApplication([])
module, _, name = sys.argv[1].partition(":")
widget = getattr(import_module(module), name)(ViewerModel())
print(*sys.modules)
"""
# each of them takes a third of a second or more to import or to set up
SLOW = {
    "torch", "matplotlib.figure", "pandas", "openvino",
    "scipy.special", "scipy.spatial", "scipy.optimize", "scipy.stats", "scipy.signal",
}  # fmt: skip


@pytest.mark.parametrize("widget", MANIFEST.contributions.widgets, ids=lambda w: w.display_name)
def test_a_widget_opens_without_what_is_slow_to_import(widget):
    command = next(c for c in MANIFEST.contributions.commands if c.id == widget.command)

    opened = subprocess.run(
        [sys.executable, "-c", OPEN, command.python_name],
        capture_output=True,
        text=True,
        check=True,
    )

    assert not SLOW & set(opened.stdout.split())


def test_the_widgets_are_in_the_manifest():
    named = {widget.display_name: widget.command for widget in MANIFEST.contributions.widgets}
    assert named == {
        "Data": "napari-dl4smlm.data",
        "Train": "napari-dl4smlm.train",
        "Distill": "napari-dl4smlm.distill",
        "Predict": "napari-dl4smlm.predict",
        "Compare": "napari-dl4smlm.compare",
        "Process": "napari-dl4smlm.process",
    }
