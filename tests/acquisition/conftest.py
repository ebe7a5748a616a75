"""What the tests of movies share: no test may leave a file open."""

from __future__ import annotations

import gc

import psutil
import pytest


def open_files():
    return {file.path for file in psutil.Process().open_files()}


@pytest.fixture
def no_file_left_open():
    """Fail the test if a file that it opened is still open at its end."""
    before = open_files()
    yield
    if open_files() - before:
        gc.collect()  # a caught exception may still hold the array that it was about
    assert open_files() <= before
