"""What all tests share: the third-party data, and the watch on open files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# how long an example takes depends on what else the machine does
settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")

THIRD_PARTY_DATA = Path(
    os.environ.get("DL4SMLM_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")
)


@pytest.fixture(scope="session")
def third_party_data() -> Path:
    """Folder with data of other projects; it is never part of this one."""
    if not THIRD_PARTY_DATA.is_dir():
        pytest.skip(f"third-party data not found at {THIRD_PARTY_DATA}; set DL4SMLM_TEST_DATA")
    return THIRD_PARTY_DATA
