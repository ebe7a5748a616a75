"""Reading plain bytes: runs of frames end where the file changes."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dl4smlm.backend.acquisition.frame_readers import RawReader

pytestmark = pytest.mark.usefixtures("no_file_left_open")


def test_frames_in_two_files_are_not_one_run_though_their_offsets_follow_each_other(tmp_path):
    frames = np.arange(4 * 6, dtype="<u2").reshape(4, 2, 3)
    (tmp_path / "a").write_bytes(frames[:2].tobytes())
    (tmp_path / "b").write_bytes(frames[2:].tobytes())
    places = [(tmp_path / "a", 0), (tmp_path / "b", 12), (tmp_path / "b", 0), (tmp_path / "a", 12)]
    reader = RawReader(places, (2, 3), frames.dtype)
    np.testing.assert_array_equal(reader.read(0, 4), frames[[0, 3, 2, 1]])
    reader.close()
