"""What all tests in a window share."""

import functools

import pytest

PATIENCE_MS = 120_000


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Wait for as long as a busy machine may take, unless a test says how long."""
    bot = pytest.importorskip("pytestqt.qtbot").QtBot
    for name in ("waitUntil", "waitSignal"):
        patient = functools.partialmethod(getattr(bot, name), timeout=PATIENCE_MS)
        monkeypatch.setattr(bot, name, patient)
