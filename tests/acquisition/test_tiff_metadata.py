"""The pixel size that TIFF metadata tell, and when they are not believed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.acquisition.growing_frames import open_growing_frames

pytestmark = pytest.mark.usefixtures("no_file_left_open")

MOVIE = np.zeros((5, 16, 20), np.uint16)


def pixel_size_nm(path, **options):
    """Write a movie with these options of tifffile, and return the pixel size that is found."""
    tifffile.imwrite(path, MOVIE, **options)
    with open_frames(path) as stack:
        assert stack.n_frames == 5
        return stack.pixel_size_nm


@pytest.mark.parametrize(
    ("unit", "pixels_per_unit", "expected"),
    [
        ("nm", 0.01, 100.0),
        ("um", 10, 100.0),
        ("micron", 1 / 0.1335, 133.5),
        ("microns", 1 / 0.16, 160.0),
        ("\\u00B5m", 1 / 0.108, 108.0),
        ("pm", 1e-5, 100.0),
        ("\\u00C5", 1e-3, 100.0),
        ("mm", 1e4, 100.0),
        ("cm", 1e5, 100.0),
        ("meter", 1e7, 100.0),
        ("cm", 28.35, None),  # 72 dpi
        ("pixel", 1, None),
        ("inch", 72, None),
        ("", 10, None),
    ],
)
def test_imagej_tells_it_by_unit_and_resolution(tmp_path, unit, pixels_per_unit, expected):
    resolution = (pixels_per_unit, pixels_per_unit)
    size = pixel_size_nm(
        tmp_path / "m.tif", imagej=True, resolution=resolution, metadata={"unit": unit}
    )
    assert size == expected


@pytest.mark.parametrize("sign", ["\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}"])
def test_imagej_may_spell_the_unit_with_either_mu(tmp_path, sign):
    description = f"ImageJ=1.54f\nimages=5\nunit={sign}m\n".encode()
    size = pixel_size_nm(
        tmp_path / "m.tif", description=description, metadata=None, resolution=(8, 8)
    )
    assert size == 125.0


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1}, 100.0),
        ({"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1, "unit": "µm"}, 100.0),
        ({"PhysicalSizeX": 106.5, "PhysicalSizeY": 106.5, "unit": "nm"}, 106.5),
        ({"PhysicalSizeX": 1e-4, "PhysicalSizeY": 1e-4, "unit": "mm"}, 100.0),
        ({"PhysicalSizeX": 1e-5, "PhysicalSizeY": 1e-5, "unit": "cm"}, 100.0),
        ({"PhysicalSizeX": 1e-7, "PhysicalSizeY": 1e-7, "unit": "m"}, 100.0),
        ({"PhysicalSizeX": 1e5, "PhysicalSizeY": 1e5, "unit": "pm"}, 100.0),
        ({"PhysicalSizeX": 1000, "PhysicalSizeY": 1000, "unit": "Å"}, 100.0),
        ({"PhysicalSizeX": 100, "PhysicalSizeY": 100.9, "unit": "nm"}, 100.0),
        ({"PhysicalSizeX": 100, "PhysicalSizeY": 101.1, "unit": "nm"}, None),
        ({"PhysicalSizeX": 1, "PhysicalSizeY": 1, "unit": "pixel"}, None),
        ({"PhysicalSizeX": 0, "PhysicalSizeY": 0}, None),
        ({"PhysicalSizeX": "0,1", "PhysicalSizeY": "0,1"}, None),
        ({"PhysicalSizeX": 0.1}, None),
        ({}, None),
    ],
)
def test_ome_tells_it_in_micrometres_or_in_its_unit(tmp_path, metadata, expected):
    sizes = {key: value for key, value in metadata.items() if key != "unit"}
    units = {f"{key}Unit": metadata["unit"] for key in sizes if "unit" in metadata}
    options = {"axes": "TYX", **sizes, **units}
    assert pixel_size_nm(tmp_path / "m.ome.tif", metadata=options) == expected


@pytest.mark.parametrize(
    ("unit", "resolution", "expected"),
    [
        ("CENTIMETER", (1e5, 1e5), 100.0),
        ("CENTIMETER", (1e5, 0.5e5), None),
        ("CENTIMETER", (28.35, 28.35), None),  # 72 dpi
        ("CENTIMETER", (0.9e4, 0.9e4), None),  # 1111 nm
        ("CENTIMETER", (1.1e6, 1.1e6), None),  # 9 nm
        ("INCH", (72, 72), None),
        ("INCH", (254_000, 254_000), None),  # 100 nm, but no microscope counts in inches
        ("NONE", (1e5, 1e5), None),
        ("CENTIMETER", (0, 0), None),
    ],
)
def test_a_bare_resolution_is_believed_only_if_a_microscope_can_have_it(
    tmp_path, unit, resolution, expected
):
    size = pixel_size_nm(
        tmp_path / "m.tif", resolution=resolution, resolutionunit=unit, metadata=None
    )
    assert size == expected


@pytest.mark.parametrize(("pixel_size_um", "expected"), [(0.108, 108.0), (0, None), ("?", None)])
def test_micro_manager_tells_it_in_its_own_tag(tmp_path, pixel_size_um, expected):
    tag = (51123, "s", 0, json.dumps({"PixelSizeUm": pixel_size_um}), True)
    assert pixel_size_nm(tmp_path / "m.tif", metadata=None, extratags=[tag]) == expected


def test_the_users_pixel_size_wins(tmp_path):
    path = tmp_path / "m.ome.tif"
    tifffile.imwrite(path, MOVIE, metadata={"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1})
    with open_frames(path, pixel_size_nm=160) as stack:
        assert stack.pixel_size_nm == 160


def test_pixels_that_are_not_square_are_told_as_what_they_are(tmp_path):
    path = tmp_path / "m.ome.tif"
    tifffile.imwrite(path, MOVIE, metadata={"PhysicalSizeX": 0.16, "PhysicalSizeY": 0.1})
    with open_frames(path) as stack:
        assert stack.pixel_sides_nm == (100, 160)
        fault = stack.pixel_size_fault()
        assert "pixels of m.ome.tif are 100 nm high and 160 nm wide" in fault
        assert open_growing_frames(path, wait_s=120).pixel_size_fault() == fault
        assert stack.with_pixel_size(100).pixel_size_fault() is None
