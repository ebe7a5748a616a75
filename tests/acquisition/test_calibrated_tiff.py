"""Images that are written, and what goes wrong then."""

from __future__ import annotations

import errno
import json

import numpy as np
import pytest
import tifffile

from napari_dl4smlm.backend.acquisition.calibrated_tiff import calibrated_tiff

IMAGE = np.zeros((8, 9), np.float32)


def write(path, **information):
    with calibrated_tiff(path, pixel_size_nm=100, nbytes=288, information=information) as append:
        append(IMAGE)


def test_names_with_bytes_that_stand_for_no_letter_are_written(tmp_path):
    write(tmp_path / "image.tif", source="film_5\udcb5m.csv", unit="µm")
    with tifffile.TiffFile(tmp_path / "image.tif") as tif:
        information = json.loads(tif.imagej_metadata["Info"])
    assert information == {"source": "film_5?m.csv", "unit": "µm"}


def test_a_part_that_does_not_fit_is_told_with_the_file(tmp_path, monkeypatch):
    def short(*_args, **_options):
        # as NumPy says it
        raise OSError("25600 requested and 22760 written")

    monkeypatch.setattr(tifffile.TiffWriter, "write", short)
    with pytest.raises(OSError, match="only a part could be written") as raised:
        write(tmp_path / "image.tif")
    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename == str(tmp_path / "image.tif")
